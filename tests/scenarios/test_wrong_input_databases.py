"""Databases that are away or not as the flow expects them: the run waits or says what is wrong; nothing is lost."""

import json
from contextlib import contextmanager
from datetime import timedelta

import pytest

from apps.core.clock import read_now
from apps.errors.states import ErrorUnit
from apps.execution.worker import Slice, work_slice
from apps.flows.models import Connection, ConnectionState
from apps.runs.services import start_run
from apps.runs.statuses import RunOutcome, RunStatus
from tests.fakes.refusing import closed_port, refusing_server
from tests.scenarios.scene import UPSERT, Scene, in_words

pytestmark = pytest.mark.django_db

ALL = list(range(10))


def write_orders(scene: Scene, count: int = 10) -> None:
    scene.write("a.jsonl", "\n".join(json.dumps({"id": n, "amount": n}) for n in range(count)))


@contextmanager
def away(scene: Scene):
    """The target cannot be reached: nobody listens there, or its file is gone."""
    if scene.place.is_postgresql:
        with closed_port() as port:
            scene.connect("target", "sql", **{**scene.place.config, "port": port})
            yield "refused"
    else:
        scene.connect("target", "sql", database="sqlite", file="gone.sqlite3")
        yield "there is no such file"
    scene.connect("target", "sql", **scene.place.config)


# --- away ---------------------------------------------------------------------------------------------------------
def test_while_the_target_is_away_the_run_waits_and_says_for_what_and_when_it_is_back_nothing_is_lost(scene):
    write_orders(scene)
    flow = scene.flow_of_file("a.jsonl")
    with away(scene) as reason:
        run = scene.run(flow)
        for _ in range(5):
            assert run.status == RunStatus.RUNNING
            assert run.wait_reason.startswith("waiting: connection target: ")
            assert reason in run.wait_reason
            assert in_words([run.wait_reason])
            assert run.not_before is not None
            run = scene.work(run, run.not_before + timedelta(seconds=1))
        assert (scene.errors(run), run.records_in, run.lease_owner) == ([], 0, "")
        assert Connection.objects.of(scene.account).get(name="target").state == ConnectionState.OFFLINE
        scene.probe_connections()
        assert Connection.objects.of(scene.account).get(name="target").state == ConnectionState.OFFLINE

    scene.work_to_the_end(run)

    assert (run.status, run.outcome, run.wait_reason) == (RunStatus.COMPLETED, RunOutcome.COMPLETED, "")
    assert (run.records_in, run.success, run.pages_done) == (10, 10, 3)
    assert scene.loaded() == ALL


def test_a_target_that_goes_away_between_two_pages_has_every_record_once_in_the_end(scene, monkeypatch):
    write_orders(scene)
    flow = scene.flow_of_file("a.jsonl", load="{connection: target, operation: insert, table: journal}", change=no_note)
    run = start_run(flow=flow)
    monkeypatch.setattr(Slice, "_is_over", lambda self, started: True)
    assert work_slice(run.pk)
    monkeypatch.undo()
    assert len(scene.loaded("journal")) == 4
    with away(scene):
        scene.work(run, read_now() + timedelta(seconds=1))
        assert run.wait_reason.startswith("waiting: connection target")

    scene.work_to_the_end(run)

    assert run.outcome == RunOutcome.COMPLETED
    assert scene.loaded("journal") == ALL


def no_note(text: str) -> str:
    return text.replace(', note: "default(record.note, None)"', "")


def test_while_the_source_is_away_the_run_waits_and_when_it_is_back_nothing_is_lost(scene):
    make_source(scene)
    flow = scene.flow_of("{connection: target, query: 'SELECT id, amount FROM incoming', unique: [id]}", load=OTHER)
    with away(scene) as reason:
        run = scene.run(flow)
        waits = []
        for _ in range(5):
            assert run.status == RunStatus.RUNNING
            assert run.wait_reason.startswith("waiting: connection target: ")
            assert reason in run.wait_reason
            assert in_words([run.wait_reason])
            begun = run.not_before
            scene.work(run, begun + timedelta(seconds=1))
            waits.append(round((run.not_before - begun).total_seconds()) - 1)
        assert waits[:2] == [10, 20]
        assert scene.errors(run) == []

    scene.work_to_the_end(run)

    assert (run.outcome, scene.loaded()) == (RunOutcome.COMPLETED, [1, 2, 3])


OTHER = UPSERT.replace("target", "other")


def make_source(scene: Scene) -> None:
    scene.place.execute("CREATE TABLE incoming (id bigint PRIMARY KEY, amount integer)")
    scene.place.execute("INSERT INTO incoming VALUES (1, 1), (2, 2), (3, 3)")
    scene.connect("other", "sql", **scene.place.config)


# --- refused ------------------------------------------------------------------------------------------------------
def test_a_wrong_password_is_told_in_words_and_the_run_goes_on_once_it_is_right(scene):
    write_orders(scene)
    flow = scene.flow_of_file("a.jsonl")
    with refusing_server("clerk") as port:
        secrets = {"password": "not-the-right-one"}
        place = {"host": "127.0.0.1", "port": port, "name": "shop", "user": "clerk", "sslmode": "disable"}
        scene.connect("target", "sql", secrets=secrets, database="postgresql", **place)
        run = scene.run(flow)

    assert run.status == RunStatus.RUNNING
    assert run.wait_reason == (
        f"waiting: connection target: Could not connect to PostgreSQL at 127.0.0.1:{port} as clerk: "
        'password authentication failed for user "clerk"'
    )
    assert "not-the-right-one" not in run.wait_reason + scene.log(run)
    scene.connect("target", "sql", secrets={"password": None}, **scene.place.config)
    scene.work_to_the_end(run)
    assert scene.loaded() == ALL


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "no_such_database"}, 'database "no_such_database" does not exist'),
        ({"user": "nobody_at_all"}, 'role "nobody_at_all" does not exist'),
        ({"host": "no-such-host.invalid"}, "no-such-host.invalid"),
        ({"host": "192.0.2.1"}, "192.0.2.1"),
    ],
)
@pytest.mark.postgresql
def test_an_address_that_leads_nowhere_is_told_in_words(sqlite_scene, change, words):
    write_orders(sqlite_scene)
    flow = sqlite_scene.flow_of_file("a.jsonl")
    server = {"database": "postgresql", "host": "127.0.0.1", "name": "test", "user": "postgres"}
    sqlite_scene.connect("target", "sql", **{**server, **change})
    run = sqlite_scene.run(flow)

    assert run.status == RunStatus.RUNNING
    assert words in run.wait_reason
    assert in_words([run.wait_reason])
    assert sqlite_scene.errors(run) == []


# --- not as expected ----------------------------------------------------------------------------------------------
IMPORTS = {
    "an unknown table": ("{connection: target, operation: upsert, table: ordrs, keys: [id]}", "no table ordrs"),
    "an unknown key": ("{connection: target, operation: upsert, table: orders, keys: [number]}", "number"),
    "keys without a unique index": ("{connection: target, operation: upsert, table: orders, keys: [amount]}", "amount"),
    "a statement that is none": (
        "{connection: target, operation: statement, statement: 'UPDATE ordrs SET amount = :amount WHERE id = :id'}",
        "ordrs",
    ),
}


@pytest.mark.parametrize("kind", IMPORTS)
def test_an_import_that_cannot_work_is_one_error_per_record_under_one_root_cause(scene, kind):
    load, words = IMPORTS[kind]
    write_orders(scene)
    run = scene.run(scene.flow_of_file("a.jsonl", load=load))

    errors = scene.errors(run)
    assert (run.status, run.outcome) == (RunStatus.COMPLETED, RunOutcome.COMPLETED_WITH_ERRORS)
    assert (run.records_in, run.failed, len(errors)) == (10, 10, 10)
    assert len({error.cause_id for error in errors}) == 1
    assert words in errors[0].message
    assert in_words(error.message for error in errors)
    assert json.loads(scene.retry_data(errors[3])) == {"id": 3, "amount": 3}


def test_a_column_that_the_table_does_not_have_is_named_with_those_that_it_has(scene):
    write_orders(scene)
    run = scene.run(scene.flow_of_file("a.jsonl", change=lambda text: text.replace("amount: rec", "amuont: rec")))

    message = scene.messages(run)[0]
    assert (run.outcome, run.failed) == (RunOutcome.COMPLETED_WITH_ERRORS, 10)
    assert "amuont" in message
    assert "amount" in message
    assert scene.errors(run)[0].effects["field"] == "amuont"


QUERIES = {
    "an unknown table": ("SELECT id FROM nowhere", "nowhere"),
    "an unknown column": ("SELECT idd FROM orders", "idd"),
    "no unique column of that name": ("SELECT amount FROM orders", "id"),
}


@pytest.mark.parametrize("kind", QUERIES)
def test_a_query_that_cannot_work_fails_the_run_with_one_open_error(scene, kind):
    query, words = QUERIES[kind]
    scene.connect("other", "sql", **scene.place.config)
    flow = scene.flow_of(f"{{connection: target, query: '{query}', unique: [id]}}", load=OTHER)
    run = scene.run(flow)

    error = scene.only_error(run)
    assert run.status == RunStatus.FAILED
    assert (error.unit, error.state) == (ErrorUnit.WINDOW, "open")
    assert words in error.message
    assert in_words([error.message])


def test_a_target_with_another_table_in_the_ledgers_place_fails_the_run_and_says_so(scene):
    scene.place.execute("CREATE TABLE flowmend_ledger (something text)")
    write_orders(scene)
    flow = scene.flow_of_file("a.jsonl", load="{connection: target, operation: insert, table: journal}", change=no_note)
    run = scene.run(flow)

    error = scene.only_error(run)
    assert (run.status, error.unit) == (RunStatus.FAILED, ErrorUnit.WINDOW)
    assert in_words([error.message])
    assert not error.message.startswith("Flowmend could not work on this run")
    assert scene.loaded("journal") == []


@pytest.mark.postgresql
def test_a_target_that_may_not_make_its_ledger_says_so_and_how_to_make_it(postgresql_clerk):
    scene, load = postgresql_clerk, "{connection: target, operation: insert, table: journal}"
    write_orders(scene)
    flow = scene.flow_of_file("a.jsonl", load=load, change=no_note)
    run = scene.run(flow)

    error = scene.only_error(run)
    assert (run.status, error.unit, error.cause.source) == (RunStatus.FAILED, ErrorUnit.WINDOW, "application")
    assert error.message.startswith("Flowmend keeps a table flowmend_ledger in the target")
    assert "CREATE TABLE" in error.message
    assert scene.loaded("journal") == []


@pytest.fixture
def postgresql_clerk(postgresql_scene):
    """A scene whose target's role may write the tables, but make none."""
    place, role = postgresql_scene.place, f"{postgresql_scene.place.schema}_clerk"
    place.execute(f"CREATE ROLE {role} LOGIN")
    place.execute(f"GRANT USAGE ON SCHEMA {place.schema} TO {role}")
    place.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {place.schema} TO {role}")
    postgresql_scene.connect("target", "sql", **{**place.config, "user": role})
    yield postgresql_scene
    place.execute(f"DROP OWNED BY {role}")
    place.execute(f"DROP ROLE {role}")


def test_a_flow_whose_connection_is_gone_fails_with_a_sentence(scene, monkeypatch):
    write_orders(scene)
    flow = scene.flow_of_file("a.jsonl")
    run = start_run(flow=flow)
    Connection.objects.of(scene.account).filter(name="target").update(name="renamed")
    monkeypatch.setattr("apps.flows.planning._plans", {})  # as in a worker that has not seen this flow yet
    scene.work(run)

    error = scene.only_error(run)
    assert (run.status, error.unit) == (RunStatus.FAILED, ErrorUnit.WINDOW)
    assert "target" in error.message
    assert in_words([error.message])
