"""Forms for single settings of a flow's definition. Each says which fields of the text it changes and, in sentences
with the flow's own names and numbers, what will happen.

What the values may be is for the definition's own models to say: their mistakes come back to the fields of the form.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from django import forms

from apps.console import setting_stories as stories
from apps.console.config_shapes import values_of, without_none
from apps.console.connection_forms import sentence
from apps.core.clock import time_zones
from apps.engine.plan import MAX_RECORDS, MOST_PARALLEL_PAGES
from apps.flows.definition.head import Head
from apps.flows.definition.mistakes import Mistake, Path
from apps.flows.definition.rewriting import REMOVED
from apps.flows.models import Flow, Overlap, Scope

Changes = dict[Path, Any]
WHOLE = {"autocomplete": "off", "spellcheck": "false"}


def line_of_text(label: str, help_text: str, max_length: int, **attributes: str) -> forms.CharField:
    """A field that may be empty, for what no browser is to correct."""
    widget = forms.TextInput(WHOLE | attributes)
    return forms.CharField(required=False, max_length=max_length, label=label, help_text=help_text, widget=widget)


@dataclass(frozen=True)
class Subject:
    """What a form speaks of: the flow, its definition as plain values, and how much there is of it right now."""

    flow: Flow
    raw: Mapping[str, Any]
    now: datetime
    open_errors: int = 0
    last_key: str = ""
    path: Path = ()
    step: Mapping[str, Any] = field(default_factory=dict)


class SettingForm(forms.Form):
    """Base of all: made of a `Subject`, whose present values it shows."""

    name: ClassVar[str]
    title: ClassVar[str]
    places: ClassVar[Mapping[str, str]] = {}
    """Where a mistake in the definition belongs to a field that is named otherwise."""

    def __init__(self, data: Any, subject: Subject, *, is_locked: bool = False) -> None:
        self.subject = subject
        super().__init__(data, prefix=self.name, label_suffix="", initial=self.shown())
        for field_ in self.fields.values():
            field_.disabled = is_locked

    @abstractmethod
    def shown(self) -> dict[str, Any]:
        """The present values."""

    @abstractmethod
    def changes(self) -> Changes:
        """The fields of the definition with their values; needs a valid form."""

    @abstractmethod
    def told(self, values: Mapping[str, Any]) -> list[str]:
        """What will happen with these values."""

    @property
    def values(self) -> Mapping[str, Any]:
        """What stands in the form: as it was sent if it can be read, else as it is stored."""
        return self.cleaned_data if self.is_bound and self.is_valid() else self.initial

    @property
    def story(self) -> list[str]:
        """The sentences; none while a value is not right."""
        if self.is_bound and not self.is_valid():
            return []
        try:
            return self.told(self.values)
        except (ValueError, TypeError, KeyError, OverflowError, OSError):  # no value; OSError: a folder of time zones
            return []

    def tell(self, mistakes: Iterable[Mistake]) -> None:
        """Puts each mistake of the definition at the field that it speaks of, the others above the form."""
        for mistake in mistakes:
            name = self.field_of(mistake.place)
            self.add_error(name, sentence(mistake, "" if name else mistake.place))

    def field_of(self, place: str) -> str | None:
        last = place.rpartition(".")[2]
        if place in self.places:
            return self.places[place]
        return last if last in self.fields else None


def unless_usual(present: Mapping[str, Any], name: str, value: Any, usual: Any) -> Any:
    """The value, or REMOVED where it is the usual one and nothing is written anyway."""
    return REMOVED if name not in present and value == usual else value


def kept(given: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is to be removed."""
    return {name: value for name, value in given.items() if value is not REMOVED}


def plain(number: float) -> float:
    """`5` instead of `5.0`."""
    return int(number) if float(number).is_integer() else number


def as_fields(given: Any, first: str) -> dict[str, Any]:
    """A short form (`on_error: fail`) as a set of fields."""
    if isinstance(given, Mapping):
        return dict(given)
    return {} if given is None else {first: given}


def shortened(fields: dict[str, Any], first: str, given: Any) -> Any:
    """A set of fields as its short form again, if it was written so and still can be."""
    return fields[first] if list(fields) == [first] and not isinstance(given, Mapping) else fields


class ScheduleForm(SettingForm):
    name, title = "schedule", "Schedule"
    places: ClassVar[Mapping[str, str]] = {"schedule": "cron"}

    cron = line_of_text(
        "Cron expression",
        "Minute, hour, day, month, weekday. */15 * * * * is every 15 minutes. Empty: no schedule.",
        120,
    )
    time_zone = line_of_text(
        "Time zone", "Such as Europe/Berlin. Changes of the clocks are followed. Empty: UTC.", 64, list="time-zones"
    )
    overlap = forms.ChoiceField(
        choices=Overlap.choices, label="If a run is still under way", help_text="What becomes of the run that is due."
    )

    def shown(self) -> dict[str, Any]:
        schedule = as_fields(self.subject.raw.get("schedule"), "cron")
        return {
            "cron": schedule.get("cron", ""),
            "time_zone": schedule.get("time_zone", "UTC" if schedule else self.subject.flow.account.time_zone),
            "overlap": self.subject.raw.get("overlap", "queue"),
        }

    def changes(self) -> Changes:
        values, given = self.cleaned_data, self.subject.raw.get("schedule")
        overlap = unless_usual(self.subject.raw, "overlap", values["overlap"], "queue")
        if not values["cron"]:
            return {("schedule",): REMOVED, ("overlap",): overlap}
        present = as_fields(given, "cron")
        zone = unless_usual(present, "time_zone", values["time_zone"] or "UTC", "UTC")
        schedule = shortened(kept({"cron": values["cron"], "time_zone": zone}), "cron", given)
        return {("schedule",): schedule, ("overlap",): overlap}

    def told(self, values: Mapping[str, Any]) -> list[str]:
        return stories.of_schedule(self.subject.flow, values, self.subject.now)

    @property
    def zones(self) -> list[str]:
        return sorted(time_zones())


class WorkflowRetryForm(SettingForm):
    name, title = "workflow-retry", "Workflow retry"
    places: ClassVar[Mapping[str, str]] = {"workflow_retry": "attempts"}

    attempts = forms.IntegerField(
        min_value=0, max_value=10, label="Attempts", help_text="How often a failed run is run again, 0 to 10. 0: never."
    )
    minutes = forms.FloatField(
        min_value=1, max_value=1440, label="Minutes between", help_text="How long each attempt waits, 1 to 1,440."
    )
    backoff = forms.BooleanField(
        required=False, label="Wait twice as long each time", help_text="At most 24 hours between two attempts."
    )
    unique_id = line_of_text(
        "Unique id of the payload",
        "A template such as {{ record.batch }}: a newer run with the same one cancels what waits.",
        500,
    )

    def shown(self) -> dict[str, Any]:
        return {
            "attempts": 0,
            "minutes": 5,
            "backoff": False,
            "unique_id": "",
            **as_fields(self.subject.raw.get("workflow_retry"), "attempts"),
        }

    def changes(self) -> Changes:
        given = self.subject.raw.get("workflow_retry")
        present, values = as_fields(given, "attempts"), self.cleaned_data
        if not values["attempts"] and not present:
            return {}
        fields = kept(
            {
                "attempts": values["attempts"],
                "minutes": unless_usual(present, "minutes", plain(values["minutes"]), 5),
                "backoff": unless_usual(present, "backoff", values["backoff"], False),
                "unique_id": values["unique_id"] or REMOVED,
            }
        )
        return {("workflow_retry",): shortened(fields, "attempts", given)}

    def told(self, values: Mapping[str, Any]) -> list[str]:
        return stories.of_workflow_retry(self.subject.flow, values, self.subject.now)


class AutoResolveForm(SettingForm):
    name, title = "auto-resolve", "Auto-resolve"

    auto_resolve = forms.BooleanField(
        required=False,
        label="Resolve errors when their record goes through",
        help_text="Records are known again by their trace key.",
    )

    def shown(self) -> dict[str, Any]:
        return {"auto_resolve": self.subject.raw.get("auto_resolve", True)}

    def changes(self) -> Changes:
        value = self.cleaned_data["auto_resolve"]
        return {("auto_resolve",): unless_usual(self.subject.raw, "auto_resolve", value, True)}

    def told(self, values: Mapping[str, Any]) -> list[str]:
        return stories.of_auto_resolve(bool(values["auto_resolve"]), self.subject.open_errors)


class AutoRetryForm(SettingForm):
    name, title = "auto-retry", "Auto-retry"

    auto_retry = forms.BooleanField(
        required=False,
        label="Try intermittent errors again",
        help_text="Of the classes intermittent and rate limit, while auto-resolve is on.",
    )

    def shown(self) -> dict[str, Any]:
        return {"auto_retry": self.subject.raw.get("auto_retry", True)}

    def changes(self) -> Changes:
        value = self.cleaned_data["auto_retry"]
        return {("auto_retry",): unless_usual(self.subject.raw, "auto_retry", value, True)}

    def told(self, values: Mapping[str, Any]) -> list[str]:
        return stories.of_auto_retry(bool(values["auto_retry"]), is_resolving=self.subject.flow.auto_resolve)


class TraceKeyForm(SettingForm):
    name, title = "trace-key", "Trace key"

    trace_key = line_of_text(
        "Template", "Such as {{ record.id }} or {{ record.shop }}-{{ record.number }}. Empty: the usual key.", 2_000
    )

    def shown(self) -> dict[str, Any]:
        return {"trace_key": self.export.get("trace_key") or ""}

    @property
    def export(self) -> Mapping[str, Any]:
        steps = self.subject.raw.get("steps")
        first = steps[0] if isinstance(steps, list) and steps else None
        return first if isinstance(first, Mapping) else {}

    def changes(self) -> Changes:
        return {("steps", 0, "trace_key"): self.cleaned_data["trace_key"] or REMOVED}

    def told(self, values: Mapping[str, Any]) -> list[str]:
        is_changed = values["trace_key"] != self.initial["trace_key"]
        subject = self.subject
        return stories.of_trace_key(values["trace_key"], subject.last_key, subject.open_errors, is_changed=is_changed)


SCOPES = values_of(without_none(Head.model_fields["scope"].annotation)[0])
SCOPE_CHOICES = [
    ("", "As usual: each record, where a step writes to SQL"),
    *((name, label) for name, label in Scope.choices if name in SCOPES),
]


class TransactionsForm(SettingForm):
    name, title = "transactions", "Pages and transactions"

    scope = forms.ChoiceField(
        required=False, choices=SCOPE_CHOICES, label="What is written together", help_text="All of it, or none."
    )
    max_records = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_RECORDS,
        label="Most records of a run",
        help_text="Where a whole run is written together: one with more fails.",
    )
    page_size = forms.IntegerField(
        min_value=1, max_value=10_000, label="Page size", help_text="Records that go through the steps together."
    )
    parallel_pages = forms.IntegerField(
        min_value=1,
        max_value=MOST_PARALLEL_PAGES,
        label="Pages at work at once",
        help_text="1: one after the other. More: any free worker takes the next page, so their order is not kept.",
    )
    rethrow_keeps_changes = forms.BooleanField(
        required=False,
        label="What a sub-flow kept stays when it raises its error again",
        help_text="Off: it is undone with the call.",
    )

    def shown(self) -> dict[str, Any]:
        raw = self.subject.raw
        return {
            "scope": raw.get("scope") or "",
            "max_records": raw.get("max_records"),
            "page_size": raw.get("page_size", 1000),
            "parallel_pages": raw.get("parallel_pages", 1),
            "rethrow_keeps_changes": raw.get("rethrow_keeps_changes", True),
        }

    def changes(self) -> Changes:
        raw, values = self.subject.raw, self.cleaned_data
        is_parallel = values["parallel_pages"] > 1
        keeps = unless_usual(raw, "rethrow_keeps_changes", values["rethrow_keeps_changes"], True)
        return {
            ("scope",): values["scope"] or REMOVED,
            ("max_records",): (values["scope"] == Scope.RUN and values["max_records"]) or REMOVED,
            ("page_size",): unless_usual(raw, "page_size", values["page_size"], 1000),
            ("page_order",): "free" if is_parallel else REMOVED,
            ("parallel_pages",): values["parallel_pages"] if is_parallel else REMOVED,
            ("rethrow_keeps_changes",): keeps,
        }

    def told(self, values: Mapping[str, Any]) -> list[str]:
        scope = values["scope"] or self.subject.flow.scope
        return stories.of_scope(str(scope), int(values["page_size"]), int(values["parallel_pages"]))


SECTIONS: dict[str, type[SettingForm]] = {
    form.name: form
    for form in (ScheduleForm, WorkflowRetryForm, AutoResolveForm, AutoRetryForm, TraceKeyForm, TransactionsForm)
}
