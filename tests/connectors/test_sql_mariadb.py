"""What only MySQL and MariaDB do: their limits, codes, lock waits and ways to fail."""

import socket
import sys
import threading
from dataclasses import replace
from typing import Any

import pymysql
import pytest

from apps.connectors.sql.connector import SqlConnector
from apps.engine.ports import ConnectorError, LedgerKey, Outage
from tests.fakes.databases import MARIADB, SqlPlace, batch_of, export, find, records_of, write
from tests.fakes.refusing import closed_port

INSERT: dict[str, Any] = {"operation": "insert", "table": "strikes", "ledger": False}
UPSERT: dict[str, Any] = {"operation": "upsert", "table": "people", "keys": ["id"]}
LOCKED = {1: ("MYSQL_1205", "intermittent")}


@pytest.fixture
def place(mariadb_target: SqlPlace) -> SqlPlace:
    mariadb_target.make_strikes()
    return mariadb_target


def strike(number: int, **changes: Any) -> dict[str, Any]:
    return {"id": number, "species": "Gull", "speed": 100, "cost": 1.5, "seen_on": "2024-05-06", **changes}


def test_every_failure_has_the_server_s_own_number_and_words(place: SqlPlace) -> None:
    bodies = [strike(1), strike(1), strike(2, cost=-3), strike(3, seen_on="6 May"), strike(4, speed=10**12)]
    failures = write(place.connector(), bodies, **INSERT).failures
    assert {at: (failure.code, failure.classification, failure.field) for at, failure in failures.items()} == {
        1: ("MYSQL_1062", "duplicate", "id"),
        2: ("MYSQL_4025", "value", None),
        3: ("MYSQL_1292", "parse", "seen_on"),
        4: ("MYSQL_1264", "value", "speed"),
    }
    assert failures[4].message == "Out of range value for column 'speed'"


def test_nothing_is_cut_or_rounded_in_silence_whatever_the_server_s_mode_is(place: SqlPlace) -> None:
    usual = place.rows("SELECT @@GLOBAL.sql_mode")[0][0]
    place.execute("SET GLOBAL sql_mode = ''")
    try:
        written = write(place.connector(), [strike(1, species="X" * 30), strike(2)], **INSERT)
    finally:
        place.execute(f"SET GLOBAL sql_mode = '{usual}'")
    assert list(written.failures) == [0]
    assert place.rows("SELECT id FROM strikes") == [(2,)]


def test_an_upsert_never_changes_the_row_of_another_key(place: SqlPlace) -> None:
    place.execute("CREATE TABLE people (id integer PRIMARY KEY, email varchar(50) UNIQUE, name varchar(50))")
    place.execute("INSERT INTO people VALUES (1, 'a@x', 'Ann'), (2, 'b@x', 'Bob')")
    bodies = [{"id": 3, "email": "a@x", "name": "Eve"}, {"id": 2, "email": "b@x", "name": "Bill"}, {"id": 4}]
    failures = write(place.connector(), bodies, **UPSERT).failures
    assert [(at, failure.classification) for at, failure in failures.items()] == [(0, "duplicate")]
    assert place.rows("SELECT id, name FROM people ORDER BY id") == [(1, "Ann"), (2, "Bill"), (4, None)]


def test_times_with_a_zone_are_stored_in_utc(place: SqlPlace) -> None:
    place.execute("CREATE TABLE seen (id integer PRIMARY KEY, at datetime(3), stamp timestamp(3) NULL)")
    bodies = [
        {"id": 1, "at": "2024-05-06T12:00:00+02:00", "stamp": "2024-05-06T12:00:00.250Z"},
        {"id": 2, "at": "2024-05-06 12:00:00", "stamp": "2024-05-06"},
    ]
    connector = place.connector()
    assert write(connector, bodies, operation="insert", table="seen", ledger=False).failures == {}
    rows = records_of(export(connector, query="SELECT * FROM seen", unique=["id"]))
    assert [(row["at"], row["stamp"]) for row in rows] == [
        ("2024-05-06T10:00:00", "2024-05-06T12:00:00.250000"),
        ("2024-05-06T12:00:00", "2024-05-06T00:00:00"),
    ]


def test_values_that_json_cannot_hold_become_text_and_lose_no_digit(place: SqlPlace) -> None:
    place.execute("CREATE TABLE odd (id integer, big bigint unsigned, exact decimal(30, 10), span time, raw blob)")
    long = "18446744073709551615, 1234567890123456789.0123456789"
    place.execute(f"INSERT INTO odd VALUES (1, {long}, '-26:03:04', x'00ff')")
    place.execute("INSERT INTO odd VALUES (2, 7, 1.5, '01:02:03', NULL)")
    rows = records_of(export(place.connector(), query="SELECT * FROM odd", unique=["id"]))
    assert [list(row.values())[1:] for row in rows] == [
        ["18446744073709551615", "1234567890123456789.0123456789", "-26:03:04", "AP8="],
        [7, 1.5, "01:02:03", None],
    ]


@pytest.mark.parametrize(
    "query", ["SELECT /*!50000 1 */ AS a", "SELECT 1 INTO OUTFILE '/tmp/x'", "SELECT load_file('/etc/passwd') AS a"]
)
def test_what_a_read_only_transaction_does_not_stop_is_refused(place: SqlPlace, query: str) -> None:
    with pytest.raises(ConnectorError, match="may not contain"):
        export(place.connector(), query=query)


@pytest.mark.parametrize("query", ["WITH a AS (SELECT 1) DELETE FROM strikes", "SELECT 1 AS a; DELETE FROM strikes"])
def test_a_lookup_cannot_write(place: SqlPlace, query: str) -> None:
    write(place.connector(), [strike(1)], **INSERT)
    with pytest.raises((ConnectorError, ValueError)):
        find(place.connector(), [{}], query=query)
    assert place.rows("SELECT id FROM strikes") == [(1,)]


def test_an_export_cannot_write_through_a_function(place: SqlPlace) -> None:
    place.execute("CREATE FUNCTION sneak() RETURNS integer MODIFIES SQL DATA BEGIN DELETE FROM strikes; RETURN 1; END")
    write(place.connector(), [strike(1)], **INSERT)
    with pytest.raises(ConnectorError, match=r"READ ONLY|read-only|read only"):
        export(place.connector(), query="SELECT sneak() AS a")
    assert place.rows("SELECT id FROM strikes") == [(1,)]


def test_a_backslash_in_a_text_and_a_percent_sign_are_themselves(place: SqlPlace) -> None:
    query = r"SELECT species, '100%' AS share, '\' AS slash FROM strikes WHERE species LIKE :like AND '\' <> '%s'"
    write(place.connector(), [strike(1, species="a\\' OR 1=1 -- %s")], **INSERT)
    rows = records_of(export(place.connector(), query=query, parameters={"like": "'a%'"}))
    assert rows == [{"species": "a\\' OR 1=1 -- %s", "share": "100%", "slash": "\\"}]


def test_a_table_without_transactions_is_not_written_to(place: SqlPlace) -> None:
    place.execute("CREATE TABLE plain (id integer PRIMARY KEY) ENGINE=MyISAM")
    with pytest.raises(ConnectorError, match="MyISAM, which knows no transactions"):
        write(place.connector(), [{"id": 1}], operation="insert", table="plain", ledger=False)


# --- waiting, dying --------------------------------------------------------------------------------------------------
def test_a_row_that_somebody_else_has_locked_fails_alone_as_intermittent(place: SqlPlace) -> None:
    write(place.connector(), [strike(1), strike(2), strike(3)], **INSERT)
    other = pymysql.connect(**MARIADB, database=place.schema)
    with other.cursor() as cursor:
        cursor.execute("SELECT * FROM strikes WHERE id = 2 FOR UPDATE")
        bodies = [strike(number, speed=7) for number in (1, 2, 3)]
        written = write(place.connector(), bodies, operation="upsert", table="strikes", keys=["id"])
    other.close()
    assert {at: (f.code, f.classification) for at, f in written.failures.items()} == {
        0 + 1: ("MYSQL_1205", "intermittent")
    }
    assert place.rows("SELECT id FROM strikes WHERE speed = 7 ORDER BY id") == [(1,), (3,)]


def test_a_deadlock_is_an_outage_since_the_server_has_undone_the_whole_page(place: SqlPlace) -> None:
    write(place.connector(), [strike(1), strike(2)], **INSERT)
    connector = place.connector(lock_timeout_s=5)
    session = connector.session()
    target = connector.open_import(SqlConnector.ImportOptions(operation="update", table="strikes", keys=["id"]))
    other = pymysql.connect(**MARIADB, database=place.schema)
    with other.cursor() as cursor:
        # who has written more is not the one that the server gives up
        cursor.execute("INSERT INTO strikes (id, species) SELECT seq, 'x' FROM seq_100_to_3000")
        cursor.execute("UPDATE strikes SET speed = 1 WHERE id = 2")
        session.begin()
        target.write(batch_of([strike(1)]))
        waiting = threading.Thread(target=cursor.execute, args=["UPDATE strikes SET speed = 1 WHERE id = 1"])
        waiting.start()
        with pytest.raises(Outage, match="rolled the transaction back"):
            target.write(batch_of([strike(2)]))
        session.rollback()
        waiting.join()
    other.close()
    assert write(connector, [strike(1, speed=9)], operation="update", table="strikes", keys=["id"]).failures == {}


def test_a_statement_that_takes_too_long_is_stopped(place: SqlPlace) -> None:
    connector = place.connector(statement_timeout_s=0.5)
    with pytest.raises(ConnectorError) as caught:
        export(connector, query="SELECT count(*) AS n FROM seq_1_to_100000000 a JOIN seq_1_to_1000 b", unique=["n"])
    assert (caught.value.code, caught.value.classification) == ("MYSQL_1969", "intermittent")


def test_a_killed_connection_is_an_outage_and_the_next_transaction_works(place: SqlPlace) -> None:
    connector = place.connector()
    session = connector.session()
    session.begin()
    own = place.rows("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
    place.execute(f"KILL {own[0][0]}")
    with pytest.raises(Outage):
        connector.open_import(SqlConnector.ImportOptions(**INSERT)).write(batch_of([strike(1)]))
    session.rollback()
    assert write(connector, [strike(1)], **INSERT).failures == {}


def test_a_server_that_restarted_between_two_pages_is_not_noticed(place: SqlPlace) -> None:
    connector = place.connector()
    write(connector, [strike(1)], **INSERT)
    own = place.rows("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
    place.execute(f"KILL {own[0][0]}")
    assert write(connector, [strike(2)], **INSERT).failures == {}


def test_the_ledger_is_made_without_ending_the_open_transaction(place: SqlPlace) -> None:
    connector = place.connector()
    session, key = connector.session(), LedgerKey(1, 2, 3, 0, "write")
    session.begin()
    connector.open_import(SqlConnector.ImportOptions(**INSERT)).write(batch_of([strike(1)]))
    session.write_ledger(key, b"done" * 40_000)
    session.rollback()
    assert place.rows("SELECT id FROM strikes") == []
    session.begin()
    assert session.read_ledger(key) is None
    session.write_ledger(key, b"done" * 40_000)
    session.commit()
    session.begin()
    assert session.read_ledger(key) == b"done" * 40_000
    with pytest.raises(ConnectorError, match="delivered already"):
        session.write_ledger(key, b"again")
    session.rollback()


# --- where it may go -------------------------------------------------------------------------------------------------
def test_a_private_address_is_not_reached_unless_the_operator_allows_it(place: SqlPlace) -> None:
    closed = replace(place.surroundings, allow_nets=())
    connector = SqlConnector(SqlConnector.Config(**place.config), closed)
    assert "EGRESS_ALLOW_NETS" in connector.ping().found


def test_a_closed_port_and_a_wrong_password_are_outages_of_the_connection(place: SqlPlace) -> None:
    with closed_port() as port, pytest.raises(Outage) as refused:
        place.connector(port=port).session().begin()
    with pytest.raises(Outage) as denied:
        place.connector(password="wrong").session().begin()
    assert [caught.value.classification for caught in (refused, denied)] == ["connection", "connection"]
    assert (refused.value.code, denied.value.code) == ("refused", "MYSQL_1045")
    assert "wrong" not in denied.value.message


def test_a_connection_that_must_be_encrypted_does_not_go_on_in_the_clear(place: SqlPlace) -> None:
    has_tls = place.rows("SHOW VARIABLES LIKE 'have_ssl'")[0][1] == "YES"
    assert place.connector(sslmode="require").ping().is_ok == has_tls
    assert not place.connector(sslmode="verify-full").ping().is_ok


def test_a_server_that_falls_silent_in_a_statement_is_given_up(place: SqlPlace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].recv(10) if server else None, daemon=True).start()
        ping = place.connector(port=server.getsockname()[1]).ping()
    assert not ping.is_ok
    assert "Could not connect to MariaDB" in ping.found


def test_a_database_whose_library_is_not_installed_is_told_with_the_way_to_install_it(
    mariadb_target: SqlPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"host": "127.0.0.1", "name": "stock", "user": "flows"}
    monkeypatch.setitem(sys.modules, "pymssql", None)
    with pytest.raises(ConnectorError, match="pip install pymssql"):
        SqlConnector(SqlConnector.Config(database="mssql", **config), mariadb_target.surroundings)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    for name in [name for name in sys.modules if name.startswith("apps.connectors.sql.dialects.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConnectorError, match=r"pip install 'flowmend\[databases\]'"):
        SqlConnector(SqlConnector.Config(database="mysql", **config), mariadb_target.surroundings)
