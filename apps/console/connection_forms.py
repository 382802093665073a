"""The form of a connection, drawn from the config model of its connector.

Whatever a connector declares (title, description, type, bounds, default) is what the form shows; a new connector needs
no line here. Secrets are write-only: an empty field keeps the stored one, a tick removes it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.forms import BoundField
from pydantic.fields import FieldInfo

from apps.accounts.models import Account
from apps.connectors.base import ConnectionConfig
from apps.console.config_shapes import Attributes, Check, Line, Lines, Shape, bounds_of, hints_of, shape_of
from apps.flows.definition.mistakes import Mistake
from apps.flows.definition.texts import NAME_LENGTH, check_name
from apps.flows.models import Connection

LIMITS = "Limits and time-outs"
FIRST_GROUP = "Connection"
REMOVE = "-remove"


class NameForm(forms.Form):
    """The name of a new connection; it stays, because definitions name the connection by it."""

    name = forms.CharField(
        required=False,
        max_length=NAME_LENGTH,
        label="Name",
        help_text="Definitions of flows name the connection by it, so it cannot be changed later.",
        widget=forms.TextInput({"required": True, "autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, data: Any, account: Account, environment: str) -> None:
        super().__init__(data, prefix="connection", label_suffix="")
        self._others = Connection.objects.of(account).filter(environment=environment)

    def clean_name(self) -> str:
        try:
            name = check_name(self.cleaned_data["name"])
        except ValueError as error:
            raise ValidationError(str(error)) from None
        if self._others.filter(name=name).exists():
            raise ValidationError(f"There is a connection {name} already. Choose another name.")
        return name


@dataclass(frozen=True)
class Row:
    """A field as the page shows it: over the whole width or not, and what removes a stored secret."""

    bound: BoundField
    is_wide: bool
    remove: BoundField | None = None


@dataclass(frozen=True)
class Group:
    title: str
    rows: tuple[Row, ...]


class ConfigForm(forms.Form):
    """Made by `form_for`. After `is_valid()`, `config` and `secrets` are what `set_connection` takes."""

    model: ClassVar[type[ConnectionConfig]]
    shapes: ClassVar[Mapping[str, Shape]]

    def __init__(
        self, data: Any = None, *, config: Mapping[str, Any] | None = None, secrets_set: Iterable[str] = ()
    ) -> None:
        super().__init__(data, prefix="config", label_suffix="", initial=self._shown(config))
        self.config: dict[str, Any] = {}
        self.secrets: dict[str, str | None] = {}
        self._stored = frozenset(secrets_set)
        for name in self.model.secret_fields() if config is not None or secrets_set else ():
            self._tell_state(name)

    def _shown(self, config: Mapping[str, Any] | None) -> dict[str, Any]:
        """Of a new connection the usual values, else the stored ones over them."""
        fields = self.model.model_fields
        values = {name: info.get_default(call_default_factory=True) for name, info in fields.items()}
        values = {name: None if fields[name].is_required() else value for name, value in values.items()}
        values |= {name: value for name, value in (config or {}).items() if name in self.shapes}
        return {name: self.shapes[name].shown(value) for name, value in values.items()}

    def _tell_state(self, name: str) -> None:
        field = self.fields[name]
        is_set = name in self._stored
        state = "A value is set; leave this empty to keep it." if is_set else "Not set."
        field.help_text = f"{state} {field.help_text}".strip()
        if is_set:
            field.widget.attrs.pop("required", None)
            self.fields[name + REMOVE] = forms.BooleanField(required=False, label=f"Remove the stored {low(field)}")

    def clean(self) -> dict[str, Any]:
        """Reads every field; whether the values are right is said by the connector's model when they are stored."""
        secret = self.model.secret_fields()
        for name, shape in self.shapes.items():
            if name not in self.cleaned_data:
                continue
            try:
                self._take(name, shape, is_secret=name in secret)
            except ValueError as error:
                self.add_error(name, str(error))
        return self.cleaned_data

    def _take(self, name: str, shape: Shape, *, is_secret: bool) -> None:
        text = self.cleaned_data[name]
        if is_secret:
            self._take_secret(name, shape.read(text))
        elif text != "":
            value = shape.read(text)
            if not is_usual(self.model.model_fields[name], value):
                self.config[name] = value

    def _take_secret(self, name: str, text: str) -> None:
        is_removed = self.cleaned_data.get(name + REMOVE, False)
        if is_removed and text:
            raise ValueError("Give a new value or have the stored one removed, not both.")
        if is_removed:
            self.secrets[name] = None
        elif text:
            self.secrets[name] = text

    def tell(self, mistakes: Iterable[Mistake]) -> None:
        """Puts each mistake at its field. What concerns several stands above, and marks the empty ones it names."""
        for mistake in mistakes:
            name = first_name(mistake.place)
            if name in self.fields:
                within = mistake.place[len(name) :].strip(".")
                self.add_error(name, sentence(mistake, within))
            else:
                self.add_error(None, sentence(mistake, mistake.place))
                self._mark_named(mistake.message)
        if self.secrets:
            self.add_error(None, "Secrets are never sent back: enter them once more.")

    def _mark_named(self, message: str) -> None:
        for name in self.shapes:
            is_named = re.search(rf"\b{re.escape(name)}\b", message)
            is_empty = self.cleaned_data.get(name) == "" and name not in self._stored
            if is_named and is_empty:
                self.add_error(name, "This is needed.")

    def groups(self) -> list[Group]:
        """In the order in which the connector declares them, limits last."""
        found: dict[str, list[Row]] = {}
        for name in self.shapes:
            found.setdefault(group_of(name, self.model.model_fields[name]), []).append(self._row(name))
        limits = found.pop(LIMITS, [])
        groups = [Group(title, tuple(rows)) for title, rows in found.items()]
        return [*groups, Group(LIMITS, tuple(limits))] if limits else groups

    def _row(self, name: str) -> Row:
        remove = self[name + REMOVE] if name + REMOVE in self.fields else None
        return Row(self[name], self.shapes[name].is_wide, remove)


def form_for(model: type[ConnectionConfig]) -> type[ConfigForm]:
    """The form class of a connector's config: one field for each of its fields, in their order."""
    secret = model.secret_fields()
    shapes = {name: shape_of(info, is_secret=name in secret) for name, info in model.model_fields.items()}
    fields = {name: form_field(name, model.model_fields[name], shape) for name, shape in shapes.items()}
    made: type[ConfigForm] = type("ConfigFormOf" + model.__name__, (ConfigForm,), fields)
    made.model, made.shapes = model, shapes
    return made


def form_field(name: str, info: FieldInfo, shape: Shape) -> forms.Field:
    attributes: Attributes = bounds_of(info.metadata)
    if not isinstance(shape, Line | Lines):
        attributes.pop("maxlength", None)  # of a list it counts the entries
    if info.is_required() and not isinstance(shape, Check):
        attributes["required"] = True
    field = shape.field(attributes)
    field.label = info.title or name.replace("_", " ").capitalize()
    field.help_text = f"{info.description or ''} {shape.hint}".strip()
    return field


def group_of(name: str, info: FieldInfo) -> str:
    """What the field says of itself, else by its name: bounds and time-outs are named alike everywhere."""
    declared = hints_of(info).get("group")
    if declared:
        return str(declared)
    return LIMITS if name.startswith("max_") or name.endswith("_timeout_s") else FIRST_GROUP


def is_usual(info: FieldInfo, value: Any) -> bool:
    """Whether the value says nothing new: what is left out follows the connector's default."""
    if info.is_required():
        return False
    default = info.get_default(call_default_factory=True)
    if isinstance(default, tuple | set | frozenset):
        default = list(default)
    return type(value) is type(default) and bool(value == default)


def first_name(place: str) -> str:
    """The field that a place lies in: `headers` of `headers["X-Shop"]`."""
    found = re.match(r"[A-Za-z_]\w*", place)
    return found[0] if found else ""


def sentence(mistake: Mistake, where: str) -> str:
    hint = f" ({mistake.hint})" if mistake.hint else ""
    return f"{where}: {mistake.message}{hint}" if where else f"{mistake.message}{hint}"


def low(field: forms.Field) -> str:
    """A label inside a sentence: `password`, but `API key`."""
    label = str(field.label)
    return label if label[:2].isupper() else label[:1].lower() + label[1:]
