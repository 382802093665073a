"""What a member says about the clone of an integration: where it shall be, how it is called, what its flows use."""

from collections.abc import Sequence
from typing import Any

from django import forms

from apps.console.integration_forms import checked_key, checked_name
from apps.flows.models import Connection, Integration
from apps.flows.services.cloning import Binding

NEW = "new"


class CloneForm(forms.Form):
    """Name and key, and a field for each connection that is to be bound anew."""

    name = forms.CharField(max_length=120, label="Name", widget=forms.TextInput({"autocomplete": "off"}))
    key = forms.CharField(
        label="Key",
        help_text="Definitions and addresses name it by its key, so it cannot be changed later.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, data: Any, integration: Integration, environment: str, bindings: Sequence[Binding]) -> None:
        ending = environment if environment != integration.environment else "copy"
        initial = {"name": f"{integration.name[:100]} ({ending})", "key": f"{integration.slug[:54]}-{ending}"}
        super().__init__(data, label_suffix="", initial=initial)
        self._bindings = bindings
        self._others = Integration.objects.of(integration.account_id)
        for binding in bindings:
            self.fields[field_of(binding)] = connection_field(binding, environment)

    def clean_name(self) -> str:
        return checked_name(self.cleaned_data["name"])

    def clean_key(self) -> str:
        return checked_key(self.cleaned_data["key"], self._others)

    def connections(self) -> dict[int, Connection | None]:
        """Id of a connection -> the one to use instead; None: a new one without credentials."""
        found = {}
        for binding in self._bindings:
            chosen = self.cleaned_data[field_of(binding)]
            by_key = {str(one.pk): one for one in binding.offered}
            found[binding.connection.pk] = by_key.get(chosen)
        return found


def field_of(binding: Binding) -> str:
    return f"connection-{binding.connection.pk}"


def connection_field(binding: Binding, environment: str) -> forms.ChoiceField:
    """The one of the same name is offered first; without any of its kind only a new one is left."""
    choices = [(str(one.pk), one.name) for one in binding.offered]
    choices.append((NEW, f"a new one in {environment}, without credentials"))
    usual = str(binding.present.pk) if binding.present else choices[0][0]
    number = f"{binding.steps} step{'' if binding.steps == 1 else 's'}"
    return forms.ChoiceField(
        choices=choices, initial=usual, label=binding.connection.name, help_text=f"{binding.label}, used by {number}."
    )
