"""The demo, run for real: both kinds of target database, compared with a plain reading of the same files."""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import psycopg
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured

from apps.accounts.models import Account, Role
from apps.errors.models import Cause, Error
from apps.execution.check_books import differences
from apps.execution.demo.install import SignIn, install_demo
from apps.execution.demo.warehouse import SCHEMA, SQLITE_FILE
from apps.execution.worker import work_slice
from apps.flows.models import Flow, Revision
from apps.flows.services import apply_definition, disable_flow
from apps.runs.models import Run, StepRun
from apps.runs.services import start_run
from tests.scenarios.conftest import TARGETS
from tests.scenarios.demo_reading import STRIKE_COLUMNS, expected_airports, expected_earthquakes, expected_strikes

pytestmark = pytest.mark.django_db

SERVER = "postgres://postgres@127.0.0.1:5432"
EXPECTED = {
    "airports": expected_airports(),
    "wildlife-strikes": expected_strikes(),
    "earthquakes": expected_earthquakes(),
}
REASONS = (
    "state",
    "misfit_s",
    "operator",
    "damage_is_a_known_class",
    "total_is_the_sum",
    "no_repair_without_damage",
    "flying_aircraft_moves",
)


@dataclass
class Demo:
    """An installed demo, and ways to look at what it left."""

    root: Path
    database_url: str = ""

    def install(self) -> SignIn:
        return install_demo()

    def run_until_idle(self) -> dict[str, Run]:
        """Work on whatever is open, as a worker does; the latest run of each flow."""
        while run := Run.unscoped.filter(status__in=["queued", "running"]).order_by("pk").first():
            assert not run.wait_reason, run.wait_reason
            assert work_slice(run.pk)
        return {run.flow.key: run for run in Run.unscoped.select_related("flow").order_by("pk")}

    def run_flow(self, key: str) -> Run:
        """Work on the run of one flow that is queued, or else on a new one."""
        flow = Flow.unscoped.get(key=key)
        run = Run.unscoped.filter(flow=flow, status="queued").first() or start_run(flow=flow)
        while not run.is_ended:
            assert work_slice(run.pk)
            run.refresh_from_db()
        return run

    def run_again(self) -> dict[str, Run]:
        for flow in Flow.unscoped.filter(run_after=None):
            start_run(flow=flow)
        return self.run_until_idle()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        if self.database_url:
            with psycopg.connect(self.database_url, options=f"-c search_path={SCHEMA}") as connection:
                return connection.execute(sql).fetchall()
        connection = sqlite3.connect(self._file)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def execute(self, sql: str) -> None:
        """Change something in the warehouse, as somebody else would."""
        if self.database_url:
            with psycopg.connect(self.database_url, options=f"-c search_path={SCHEMA}") as connection:
                connection.execute(sql)
            return
        with sqlite3.connect(self._file) as connection:
            connection.execute(sql)

    @property
    def _file(self) -> Path:
        return self.root / "databases" / str(self.account.pk) / SQLITE_FILE

    @property
    def account(self) -> Account:
        return Account.objects.get(name="Demo")

    @property
    def files(self) -> Path:
        return self.root / "files" / str(self.account.pk)


@pytest.fixture
def demo(tmp_path: Path, settings: Any) -> Demo:
    """Everything that the demo writes lies below a folder of the test's own."""
    settings.FILES_ROOT = tmp_path / "files"
    settings.SQLITE_ROOT = tmp_path / "databases"
    settings.DEMO_DATABASE_URL = ""
    settings.IS_NEWCOMER = True
    return Demo(tmp_path)


@pytest.fixture(params=TARGETS)
def anywhere(request: pytest.FixtureRequest, demo: Demo, settings: Any) -> Iterator[Demo]:
    """The same demo with its warehouse in SQLite and in PostgreSQL."""
    if request.param == "sqlite":
        yield demo
        return
    name = f"fm_demo_{uuid4().hex[:12]}"
    demo.database_url = settings.DEMO_DATABASE_URL = f"{SERVER}/{name}"
    settings.EGRESS_ALLOW_NETS = ["127.0.0.0/8"]
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield demo
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def reason_of(error: Error) -> str:
    if error.cause.classification == "duplicate":
        return "duplicate"
    if error.cause.code == "lookup_empty":
        return "lookup_empty"
    named = [reason for reason in REASONS if re.search(rf"\b{reason}\b", error.message)]
    assert len(named) == 1, error.message
    return named[0]


def test_some_one_to_five_of_a_hundred_reports_fail_for_six_reasons() -> None:
    expected = EXPECTED["wildlife-strikes"]
    assert 0.01 < expected.failed / expected.came_in < 0.05
    assert len(expected.reasons) == 6


def check_counts_and_errors(runs: dict[str, Run]) -> None:
    assert sorted(runs) == ["airports", "airports-file", "earthquakes", "wildlife-strikes"]
    for key, expected in EXPECTED.items():
        run = runs[key]
        assert (run.status, run.outcome) == ("completed", "completed_with_errors")
        counts = (run.records_in, run.success, run.ignored, run.failed, run.rolled_back)
        assert counts == (expected.came_in, expected.successes, expected.ignored, expected.failed, 0)
        errors = Error.unscoped.filter(run=run).select_related("cause")
        assert Counter(map(reason_of, errors)) == expected.reasons
        assert len({(reason_of(error), error.cause_id) for error in errors}) == len(expected.reasons)
    (cause,) = Cause.unscoped.filter(code="lookup_empty")
    assert set(Error.unscoped.filter(cause=cause).values_list("message", flat=True)) == {
        'Step Find the airport found nothing in table airport with iata "BAD", and it is required.'
    }
    file, count = runs["airports-file"], runs["airports"].success
    assert (file.outcome, file.records_in, file.success) == ("completed", count, count)
    for step in StepRun.unscoped.all():
        assert step.came_in == step.success + step.ignored + step.errors + step.rolled_back
    assert list(differences()) == []


def check_each_good_record_stands_once(anywhere: Demo) -> None:
    expected = sorted(EXPECTED["airports"].rows)
    names = ("iata", "name", "city", "state", "latitude", "longitude")
    assert sorted(anywhere.rows(f"SELECT {', '.join(names)} FROM airport")) == expected

    stored = anywhere.rows(f"SELECT {', '.join(STRIKE_COLUMNS)} FROM strike")
    rows = Counter((str(day), *others) for day, *others in stored)
    assert rows == Counter(EXPECTED["wildlife-strikes"].rows)

    quakes = anywhere.rows("SELECT id, magnitude, depth_km, misfit_s FROM earthquake")
    assert sorted(quakes) == sorted(EXPECTED["earthquakes"].rows)

    written = [orjson.loads(line) for line in (anywhere.files / "out" / "airports.jsonl").read_bytes().splitlines()]
    assert [(line["iata"], line["name"], line["place"]) for line in written] == [
        (iata, name, f"{city}, {state}") for iata, name, city, state, *_ in expected
    ]
    assert written[0]["position"] == {"latitude": 31.9538, "longitude": -89.2345}


def test_a_run_comes_to_what_a_plain_reading_says(anywhere: Demo) -> None:
    anywhere.install()
    check_counts_and_errors(anywhere.run_until_idle())
    check_each_good_record_stands_once(anywhere)


def test_a_second_run_takes_the_place_of_the_first(anywhere: Demo) -> None:
    anywhere.install()
    first = anywhere.run_until_idle()
    open_before = Counter(Error.unscoped.filter(state="open").values_list("step__key", "key"))

    second = anywhere.run_again()

    for key, new in second.items():
        old = first[key]
        assert new.pk > old.pk
        assert (new.success, new.ignored, new.failed) == (old.success, old.ignored, old.failed)
    assert Counter(Error.unscoped.filter(state="open").values_list("step__key", "key")) == open_before
    assert set(Error.unscoped.filter(state="open").values_list("run", flat=True)) == {
        second[key].pk for key in EXPECTED
    }
    of_first = Error.unscoped.filter(run__in=first.values())
    assert set(of_first.values_list("state", "reason")) == {("resolved", "superseded")}
    check_each_good_record_stands_once(anywhere)
    assert list(differences()) == []


def test_a_mended_file_resolves_its_errors_with_the_next_run(demo: Demo) -> None:
    demo.install()
    demo.run_flow("airports")
    path = demo.files / "in" / "airports.csv"
    path.write_text(path.read_text().replace("MIB,Minot AFB,NA,NA,USA", "MIB,Minot AFB,Minot,ND,USA"))

    demo.install()
    demo.run_flow("airports")

    (error,) = Error.unscoped.filter(key="MIB")
    assert (error.state, error.reason) == ("resolved", "succeeded")
    assert demo.rows("SELECT city, state FROM airport WHERE iata = 'MIB'") == [("Minot", "ND")]


def test_installing_signs_in_an_owner_who_sees_the_admin(demo: Demo, client: Any) -> None:
    sign_in = demo.install()
    assert client.login(username=sign_in.username, password=sign_in.password)
    user = User.objects.get(username="demo")
    assert user.is_superuser
    assert user.profile
    assert demo.account.members.get(user=user).role == Role.OWNER


def test_installing_twice_changes_nothing(demo: Demo) -> None:
    sign_in = demo.install()
    again = demo.install()
    assert again == sign_in
    assert (User.objects.count(), Account.objects.count(), Run.unscoped.count()) == (1, 1, 2)
    assert sorted(Revision.unscoped.values_list("flow__key", "number")) == [
        ("airports", 1),
        ("airports-file", 1),
        ("earthquakes", 1),
        ("wildlife-strikes", 1),
    ]


def test_installing_again_leaves_what_a_user_has_changed(demo: Demo) -> None:
    demo.install()
    flow = Flow.unscoped.get(key="airports")
    mine = flow.revision.definition.replace("every five minutes", "every ten minutes").replace("*/5", "*/10")
    apply_definition(account=demo.account, text=mine)
    demo.run_flow("airports")
    disable_flow(flow=Flow.unscoped.get(key="airports"))
    user = User.objects.get(username="demo")
    user.set_password("my own")
    user.save()

    sign_in = demo.install()

    flow.refresh_from_db()
    assert (flow.cron, flow.enabled, flow.revision.number) == ("*/10 * * * *", False, 2)
    assert sign_in.password == "that was told when the demo was installed"
    assert Run.unscoped.filter(flow=flow).count() == 1


def test_where_others_may_sign_in_too_the_password_is_a_random_one(demo: Demo, settings: Any, client: Any) -> None:
    settings.IS_NEWCOMER = False
    sign_in = demo.install()
    assert len(sign_in.password) >= 12
    assert client.login(username="demo", password=sign_in.password)


def test_a_warehouse_that_is_not_there_is_told_before_anything_is_installed(demo: Demo, settings: Any) -> None:
    settings.DEMO_DATABASE_URL = "postgres://nobody@127.0.0.1:1/none"
    with pytest.raises(ImproperlyConfigured, match="see DEMO_DATABASE_URL"):
        demo.install()
    assert not Flow.unscoped.exists()
    assert not User.objects.exists()
