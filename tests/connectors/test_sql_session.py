"""The transaction of a target: savepoints, the ledger, lost connections, locks."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from psycopg.pq import TransactionStatus

from apps.connectors.base import Limits, Surroundings
from apps.connectors.sql.connector import SqlConnector
from apps.engine.ports import ConnectorError, LedgerKey, Outage, RolledBack, Written
from tests.fakes.databases import SqlPlace, batch_of, export, write

KEY = LedgerKey(account=1, run=2, page=3, part=0, step="load")
UPSERT = {"operation": "upsert", "table": "strikes", "keys": ["id"]}


def put(connector: SqlConnector, *numbers: int, **changes: object) -> Written:
    """Write inside the open transaction."""
    bodies = [{"id": number, "species": "Gull", **changes} for number in numbers]
    return connector.open_import(SqlConnector.ImportOptions(**UPSERT)).write(batch_of(bodies))


def ids(place: SqlPlace) -> list[int]:
    return [row[0] for row in place.rows("SELECT id FROM strikes ORDER BY id")]


def test_a_commit_keeps_and_a_rollback_undoes(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    connector = sql_target.connector()
    session = connector.session()
    session.begin()
    put(connector, 1)
    session.commit()
    session.begin()
    put(connector, 2)
    session.rollback()
    assert ids(sql_target) == [1]


def test_a_page_is_replayed_from_its_savepoint_as_often_as_needed(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    connector = sql_target.connector()
    session = connector.session()
    session.begin()
    session.savepoint("page")
    for numbers in ([1, 2, 3], [1, 3], [3]):
        assert put(connector, *numbers).failures == {}
        if numbers != [3]:
            session.rollback_to("page")
    session.commit()
    assert ids(sql_target) == [3]


def test_the_ledger_stands_after_a_commit_and_not_after_a_rollback(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    connector = sql_target.connector()
    session = connector.session()
    assert session.read_ledger(KEY) is None
    session.begin()
    assert session.read_ledger(KEY) is None
    put(connector, 1)
    session.write_ledger(KEY, b"\x00outcomes\xff")
    session.rollback()
    assert session.read_ledger(KEY) is None
    session.begin()
    put(connector, 1)
    session.write_ledger(KEY, b"\x00outcomes\xff")
    session.commit()
    assert session.read_ledger(KEY) == b"\x00outcomes\xff"
    assert sql_target.connector().session().read_ledger(KEY) == b"\x00outcomes\xff"


def test_a_part_that_was_delivered_already_is_refused_by_the_ledger(sql_target: SqlPlace) -> None:
    session = sql_target.connector().session()
    for _ in range(2):
        session.begin()
        if session.read_ledger(KEY) is None:
            session.write_ledger(KEY, b"")
            session.commit()
    with pytest.raises(ConnectorError, match="delivered already") as caught:
        session.write_ledger(KEY, b"")
    assert caught.value.classification == "duplicate"
    session.rollback()


def test_two_workers_make_the_ledger_at_the_same_moment(postgresql_target: SqlPlace) -> None:
    first, second = (postgresql_target.connector(lock_timeout_s=5).session() for _ in range(2))
    first.begin()
    first.write_ledger(KEY, b"1")
    second.begin()
    waiting = threading.Thread(target=second.write_ledger, args=(LedgerKey(1, 2, 4, 0, "load"), b"2"))
    waiting.start()
    time.sleep(0.2)
    first.commit()
    waiting.join(5)
    second.commit()
    assert postgresql_target.rows("SELECT page FROM flowmend_ledger ORDER BY page") == [(3,), (4,)]


def test_a_role_that_may_not_create_the_ledger_is_told_what_to_create(postgresql_target: SqlPlace) -> None:
    place = postgresql_target
    role = f"{place.schema}_role"
    place.execute(f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {place.schema} TO {role}")
    try:
        connector = place.connector(user=role)
        connector.session().begin()
        with pytest.raises(ConnectorError, match=r"may not create it .*CREATE TABLE IF NOT EXISTS flowmend_ledger"):
            connector.session().write_ledger(KEY, b"")
        connector.session().rollback()
        connector.close()
    finally:
        place.execute(f"REVOKE USAGE ON SCHEMA {place.schema} FROM {role}; DROP ROLE {role}")


def backend_of(connector: SqlConnector) -> int:
    return int(connector._database.link.execute("SELECT pg_backend_pid()").fetchone()[0])  # type: ignore[attr-defined]


def kill(place: SqlPlace, backend: int) -> None:
    place.execute(f"SELECT pg_terminate_backend({backend})")
    for _ in range(100):
        if not place.rows(f"SELECT 1 FROM pg_stat_activity WHERE pid = {backend}"):
            return
        time.sleep(0.02)


def test_a_server_process_killed_between_two_writes_is_an_outage_and_the_next_page_goes_on(
    postgresql_target: SqlPlace,
) -> None:
    postgresql_target.make_strikes()
    connector = postgresql_target.connector()
    session = connector.session()
    session.begin()
    put(connector, 1)
    kill(postgresql_target, backend_of(connector))
    with pytest.raises(Outage, match="was lost"):
        put(connector, 2)
    with pytest.raises(Outage):
        session.commit()
    session.rollback()
    session.begin()
    put(connector, 3)
    session.commit()
    assert ids(postgresql_target) == [3]


def test_a_server_process_killed_in_the_middle_of_a_write_is_an_outage(postgresql_target: SqlPlace) -> None:
    postgresql_target.make_strikes()
    postgresql_target.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(5); RETURN NEW; END $$"
    )
    postgresql_target.execute("CREATE TRIGGER slow BEFORE INSERT ON strikes FOR EACH ROW EXECUTE FUNCTION slow()")
    connector = postgresql_target.connector()
    connector.session().begin()
    killer = threading.Timer(0.3, kill, (postgresql_target, backend_of(connector)))
    postgresql_target.rows("SELECT 1")
    killer.start()
    with pytest.raises(Outage):
        put(connector, 1)
    killer.join()
    connector.session().rollback()
    postgresql_target.execute("DROP TRIGGER slow ON strikes")
    connector.session().begin()
    put(connector, 1)
    connector.session().commit()
    assert ids(postgresql_target) == [1]


def test_a_connection_that_died_while_idle_is_replaced_when_a_page_begins(postgresql_target: SqlPlace) -> None:
    postgresql_target.make_strikes()
    connector = postgresql_target.connector()
    connector.session().begin()
    put(connector, 1)
    connector.session().commit()
    kill(postgresql_target, backend_of(connector))
    connector.session().begin()
    assert put(connector, 2).failures == {}
    connector.session().commit()
    assert ids(postgresql_target) == [1, 2]


@pytest.mark.parametrize("may_create_functions", [True, False])
def test_the_server_ends_a_transaction_that_a_dead_worker_left_behind(
    postgresql_target: SqlPlace, may_create_functions: bool
) -> None:
    postgresql_target.make_strikes()
    connector = postgresql_target.connector()
    link = connector._database.link  # type: ignore[attr-defined]
    link.execute("SET idle_in_transaction_session_timeout = 200")
    link.may_create_functions = may_create_functions
    connector.session().begin()
    put(connector, 1)
    backend = link.connection().info.backend_pid
    for _ in range(100):
        if not postgresql_target.rows(f"SELECT 1 FROM pg_stat_activity WHERE pid = {backend}"):
            break
        time.sleep(0.05)
    with pytest.raises(Outage):
        connector.session().commit()
    connector.session().rollback()


@contextmanager
def locked_row(place: SqlPlace, number: int) -> Iterator[None]:
    other = place.open_admin()
    other.execute("BEGIN")
    other.execute(f"UPDATE strikes SET speed = 1 WHERE id = {number}")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def test_rows_that_somebody_else_holds_fail_as_intermittent_and_the_others_pass(postgresql_target: SqlPlace) -> None:
    postgresql_target.make_strikes()
    connector = postgresql_target.connector()
    write(connector, [{"id": n, "species": "Gull"} for n in range(100)], **UPSERT)
    started = time.monotonic()
    with locked_row(postgresql_target, 50), locked_row(postgresql_target, 90):
        failures = write(connector, [{"id": n, "species": "Owl"} for n in range(100)], **UPSERT).failures
    assert sorted(failures) == [50, 90]
    assert {(f.code, f.classification) for f in failures.values()} == {("55P03", "intermittent")}
    assert time.monotonic() - started < 3


def test_a_deadlock_fails_its_record_as_intermittent(postgresql_target: SqlPlace) -> None:
    place = postgresql_target
    place.make_strikes()
    connector = place.connector(lock_timeout_s=10)
    connector._database.link.execute("SET deadlock_timeout = '50ms'")  # type: ignore[attr-defined]
    write(connector, [{"id": n, "species": "Gull"} for n in (1, 2)], **UPSERT)
    session = connector.session()
    session.begin()
    put(connector, 1, speed=5)
    other = place.open_admin()
    other.execute("BEGIN")
    other.execute("SET LOCAL deadlock_timeout = '10s'; UPDATE strikes SET speed = 9 WHERE id = 2")
    crossing = threading.Thread(target=other.execute, args=("UPDATE strikes SET speed = 9 WHERE id = 1",))
    crossing.start()
    time.sleep(0.2)
    failures = put(connector, 2, speed=5).failures
    session.commit()
    crossing.join(15)
    other.execute("ROLLBACK")
    other.close()
    assert [(f.code, f.classification) for f in failures.values()] == [("40P01", "intermittent")]
    assert place.rows("SELECT id, speed FROM strikes ORDER BY id") == [(1, 5), (2, None)]


def test_a_page_that_runs_into_the_statement_time_out_is_done_row_by_row(postgresql_target: SqlPlace) -> None:
    place = postgresql_target
    place.make_strikes()
    place.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.species = 'Sloth' THEN PERFORM pg_sleep(30); END IF; RETURN NEW; END $$"
    )
    place.execute("CREATE TRIGGER slow BEFORE INSERT ON strikes FOR EACH ROW EXECUTE FUNCTION slow()")
    bodies = [{"id": n, "species": "Sloth" if n == 30 else "Gull"} for n in range(60)]
    failures = write(place.connector(statement_timeout_s=0.1), bodies, **UPSERT).failures
    assert {at: (f.code, f.classification) for at, f in failures.items()} == {30: ("57014", "intermittent")}
    assert len(ids(place)) == 59


def test_a_locked_sqlite_file_is_an_outage_when_the_page_begins(sqlite_target: SqlPlace) -> None:
    sqlite_target.make_strikes()
    sqlite_target.execute("BEGIN IMMEDIATE")
    with pytest.raises(Outage, match="somebody else has locked it") as caught:
        sqlite_target.connector().session().begin()
    assert caught.value.classification == "intermittent"
    sqlite_target.execute("ROLLBACK")


def test_a_sqlite_table_that_rolls_back_by_itself_names_the_row_and_nothing_stands(sqlite_target: SqlPlace) -> None:
    sqlite_target.execute("CREATE TABLE strict_birds (id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK)")
    connector = sqlite_target.connector()
    with pytest.raises(RolledBack, match="UNIQUE constraint failed") as caught:
        write(connector, [{"id": 1}, {"id": 1}], operation="insert", table="strict_birds")
    assert (caught.value.at, caught.value.classification) == (1, "duplicate")
    assert sqlite_target.rows("SELECT count(*) FROM strict_birds") == [(0,)]


def test_a_commit_that_the_server_turned_into_a_rollback_is_told(postgresql_target: SqlPlace) -> None:
    connector = postgresql_target.connector()
    connector.session().begin()
    with pytest.raises(ConnectorError):
        connector._database.link.execute("SELECT 1 / 0")  # type: ignore[attr-defined]
    with pytest.raises(ConnectorError, match="rolled the transaction back instead"):
        connector.session().commit()


def test_a_server_that_is_not_there_is_an_outage_within_the_time_out(postgresql_target: SqlPlace) -> None:
    started = time.monotonic()
    connector = postgresql_target.connector(port=9)
    with pytest.raises(Outage) as caught:
        connector.session().begin()
    assert time.monotonic() - started < 3
    assert caught.value.message.startswith("Could not connect to PostgreSQL at 127.0.0.1:9 as postgres: ")
    assert (caught.value.code, caught.value.classification) == ("refused", "connection")


def test_a_server_that_accepts_and_says_nothing_is_an_outage_within_the_time_out(postgresql_target: SqlPlace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        connector = postgresql_target.connector(port=silent.getsockname()[1])
        with pytest.raises(Outage) as caught:
            connector.session().begin()
    assert time.monotonic() - started < 4
    assert (caught.value.code, caught.value.classification) == ("timeout", "connection")


def test_a_server_that_falls_silent_in_a_transaction_is_an_outage(postgresql_target: SqlPlace) -> None:
    postgresql_target.make_strikes()
    with Relay() as relay:
        connector = postgresql_target.connector(port=relay.port)
        connector.session().begin()
        put(connector, 1)
        connector._database.link.connection().patience_s = 0.3  # type: ignore[attr-defined]
        relay.is_frozen.set()
        with pytest.raises(Outage, match=r"no answer within 0\.3 seconds"):
            put(connector, 2)
        connector.session().rollback()


class Relay:
    """Stands between the connector and PostgreSQL and can stop passing on what it hears."""

    def __init__(self) -> None:
        self.is_frozen = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        client = self._server.accept()[0]
        upstream = socket.create_connection(("127.0.0.1", 5432))
        self._sockets += [client, upstream]
        for pair in ((client, upstream), (upstream, client)):
            threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, giver: socket.socket, taker: socket.socket) -> None:
        with suppress(OSError):
            while heard := giver.recv(65536):
                if self.is_frozen.is_set():
                    return
                taker.sendall(heard)

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            one.shutdown(socket.SHUT_RDWR)  # also wakes the thread that listens to it
            one.close()
        self._server.close()


@pytest.mark.parametrize(
    ("changes", "code"), [({"name": "no_such_database"}, "3D000"), ({"user": "no_such_role"}, "28P01")]
)
def test_a_refused_sign_in_is_an_outage_that_keeps_the_password_to_itself(
    postgresql_target: SqlPlace, changes: dict[str, str], code: str
) -> None:
    connector = postgresql_target.connector(password="s3cret-canary", **changes)
    with pytest.raises(Outage) as caught:
        connector.session().begin()
    assert (caught.value.code, caught.value.classification) == (code, "connection")
    ping = connector.ping()
    assert not ping.is_ok
    assert "s3cret-canary" not in caught.value.message + ping.tried + ping.found + repr(connector.config)


def test_a_ping_says_what_it_tried_and_found(sql_target: SqlPlace) -> None:
    ping = sql_target.connector().ping()
    assert ping.is_ok
    found = {"postgresql": "PostgreSQL 1", "sqlite": "SQLite 3", "mariadb": "MariaDB 1"}[sql_target.kind]
    assert ping.found.startswith(found)
    assert ping.tried.startswith("Opened the SQLite database" if sql_target.kind == "sqlite" else "Signed in to")


def test_no_connection_is_left_in_a_transaction_after_an_error(postgresql_target: SqlPlace) -> None:
    postgresql_target.make_strikes()
    connector = postgresql_target.connector()
    with pytest.raises(ConnectorError):
        write(connector, [{"id": 1}], operation="statement", statement="INSERT INTO nowhere VALUES (:id)")
    with pytest.raises(ConnectorError):
        export(connector, query="SELECT 1 / 0 AS a")
    link = connector._database.link  # type: ignore[attr-defined]
    assert link.connection().info.transaction_status == TransactionStatus.IDLE
    assert all(reader.link.is_lost() for reader in connector._database._readers)  # type: ignore[attr-defined]


def test_limits_come_from_the_surroundings_unless_the_connection_has_its_own(postgresql_target: SqlPlace) -> None:
    place = postgresql_target
    limits = Limits(statement_s=7, lock_s=3)
    surroundings = Surroundings(1, place.root, place.root, allow_nets=("127.0.0.0/8",), limits=limits)
    connector = SqlConnector(SqlConnector.Config(**place.config, lock_timeout_s=1.5), surroundings)
    execute = connector._database.link.execute  # type: ignore[attr-defined]
    names = ("statement_timeout", "lock_timeout", "TimeZone", "search_path")
    shown = [execute(f"SHOW {name}").fetchone()[0] for name in names]
    connector.close()
    assert shown == ["7s", "1500ms", "UTC", place.schema]
