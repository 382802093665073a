"""The form of any connector: what its config model declares is what people see, and what they write is what it gets."""

from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from django.http import QueryDict
from pydantic import AfterValidator, BaseModel, Field, SecretStr

from apps.connectors.base import ConnectionConfig
from apps.connectors.registry import CONNECTORS
from apps.console.connection_forms import LIMITS, ConfigForm, form_for
from apps.flows.definition.mistakes import Mistake


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Place(BaseModel):
    city: str
    floors: list[int] = []


class EveryConfig(ConnectionConfig):
    """One field of each type."""

    text: Annotated[str, AfterValidator(str.strip)] = Field("", max_length=40, title="Text", description="Any words.")
    needed: str = Field(title="Needed")
    certificate: str = Field("", title="Certificate", description="In PEM form.")
    whole: int = Field(7, ge=1, le=9, title="Whole")
    broken: float | None = Field(None, gt=0, lt=1.5, title="Broken")
    check: bool = Field(True, title="Check")
    maybe: bool | None = Field(None, title="Maybe")
    choice: Literal["one_way", "two_way"] = Field("two_way", title="Choice")
    color: Color | None = Field(None, title="Color", json_schema_extra={"labels": {"red": "Signal red"}})
    hosts: tuple[str, ...] = Field((), max_length=3, title="Hosts", json_schema_extra={"group": "Network"})
    ports: list[int] = Field([], title="Ports", json_schema_extra={"group": "Network"})
    weights: dict[str, float] = Field({}, title="Weights")
    place: Place | None = Field(None, title="Place")
    max_rate: float | None = Field(None, gt=0, title="Rate")
    password: SecretStr | None = Field(None, title="Password", description="Of the user.")
    api_key: SecretStr = Field(title="API key")
    private_key: SecretStr | None = Field(None, title="Private key", json_schema_extra={"multiline": True})


FormOfEvery = form_for(EveryConfig)
FILLED = {
    "text": " words ", "needed": "it", "certificate": "a\r\nb", "whole": "3", "broken": "0.5", "maybe": "False",
    "choice": "one_way", "color": "blue", "hosts": "a.example\n\n b.example ", "ports": "1\n22",
    "weights": "a: 1\nb: 0.5", "place": "city: Bergen\nfloors: [1, 2]", "max_rate": "",
    "password": " p w ", "private_key": "x\r\ny",
}  # fmt: skip


def sent(**fields: str) -> QueryDict:
    data = QueryDict(mutable=True)
    data.update({f"config-{name}": value for name, value in fields.items()})
    return data


def read(secrets_set: tuple[str, ...] = (), **fields: str) -> ConfigForm:
    form = FormOfEvery(sent(**fields), secrets_set=secrets_set)
    form.is_valid()
    return form


def tag_of(form: ConfigForm, name: str) -> str:
    return str(form[name])


def test_what_is_written_becomes_values_of_the_right_types() -> None:
    form = read(**FILLED)
    assert form.config == {
        "text": "words", "needed": "it", "certificate": "a\nb", "whole": 3, "broken": 0.5, "check": False,
        "maybe": False, "choice": "one_way", "color": "blue", "hosts": ["a.example", "b.example"], "ports": [1, 22],
        "weights": {"a": 1.0, "b": 0.5}, "place": {"city": "Bergen", "floors": [1, 2]},
    }  # fmt: skip
    assert form.secrets == {"password": " p w ", "private_key": "x\ny"}
    assert EveryConfig.model_validate({**form.config, "api_key": "k"}).color is Color.BLUE


def test_what_is_usual_or_empty_is_left_out() -> None:
    assert read(text="", whole="7", check="on", choice="two_way", ports="").config == {}


def test_a_stored_config_comes_back_as_it_was_written() -> None:
    form = FormOfEvery(None, config=read(**FILLED).config)
    again = {name: value for name, value in form.initial.items() if value not in ("", False)}
    assert read(**again).config == read(**FILLED).config


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("text", ['type="text"', 'maxlength="40"', 'aria-describedby="id_config-text_helptext"']),
        ("needed", ["required"]),
        ("certificate", ["<textarea"]),
        ("whole", ['type="number"', 'value="7"', 'min="1"', 'max="9"', 'step="1"']),
        ("broken", ['min="0"', 'max="1.5"', 'step="any"']),
        ("check", ['type="checkbox"', "checked"]),
        ("maybe", ['<option value="" selected>not set', '<option value="True">yes']),
        ("choice", ['<option value="two_way" selected>two way']),
        ("color", ['<option value="red">Signal red']),
        ("hosts", ["<textarea"]),
        ("weights", ["<textarea"]),
        ("password", ['type="password"', 'autocomplete="new-password"']),
        ("private_key", ["<textarea", 'autocomplete="off"']),
    ],
)
def test_a_field_is_shown_by_its_type(name: str, parts: list[str]) -> None:
    html = tag_of(FormOfEvery(), name)
    assert [part for part in parts if part not in html] == []


@pytest.mark.parametrize(
    ("name", "told"), [("hosts", "One per line."), ("weights", "One per line, as name: value."), ("place", "As YAML.")]
)
def test_how_a_field_of_several_lines_is_written_is_told(name: str, told: str) -> None:
    assert str(FormOfEvery()[name].help_text).endswith(told)


def test_a_list_is_not_cut_at_its_number_of_entries() -> None:
    assert 'maxlength="3"' not in tag_of(FormOfEvery(), "hosts")


@pytest.mark.parametrize("name", ["password", "private_key"])
def test_a_secret_that_was_just_sent_is_not_shown_again(name: str) -> None:
    assert "hunter2" not in tag_of(read(**{name: "hunter2"}), name)


def test_a_needed_secret_that_is_stored_need_not_be_sent_again() -> None:
    assert "required" in tag_of(FormOfEvery(), "api_key")
    stored = FormOfEvery(secrets_set=("api_key",))
    assert "required" not in tag_of(stored, "api_key")
    assert stored["api_key-remove"].label == "Remove the stored API key"


def test_fields_stand_in_the_groups_that_the_connector_declares_with_limits_last() -> None:
    groups = {group.title: [row.bound.name for row in group.rows] for group in FormOfEvery().groups()}
    assert list(groups) == ["Connection", "Network", LIMITS]
    assert groups["Network"] == ["hosts", "ports"]
    assert groups[LIMITS] == ["max_rate"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"weights": "a: 1\nA"}, "Line 2 has no name and colon: write name: value."),
        ({"weights": "a: 1\na: 2"}, "Line 2 names a once more."),
        ({"place": "city: [x"}, "YAML"),
    ],
)
def test_what_cannot_be_read_is_told_at_its_field(fields: dict[str, str], told: str) -> None:
    form = read(needed="it", **fields)
    assert told in str(form.errors[next(iter(fields))])


@pytest.mark.parametrize("number", ["soon", "9" * 5000, "1e999", "٣٣٣x"])
def test_a_number_that_is_none_is_left_to_the_connectors_model(number: str) -> None:
    form = read(whole=number)
    assert form.is_valid()
    assert form.config["whole"] == number


def test_a_mistake_inside_a_field_stands_at_that_field_with_its_place() -> None:
    form = read(needed="it")
    form.tell([Mistake('weights["a b"]', "This must be a number.", "write 1"), Mistake("", "No such thing.")])
    assert form.errors["weights"] == ['["a b"]: This must be a number. (write 1)']
    assert form.non_field_errors() == ["No such thing."]


@pytest.mark.parametrize("kind", sorted(CONNECTORS))
def test_every_connector_has_a_form_with_a_label_and_help_for_each_field(kind: str) -> None:
    model: Any = CONNECTORS[kind].Config
    rows = [row for group in form_for(model)().groups() for row in group.rows]
    assert [row.bound.name for row in rows if not row.bound.help_text] == []
    assert {row.bound.name for row in rows} == set(model.model_fields)
    assert [name for name, info in model.model_fields.items() if not info.title] == []
