"""Definitions with mistakes are refused as a whole; expressions that fail on a record pin that record and its field."""

import json
from itertools import product

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.flows.definition import DefinitionError
from apps.flows.models import Flow, Integration, Revision, Step
from apps.runs.statuses import RunOutcome
from tests.scenarios.scene import DEFINITION, UPSERT, Scene, in_words

pytestmark = pytest.mark.django_db

TEN_MISTAKES = """\
flow: Orders of today
integration: {key: trial, environment: prod}
schedule: {cron: "61 * * * *", time_zone: Europe/Viena}
page_size: plenty
owner: me
steps:
  - key: source
    export: {connection: filez, path: ../../etc/passwd}
  - key: kept
    filter: record.amount >
  - key: kept
    map: {price: record.price.format(1), id: recrd.id}
  - key: load
    import: {connection: target, operation: upsert, table: orders}
    on_error: {policy: sometimes}
"""
PLACES = [
    "flow", "integration.environment", "owner", "page_size", "schedule.cron", "schedule.time_zone",
    "steps[0].export.connection", "steps[1].filter", "steps[2].key", "steps[2].map.id", "steps[2].map.price",
    "steps[3].import", "steps[3].on_error.policy",
]  # fmt: skip


def rows_of_flows() -> tuple[int, ...]:
    return tuple(model.unscoped.count() for model in (Flow, Step, Revision, Integration))


def test_a_definition_with_more_than_ten_mistakes_tells_all_with_their_places_and_applies_nothing(sqlite_scene):
    before = rows_of_flows()

    with pytest.raises(DefinitionError) as caught:
        sqlite_scene.apply(TEN_MISTAKES)

    mistakes = caught.value.mistakes
    assert sorted({mistake.place for mistake in mistakes}) == PLACES
    assert all(mistake.line for mistake in mistakes)
    assert in_words(map(str, mistakes))
    assert rows_of_flows() == before


def test_a_flow_goes_on_as_it_was_when_its_new_definition_has_mistakes(sqlite_scene):
    sqlite_scene.write("a.jsonl", '{"id": 1, "amount": 1}')
    flow = sqlite_scene.flow_of_file("a.jsonl")
    before = rows_of_flows()

    with pytest.raises(DefinitionError):
        sqlite_scene.flow_of_file("b.jsonl", change=lambda text: text.replace("record.amount", "record.amount +"))

    assert rows_of_flows() == before
    assert sqlite_scene.run(flow).outcome == RunOutcome.COMPLETED


def test_the_command_tells_every_mistake_and_no_trace(sqlite_scene, tmp_path, capsys):
    path = tmp_path / "orders.yaml"
    path.write_text(TEN_MISTAKES)

    with pytest.raises((CommandError, SystemExit)) as caught:
        call_command("flow", "apply", str(path), "--account", sqlite_scene.account.name)

    told = str(caught.value) + "".join(capsys.readouterr())
    assert all(place in told for place in PLACES)
    assert in_words([told])


# --- bombs --------------------------------------------------------------------------------------------------------
BOMBS = [
    "9 ** 9 ** 9 ** 9",
    "10 ** 10 ** 10",
    "'x' * 1000000000",
    "[0] * 1000000000",
    "record.__class__.__mro__",
    "().__class__.__base__.__subclasses__()",
    "__import__('os').system('id')",
    "open('/etc/passwd').read()",
    "eval('1')",
    "(lambda: 0)()",
    "[a for a in record.a for b in record.a for c in record.a]",
    "[[b for b in record.a] for a in record.a]",
    "f'{record.id:1000000000}'",
    "'{:1000000000}'.format(1)",
    "'%1000000000d' % 1",
    "[" * 100 + "]" * 100,
    "not " * 1000 + "1",
    "1" + " + 1" * 3000,
    "a := 1",
    "yield 1",
    "await record",
    "record.a; record.b",
    "*record.a",
    "1" * 5000,
]
PARTS = {"filter": "filter: {}", "map": "map: {{field: {}}}", "log": "log: {}"}


@pytest.mark.parametrize(("part", "bomb"), list(product(PARTS, BOMBS)))
def test_an_expression_bomb_is_refused_in_its_place_or_fails_on_the_record(sqlite_scene, part, bomb):
    source = "{{ " + bomb + " }}" if part == "log" else bomb
    step = f"  - key: bomb\n    {PARTS[part].format(json.dumps(source))}\n  - key: load"
    sqlite_scene.write("a.jsonl", '{"id": 1, "amount": 1, "a": [1, 2, 3]}')

    try:
        flow = sqlite_scene.flow_of_file("a.jsonl", change=lambda text: text.replace("  - key: load", step))
    except DefinitionError as error:
        (mistake,) = error.mistakes
        assert mistake.place.startswith("steps[1]."), mistake
        assert in_words([str(mistake)])
        assert Flow.unscoped.count() == 0
    else:
        run = sqlite_scene.run(flow)
        error = sqlite_scene.only_error(run)
        assert error.step.key == "bomb"
        assert in_words([error.message])
        assert sqlite_scene.loaded() == []


def test_a_bomb_that_needs_data_to_go_off_fails_on_that_record_alone(scene):
    rows = [{"id": n, "amount": 1, "power": 10**n} for n in range(10)]
    scene.write("a.jsonl", "\n".join(map(json.dumps, rows)))
    flow = scene.flow_of_file(
        "a.jsonl", change=lambda text: text.replace("record.amount", "length(text(7 ** record.power))")
    )
    run = scene.run(flow)

    failed = [error.ordinal for error in scene.errors(run)]
    assert failed == list(range(failed[0], 10))
    assert scene.loaded() == list(range(failed[0]))
    assert in_words(scene.messages(run))


# --- records that do not fit an expression ------------------------------------------------------------------------
def test_an_expression_that_fails_on_some_records_pins_exactly_these_with_field_and_value(scene):
    prices = ["12.50", "a lot", "7", None, "", "1,5", "9" * 30, "3"]
    rows = [{"id": n, "amount": 1, "price": price} for n, price in enumerate(prices)] + [{"id": 8, "amount": 1}]
    scene.write("a.jsonl", "\n".join(map(json.dumps, rows)))
    change = ("record.amount", "round(number(record.price))")
    run = scene.run(scene.flow_of_file("a.jsonl", change=lambda text: text.replace(*change)))

    told = {error.ordinal: error for error in scene.errors(run)}
    assert run.outcome == RunOutcome.COMPLETED_WITH_ERRORS
    assert scene.loaded() == [0, 2, 7]
    assert sorted(told) == [1, 3, 4, 5, 6, 8]
    assert all(error.cause.source in {"mapping", "application"} for error in told.values())
    assert '"a lot"' in told[1].message
    assert '"1,5"' in told[5].message
    assert all(error.effects["field"] == "amount" for error in told.values())
    assert all("amount" in error.message for error in told.values())
    assert "price is missing" in told[8].message
    assert [json.loads(scene.retry_data(told[n])) for n in (1, 8)] == [rows[1], rows[8]]


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("    input_filter: record.amount > 3\n", "input_filter"),
        ("    output_filter: record.amount > 3\n", "output_filter"),
    ],
)
def test_a_filter_that_fails_on_a_record_is_an_error_of_that_filter(scene, part, source):
    rows = [{"id": 1, "amount": 5}, {"id": 2, "amount": "many"}, {"id": 3, "amount": 1}]
    scene.write("a.jsonl", "\n".join(map(json.dumps, rows)))
    after = "  - key: checked\n    map: {seen: 'True'}\n    keep: true\n" + part
    run = scene.run(
        scene.flow_of_file("a.jsonl", change=lambda text: text.replace("  - key: load", after + "  - key: load"))
    )

    error = scene.only_error(run)
    assert (error.ordinal, error.cause.source, error.step.key) == (1, source, "checked")
    assert '"many"' in error.message
    assert in_words([error.message])


def test_a_trace_key_that_cannot_be_worked_out_falls_back_to_the_usual_field(scene: Scene):
    scene.write("a.jsonl", '{"id": 1, "amount": -1, "code": "A"}\n{"id": 2, "amount": -1}\n')
    text = DEFINITION.format(key="orders", export="{connection: files, path: a.jsonl}", load=UPSERT, page_size=10)
    run = scene.run(scene.apply(text.replace("record.id }}", "record.code }}")))

    assert [error.key for error in scene.errors(run)] == ["A", "2"]
