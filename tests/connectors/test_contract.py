"""The contract: these tests run on every registered connector, in every variant that its harnesses name."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from apps.connectors.base import ConnectionConfig, Connector, Options, options_for
from apps.connectors.registry import CONNECTORS
from apps.engine.ports import BadRecord, ConnectorError, Failure, Record, Repeats, SourcePage, Window
from tests.connectors.contract import CANARY, IMPATIENT, Harness, known_records, page_of, silent_server
from tests.connectors.filing import NOON
from tests.connectors.harnesses import HARNESSES

COUNT = 23
PAGE_SIZE = 5
SECRET_NAME = re.compile(r"password|secret|token|api_?key|passphrase|private_key|credential")
STEP_KINDS = ("export", "lookup", "import")

every_connector = pytest.mark.parametrize("connector", CONNECTORS.values(), ids=CONNECTORS)


def every_harness(*traits: str) -> pytest.MarkDecorator:
    """All variants that can do what the test needs."""
    wanted = [
        (kind, name)
        for kind, variants in HARNESSES.items()
        for name, variant in variants.items()
        if variant.traits.issuperset(traits)
    ]
    return pytest.mark.parametrize("harness", wanted, ids="-".join, indirect=True)


@pytest.fixture
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    kind, name = request.param
    with HARNESSES[kind][name].opening(tmp_path) as opened:
        assert opened.connector is CONNECTORS[kind]
        yield opened


def pages_of(
    harness: Harness, options: Record | None = None, config: Record | None = None, **window: Any
) -> list[SourcePage]:
    with harness.opened(config) as connector:
        chosen = harness.options("export", harness.export_options() if options is None else options)
        source = connector.open_export(chosen, Window(PAGE_SIZE, NOON, **window))
        try:
            return list(source.pages())
        finally:
            source.close()


def rows_of(pages: list[SourcePage]) -> list[Record | BadRecord]:
    return [row for page in pages for row in page.records]


def ids_of(rows: list[Record | BadRecord]) -> list[int]:
    return [int(row["id"]) for row in rows if not isinstance(row, BadRecord)]


def tells(text: str) -> bool:
    """Words for a person, ours or the application's own: no trace-back, no piece of a program."""
    return len(text) > 10 and " " in text and not re.search(r"Traceback|File \"|\w+Error\(|<\w+ object at|\n\n", text)


# --- what a connector says about itself ------------------------------------------------------------------------------
def test_every_registered_connector_has_a_harness_and_every_harness_a_connector() -> None:
    assert HARNESSES.keys() == CONNECTORS.keys()


@every_connector
def test_what_a_connector_offers_is_what_some_harness_tries(connector: type[Connector]) -> None:
    offered = {kind for kind in STEP_KINDS if options_for(connector, kind) is not None}
    tried = {trait for variant in HARNESSES[connector.kind].values() for trait in variant.traits}
    assert offered == tried & set(STEP_KINDS)


@every_connector
def test_a_connector_has_a_label_and_somebody_who_looks_after_it(connector: type[Connector]) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", connector.kind)
    assert connector.label
    assert connector.label[0].isupper()
    assert connector.maintainer


@every_connector
def test_every_field_has_a_label_and_a_help_text(connector: type[Connector]) -> None:
    models = [connector.Config, *filter(None, (options_for(connector, kind) for kind in STEP_KINDS))]
    silent = [
        f"{model.__name__}.{name}"
        for model in models
        for name, field in model.model_fields.items()
        if not field.title or not field.description or not tells(field.description)
    ]
    assert silent == []


@every_connector
def test_unknown_fields_are_refused_and_values_do_not_change(connector: type[Connector]) -> None:
    for model in [connector.Config, *filter(None, (options_for(connector, kind) for kind in STEP_KINDS))]:
        assert issubclass(model, Options)
        assert (model.model_config["extra"], model.model_config["frozen"]) == ("forbid", True)
        with pytest.raises(ValidationError, match="no_such_field"):
            model.model_validate({"no_such_field": 1})


@every_connector
def test_what_sounds_like_a_secret_is_one(connector: type[Connector]) -> None:
    assert issubclass(connector.Config, ConnectionConfig)
    named = {name for name in connector.Config.model_fields if SECRET_NAME.search(name)}
    assert named <= connector.Config.secret_fields()


@every_harness()
def test_secrets_show_in_no_text_of_a_connection(harness: Harness) -> None:
    model = harness.connector.Config
    secrets = dict.fromkeys(model.secret_fields(), CANARY)
    config = model.model_validate({**harness.config(), **secrets})
    assert all(isinstance(getattr(config, name), SecretStr) for name in secrets)
    assert CANARY not in f"{config!r} {config} {config.model_dump_json()} {config.model_dump()}"


@every_connector
def test_what_a_connector_cannot_do_it_says(connector: type[Connector]) -> None:
    missing = [kind for kind in STEP_KINDS if options_for(connector, kind) is None]
    for kind in missing:
        assert getattr(connector, f"open_{kind}") is getattr(Connector, f"open_{kind}")


# --- export ----------------------------------------------------------------------------------------------------------
@every_harness("export")
def test_an_export_gives_every_record_once_in_pages_of_the_size(harness: Harness) -> None:
    records = known_records(COUNT)
    harness.put_source(records)
    pages = pages_of(harness)
    rows = rows_of(pages)
    assert [{**row, "id": int(row["id"])} for row in rows if not isinstance(row, BadRecord)] == records
    assert max(len(page.records) for page in pages) == PAGE_SIZE


@every_harness("export")
def test_reading_goes_on_exactly_after_every_page(harness: Harness) -> None:
    harness.put_source(known_records(COUNT))
    pages = pages_of(harness)
    for index, page in enumerate(pages):
        position = json.loads(json.dumps(page.position))
        done = ids_of(rows_of(pages[: index + 1]))
        assert done + ids_of(rows_of(pages_of(harness, position=position))) == list(range(1, COUNT + 1))


@every_harness("export")
def test_the_same_window_read_twice_gives_the_same_pages(harness: Harness) -> None:
    harness.put_source(known_records(COUNT))
    assert [page.records for page in pages_of(harness)] == [page.records for page in pages_of(harness)]


@every_harness("export")
def test_a_source_without_records_has_no_rows(harness: Harness) -> None:
    harness.put_source([])
    assert rows_of(pages_of(harness)) == []


@every_harness("export", "spoiled")
def test_a_row_that_is_no_record_is_one_bad_record_among_the_others(harness: Harness) -> None:
    harness.put_source(known_records(COUNT), spoiled_at=11)
    rows = rows_of(pages_of(harness))
    bad = [row for row in rows if isinstance(row, BadRecord)]
    assert ids_of(rows) == [number for number in range(1, COUNT + 1) if number != 12]
    assert len(bad) == 1
    assert bad[0].raw
    assert bad[0].place
    assert tells(bad[0].failure.message)


@every_harness("export")
def test_an_export_of_what_is_not_there_fails_with_a_sentence(harness: Harness) -> None:
    harness.put_source(known_records(1))
    with pytest.raises(ConnectorError) as caught:
        pages_of(harness, harness.missing_export_options())
    assert tells(caught.value.message)
    assert caught.value.code


@every_harness("export")
def test_an_export_may_be_finished_and_closed_twice(harness: Harness) -> None:
    harness.put_source(known_records(COUNT))
    with harness.opened() as connector:
        source = connector.open_export(harness.options("export", harness.export_options()), Window(PAGE_SIZE, NOON))
        assert len(rows_of(list(source.pages()))) == COUNT
        source.finish()
        source.finish()
        source.close()
        source.close()


@every_harness("export")
def test_an_export_left_in_the_middle_is_closed_without_a_word(harness: Harness) -> None:
    harness.put_source(known_records(COUNT))
    with harness.opened() as connector:
        source = connector.open_export(harness.options("export", harness.export_options()), Window(PAGE_SIZE, NOON))
        pages = iter(source.pages())
        assert len(next(pages).records) == PAGE_SIZE
        source.close()
    assert len(rows_of(pages_of(harness))) == COUNT


# --- lookup ----------------------------------------------------------------------------------------------------------
@every_harness("lookup")
def test_a_lookup_answers_every_record_in_its_place(harness: Harness) -> None:
    records = known_records(3)
    harness.put_source(records)
    asked = [{"id": 3}, {"id": 99}, {"id": 1}, {"id": 3}]
    with harness.opened() as connector:
        lookup = connector.open_lookup(harness.options("lookup", harness.lookup_options()))
        answers = list(lookup.find(asked, page_of(asked).scope))
    assert answers == [[records[2]], [], [records[0]], [records[2]]]


@every_harness("lookup")
def test_a_record_that_cannot_be_looked_up_fails_alone(harness: Harness) -> None:
    records = known_records(2)
    harness.put_source(records)
    asked = [{"id": 1}, {"other": 5}, {"id": 2}]
    with harness.opened() as connector:
        lookup = connector.open_lookup(harness.options("lookup", harness.lookup_options()))
        answers = list(lookup.find(asked, page_of(asked).scope))
    assert isinstance(answers[1], Failure)
    assert [answers[0], answers[2]] == [[records[0]], [records[1]]]


# --- import ----------------------------------------------------------------------------------------------------------
@every_harness("import")
def test_what_was_written_is_there(harness: Harness) -> None:
    records = known_records(COUNT)
    assert harness.deliver(page_of(records)).failures == {}
    assert harness.stored() == records


@every_harness("import")
def test_the_same_page_delivered_twice_is_there_once(harness: Harness) -> None:
    records = known_records(COUNT)
    for is_last in (False, True):
        harness.deliver(page_of(records[:10]), end=False)
        harness.deliver(page_of(records[10:], first=10), end=is_last)
    assert harness.stored() == records


@every_harness("import")
def test_a_target_says_what_a_repeat_does(harness: Harness) -> None:
    with harness.opened() as connector:
        target = connector.open_import(harness.options("import", harness.import_options()))
        assert target.repeats in {Repeats.SAFE, Repeats.KEYED, Repeats.LEDGER}
        assert target.transactional == (connector.session() is not None) == harness.connector.is_transactional()


@every_harness("import")
def test_a_record_that_is_refused_fails_alone(harness: Harness) -> None:
    records = known_records(COUNT)
    bodies: list[Record] = [*records[:7], harness.bad_body(8), *records[8:]]
    written = harness.deliver(page_of(bodies))
    assert list(written.failures) == [7]
    failure = written.failures[7]
    assert failure.code
    assert len(failure.message) > 10
    assert harness.stored() == [record for record in records if record["id"] != 8]


@every_harness("import")
def test_a_page_of_refused_records_leaves_nothing_and_breaks_nothing(harness: Harness) -> None:
    written = harness.deliver(page_of([harness.bad_body(1), harness.bad_body(2)]), end=False)
    assert list(written.failures) == [0, 1]
    assert harness.deliver(page_of(known_records(3), first=2)).failures == {}
    assert harness.stored() == known_records(3)


# --- connections -----------------------------------------------------------------------------------------------------
@every_harness()
def test_the_test_button_says_what_was_tried_and_found(harness: Harness) -> None:
    with harness.opened() as connector:
        ping = connector.ping()
    assert ping.is_ok, ping.found
    assert ping.tried
    assert tells(ping.found)


@every_harness()
def test_a_broken_connection_is_told_in_a_sentence_without_its_secrets(harness: Harness) -> None:
    with harness.opened(harness.broken_config()) as connector:
        ping = connector.ping()
    assert not ping.is_ok
    assert tells(ping.found)
    assert CANARY not in f"{ping!r}"


@every_harness("export")
def test_an_export_through_a_broken_connection_fails_with_a_sentence_without_secrets(harness: Harness) -> None:
    with pytest.raises(ConnectorError) as caught:
        pages_of(harness, config=harness.broken_config())
    assert tells(caught.value.message)
    assert CANARY not in f"{caught.value.message} {caught.value!r} {caught.value.failure()!r}"


@every_harness("silent")
def test_an_application_that_never_answers_is_given_up_in_time(harness: Harness) -> None:
    harness.limits = IMPATIENT
    begun = monotonic()
    with silent_server() as port, harness.opened(harness.hanging_config(port)) as connector:
        ping = connector.ping()
    assert not ping.is_ok
    assert CANARY not in f"{ping!r}"
    assert monotonic() - begun <= IMPATIENT.connect_s + 2.5  # libpq waits for two seconds at least


@every_harness()
def test_a_connection_may_be_closed_twice_and_before_it_was_used(harness: Harness) -> None:
    with harness.opened() as connector:
        connector.close()
        connector.close()
    with harness.opened() as connector:
        connector.ping()
        connector.close()
        connector.close()
