"""The files of `config/deploy/` say what the product is."""

import re
from configparser import ConfigParser
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import get_commands, load_command_class

FOLDER = Path(django_settings.BASE_DIR) / "config" / "deploy"
SETTINGS = (FOLDER.parent / "settings.py").read_text(encoding="utf-8")
UNITS = sorted(FOLDER.glob("*.service"))


def unit(path: Path) -> ConfigParser:
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return parser


def test_the_file_of_settings_names_settings_only() -> None:
    named = set(re.findall(r"^([A-Z_]+)=", (FOLDER / "flowmend.env").read_text(), re.M))
    read = set(re.findall(r'\benv(?:_\w+)?\(\s*"([A-Z_]+)"', SETTINGS))
    assert named - read == set()
    assert {"DEBUG", "SECRET_KEY", "FIELD_KEYS", "ALLOWED_HOSTS", "PUBLIC_URL", "EMAIL_BACKEND"} <= named


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_a_command_that_is_there_and_is_stopped_in_order(path: Path) -> None:
    service = unit(path)["Service"]
    _, _, name, *arguments = service["ExecStart"].split()
    command = load_command_class(get_commands()[name], name)
    assert command.create_parser("manage.py", name).parse_args(arguments) is not None
    assert (service["KillMode"], service["Restart"]) == ("mixed", "always")
    assert int(service["TimeoutStopSec"]) > 15  # what the supervisor gives its children


def test_there_is_a_unit_with_the_web_server_and_one_without() -> None:
    assert [path.name for path in UNITS] == ["flowmend-work.service", "flowmend.service"]


def test_the_container_has_the_exact_versions() -> None:
    text = (FOLDER / "Containerfile").read_text()
    assert "-c config/constraints.txt" in text
    assert '"manage.py", "up"' in text
