"""What a rule looks for and does, as values: read from a revision, checked before it is saved, said in words."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from apps.errors.changes import MISSING, Change, ChangeRefused, check_change, is_same, parse_path, value_at
from apps.errors.states import Classification

MOST_HOURS = 24 * 180
MOST_OLD_MINUTES = 30 * 24 * 60
MOST_ACTS_PER_HOUR = 10_000
MOST_RETRIES = 10
MOST_ERRORS = 1_000_000
WAYS = {"is": "is", "holds": "holds", "missing": "is missing"}


class RuleRefused(Exception):  # noqa: N818 (an answer, not a fault)
    """A rule that cannot be saved or switched; the message says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """All that are given must be met. Ids of the account's objects; blank, 0 or None: any."""

    integration: int | None = None
    flow: int | None = None
    source: str = ""
    code: str = ""
    classification: str = ""
    text: str = ""
    field: str = ""
    way: str = "is"
    value: str = ""
    older_than_minutes: int = 0
    at_least: int = 0

    @property
    def is_any(self) -> bool:
        """Nothing but the environment narrows it."""
        return self == Conditions(way=self.way, value=self.value)

    def fits(self, record: Any) -> bool:
        """Whether a record has the value at the field; a text that is JSON means that value too."""
        there = value_at(record, parse_path(self.field))
        if self.way == "missing":
            return there in (MISSING, None, "")
        if there is MISSING:
            return False
        shown = there if isinstance(there, str) else json.dumps(there, ensure_ascii=False)
        if self.way == "holds":
            return self.value.casefold() in shown.casefold()
        return shown == self.value or is_same(there, plain(self.value))


@dataclass(frozen=True, slots=True)
class Acts:
    """What is done with an error that matches, in this order. `changes` set fields of its retry data; who is notified
    is told once of all that is met together in a flow."""

    tags: Sequence[int] = ()
    assignee: int | None = None
    changes: Sequence[Mapping[str, Any]] = ()
    retry: bool = False
    resolve: bool = False
    snooze_hours: int = 0
    disable_flow: bool = False
    notify_members: Sequence[int] = ()
    notify_channels: Sequence[int] = ()

    @property
    def is_none(self) -> bool:
        return self == Acts()

    def as_changes(self) -> list[Change]:
        return [Change("set", str(change["field"]), change["value"]) for change in self.changes]

    @property
    def told(self) -> int:
        """How many members and channels it notifies."""
        return len(self.notify_members) + len(self.notify_channels)


@dataclass(frozen=True, slots=True)
class Definition:
    """`acts_per_hour` bounds the errors that a rule acts on, `most_retries` those of one record that it retries."""

    conditions: Conditions = field(default_factory=Conditions)
    acts: Acts = field(default_factory=Acts)
    acts_per_hour: int = 100
    most_retries: int = 3

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Definition":
        lists = ("tags", "changes", "notify_members", "notify_channels")
        acts = dict(stored["acts"]) | {name: tuple(stored["acts"].get(name, ())) for name in lists}
        rest = {name: stored[name] for name in ("acts_per_hour", "most_retries")}
        return cls(Conditions(**stored["conditions"]), Acts(**acts), **rest)

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found


def plain(text: str) -> Any:
    """What a member typed as a JSON value, or as the text that it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def check_definition(definition: Definition) -> None:
    """Raises RuleRefused with the first thing that is wrong."""
    conditions, acts = definition.conditions, definition.acts
    if conditions.is_any:
        raise RuleRefused("Say at least one thing that the rule looks for: a rule for every error is a policy.")
    if acts.is_none:
        raise RuleRefused("Say at least one thing that the rule does.")
    if acts.resolve and (acts.retry or acts.changes):
        raise RuleRefused("A rule resolves an error, or it changes and retries it: not both.")
    if conditions.classification and conditions.classification not in Classification.values:
        raise RuleRefused(f"There is no class {conditions.classification[:20]!r}.")
    check_field(conditions)
    check_changes(acts)
    between("Minutes", conditions.older_than_minutes, 0, MOST_OLD_MINUTES)
    between("Open errors of a root cause", conditions.at_least, 0, MOST_ERRORS)
    between("Hours of a snooze", acts.snooze_hours, 0, MOST_HOURS)
    between("Errors per hour", definition.acts_per_hour, 1, MOST_ACTS_PER_HOUR)
    between("Retries of one record", definition.most_retries, 1, MOST_RETRIES)


def between(what: str, number: int, least: int, most: int) -> None:
    if not least <= number <= most:
        raise RuleRefused(f"{what}: between {least:,} and {most:,}. Yours is {number:,}.")


def check_field(conditions: Conditions) -> None:
    if conditions.way not in WAYS:
        raise RuleRefused(f"A field is compared by one of: {', '.join(WAYS)}.")
    if not conditions.field:
        return
    try:
        path = parse_path(conditions.field)
    except ChangeRefused as refused:
        raise RuleRefused(str(refused)) from refused
    if "*" in path:
        raise RuleRefused("A rule looks at one field: name its line by a number, such as lines[0].sku.")


def check_changes(acts: Acts) -> None:
    try:
        for change in acts.as_changes():
            check_change(change)
    except ChangeRefused as refused:
        raise RuleRefused(str(refused)) from refused
