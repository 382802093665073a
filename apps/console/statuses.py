"""The looks of everything that has a status, in one table: runs and errors bring theirs, the rest stands here."""

from apps.errors.states import ERROR_LOOKS
from apps.runs.statuses import STATUS_LOOKS, StatusLook

RECORD_LOOKS = {
    "success": StatusLook("Success", "ok", "check"),
    "ignored": StatusLook("Ignored", "idle", "circle-slash"),
    "error": StatusLook("Error", "err", "octagon-x"),
    "rolled_back": StatusLook("Rolled back", "idle", "undo-2"),
}
CAUSE_LOOKS = {
    "new": StatusLook("New", "err", "circle-plus"),
    "ongoing": StatusLook("Ongoing", "err", "circle-dot"),
    "regressed": StatusLook("Came back", "err", "undo-2"),
    "snoozed": StatusLook("Snoozed", "idle", "bell-off"),
}
CONNECTION_LOOKS = {
    "online": StatusLook("Online", "ok", "circle-check"),
    "offline": StatusLook("Offline", "err", "octagon-x"),
    "never": StatusLook("Never tested", "idle", "circle-dashed"),
}
FLOW_LOOKS = {
    "enabled": StatusLook("Enabled", "ok", "power"),
    "disabled": StatusLook("Disabled", "idle", "pause"),
    "never_run": StatusLook("Never run", "idle", "circle-dashed"),
}
GROUPS = {
    "Runs": STATUS_LOOKS,
    "Errors": ERROR_LOOKS,
    "Records": RECORD_LOOKS,
    "Root causes": CAUSE_LOOKS,
    "Connections": CONNECTION_LOOKS,
    "Flows": FLOW_LOOKS,
}
LOOKS: dict[str, StatusLook] = {key: look for group in GROUPS.values() for key, look in group.items()}


def look_of(key: str) -> StatusLook:
    """Word, role and icon of a status. Raises KeyError for one that nobody has given a look."""
    return LOOKS[key]
