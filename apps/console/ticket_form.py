"""The form of a support ticket, filled in before a member sees it."""

from collections.abc import Iterator
from typing import Any, ClassVar

from django import forms
from django.forms import BoundField

from apps.support.tickets import LONGEST_TITLE, Documentation, Priority, Ticket

LOCAL = "%Y-%m-%dT%H:%M:%S"
LONGEST_TEXT = 10_000
NOT_CHECKED = "I did not check the documentation"
SECTIONS = {
    "The problem": ("title", "description", "steps", "documentation"),
    "Since when": ("first_observed", "timeline"),
    "How bad": ("priority", "deadline", "is_blocker"),
}
WIDE = frozenset({"title", "description", "steps", "timeline"})


class TicketForm(forms.Form):
    title = forms.CharField(max_length=LONGEST_TITLE, help_text="What is wrong, in one line.")
    description = forms.CharField(
        max_length=LONGEST_TEXT,
        widget=forms.Textarea({"rows": 5}),
        help_text="What happens, what should happen, whom it concerns.",
    )
    steps = forms.CharField(
        max_length=LONGEST_TEXT, required=False, label="Steps to reproduce", widget=forms.Textarea({"rows": 5})
    )
    documentation = forms.ChoiceField(choices=[("", NOT_CHECKED), *Documentation.choices], required=False)
    first_observed = forms.DateTimeField(
        required=False,
        input_formats=[LOCAL, "%Y-%m-%dT%H:%M"],
        widget=forms.DateTimeInput({"type": "datetime-local", "step": "1"}, format=LOCAL),
    )
    timeline = forms.CharField(
        max_length=LONGEST_TEXT,
        required=False,
        label="Time line",
        widget=forms.Textarea({"rows": 6}),
        help_text="As exactly as you know it. What Flowmend knows is there, in UTC.",
    )
    priority = forms.ChoiceField(choices=Priority.choices)
    deadline = forms.DateField(
        required=False,
        label="Solution or workaround needed until",
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
    )
    is_blocker = forms.BooleanField(required=False, label="A blocker: nothing else can go on before it is solved")

    required_facts: ClassVar[tuple[str, ...]] = ("title", "description", "priority")

    def __init__(self, *args: Any, zone: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["first_observed"].help_text = f"In your time zone, {zone}."
        for name in self.required_facts:
            self.fields[name].label = f"{name.capitalize()} *"

    def sections(self) -> Iterator[tuple[str, list[tuple[BoundField, bool]]]]:
        """Title, and its fields with whether each needs the whole width."""
        for title, names in SECTIONS.items():
            yield title, [(self[name], name in WIDE) for name in names]

    def ticket(self) -> Ticket:
        """What a valid form says."""
        return Ticket(**self.cleaned_data)


def initial_of(ticket: Ticket) -> dict[str, Any]:
    return {name: getattr(ticket, name) for name in TicketForm.base_fields}
