"""Imports into a real PostgreSQL and a real SQLite: what is written, and which record is blamed for what."""

import pytest

from apps.connectors.sql.connector import SqlConnector
from apps.engine.ports import ConnectorError, Record, Repeats
from tests.fakes.databases import SqlPlace, batch_of, write

UPSERT = {"operation": "upsert", "table": "strikes", "keys": ["id"]}
INSERT = {"operation": "insert", "table": "strikes"}


def strike(number: int, **changes: object) -> Record:
    good: Record = {"id": number, "species": "Gull", "speed": 120, "cost": 12.5, "seen_on": "2024-05-06"}
    return {**good, **changes}


def messages(written: object) -> dict[int, str]:
    return {index: failure.message for index, failure in written.failures.items()}  # type: ignore[attr-defined]


BAD = {
    7: ({"species": None}, "missing", "species"),
    53: ({"speed": "very fast"}, "parse/value", "speed"),
    119: ({"cost": -1.5}, "value", None),
    120: ({"species": "X" * 21}, "value/too_large", None),
    340: ({"id": 5}, "duplicate", "id"),
    561: ({"colour": "red"}, "value", "colour"),
    602: ({"species": "Gu\x00ll"}, "value", "species"),
    777: ({"species": "Gull\ud800"}, "value", "species"),
    888: ({"cost": float("nan")}, "value", "cost"),
    999: ({"speed": 2**80}, "value", "speed"),
}
WITH_NUL = 602
"""MariaDB keeps a NUL as any other character."""


def test_of_a_thousand_records_exactly_the_ten_bad_ones_fail_each_with_its_field(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    bodies = [strike(number, **BAD[number][0]) if number in BAD else strike(number) for number in range(1000)]
    written = write(sql_target.connector(), bodies, **INSERT)
    bad = {number: told for number, told in BAD.items() if not (sql_target.is_mariadb and number == WITH_NUL)}
    assert sorted(written.failures) == sorted(bad)
    for number, (_, expected, field) in bad.items():
        failure = written.failures[number]
        assert failure.classification in expected.split("/"), (number, failure)
        assert failure.source == "application"
        if field:
            assert failure.field == field, (number, failure)
    stored = {row[0] for row in sql_target.rows("SELECT id FROM strikes")}
    assert stored == set(range(1000)) - set(bad)


def test_postgresql_gives_its_own_code_and_words(postgresql_target: SqlPlace) -> None:
    postgresql_target.make_strikes()
    bodies = [strike(1), strike(1), strike(2, cost=-3), strike(3, seen_on="6 May"), strike(4, cost=10**9)]
    failures = write(postgresql_target.connector(), bodies, **INSERT).failures
    assert {at: (f.code, f.message) for at, f in failures.items()} == {
        1: (
            "23505",
            'duplicate key value violates unique constraint "strikes_pkey". Key (id)=(1) already exists.',
        ),
        2: ("23514", 'new row for relation "strikes" violates check constraint "cost_not_negative"'),
        3: ("22007", 'Column "seen_on": invalid input syntax for type date: "6 May"'),
        4: (
            "22003",
            'Column "cost": numeric field overflow. '
            "A field with precision 10, scale 2 must round to an absolute value less than 10^8.",
        ),
    }


def test_sqlite_gives_its_extended_code_and_words(sqlite_target: SqlPlace) -> None:
    sqlite_target.make_strikes()
    bodies = [strike(1), strike(1), strike(2, cost=-3), strike(3, species=None), strike(4, speed="fast")]
    failures = write(sqlite_target.connector(), bodies, **INSERT).failures
    assert {at: (f.code, f.message, f.field) for at, f in failures.items()} == {
        1: ("SQLITE_CONSTRAINT_PRIMARYKEY", "UNIQUE constraint failed: strikes.id", "id"),
        2: ("SQLITE_CONSTRAINT_CHECK", "CHECK constraint failed: cost_not_negative", None),
        3: ("SQLITE_CONSTRAINT_NOTNULL", "NOT NULL constraint failed: strikes.species", "species"),
        4: ("SQLITE_CONSTRAINT_DATATYPE", "cannot store TEXT value in INTEGER column strikes.speed", "speed"),
    }


def test_an_upsert_updates_what_is_there_and_a_later_record_of_the_same_key_wins(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    connector = sql_target.connector()
    write(connector, [strike(1, species="Old")], **UPSERT)
    bodies = [strike(1, species=f"v{n}") for n in range(30)] + [strike(2), strike(1, species="last")]
    assert write(connector, bodies, **UPSERT).failures == {}
    assert sql_target.rows("SELECT id, species FROM strikes ORDER BY id") == [(1, "last"), (2, "Gull")]


def test_keys_that_only_the_database_finds_equal_keep_their_order(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    bodies = [strike(1, species="first"), strike("1", species="second"), strike(1, species="third")]  # type: ignore[arg-type]
    assert write(sql_target.connector(), bodies, **UPSERT).failures == {}
    assert sql_target.rows("SELECT species FROM strikes") == [("third",)]


def test_records_with_different_fields_keep_their_order_by_key_and_leave_other_columns_alone(
    sql_target: SqlPlace,
) -> None:
    sql_target.make_strikes()
    bodies: list[Record] = [
        strike(1, speed=1),
        {"id": 1, "species": "Heron"},
        {"species": "Owl", "id": 1, "speed": 3},
        {"id": 1, "species": "Kite"},
        {"id": 2, "species": "Tern"},
    ]
    assert write(sql_target.connector(), bodies, **UPSERT).failures == {}
    rows = sql_target.rows("SELECT id, species, speed FROM strikes ORDER BY id")
    assert rows == [(1, "Kite", 3), (2, "Tern", None)]


def test_an_unknown_column_is_named_with_the_columns_that_there_are(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    written = write(sql_target.connector(), [strike(1), strike(2, colour="red")], **INSERT)
    assert messages(written) == {
        1: 'Column "colour" does not exist in table strikes. It has: id, species, speed, cost, seen_on, details.'
    }


def test_named_columns_are_written_and_other_fields_ignored(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    written = write(sql_target.connector(), [strike(1, colour="red")], columns=["id", "species"], **INSERT)
    assert written.failures == {}
    assert sql_target.rows("SELECT id, species, speed FROM strikes") == [(1, "Gull", None)]


def test_an_update_or_delete_without_a_row_fails_as_missing(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    connector = sql_target.connector()
    write(connector, [strike(n) for n in range(3)], **INSERT)
    bodies = [{"id": 0, "species": "Owl"}, {"id": 9, "species": "Owl"}, {"id": 2, "species": "Owl"}]
    update = write(connector, bodies, operation="update", table="strikes", keys=["id"])
    assert messages(update) == {1: "No row of strikes has id = 9."}
    assert update.failures[1].classification == "missing"
    delete = write(connector, bodies, operation="delete", table="strikes", keys=["id"])
    assert sorted(delete.failures) == [1]
    assert sql_target.rows("SELECT id, species FROM strikes") == [(1, "Gull")]


def test_missing_rows_can_be_ignored(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    options = {"operation": "update", "table": "strikes", "keys": ["id"], "ignore_missing": True}
    assert write(sql_target.connector(), [{"id": 9, "species": "Owl"}], **options).failures == {}


def test_updates_of_one_row_in_one_page_keep_their_order(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    connector = sql_target.connector()
    write(connector, [strike(1)], **INSERT)
    bodies = [{"id": 1, "species": "a"}, {"id": "1", "species": "b"}, {"id": 1, "species": "c"}]
    assert write(connector, bodies, operation="update", table="strikes", keys=["id"]).failures == {}
    assert sql_target.rows("SELECT species FROM strikes") == [("c",)]


@pytest.mark.parametrize("operation", ["update", "upsert", "delete"])
def test_a_record_without_its_key_fails_as_missing(sql_target: SqlPlace, operation: str) -> None:
    sql_target.make_strikes()
    bodies = [{"id": None, "species": "Owl"}, {"species": "Owl"}]
    written = write(sql_target.connector(), bodies, operation=operation, table="strikes", keys=["id"])
    assert messages(written) == {
        0: f'The field "id" is empty, but the {operation} needs it as its key.',
        1: f'The record has no field "id", which the {operation} needs as its key.',
    }


def test_a_statement_binds_fields_and_expressions_by_name(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    options = {
        "operation": "statement",
        "statement": "INSERT INTO strikes (id, species, speed) VALUES (:id, :name, :speed) -- ':none'",
        "parameters": {"name": "upper(record.species)"},
    }
    bodies = [{"id": n, "species": "owl", "speed": n} for n in range(50)]
    bodies[20]["speed"] = "x"
    bodies[30] = {"id": 30, "species": "owl"}
    bodies[40]["species"] = 5
    bodies[45]["id"] = 1
    written = write(sql_target.connector(), bodies, **options)
    assert sorted(written.failures) == [20, 30, 45]
    assert written.failures[30].message == "The statement needs :speed, but the record has no such field."
    assert sql_target.rows("SELECT species FROM strikes WHERE id = 7") == [("OWL",)]


def test_an_expression_that_fails_names_its_parameter(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    options = {
        "operation": "statement",
        "statement": "DELETE FROM strikes WHERE id = :id",
        "parameters": {"id": "number(record.code)"},
    }
    failure = write(sql_target.connector(), [{"code": "abc"}], **options).failures[0]
    assert failure.message.startswith("Parameter id: ")
    assert (failure.field, failure.classification) == ("id", "parse")


def test_nested_values_go_into_json_columns_and_dates_into_date_columns(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    details = {"a": [1, {"b": None}]}
    write(sql_target.connector(), [strike(1, details=details)], **INSERT)
    if sql_target.is_postgresql:
        assert sql_target.rows("SELECT details, seen_on::text FROM strikes") == [(details, "2024-05-06")]
    else:
        assert sql_target.rows("SELECT details, CAST(seen_on AS CHAR) FROM strikes") == [
            ('{"a":[1,{"b":null}]}', "2024-05-06")
        ]


def test_a_nested_value_for_a_text_column_is_refused_in_words(postgresql_target: SqlPlace) -> None:
    postgresql_target.make_strikes()
    written = write(postgresql_target.connector(), [strike(1, species=["a"]), strike(2)], **INSERT)
    assert messages(written) == {
        0: 'The field "species" holds a list, but the column is of the type character varying(20); '
        "map it to single fields."
    }


def test_deep_wide_and_large_values_fail_alone_or_are_stored(postgresql_target: SqlPlace) -> None:
    postgresql_target.execute("CREATE TABLE wide (id integer PRIMARY KEY, amount numeric, text text, doc jsonb)")
    deep: Record = {}
    for _ in range(100_000):
        deep = {"d": deep}
    moderately_deep: Record = {}
    for _ in range(400):
        moderately_deep = {"d": moderately_deep}
    bodies = [{"id": n, "amount": 1, "text": "x", "doc": None} for n in range(25)]
    bodies[3]["amount"] = 10**60
    bodies[5]["text"] = "é" * 1_000_000
    bodies[7]["doc"] = deep
    bodies[9]["doc"] = moderately_deep
    bodies[11]["doc"] = {"a": ["\x00"]}
    written = write(postgresql_target.connector(), bodies, operation="insert", table="wide")
    assert {at: f.field for at, f in written.failures.items()} == {7: "doc", 11: "doc"}
    assert postgresql_target.rows("SELECT amount FROM wide WHERE id = 3") == [(10**60,)]
    assert postgresql_target.rows("SELECT length(text) FROM wide WHERE id = 5") == [(1_000_000,)]


def test_deferred_constraints_blame_their_record(postgresql_target: SqlPlace) -> None:
    postgresql_target.execute("CREATE TABLE birds (id integer PRIMARY KEY)")
    postgresql_target.execute(
        "CREATE TABLE hits (id integer PRIMARY KEY, bird integer REFERENCES birds DEFERRABLE INITIALLY DEFERRED)"
    )
    postgresql_target.execute("INSERT INTO birds VALUES (1)")
    bodies = [{"id": 1, "bird": 1}, {"id": 2, "bird": 9}, {"id": 3, "bird": 1}]
    failures = write(postgresql_target.connector(), bodies, operation="insert", table="hits").failures
    assert list(failures) == [1]
    assert (failures[1].code, failures[1].classification, failures[1].field) == ("23503", "missing", "bird")
    assert failures[1].message.endswith('Key (bird)=(9) is not present in table "birds".')


def test_bytes_travel_as_base64(postgresql_target: SqlPlace) -> None:
    postgresql_target.execute("CREATE TABLE files (id integer PRIMARY KEY, body bytea)")
    bodies = [{"id": 1, "body": "AP8="}, {"id": 2, "body": "\\x00ff"}, {"id": 3, "body": "not base64!"}]
    written = write(postgresql_target.connector(), bodies, operation="upsert", table="files", keys=["id"])
    assert list(written.failures) == [2]
    assert postgresql_target.rows("SELECT body FROM files ORDER BY id") == [(b"\x00\xff",), (b"\x00\xff",)]


def test_a_trigger_speaks_for_itself(postgresql_target: SqlPlace) -> None:
    postgresql_target.make_strikes()
    postgresql_target.execute(
        "CREATE FUNCTION no_owls() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.species = 'Owl' THEN RAISE EXCEPTION 'Owls are protected'; END IF; RETURN NEW; END $$"
    )
    postgresql_target.execute("CREATE TRIGGER no_owls BEFORE INSERT ON strikes FOR EACH ROW EXECUTE FUNCTION no_owls()")
    written = write(postgresql_target.connector(), [strike(1), strike(2, species="Owl")], **INSERT)
    assert messages(written) == {1: "Owls are protected"}


def test_a_role_that_may_not_create_functions_pins_the_same_records(postgresql_target: SqlPlace) -> None:
    postgresql_target.make_strikes()
    connector = postgresql_target.connector()
    connector._database.link.connection()  # type: ignore[attr-defined]
    connector._database.link.may_create_functions = False  # type: ignore[attr-defined]
    bad = {number: changes for number, (changes, _, _) in BAD.items()}
    bodies = [strike(number, **bad.get(number, {})) for number in range(1000)]
    written = write(connector, bodies, **INSERT)
    assert sorted(written.failures) == sorted(BAD)
    assert postgresql_target.rows("SELECT count(*) FROM strikes") == [(990,)]
    update = {"operation": "update", "table": "strikes", "keys": ["id"]}
    assert list(write(connector, [strike(0), strike(7), strike(8)], **update).failures) == [1]
    statement = {"operation": "statement", "statement": "UPDATE strikes SET speed = :speed WHERE id = :id"}
    assert list(write(connector, [strike(0, speed="x"), strike(1, speed=77)], **statement).failures) == [0]
    assert postgresql_target.rows("SELECT speed FROM strikes WHERE id = 1") == [(77,)]


def test_a_table_that_does_not_exist_concerns_the_whole_page(sql_target: SqlPlace) -> None:
    with pytest.raises(ConnectorError, match="There is no table strikes in the") as caught:
        write(sql_target.connector(), [strike(1)], **INSERT)
    assert caught.value.classification == "missing"


def test_an_upsert_without_a_unique_index_says_which_there_are(postgresql_target: SqlPlace) -> None:
    postgresql_target.make_strikes()
    with pytest.raises(ConnectorError, match="needs a unique index over exactly these columns") as caught:
        write(postgresql_target.connector(), [strike(1)], operation="upsert", table="strikes", keys=["species"])
    assert "The table has unique indexes over: id." in caught.value.message


def test_a_wrong_statement_concerns_the_whole_page_and_leaves_the_session_usable(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    connector = sql_target.connector()
    with pytest.raises(ConnectorError):
        write(connector, [strike(1)], operation="statement", statement="INSERT INTO nowhere VALUES (:id)")
    assert write(connector, [strike(1)], **INSERT).failures == {}


def test_a_stop_leaves_the_rest_for_later(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    connector = sql_target.connector()
    target = connector.open_import(SqlConnector.ImportOptions(**INSERT))
    connector.session().begin()
    calls = 10 if sql_target.is_mariadb else 1
    asked = iter([False] * calls + [True] * 20)
    written = target.write(batch_of([strike(n) for n in range(2500)], stop=lambda: next(asked)))
    connector.session().commit()
    assert sorted(written.not_sent) == list(range(1000, 2500))
    assert sql_target.rows("SELECT count(*) FROM strikes") == [(1000,)]


def test_writing_without_a_transaction_is_a_mistake_of_the_caller(sql_target: SqlPlace) -> None:
    sql_target.make_strikes()
    target = sql_target.connector().open_import(SqlConnector.ImportOptions(**INSERT))
    with pytest.raises(AssertionError):
        target.write(batch_of([strike(1)]))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"operation": "insert", "table": "t"}, Repeats.LEDGER),
        ({"operation": "insert", "table": "t", "ledger": False}, Repeats.UNSAFE),
        ({"operation": "statement", "statement": "UPDATE t SET a = 1"}, Repeats.LEDGER),
        ({"operation": "delete", "table": "t", "keys": ["id"]}, Repeats.LEDGER),
        ({"operation": "delete", "table": "t", "keys": ["id"], "ledger": False}, Repeats.SAFE),
        ({"operation": "upsert", "table": "t", "keys": ["id"]}, Repeats.SAFE),
        ({"operation": "update", "table": "t", "keys": ["id"]}, Repeats.SAFE),
        ({"operation": "update", "table": "t", "keys": ["id"], "ledger": True}, Repeats.LEDGER),
    ],
)
def test_each_operation_says_what_a_repeat_does(
    sqlite_target: SqlPlace, options: dict[str, object], expected: Repeats
) -> None:
    target = sqlite_target.connector().open_import(SqlConnector.ImportOptions(**options))
    assert target.repeats is expected
    assert target.transactional


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"operation": "upsert", "table": "t"}, 'needs "keys"'),
        ({"operation": "insert"}, 'needs "table"'),
        ({"operation": "statement", "table": "t"}, 'needs "statement"'),
        ({"operation": "statement", "statement": "DROP TABLE t"}, "starts with DROP"),
        ({"operation": "statement", "statement": "DELETE FROM t; DELETE FROM u"}, "nothing may follow the semicolon"),
        ({"operation": "update", "table": "t", "keys": ["id"], "columns": ["a"]}, "keys must be among the columns"),
    ],
)
def test_wrong_options_are_told_when_the_flow_is_saved(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SqlConnector.ImportOptions(**options)
