"""A definition is read as a whole: every mistake at once, each with its place, its line and what to do."""

import pytest

from apps.flows.definition import Known
from tests.flows.definitions import KNOWN, STRIKES, flow_of, mistakes_of, read, told

TEN_MISTAKES = """\
flow: Wild Life
integration: {key: aviation, environment: prod}
schedule: {cron: "61 * * * *", time_zone: Europe/Berlinn}
overlapp: queue
page_size: many
steps:
  - key: strikes
    export: {connection: filez, path: birdstrikes.csv}
  - key: damaged
    filter: record.cost >
  - key: damaged
    map: {price: record.price.upper(), id: recrd.id}
"""


def test_a_definition_without_mistakes_is_read_with_its_defaults():
    definition = read(STRIKES)
    assert definition.head.shown_name == "Wildlife strikes"
    assert [step.key for step in definition.steps] == ["strikes", "damaged", "airport", "load"]
    assert definition.steps[1].shown_name == "Damaged"
    assert definition.scope == "record"
    assert definition.text == STRIKES


def test_ten_mistakes_are_told_at_once_each_with_its_place_and_line():
    found = {mistake.place: mistake.line for mistake in mistakes_of(TEN_MISTAKES)}
    assert found == {
        "flow": 1,
        "integration.environment": 2,
        "schedule.cron": 3,
        "schedule.time_zone": 3,
        "overlapp": 4,
        "page_size": 5,
        "steps[0].export.connection": 8,
        "steps[1].filter": 10,
        "steps[2].key": 11,
        "steps[2].map.price": 12,
        "steps[2].map.id": 12,
    }


def test_mistakes_speak_of_fields_and_values_not_of_the_validator():
    text = str("\n".join(map(str, mistakes_of(TEN_MISTAKES))))
    for jargon in ("Input should", "validat", "type=", "pydantic", "dict", "str_type", "NoneType"):
        assert jargon not in text


@pytest.mark.parametrize(
    ("head", "place", "sentence"),
    [
        ("page_size: many", "page_size", 'This must be a whole number, not the text "many".'),
        ("page_size: 0", "page_size", "This must be at least 1, but it is the number 0."),
        ("page_size: 20000", "page_size", "This must be at most 10000, but it is the number 20000."),
        ("enabled: perhaps", "enabled", 'This must be true or false, not the text "perhaps".'),
        ("name: 7", "name", "This must be text, not the number 7. put it in quotes"),
        ("description:", "description", "This must be text, not empty."),
        ("settings: [a]", "settings", "This must be a set of fields, not a list."),
        ("overlap: skipp", "overlap", 'not the text "skipp". did you mean skip?'),
        ("overlapp: skip", "overlapp", "There is no field overlapp here. did you mean overlap?"),
        ("scope: pages", "scope", 'This must be one of none, record, page, run, not the text "pages".'),
        ("max_records: 10", "max_records", "max_records bounds a run that is delivered as one"),
        ("parallel_pages: 2", "parallel_pages", "Pages that keep their order are delivered one after the other"),
        ("parallel_pages: 0", "parallel_pages", "This must be at least 1, but it is the number 0."),
        ("parallel_pages: 2\nscope: run", "parallel_pages", "The scope run delivers all pages of a run in one"),
        ("page_order: any", "page_order", 'This must be one of kept, free, not the text "any".'),
        ("scope: page", "scope", "The scope page holds what a page writes together"),
        ("scope: record", "scope", "no step of this flow imports into a target with transactions"),
        ("schedule: hourly", "schedule.cron", "five fields are needed (minute, hour, day, month, weekday)"),
        ("schedule: {cron: '0 0 30 2 *'}", "schedule.cron", "its day-of-month is not right"),
        ("schedule: {cron: '0 25 * * *'}", "schedule.cron", "its hour is not right. */5 * * * * is every five minutes"),
        ("schedule: {cron: '* * * * *', time_zone: Berlin}", "schedule.time_zone", '"Berlin" is no time zone'),
        ("run_after: airport", "run_after", "There is no flow airport. did you mean airports?"),
        ("run_after: orders", "run_after", "in a circle: orders after orders."),
        ("password: x", "password", "There is no field password here."),
    ],
)
def test_a_mistake_in_the_head_is_told_in_words(head, place, sentence):
    assert sentence in told(flow_of(head=head))[place]


@pytest.mark.parametrize(
    ("step", "place", "sentence"),
    [
        ("text", "steps[1]", 'A step is a set of fields, not the text "text".'),
        ("{key: a}", "steps[1]", "A step needs one of the fields export, lookup, map, filter, branch, import"),
        ("{key: a, fliter: record.x}", "steps[1]", "did you mean filter instead of fliter?"),
        ("{key: a, filter: record.x, log: hi}", "steps[1]", "A step is of one kind; this one is filter and log."),
        ("{filter: record.x}", "steps[1].key", "This field is needed."),
        ("{key: A b, filter: record.x}", "steps[1].key", "A key consists of a to z, digits, - and _"),
        ("{key: source, filter: record.x}", "steps[1].key", "The key source is taken by steps[0]"),
        ("{key: a, filter: record.x, mapping: {}}", "steps[1].mapping", "There is no field mapping here."),
        ("{key: a, filter: record.x ==}", "steps[1].filter", "column 12"),
        ("{key: a, filter: recrd.x}", "steps[1].filter", "did you mean record? (line 1, column 1)"),
        ("{key: a, filter: answer.x}", "steps[1].filter", "answer is not a known name"),
        ("{key: a, call: other}", "steps[1].call", "There is no flow other to call. there are airports"),
        ("{key: a, map: {}}", "steps[1].map", "A mapping needs at least one field."),
        ("{key: a, map: {x: }}", "steps[1].map.x", "This must be text, not empty."),
        ("{key: a, map: {a.b: record.x, a: record.y}}", "steps[1].map", "a"),
        ("{key: a, map: {x: record.x}, required: [y]}", "steps[1].required", "The mapping does not fill y."),
        ("{key: a, map: {'a b.c': record.}}", 'steps[1].map["a b.c"]', "can't be read"),
        ("{key: a, filter: record.x, on_error: skip}", "steps[1].on_error.policy", "one of set_aside, fail, ignore"),
        (
            "{key: a, filter: record.x, on_error: {policy: fail, seconds: 3}}",
            "steps[1].on_error",
            "only the policy retry",
        ),
        (
            "{key: a, filter: record.x, on_error: {policy: retry, attempts: 11}}",
            "steps[1].on_error.attempts",
            "This must be at most 10",
        ),
        ("{key: a, export: {connection: files, path: b.csv}}", "steps[1]", "A flow has exactly one export"),
        ("{key: a, branch: {}}", "steps[1].branch.ways", "A branch needs a list of ways"),
        ("{key: a, branch: {ways: [{steps: []}]}}", "steps[1].branch.ways[0].name", "This field is needed."),
        (
            "{key: a, branch: {ways: [{name: w, steps: [{key: e, export: {connection: files, path: b.csv}}]}]}}",
            "steps[1].branch.ways[0].steps[0]",
            "A flow has exactly one export",
        ),
        ("{key: a, branch: {ways: [{name: w}, {name: w}]}}", "steps[1].branch.ways[1].name", "Two ways of this branch"),
    ],
)
def test_a_mistake_in_a_step_is_told_in_words(step, place, sentence):
    assert sentence in told(flow_of(step))[place]


@pytest.mark.parametrize(
    ("block", "place", "sentence"),
    [
        ("import: warehouse", "import", "A set of fields is needed here (connection and the connector's options)"),
        ("import: {table: t}", "import.connection", "This field is needed. the name of a connection"),
        ("import: {conection: warehouse}", "import.conection", "did you mean connection?"),
        ("import: {connection: 7}", "import.connection", "This must be the name of a connection, not the number 7."),
        (
            "import: {connection: drop}",
            "import.connection",
            "There is no connection drop in the environment production.",
        ),
        ("import: {connection: warehose}", "import.connection", "did you mean warehouse?"),
        ("lookup: {connection: files, into: x}", "lookup.connection", "is of the kind file, and that cannot look up."),
        ("lookup: {connection: warehouse, table: t, match: {a: record.a}}", "lookup.into", "This field is needed."),
        (
            "lookup: {connection: warehouse, table: t, match: {a: record.}, into: x}",
            "lookup.match.a",
            "can't be read",
        ),
        (
            "import: {connection: warehouse, operation: upsert, tabel: t, keys: [a]}",
            "import.tabel",
            "There is no field tabel here. did you mean table?",
        ),
        ("import: {connection: warehouse, operation: upsert, table: t}", "import", 'The operation upsert needs "keys"'),
        ("import: {connection: warehouse, password: x}", "import.password", "There is no field password here."),
    ],
)
def test_a_mistake_in_a_connectors_options_is_told_in_its_place(block, place, sentence):
    assert sentence in told(flow_of(f"{{key: a, {block}}}"))[f"steps[1].{place}"]


def test_the_first_step_must_be_the_export():
    text = "flow: a\nintegration: b\nsteps:\n  - {key: x, filter: record.x}\n"
    assert "The first step must be an export" in told(text)["steps[0]"]


def test_a_definition_needs_steps():
    assert told("flow: a\nintegration: b\n")["steps"] == "A list of steps is needed here, not empty."
    assert told("flow: a\nintegration: b\nsteps: []\n")["steps"] == "A list of steps is needed here, not an empty list."


def test_flows_that_would_run_after_each_other_are_refused():
    known = Known(connections=KNOWN.connections, flows={"b": "c", "c": "orders", "orders": ""})
    assert told(flow_of(head="run_after: b"), known) == {
        "run_after": "Flows would run after each other in a circle: orders after b after c after orders."
    }


def test_a_step_key_keeps_its_kind_for_ever():
    known = Known(connections=KNOWN.connections, step_kinds=lambda flow: {"source": "export", "clean": "map"})
    sentence = told(flow_of("{key: clean, filter: record.x}"), known)["steps[1].key"]
    assert "The key clean belongs to a step of the kind map; it cannot become one of the kind filter." in sentence


def test_connections_are_those_of_the_integrations_environment():
    text = "flow: a\nintegration: trials\nsteps:\n  - {key: x, export: {connection: drop, path: a.csv}}\n"
    assert read(text).environment == "sandbox"
    assert "in the environment production" in told(text.replace("trials", "shop"))["steps[0].export.connection"]


def test_an_integration_never_changes_its_environment():
    text = flow_of().replace("integration: shop", "integration: {key: trials, environment: production}")
    assert "The integration trials is in the environment sandbox" in told(text)["integration.environment"]


def test_a_trace_key_reads_nothing_that_differs_between_runs():
    text = flow_of().replace("path: a.csv}", 'path: a.csv}, trace_key: "{{ run.id }}"')
    assert "run is not a known name" in told(text)["steps[0].trace_key"]


def test_a_response_mapping_may_read_the_answer():
    row = "{key: a, import: {connection: warehouse, table: t, operation: insert}, response_mapping: {id: answer.id}}"
    assert read(flow_of(row)).steps[1].response_mapping == {"id": "answer.id"}


def test_numbers_and_truth_values_may_stand_for_expressions():
    step = read(flow_of("{key: a, map: {one: 1, half: 0.5, yes: true}}")).steps[1]
    assert step.map == {"one": "1", "half": "0.5", "yes": "True"}


def test_too_many_steps_are_refused():
    rows = [f"{{key: s{number}, filter: record.x}}" for number in range(200)]
    assert "A flow has at most 200 steps." in told(flow_of(*rows))["steps[200]"]
