"""Exports: pages by unique columns or by one cursor, incremental by a watermark, values as JSON."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from apps.connectors.sql.connector import SqlConnector
from apps.engine.ports import BadRecord, CheckpointValue, ConnectorError, Window
from tests.fakes.databases import SCOPE, SqlPlace, batch_of, export, records_of

ALL = {"query": "SELECT id, name, changed_at FROM birds"}
KEYSET = {**ALL, "unique": ["id"]}
CHANGED = {**KEYSET, "watermark": "changed_at"}
WINDOW = Window(page_size=3, now=SCOPE.now)


@pytest.fixture
def place(sql_target: SqlPlace) -> SqlPlace:
    kind = "timestamptz" if sql_target.is_postgresql else "text"
    sql_target.execute(f"CREATE TABLE birds (id integer PRIMARY KEY, name text, changed_at {kind})")
    return sql_target


def add(place: SqlPlace, *numbers: int, minute: int | None = None) -> None:
    for number in numbers:
        moment = f"2024-05-06T10:{number if minute is None else minute:02}:00+00:00"
        place.execute(f"INSERT INTO birds VALUES ({number}, 'bird {number}', '{moment}')")


def ids(pages: object) -> list[int]:
    return [record["id"] for record in records_of(pages)]  # type: ignore[arg-type]


def test_pages_by_unique_columns_cover_everything_in_order(place: SqlPlace) -> None:
    add(place, 5, 3, 1, 4, 2, 7, 6)
    pages = export(place.connector(), **KEYSET)
    assert [ids([page]) for page in pages] == [[1, 2, 3], [4, 5, 6], [7]]
    assert pages[0].records[0] == {"id": 1, "name": "bird 1", "changed_at": "2024-05-06T10:01:00+00:00"}
    assert [page.source_ref for page in pages] == [
        "rows 1 to 3 of the query",
        "rows 4 to 6 of the query",
        "rows 7 to 7 of the query",
    ]
    assert all(page.checkpoint is None for page in pages)


def test_an_export_goes_on_at_every_position_though_rows_shift(place: SqlPlace) -> None:
    add(place, *range(10, 20))
    connector = place.connector()
    first = export(connector, **KEYSET)[0]
    place.execute("DELETE FROM birds WHERE id IN (10, 11)")
    add(place, 1, 2, 30)
    rest = export(connector, replace(WINDOW, position=first.position), **KEYSET)
    assert ids(rest) == [13, 14, 15, 16, 17, 18, 19, 30]
    assert rest[0].source_ref == "rows 4 to 6 of the query"


def test_keys_of_several_columns_and_of_text_go_on_exactly(place: SqlPlace) -> None:
    place.execute("CREATE TABLE pairs (a varchar(20), b integer, PRIMARY KEY (a, b))")
    expected = sorted((a, b) for a in ("x", "y'z", "é") for b in (1, 2, 10))
    for a, b in expected:
        place.execute(f"INSERT INTO pairs VALUES ('{a.replace(chr(39), chr(39) * 2)}', {b})")
    pages = export(place.connector(), replace(WINDOW, page_size=2), query="SELECT * FROM pairs", unique=["a", "b"])
    assert sorted((r["a"], r["b"]) for r in records_of(pages)) == expected
    assert [len(page.records) for page in pages] == [2, 2, 2, 2, 1]


def test_without_unique_columns_one_cursor_reads_all_and_says_that_it_cannot_resume(place: SqlPlace) -> None:
    add(place, *range(1, 8))
    connector = place.connector()
    source = connector.open_export(SqlConnector.ExportOptions(**ALL), WINDOW)
    assert not source.resumable
    pages = list(source.pages())
    assert [len(page.records) for page in pages] == [3, 3, 1]
    assert sorted(ids(pages)) == list(range(1, 8))


def test_an_export_of_nothing_is_one_empty_page(place: SqlPlace) -> None:
    assert [len(page.records) for page in export(place.connector(), **KEYSET)] == [0]
    assert [len(page.records) for page in export(place.connector(), **ALL)] == [0]


def test_parameters_are_expressions_over_the_run(place: SqlPlace) -> None:
    add(place, *range(1, 8))
    options = {
        "query": "SELECT id FROM birds WHERE id > :low AND id < :high AND name <> ':no'",
        "parameters": {"low": "run.parameters.low", "high": "run.parameters.low + 3"},
        "unique": ["id"],
    }
    assert ids(export(place.connector(), replace(WINDOW, parameters={"low": 2}), **options)) == [3, 4]
    with pytest.raises(ConnectorError, match="Parameter low: "):
        export(place.connector(), **options)


def next_window(pages: object, **changes: object) -> Window:
    """The window of the next run, after all pages of this one went through."""
    last = [page.checkpoint for page in pages if page.checkpoint][-1]  # type: ignore[attr-defined]
    return replace(WINDOW, checkpoint=last, **changes)


def test_a_watermark_exports_only_what_is_new_and_repeats_nothing(place: SqlPlace) -> None:
    add(place, 1, 2, 3, 4)
    connector = place.connector()
    first = export(connector, **CHANGED)
    assert ids(first) == [1, 2, 3, 4]
    assert first[-1].checkpoint.value == {"watermark": "2024-05-06T10:04:00+00:00"}
    add(place, 5, 6)
    second = export(connector, next_window(first), **CHANGED)
    assert ids(second) == [5, 6]
    third = export(connector, next_window(second), **CHANGED)
    assert ids(third) == []
    assert third[-1].checkpoint == second[-1].checkpoint


def test_rows_that_became_visible_late_are_found_within_the_overlap_and_only_once(place: SqlPlace) -> None:
    options = {**CHANGED, "overlap": 120}
    add(place, 1, 5, 6)
    connector = place.connector()
    first = export(connector, **options)
    add(place, 40, minute=5)
    add(place, 41, minute=1)
    second = export(connector, next_window(first), **options)
    assert ids(second) == [40]
    place.execute("UPDATE birds SET changed_at = '2024-05-06T10:07:00+00:00' WHERE id = 5")
    third = export(connector, next_window(second), **options)
    assert ids(third) == [5]
    assert ids(export(connector, next_window(third), **options)) == []


def test_rows_with_the_very_value_of_the_checkpoint_are_not_lost(place: SqlPlace) -> None:
    add(place, 1, 2)
    connector = place.connector()
    first = export(connector, **CHANGED)
    add(place, 3, minute=2)
    assert ids(export(connector, next_window(first), **CHANGED)) == [3]


def test_a_checkpoint_after_any_page_and_a_new_start_there_lose_and_double_nothing(place: SqlPlace) -> None:
    add(place, *range(1, 12))
    connector = place.connector()
    options = {**CHANGED, "overlap": 180}
    first = export(connector, **options)
    for at, page in enumerate(first):
        again = export(connector, replace(WINDOW, checkpoint=page.checkpoint), **options)
        assert ids(first[: at + 1]) + ids(again) == list(range(1, 12))


def test_an_incremental_export_resumes_at_a_position_with_the_last_checkpoint(place: SqlPlace) -> None:
    add(place, *range(1, 9))
    connector = place.connector()
    options = {**CHANGED, "overlap": 180}
    pages = export(connector, **options)
    window = replace(WINDOW, position=pages[0].position, checkpoint=pages[0].checkpoint)
    rest = export(connector, window, **options)
    assert ids(pages[:1]) + ids(rest) == list(range(1, 9))
    assert rest[-1].checkpoint == pages[-1].checkpoint


def test_a_window_by_date_keeps_to_its_borders(place: SqlPlace) -> None:
    add(place, *range(1, 9))
    start, end = datetime(2024, 5, 6, 10, 3, tzinfo=UTC), datetime(2024, 5, 6, 10, 6, tzinfo=UTC)
    assert ids(export(place.connector(), replace(WINDOW, start=start, end=end), **CHANGED)) == [3, 4, 5]


def test_a_number_can_be_the_watermark(place: SqlPlace) -> None:
    add(place, 1, 2, 3, 4)
    options = {**ALL, "watermark": "id", "unique": ["id"], "overlap": 2}
    connector = place.connector()
    first = export(connector, replace(WINDOW, end=SCOPE.now), **options)
    add(place, 5)
    second = export(connector, next_window(first, end=SCOPE.now), **options)
    assert (ids(first), ids(second)) == ([1, 2, 3, 4], [5])
    assert second[-1].checkpoint == CheckpointValue({"watermark": 5}, second[-1].checkpoint.seen)


@pytest.mark.parametrize("options", [KEYSET, CHANGED])
def test_an_empty_ordering_column_stops_the_export_instead_of_losing_rows(
    place: SqlPlace, options: dict[str, object]
) -> None:
    place.execute("DROP TABLE birds")
    place.execute("CREATE TABLE birds (id integer, name text, changed_at text)")
    place.execute("INSERT INTO birds VALUES (1, 'a', '2024-05-06'), (NULL, 'b', NULL)")
    with pytest.raises(ConnectorError, match="is empty"):
        export(place.connector(), **options)


def test_columns_that_are_not_unique_stop_the_export_instead_of_losing_rows(place: SqlPlace) -> None:
    add(place, 1, 2, 3, 4)
    place.execute("UPDATE birds SET name = 'same'")
    with pytest.raises(ConnectorError, match="The columns name are not unique: two rows have same"):
        export(place.connector(), query="SELECT name FROM birds", unique=["name"])


def test_a_unique_column_that_the_query_does_not_return_is_named(place: SqlPlace) -> None:
    with pytest.raises(ConnectorError, match="code"):
        export(place.connector(), query="SELECT id FROM birds", unique=["code"])


def test_two_columns_of_one_name_are_refused(place: SqlPlace) -> None:
    add(place, 1)
    with pytest.raises(ConnectorError, match='two columns named "id"'):
        export(place.connector(), query="SELECT id, name AS id FROM birds")


def test_an_export_cannot_write(postgresql_target: SqlPlace) -> None:
    postgresql_target.execute("CREATE TABLE t (id integer); INSERT INTO t VALUES (1)")
    postgresql_target.execute(
        "CREATE FUNCTION sneak() RETURNS bigint LANGUAGE sql AS 'DELETE FROM t; SELECT 1::bigint'"
    )
    for options in ({"query": "SELECT sneak() AS id"}, {"query": "SELECT sneak() AS id", "unique": ["id"]}):
        with pytest.raises(ConnectorError, match="read-only"):
            export(postgresql_target.connector(), **options)
    assert postgresql_target.rows("SELECT id FROM t") == [(1,)]


def test_an_export_reads_on_while_its_own_connector_writes(place: SqlPlace) -> None:
    add(place, *range(1, 8))
    connector = place.connector()
    source = connector.open_export(SqlConnector.ExportOptions(**ALL), WINDOW)
    target = connector.open_import(SqlConnector.ImportOptions(operation="insert", table="birds"))
    seen = []
    for page in source.pages():
        connector.session().begin()
        bodies = [{**record, "id": record["id"] + 100} for record in page.records]  # type: ignore[index]
        assert target.write(batch_of(bodies)).failures == {}
        connector.session().commit()
        seen += ids([page])
    assert sorted(seen) == list(range(1, 8))
    assert place.rows("SELECT count(*) FROM birds") == [(14,)]


def test_postgresql_values_become_json_without_losing_digits_or_zones(postgresql_target: SqlPlace) -> None:
    query = r"""SELECT 5::numeric(10,0) AS whole, 1.50::numeric AS price, 0.12345678901234567890::numeric AS exact,
        'NaN'::float8 AS nan, '-Infinity'::float8 AS low, 'NaN'::numeric AS not_a_number, 0.1::float4 AS small,
        9007199254740993::bigint AS big, 123456789012345678901234567890::numeric AS huge,
        true AS yes, null AS nothing, '2024-05-06 10:00:00.5+02'::timestamptz AS at,
        '2024-05-06 10:00'::timestamp AS local, '2024-05-06'::date AS day,
        'infinity'::timestamptz AS ever, '0044-03-15 BC'::date AS ides, '26:10'::interval AS lasted,
        '10:30'::time AS clock, '\x00ff'::bytea AS raw, '{"a": [1, 1.5]}'::jsonb AS doc,
        ARRAY[1,2] AS list, ARRAY['a', null] AS texts,
        '10.0.0.1'::inet AS address, '[1,5)'::int4range AS span, '6b5d4f1e-0000-4000-8000-000000000001'::uuid AS uid"""
    [record] = records_of(export(postgresql_target.connector(), query=query))
    assert record == {
        "whole": 5,
        "price": 1.5,
        "exact": "0.12345678901234567890",
        "nan": "NaN",
        "low": "-Infinity",
        "not_a_number": "NaN",
        "small": 0.1,
        "big": 9007199254740993,
        "huge": "123456789012345678901234567890",
        "yes": True,
        "nothing": None,
        "at": "2024-05-06T08:00:00.5+00:00",
        "local": "2024-05-06T10:00:00",
        "day": "2024-05-06",
        "ever": "infinity",
        "ides": "0044-03-15 BC",
        "lasted": "PT26H10M",
        "clock": "10:30:00",
        "raw": "AP8=",
        "doc": {"a": [1, 1.5]},
        "list": [1, 2],
        "texts": ["a", None],
        "address": "10.0.0.1",
        "span": "[1,5)",
        "uid": "6b5d4f1e-0000-4000-8000-000000000001",
    }


def test_sqlite_values_become_json_and_a_text_that_is_none_is_set_aside(sqlite_target: SqlPlace) -> None:
    sqlite_target.execute("CREATE TABLE odd (id INTEGER PRIMARY KEY, value)")
    for value in ("1", "1.5", "'text'", "x'00ff'", "9e999", "NULL", "CAST(x'41ff42' AS TEXT)"):
        sqlite_target.execute(f"INSERT INTO odd (value) VALUES ({value})")
    records = records_of(export(sqlite_target.connector(), query="SELECT id, value FROM odd", unique=["id"]))
    assert [record["value"] for record in records[:6]] == [1, 1.5, "text", "AP8=", "Infinity", None]
    bad = records[6]
    assert isinstance(bad, BadRecord)
    assert (bad.raw, bad.place, bad.failure.field) == (b"A\xffB", "row 7", "value")
    assert bad.failure.message == 'Column "value" holds a text that is not UTF-8.'


def test_bytes_cannot_be_a_unique_column(place: SqlPlace) -> None:
    kind, literal = ("bytea", "'\\x00ff'") if place.is_postgresql else ("varbinary(9)", "x'00ff'")
    place.execute(f"CREATE TABLE raw (k {kind} PRIMARY KEY)")
    place.execute(f"INSERT INTO raw VALUES ({literal})")
    with pytest.raises(ConnectorError, match="The column k holds bytes"):
        export(place.connector(), query="SELECT k FROM raw", unique=["k"])


def test_the_unique_column_is_the_default_trace_key() -> None:
    assert SqlConnector.default_trace_key(SqlConnector.ExportOptions(**KEYSET)) == "id"
    assert SqlConnector.default_trace_key(SqlConnector.ExportOptions(**ALL)) is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"query": "SELECT 1", "unique": ["a", "a"]}, "twice"),
        ({"query": "SELECT 1", "overlap": 5}, "needs a watermark"),
        ({"query": "SELECT :a"}, "no expression for it"),
        ({"query": "SELECT :a", "parameters": {"a": "nothing.at.all"}}, "nothing"),
        ({"query": "INSERT INTO t VALUES (1)"}, "starts with INSERT"),
    ],
)
def test_wrong_options_are_told_when_the_flow_is_saved(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SqlConnector.ExportOptions(**options)
