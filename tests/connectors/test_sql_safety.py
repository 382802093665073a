"""What a flow's author may not reach through an SQL connection."""

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from apps.connectors.sql.connector import SqlConnector
from apps.engine.ports import ConnectorError, Outage
from tests.fakes.databases import SqlPlace, export, find, write


def opened(
    place: SqlPlace, own: tuple[str, ...] = (), nets: tuple[str, ...] | None = None, **changes: object
) -> Outage:
    """The refusal that opening the connection meets."""
    surroundings = replace(place.surroundings, own_databases=own)
    if nets is not None:
        surroundings = replace(surroundings, allow_nets=nets)
    connector = SqlConnector(SqlConnector.Config(**{**place.config, **changes}), surroundings)
    with pytest.raises(Outage) as caught:
        connector.session().begin()
    assert not connector.ping().is_ok
    connector.close()
    return caught.value


@pytest.mark.parametrize(
    "own", ["127.0.0.1:5432/test", "localhost:5432/test", "/run/postgresql:5432/test", ":5432/test"]
)
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_flowmends_own_postgresql_database_is_refused_by_any_name(
    postgresql_target: SqlPlace, own: str, host: str
) -> None:
    refusal = opened(postgresql_target, own=(own,), host=host)
    assert refusal.code == "blocked"
    assert "Flowmend's own database" in refusal.message


def test_another_database_of_the_same_server_is_allowed(postgresql_target: SqlPlace) -> None:
    place = postgresql_target
    surroundings = replace(place.surroundings, own_databases=("127.0.0.1:5432/root", "127.0.0.1:5433/test"))
    connector = SqlConnector(SqlConnector.Config(**place.config), surroundings)
    assert connector.ping().is_ok
    connector.close()


def test_flowmends_own_sqlite_file_is_refused_also_behind_a_link(sqlite_target: SqlPlace) -> None:
    place = sqlite_target
    own = place.root / "flowmend.sqlite3"
    sqlite3.connect(own).execute("CREATE TABLE t (a)").connection.close()
    os.link(own, place.root / "hard.sqlite3")
    (place.root / "soft.sqlite3").symlink_to(own)
    for file in ("flowmend.sqlite3", "hard.sqlite3", "soft.sqlite3", "./x/../flowmend.sqlite3"):
        assert "Flowmend's own database" in opened(place, own=(str(own),), file=file).message


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "2002:a9fe:a9fe::1"]
)
def test_metadata_link_local_and_multicast_are_never_reached(postgresql_target: SqlPlace, host: str) -> None:
    assert opened(postgresql_target, nets=("0.0.0.0/0", "::/0"), host=host).code == "blocked"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.1.2.3", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
def test_private_networks_are_reached_only_where_the_operator_says_so(postgresql_target: SqlPlace, host: str) -> None:
    refusal = opened(postgresql_target, nets=(), host=host)
    assert refusal.code == "blocked"
    assert "EGRESS_ALLOW_NETS" in refusal.message


def test_a_name_that_nobody_knows_is_an_outage(postgresql_target: SqlPlace) -> None:
    refusal = opened(postgresql_target, host="no-such-host.invalid")
    assert (refusal.code, refusal.classification) == ("dns", "connection")


@pytest.mark.parametrize("host", ["/var/run/postgresql", "a,b", "h host=evil", ""])
def test_a_host_is_one_name_or_address(host: str) -> None:
    with pytest.raises(ValueError, match="host"):
        SqlConnector.Config(database="postgresql", host=host, name="test", user="postgres")


def test_a_sqlite_file_stays_below_its_root(sqlite_target: SqlPlace, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = sqlite_target
    outside = tmp_path_factory.mktemp("outside")
    sqlite3.connect(outside / "other.sqlite3").execute("CREATE TABLE t (a)").connection.close()
    (place.root / "link.sqlite3").symlink_to(outside / "other.sqlite3")
    (place.root / "folder").symlink_to(outside)
    ways = [f"../{outside.name}/other.sqlite3", str(outside / "other.sqlite3"), "link.sqlite3", "folder/other.sqlite3"]
    for file in ways:
        assert opened(place, file=file).code == "blocked", file


@pytest.mark.parametrize("file", ["absent.sqlite3", ".", "a\x00b", "x" * 900, "file:memory?mode=memory", ":memory:"])
def test_a_sqlite_file_that_is_not_there_is_not_created(sqlite_target: SqlPlace, file: str) -> None:
    before = sorted(path.name for path in sqlite_target.root.iterdir())
    refusal = opened(sqlite_target, file=file)
    assert refusal.classification == "connection"
    assert sorted(path.name for path in sqlite_target.root.iterdir()) == before


def test_a_file_that_is_no_database_is_an_outage(sqlite_target: SqlPlace) -> None:
    (sqlite_target.root / "text.sqlite3").write_text("no database" * 500)
    assert "not a SQLite database" in opened(sqlite_target, file="text.sqlite3").message


def test_sqlite_neither_attaches_nor_loads_nor_tunes(sqlite_target: SqlPlace) -> None:
    place = sqlite_target
    place.make_strikes()
    connector = place.connector()
    execute = connector._database.link.execute  # type: ignore[attr-defined]
    other = place.root / "other.sqlite3"
    for sql in (
        f"ATTACH DATABASE '{other}' AS other",
        "PRAGMA writable_schema=ON",
        "PRAGMA query_only=OFF",
        "SELECT load_extension('x')",
        f"VACUUM INTO '{other}'",
    ):
        with pytest.raises(ConnectorError):
            execute(sql)
    assert not other.exists()
    for options in ({"query": "SELECT load_extension('x') AS a"}, {"query": "SELECT * FROM pragma_writable_schema(1)"}):
        with pytest.raises(ConnectorError):
            find(connector, [{}], **options)
        with pytest.raises(ConnectorError):
            export(connector, **options)


def test_a_long_sqlite_query_is_stopped_by_the_statement_time_out(sqlite_target: SqlPlace) -> None:
    connector = sqlite_target.connector(statement_timeout_s=0.2)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS c FROM n"
    with pytest.raises(ConnectorError, match="took longer than the statement time-out") as caught:
        find(connector, [{}], query=endless)
    assert caught.value.classification == "intermittent"


def test_values_are_never_part_of_the_sql_text(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    connector = sql_target.connector()
    evil = "'); DROP TABLE strikes; --"[:20]
    bodies = [{"id": 1, "species": evil}, {"id": 2, "species": "$fm0$ :x %s"}]
    assert write(connector, bodies, operation="insert", table="strikes").failures == {}
    options = {"table": "strikes", "match": {"species": "record.species"}, "columns": ["id"]}
    assert find(connector, bodies, **options) == [[{"id": 1}], [{"id": 2}]]


def test_names_with_quotes_are_names(sql_target: SqlPlace) -> None:
    if sql_target.is_mariadb:
        sql_target.execute("SET sql_mode = 'ANSI_QUOTES'")
    sql_target.execute('CREATE TABLE "odd ""name" ("id" integer PRIMARY KEY, "a""b; c" integer, "Größe" integer)')
    bodies = [{"id": 1, 'a"b; c': 2, "Größe": 3}]
    connector = sql_target.connector()
    options = {"table": 'odd "name', "keys": ["id"]}
    for operation in ("upsert", "update", "delete"):
        assert write(connector, bodies, operation=operation, **options).failures == {}


def test_a_statement_cannot_close_the_function_around_it(postgresql_target: SqlPlace) -> None:
    postgresql_target.make_strikes()
    statement = "INSERT INTO strikes (id, species) VALUES (:id, $fm0$ $fm1$ $fmx0$ $$ ' $fm0$)"
    options = {"operation": "statement", "statement": statement}
    assert write(postgresql_target.connector(), [{"id": 1}], **options).failures == {}
    assert postgresql_target.rows("SELECT species FROM strikes") == [(" $fm1$ $fmx0$ $$ ' ",)]


def test_the_password_is_a_secret_of_the_connection() -> None:
    assert SqlConnector.Config.secret_fields() == {"password"}


def test_sqlite_files_can_lie_in_folders_below_the_root(sqlite_target: SqlPlace) -> None:
    folder: Path = sqlite_target.root / "shop" / "2024"
    folder.mkdir(parents=True)
    sqlite3.connect(folder / "a?b#c.sqlite3").execute("CREATE TABLE t (a)").connection.close()
    assert sqlite_target.connector(file="shop/2024/a?b#c.sqlite3").ping().found.endswith("tables: 1.")
