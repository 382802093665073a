"""The form of a rule: what it looks for, what it does, and how much of it."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from apps.accounts.models import Account, Member
from apps.accounts.selectors import person
from apps.console.selectors.rules import value_text
from apps.errors.models import Rule, Tag
from apps.errors.rules.definition import WAYS, Acts, Conditions, Definition, plain
from apps.errors.states import Classification
from apps.flows.models import Flow, Integration
from apps.notifications.models import Channel

WHOLE = {"autocomplete": "off", "spellcheck": "false"}
NOTHING, RESOLVE, RETRY = "", "resolve", "retry"
ANY = [("", "any")]


def line(label: str, help_text: str = "", **attributes: Any) -> forms.CharField:
    widget = forms.TextInput(WHOLE | attributes)
    return forms.CharField(required=False, max_length=500, label=label, help_text=help_text, widget=widget)


def whole_number(label: str, help_text: str = "", initial: int | None = None) -> forms.IntegerField:
    return forms.IntegerField(required=False, min_value=0, label=label, help_text=help_text, initial=initial)


class RuleForm(forms.Form):
    """After `is_valid()`, `definition` is what `save_rule` takes."""

    name = forms.CharField(max_length=120, label="Name", widget=forms.TextInput(WHOLE))
    integration = forms.ChoiceField(required=False, label="Integration")
    flow = forms.ChoiceField(required=False, label="Flow")
    classification = forms.ChoiceField(required=False, label="Class", choices=ANY + list(Classification.choices))
    source = line("Source", "Such as application, connection, lookup.")
    code = line("Code", "The whole code, such as 503 or 23505.")
    text = line("Text", "Words of the message or the trace key.")
    field = line("Field of the retry data", "Such as airport, place.iata or lines[0].sku.")
    way = forms.ChoiceField(required=False, label="That field", choices=list(WAYS.items()))
    value = line("Value", "A text, or JSON such as 5, true, null.")
    older_than_minutes = whole_number("Open for at least, minutes")
    at_least = whole_number("Open errors of the root cause, at least")

    tags = forms.MultipleChoiceField(required=False, label="Tags", widget=forms.CheckboxSelectMultiple)
    assignee = forms.ChoiceField(required=False, label="Assign to")
    settle = forms.ChoiceField(
        required=False,
        label="The error",
        choices=[(NOTHING, "stays as it is"), (RETRY, "is retried"), (RESOLVE, "is resolved")],
    )
    changes = forms.CharField(
        required=False,
        max_length=4_000,
        label="Fields to set first",
        help_text="One a line, such as airport = KJFK or lines[0].count = 5.",
        widget=forms.Textarea(WHOLE | {"rows": 3}),
    )
    snooze_hours = whole_number("Snooze its root cause, hours")
    disable_flow = forms.BooleanField(required=False, label="Disable the flow")
    notify_members = forms.MultipleChoiceField(
        required=False, label="Notify members, by e-mail", widget=forms.CheckboxSelectMultiple
    )
    notify_channels = forms.MultipleChoiceField(
        required=False, label="Notify channels", widget=forms.CheckboxSelectMultiple
    )

    acts_per_hour = whole_number("Errors per hour, at most", "The others wait for the next hour.", 100)
    most_retries = whole_number("Retries of one record, at most", "Then the rule leaves the record alone.", 3)

    def __init__(self, data: Any, account: Account, environment: str, rule: Rule | None = None) -> None:
        super().__init__(data, label_suffix="", initial=shown(rule) if rule is not None else None)
        self.definition = Definition()
        integrations = Integration.objects.of(account).filter(environment=environment).order_by("name")
        flows = Flow.objects.of(account).present().filter(integration__environment=environment).order_by("name")
        members = Member.objects.of(account).filter(disabled_at__isnull=True).select_related("user")
        self._offer("integration", integrations.values_list("pk", "name"), ANY)
        self._offer("flow", flows.values_list("pk", "name"), ANY)
        people = sorted(((m.pk, person(m)) for m in members), key=lambda one: one[1])
        self._offer("assignee", people, [("", "nobody")])
        self._offer("notify_members", people)
        self._offer("notify_channels", Channel.objects.of(account).order_by("name").values_list("pk", "name"))
        self._offer("tags", Tag.objects.of(account).order_by("name").values_list("pk", "name"))

    def _offer(self, name: str, found: Iterable[tuple[int, str]], first: list[tuple[str, str]] | None = None) -> None:
        self.fields[name].choices = [*(first or []), *((str(key), label) for key, label in found)]  # type: ignore[attr-defined]

    def clean_changes(self) -> list[dict[str, Any]]:
        return [change_in(line) for line in self.cleaned_data["changes"].splitlines() if line.strip()]

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if not self.errors:
            self.definition = Definition(
                self._conditions(),
                self._acts(),
                100 if given["acts_per_hour"] is None else given["acts_per_hour"],
                3 if given["most_retries"] is None else given["most_retries"],
            )
        return given

    def _conditions(self) -> Conditions:
        given = self.cleaned_data
        same = ("classification", "source", "code", "text", "field", "value")
        return Conditions(
            integration=key_in(given["integration"]),
            flow=key_in(given["flow"]),
            way=given["way"] or "is",
            older_than_minutes=given["older_than_minutes"] or 0,
            at_least=given["at_least"] or 0,
            **{name: given[name].strip() for name in same},
        )

    def _acts(self) -> Acts:
        given = self.cleaned_data
        return Acts(
            tags=tuple(int(key) for key in given["tags"]),
            assignee=key_in(given["assignee"]),
            changes=tuple(given["changes"]),
            retry=given["settle"] == RETRY,
            resolve=given["settle"] == RESOLVE,
            snooze_hours=given["snooze_hours"] or 0,
            disable_flow=given["disable_flow"],
            notify_members=tuple(int(key) for key in given["notify_members"]),
            notify_channels=tuple(int(key) for key in given["notify_channels"]),
        )


def key_in(text: str) -> int | None:
    return int(text) if text else None


def change_in(line: str) -> dict[str, Any]:
    """`airport = KJFK` as a field and its value."""
    name, sign, value = line.partition("=")
    if not sign or not name.strip():
        raise ValidationError(f"“{line.strip()[:60]}” is no field with a value: write airport = KJFK.")
    return {"field": name.strip(), "value": plain(value.strip())}


def shown(rule: Rule) -> dict[str, Any]:
    """A rule's present revision as the form shows it."""
    assert rule.revision is not None, "a rule is made with a revision"
    definition = Definition.of(rule.revision.definition)
    conditions, acts = definition.conditions, definition.acts
    names = ("source", "code", "classification", "text", "field", "way", "value")
    return {
        "name": rule.name,
        **{name: getattr(conditions, name) for name in names},
        "integration": conditions.integration or "",
        "flow": conditions.flow or "",
        "older_than_minutes": conditions.older_than_minutes or None,
        "at_least": conditions.at_least or None,
        "tags": [str(key) for key in acts.tags],
        "assignee": acts.assignee or "",
        "settle": RETRY if acts.retry else RESOLVE if acts.resolve else NOTHING,
        "changes": "\n".join(f"{change['field']} = {value_text(change['value'])}" for change in acts.changes),
        "snooze_hours": acts.snooze_hours or None,
        "disable_flow": acts.disable_flow,
        "notify_members": [str(key) for key in acts.notify_members],
        "notify_channels": [str(key) for key in acts.notify_channels],
        "acts_per_hour": definition.acts_per_hour,
        "most_retries": definition.most_retries,
    }
