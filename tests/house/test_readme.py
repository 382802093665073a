"""What the README says holds."""

import argparse
import csv
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.conf import settings as django_settings
from django.core.management import get_commands, load_command_class

from apps.accounts.models import Account
from apps.execution.demo.install import install_demo
from apps.execution.worker import work_slice
from apps.flows.services import apply_definition
from apps.runs.models import Run
from apps.runs.services import start_run

ROOT = Path(django_settings.BASE_DIR)
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "config" / "settings.py").read_text(encoding="utf-8")


def section(title: str) -> str:
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def first_cells(title: str) -> list[str]:
    return [
        line.split("|")[1]
        for line in section(title).splitlines()
        if line.startswith("| `") and not line.startswith("| `manage.py")
    ]


def parser_of(command: str) -> argparse.ArgumentParser:
    return load_command_class(get_commands()[command], command).create_parser("manage.py", command)


@pytest.mark.django_db
def test_the_flow_of_the_readme_runs_in_the_demo(tmp_path: Path, settings: Any) -> None:
    settings.FILES_ROOT, settings.SQLITE_ROOT, settings.DEMO_DATABASE_URL = tmp_path / "files", tmp_path / "db", ""
    install_demo()
    account = Account.objects.get(name="Demo")
    text = section("A flow").split("```yaml\n", 1)[1].split("```", 1)[0]

    run = start_run(flow=apply_definition(account=account, text=text).flow)
    while not Run.unscoped.get(pk=run.pk).is_ended:
        assert work_slice(run.pk)

    folder = tmp_path / "files" / str(account.pk)
    with (folder / "in" / "airports.csv").open(encoding="utf-8", newline="") as source:
        airports = list(csv.DictReader(source))
    codes = [row["iata"] for row in airports if row["state"] == "AK"]
    written = [orjson.loads(line) for line in (folder / "out" / "alaska.jsonl").read_bytes().splitlines()]
    assert [record["code"] for record in written] == codes
    assert set(written[0]) == {"code", "name", "position"}
    run = Run.unscoped.get(pk=run.pk)
    assert (run.outcome, run.success, run.ignored) == ("completed", len(codes), len(airports) - len(codes))


def test_every_setting_of_the_environment_is_in_the_table_and_no_other() -> None:
    read = set(re.findall(r'\benv(?:_\w+)?\(\s*"([A-Z_]+)"', SETTINGS))
    told = {name for cell in first_cells("Settings") for name in re.findall(r"`([A-Z_]+)`", cell)}
    assert read == told


def test_every_setting_of_the_example_for_many_workers_is_one_of_the_table() -> None:
    exported = {name for line in re.findall(r"^export (.*)$", README, re.M) for name in re.findall(r"([A-Z_]+)=", line)}
    told = {name for cell in first_cells("Settings") for name in re.findall(r"`([A-Z_]+)`", cell)}
    assert exported <= told


@pytest.mark.parametrize(
    "usage", [usage for cell in first_cells("Commands") for usage in re.findall(r"`([^`]+)`", cell)]
)
def test_a_command_of_the_readme_takes_what_the_readme_gives_it(usage: str) -> None:
    command, *words = re.sub(r"[\[\]…]", "", usage).split()
    values = {"N": "9000", "ADDRESS": "127.0.0.1", "JSON": "{}", "FILE": "a.yaml", "KEY": "a", "NAME": "a"}
    given = [values.get(word, word) for word in words]
    if "--set" in given:
        given.remove("--clear")
    options = parser_of(command).parse_args(given)
    assert options is not None


def test_every_command_of_ours_is_in_the_table() -> None:
    ours = {name for name, app in get_commands().items() if app.startswith("apps.")} - {
        "dispatch"
    }  # up and work start it
    told = {usage.split()[0] for cell in first_cells("Commands") for usage in re.findall(r"`([^`]+)`", cell)}
    assert ours <= told


def test_every_subcommand_of_flow_and_connection_is_in_the_table() -> None:
    told = {tuple(usage.split()[:2]) for cell in first_cells("Commands") for usage in re.findall(r"`([^`]+)`", cell)}
    for command in ("flow", "connection"):
        made = load_command_class(get_commands()[command], command)
        assert {(command, act) for act in made.subcommands()} - told == set()


@pytest.mark.parametrize("end", ["manage.py up --demo", "pytest -n 3"])
def test_installing_and_starting_is_one_line_with_exact_versions(end: str) -> None:
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv") and line.endswith(end)]
    assert len(lines) == 1
    assert "-c config/constraints.txt" in lines[0]


def test_every_folder_of_the_floor_plan_is_named_and_there() -> None:
    named = set(re.findall(r"^(\w+)/ ", section("Where things are"), re.M))
    assert {name for name in named if not (ROOT / name).is_dir()} == set()
    assert {"apps", "config", "static", "templates", "tests"} == named
