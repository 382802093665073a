"""Steps inside a scope whose target hangs, deadlocks, cuts the connection or rolls back by itself."""

import threading
import time

import psycopg
import pytest

from apps.runs.statuses import RunStatus
from tests.fakes.databases import SERVER
from tests.scenarios.calls import Calls, child_of, head_of, indented, parent_of, write_mark
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.django_db


@pytest.fixture
def calls(postgresql_scene: Scene, settings) -> Calls:
    made = Calls(postgresql_scene)
    made.prepare()
    return made


@pytest.fixture
def sqlite_calls(sqlite_scene: Scene) -> Calls:
    made = Calls(sqlite_scene)
    made.prepare()
    return made


def open_transactions(scene: Scene) -> int:
    with psycopg.connect(**SERVER) as admin:
        found = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%%' AND query LIKE %s",
            [f"%{scene.place.schema}%"],
        ).fetchone()
    return found[0]


def trigger(scene: Scene, body: str, when: str = "NEW.mark = 'F'") -> None:
    """Let something happen in the target whenever F is written."""
    act = f"{scene.place.schema}.act()"
    block = f"BEGIN IF {when} THEN {body} END IF; RETURN NEW; END"
    scene.place.execute(f"CREATE FUNCTION {act} RETURNS trigger LANGUAGE plpgsql AS $$ {block} $$")
    scene.place.execute(f"CREATE TRIGGER act BEFORE INSERT ON marks FOR EACH ROW EXECUTE FUNCTION {act}")


def connect_hasty(calls: Calls, **limits) -> None:
    calls.scene.connect("target", "sql", **calls.scene.place.config, **limits)


def test_a_deadlock_is_intermittent_and_concerns_its_record(calls):
    trigger(calls.scene, "IF NEW.record = 2 THEN RAISE 'deadlock detected' USING ERRCODE = '40P01'; END IF;")
    flow = calls.apply(parent_of("R"), child_of("R"))
    run = calls.run(flow, "good", "good", "good")
    error = calls.scene.only_error(run)
    assert (error.cause.code, error.cause.classification) == ("40P01", "intermittent")
    assert [calls.marks(n) for n in (1, 2, 3)] == ["P,C,F,D,N", "", "P,C,F,D,N"]
    assert open_transactions(calls.scene) == 0


def test_a_deadlock_that_a_handler_answers_leaves_nothing_open(calls):
    trigger(calls.scene, "RAISE 'deadlock detected' USING ERRCODE = '40P01';")
    run = calls.run(calls.apply(parent_of("R"), child_of("CW/e")), "good")
    assert calls.marks(1) == "P,C,H,N"
    assert calls.scene.only_error(run).cause.classification == "intermittent"
    assert open_transactions(calls.scene) == 0


def test_a_row_that_another_scope_holds_is_intermittent_after_the_lock_time_out(calls):
    connect_hasty(calls, lock_timeout_s=0.3)
    calls.scene.place.execute("CREATE TABLE held (id integer PRIMARY KEY, n integer)")
    calls.scene.place.execute("INSERT INTO held VALUES (2, 0)")
    holder = calls.scene.place.open_admin()
    try:
        holder.execute("BEGIN")
        holder.execute("UPDATE held SET n = 1 WHERE id = 2")
        use = "import: {connection: target, operation: upsert, table: held, keys: [id], columns: [id]}"
        text = head_of("holding") + indented(write_mark("p", "'P'") + f"- key: hold\n  {use}\n", 2)
        run = calls.run(calls.scene.apply(text), "a", "b", "c")
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    error = calls.scene.only_error(run)
    assert (error.ordinal, error.cause.classification) == (1, "intermittent")
    assert [calls.marks(n) for n in (1, 2, 3)] == ["P", "", "P"]
    assert open_transactions(calls.scene) == 0


def test_a_connection_that_is_cut_in_a_scope_makes_the_page_wait_and_nothing_is_left(calls):
    """The first time that F is written the server ends the connection."""
    calls.scene.place.execute("CREATE SEQUENCE cuts")
    cut = "IF nextval('cuts') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); END IF;"
    trigger(calls.scene, cut)
    flow = calls.apply(parent_of("R"), child_of("R"))
    run = calls.run(flow, "good", "refused")
    assert (run.status, run.errors) == (RunStatus.RUNNING, 0)
    assert [calls.marks(n) for n in (1, 2)] == ["", ""]

    run = calls.scene.work_to_the_end(run)
    assert run.status == RunStatus.COMPLETED
    assert [calls.marks(n) for n in (1, 2)] == ["P,C,F,D,N", ""]
    assert open_transactions(calls.scene) == 0


def test_a_target_that_hangs_is_cut_by_the_statement_time_out(calls):
    trigger(calls.scene, "IF NEW.record = 2 THEN PERFORM pg_sleep(30); END IF;")
    connect_hasty(calls, statement_timeout_s=0.3)
    flow = calls.apply(parent_of("R"), child_of("R"))
    started = time.monotonic()
    run = calls.run(flow, "good", "good", "good")
    assert time.monotonic() - started < 20
    error = calls.scene.only_error(run)
    assert error.cause.classification == "intermittent"
    assert [calls.marks(n) for n in (1, 2, 3)] == ["P,C,F,D,N", "", "P,C,F,D,N"]
    assert open_transactions(calls.scene) == 0


@pytest.mark.parametrize(
    ("scope", "sub", "kept"),
    [("record", "R", ""), ("record", "CW/e", "P,C,H,N"), ("record", "CO", "P,C,D,N"), ("none", "R", "P,C")],
)
def test_a_sqlite_target_that_rolls_back_by_itself_costs_only_the_record_that_made_it(sqlite_calls, scope, sub, kept):
    """RAISE(ROLLBACK) in a trigger ends the whole transaction, with the writes of all other records in it."""
    calls = sqlite_calls
    calls.scene.place.execute(
        "CREATE TRIGGER act BEFORE INSERT ON marks WHEN NEW.mark = 'F' AND NEW.record IN (2, 4) "
        "BEGIN SELECT RAISE(ROLLBACK, 'I have had enough'); END"
    )
    flow = calls.apply(parent_of("R", f"scope: {scope}\n"), child_of(sub))
    run = calls.run(flow, "good", "good", "good", "good")
    assert run.status == RunStatus.COMPLETED
    assert [calls.marks(n) for n in (1, 2, 3, 4)] == ["P,C,F,D,N", kept, "P,C,F,D,N", kept]
    errors = calls.scene.errors(run)
    assert sorted(e.ordinal for e in errors) == [1, 3]
    assert {e.message for e in errors} == {"I have had enough"}
    calls.scene.place.execute("BEGIN IMMEDIATE")
    calls.scene.place.execute("ROLLBACK")


def test_scopes_that_wait_for_each_others_rows_see_what_was_committed(calls):
    """Nothing of a scope is seen before it commits; who waits for its row goes on with the committed value."""
    trigger(calls.scene, "PERFORM pg_sleep(0.3);", when="NEW.mark = 'D'")
    flow = calls.apply(parent_of("R"), child_of("R"))
    seen: list[int] = []
    is_over = threading.Event()

    def look() -> None:
        with psycopg.connect(**SERVER, autocommit=True) as other:
            while not is_over.wait(0.02):
                rows = other.execute(f"SELECT count(*) FROM {calls.scene.place.schema}.marks").fetchone()
                seen.append(rows[0])

    looking = threading.Thread(target=look)
    looking.start()
    calls.run(flow, "good")
    is_over.set()
    looking.join()
    assert set(seen) <= {0, 5}
    assert calls.marks(1) == "P,C,F,D,N"
