"""Lookups: the rows that belong to each record of a page, with one query a page."""

import pytest

from apps.connectors.sql.connector import SqlConnector
from apps.engine.ports import ConnectorError
from tests.fakes.databases import SCOPE, SqlPlace, batch_of, find, write

AIRPORTS = {"table": "airports", "match": {"code": "upper(record.airport)"}}
NEAR = {"query": "SELECT name FROM airports WHERE size >= :size ORDER BY size DESC, code LIMIT 2"}


@pytest.fixture
def place(sql_target: SqlPlace) -> SqlPlace:
    sql_target.execute("CREATE TABLE airports (code varchar(3) PRIMARY KEY, name text, size integer)")
    sql_target.execute("INSERT INTO airports VALUES ('VIE', 'Vienna', 3), ('GRZ', 'Graz', 1), ('LNZ', 'Linz', 1)")
    return sql_target


def queries(connector: SqlConnector) -> list[str]:
    """Every statement that the connector's own connection sends from now on."""
    link = connector._database.link  # type: ignore[attr-defined]
    sent: list[str] = []
    way = "send" if hasattr(link, "send") else "execute"
    execute = getattr(link, way)

    def noted(sql: str, *rest: object, **named: object) -> object:
        sent.append(sql)
        return execute(sql, *rest, **named)

    setattr(link, way, noted)
    return sent


def test_rows_come_back_in_the_order_of_the_records_and_nothing_found_is_an_empty_list(place: SqlPlace) -> None:
    records = [{"airport": code} for code in ("vie", "xxx", "grz", "vie", "too long for the column")]
    found = find(place.connector(), records, **AIRPORTS)
    vienna = {"code": "VIE", "name": "Vienna", "size": 3}
    assert found == [[vienna], [], [{"code": "GRZ", "name": "Graz", "size": 1}], [vienna], []]


def test_a_page_of_a_thousand_is_one_query(place: SqlPlace) -> None:
    connector = place.connector()
    lookup = connector.open_lookup(SqlConnector.LookupOptions(**AIRPORTS))
    records = [{"airport": ["vie", "grz", "zzz"][n % 3]} for n in range(1000)]
    lookup.find(records[:1], SCOPE)
    sent = queries(connector)
    found = lookup.find(records, SCOPE)
    assert [len(rows) for rows in found[:3]] == [1, 1, 0]  # type: ignore[arg-type]
    assert len([sql for sql in sent if "airports" in sql]) == 1


def test_a_query_sees_its_parameters_and_keeps_its_order(place: SqlPlace) -> None:
    records = [{"size": 1}, {"size": 2}, {"size": 9}, {"size": 1}]
    found = find(place.connector(), records, parameters={"size": "record.size"}, **NEAR)
    two = [{"name": "Vienna"}, {"name": "Graz"}]
    assert found == [two, [{"name": "Vienna"}], [], two]


def test_a_query_for_a_page_is_one_query_on_postgresql(place: SqlPlace) -> None:
    connector = place.connector()
    options = SqlConnector.LookupOptions(parameters={"size": "record.size"}, **NEAR)
    lookup = connector.open_lookup(options)
    lookup.find([{"size": 1}], SCOPE)
    sent = queries(connector)
    lookup.find([{"size": n % 5} for n in range(1000)], SCOPE)
    if place.is_postgresql:
        assert len([sql for sql in sent if "airports" in sql]) == 1


def test_a_query_without_parameters_is_asked_once(place: SqlPlace) -> None:
    found = find(place.connector(), [{}, {}], query="SELECT count(*) AS n FROM airports")
    assert found == [[{"n": 3}], [{"n": 3}]]


def test_several_columns_match_together_and_null_matches_nothing(place: SqlPlace) -> None:
    match = {"size": "record.size", "name": "record.name"}
    records = [{"size": 1, "name": "Linz"}, {"size": 3, "name": "Linz"}, {"size": 1, "name": None}]
    found = find(place.connector(), records, table="airports", match=match, columns=["code"])
    assert found == [[{"code": "LNZ"}], [], []]


def test_a_lookup_tells_in_words_what_it_looked_for(place: SqlPlace) -> None:
    match = {"size": "record.size", "name": "record.name"}
    lookup = place.connector().open_lookup(SqlConnector.LookupOptions(table="airports", match=match))
    assert lookup.words_for({"size": 3, "name": "Linz"}, SCOPE) == 'table airports with size "3" and name "Linz"'
    asking = SqlConnector.LookupOptions(query="SELECT 1 WHERE :n = 2", parameters={"n": "record.n"})
    assert place.connector().open_lookup(asking).words_for({"n": 1}, SCOPE) == 'the query\'s answer with n "1"'


def test_a_parameter_that_fails_names_itself_and_leaves_the_others_alone(place: SqlPlace) -> None:
    found = find(place.connector(), [{"airport": "vie"}, {}, {"airport": "grz"}], **AIRPORTS)
    assert [len(found[0]), len(found[2])] == [1, 1]
    assert (found[1].source, found[1].field, found[1].classification) == ("lookup", "code", "missing")
    assert found[1].message.startswith("Parameter code: ")


def test_a_value_of_the_wrong_type_fails_alone_on_postgresql(postgresql_target: SqlPlace) -> None:
    postgresql_target.make_strikes()
    connector = postgresql_target.connector()
    bodies = [{"id": n, "species": f"Bird {n}"} for n in range(40)]
    write(connector, bodies, operation="insert", table="strikes")
    records: list[dict[str, object]] = [{"id": n} for n in range(40)]
    records[7], records[21], records[33] = {"id": "seven"}, {"id": 2**70}, {"id": "\ud800"}
    found = find(connector, records, table="strikes", match={"id": "record.id"}, columns=["species"])
    failed = {at: f.code for at, f in enumerate(found) if not isinstance(f, list)}
    assert failed == {7: "22P02", 21: "22003", 33: "22021"}
    assert found[7].source == "lookup"
    assert found[7].field == "id"
    assert found[8] == [{"species": "Bird 8"}]


def test_a_lookup_sees_what_its_own_transaction_wrote_and_leaves_it_open(place: SqlPlace) -> None:
    connector = place.connector()
    session = connector.session()
    session.begin()
    target = connector.open_import(SqlConnector.ImportOptions(operation="insert", table="airports"))
    target.write(batch_of([{"code": "INN", "name": "Innsbruck", "size": 2}]))
    assert find(connector, [{"airport": "inn"}], **AIRPORTS)[0][0]["name"] == "Innsbruck"
    target.write(batch_of([{"code": "KLU", "name": "Klagenfurt", "size": 1}]))
    session.commit()
    assert place.rows("SELECT count(*) FROM airports") == [(5,)]


def test_a_lookup_cannot_write(place: SqlPlace) -> None:
    connector = place.connector()
    if place.is_postgresql:
        place.execute("CREATE FUNCTION sneak() RETURNS integer LANGUAGE sql AS $$ DELETE FROM airports; SELECT 1 $$;")
        options = {"query": "SELECT sneak() AS gone"}
    else:
        options = {"query": "WITH x AS (SELECT 1) DELETE FROM airports RETURNING code"}
    for is_open in (False, True):
        if is_open:
            connector.session().begin()
        with pytest.raises(ConnectorError):
            find(connector, [{}], **options)
    connector.session().commit()
    assert place.rows("SELECT count(*) FROM airports") == [(3,)]


def test_a_lock_keeps_others_from_the_row_until_the_commit(postgresql_target: SqlPlace) -> None:
    place = postgresql_target
    place.make_strikes()
    first, second = place.connector(), place.connector()
    write(first, [{"id": 1, "species": "Gull"}], operation="insert", table="strikes")
    first.session().begin()
    options = {"table": "strikes", "match": {"id": "record.id"}, "lock": True}
    assert len(find(first, [{"id": 1}], **options)[0]) == 1
    update = {"operation": "update", "table": "strikes", "keys": ["id"]}
    assert write(second, [{"id": 1, "speed": 1}], **update).failures[0].code == "55P03"
    first.session().commit()
    assert write(second, [{"id": 1, "speed": 1}], **update).failures == {}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"table": "nowhere", "match": {"a": "1"}}, "There is no table nowhere"),
        ({"table": "airports", "match": {"town": "1"}}, 'Column "town" does not exist in table airports'),
        ({"query": "SELECT town FROM airports"}, "town"),
        ({"query": "SELECT code, name AS code FROM airports"}, 'two columns named "code"'),
    ],
)
def test_a_wrong_lookup_concerns_the_whole_page_and_leaves_the_transaction_open(
    place: SqlPlace, options: dict[str, object], sentence: str
) -> None:
    connector = place.connector()
    connector.session().begin()
    with pytest.raises(ConnectorError, match=sentence):
        find(connector, [{"a": 1}], **options)
    target = connector.open_import(SqlConnector.ImportOptions(operation="insert", table="airports"))
    assert target.write(batch_of([{"code": "INN", "name": "x", "size": 2}])).failures == {}
    connector.session().commit()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, 'either "table" with "match", or "query"'),
        ({"table": "t"}, 'needs "match"'),
        ({"query": "SELECT :a"}, "no expression for it"),
        ({"query": "SELECT 1", "parameters": {"a": "1"}}, "not used by the query"),
        ({"query": "DELETE FROM t"}, "starts with DELETE"),
    ],
)
def test_wrong_options_are_told_when_the_flow_is_saved(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SqlConnector.LookupOptions(**options)
