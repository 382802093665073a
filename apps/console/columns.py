"""The columns that a reader may leave out of a wide list; his profile keeps which."""

from collections.abc import Mapping

from apps.console.context import Preferences

COMPLETED = "completed"
LISTS: Mapping[str, Mapping[str, str]] = {
    COMPLETED: {
        "open": "Open errors",
        "status": "Latest run",
        "last_runs": "Last 12 runs",
        "runs": "Runs",
        "success": "Success",
        "ignored": "Ignored",
        "errors": "Errors",
        "auto": "Auto-resolved",
        "average": "Average run, ms/record",
    },
}
GROUPS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    COMPLETED: {
        "now": ("open",),
        "latest": ("status", "last_runs"),
        "range": ("runs", "success", "ignored", "errors", "auto", "average"),
    },
}
"""The columns under each head of a group."""


def shown_columns(prefs: Preferences, name: str) -> dict[str, bool]:
    """Each column of a list that can be left out, and whether it is there."""
    hidden = prefs.hidden_columns.get(name, ())
    return {column: column not in hidden for column in LISTS[name]}


def widths_of_groups(shown: Mapping[str, bool], name: str) -> dict[str, int]:
    """How many columns stand under each head of a group; 0: the head goes too."""
    return {group: sum(shown[column] for column in columns) for group, columns in GROUPS[name].items()}


def hidden_after(name: str, kept: list[str]) -> list[str]:
    """What to keep in the profile when these columns stay."""
    return [column for column in LISTS[name] if column not in kept]
