"""Writing files: parts are kept safely, the file appears whole at the end of the run, and nothing is there twice."""

import csv
import errno
import gzip
import io
import json
import os
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.connectors.files import publish as publishing
from apps.connectors.files.options import FileImportOptions
from apps.connectors.files.root import HIDDEN
from apps.engine.ports import Classification, ConnectorError, Outage, Record
from tests.connectors.filing import NOON, Filing, batch_of


def written_ids(filing: Filing, name: str = "out.jsonl") -> list[int]:
    return [json.loads(line)["id"] for line in filing.text(name).splitlines()]


def records(*numbers: int) -> list[Record]:
    return [{"id": number} for number in numbers]


# --- the file of a run -----------------------------------------------------------------------------------------------
def test_the_file_appears_at_the_end_of_the_run_and_not_before(filing: Filing) -> None:
    filing.put("out.jsonl", "old")
    filing.write("out.jsonl", batch_of(records(1, 2)), finish=False)
    assert filing.text("out.jsonl") == "old"
    filing.finish("out.jsonl", batch_of([]).scope)
    assert written_ids(filing) == [1, 2]
    assert [path.name for path in (filing.base / HIDDEN).iterdir()] == ["lock"]


def test_pages_stand_in_the_order_of_the_run_whoever_wrote_first(filing: Filing) -> None:
    filing.write("out.jsonl", batch_of(records(3, 4), first=2), batch_of(records(1, 2), first=0))
    assert written_ids(filing) == [1, 2, 3, 4]


def test_the_same_page_written_twice_is_there_once(filing: Filing) -> None:
    filing.write("out.jsonl", batch_of(records(1, 2)), batch_of(records(1, 2)), batch_of(records(3), first=2))
    assert written_ids(filing) == [1, 2, 3]


@pytest.mark.parametrize(
    "attempts",
    [
        [[0, 1, 2, 3], [0, 1], [2, 3]],
        [[0, 1], [2, 3], [0, 1, 2, 3]],
        [[1, 2, 3], [0, 1, 2, 3]],
        [[0, 2], [1], [0, 1, 2, 3]],
    ],
)
def test_a_page_delivered_again_in_other_portions_is_there_once(filing: Filing, attempts: list[list[int]]) -> None:
    batches = [batch_of(records(*numbers), ordinals=numbers) for numbers in attempts]
    filing.write("out.jsonl", *batches)
    assert written_ids(filing) == [0, 1, 2, 3]


def test_two_branches_may_write_the_same_file(filing: Filing) -> None:
    left, right = (
        batch_of(records(1, 3), ordinals=[0, 2], step="left"),
        batch_of(records(2, 4), ordinals=[1, 3], step="right"),
    )
    filing.write("out.jsonl", left, right)
    assert written_ids(filing) == [1, 2, 3, 4]


def test_copies_of_one_record_in_one_write_are_all_kept(filing: Filing) -> None:
    filing.write(
        "out.jsonl", batch_of(records(1, 1), ordinals=[0, 0]), batch_of(records(2), ordinals=[0], step="other")
    )
    assert written_ids(filing) == [1, 1, 2]


def test_the_name_may_hold_the_run_and_the_time_of_its_first_page(filing: Filing) -> None:
    later = NOON + timedelta(minutes=5)
    name = "out/{{ run.id }} {{ now }}.jsonl"
    filing.write(name, batch_of(records(1), run=9), batch_of(records(2), first=1, run=9, now=later))
    [path] = (filing.base / "out").iterdir()
    assert path.name.startswith("9 2026-03-02T12-00")
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    "path", ["../out.jsonl", "/out.jsonl", "a/../../{{ run.id }}", "{{ record.id }}.jsonl", "{{ run. }}"]
)
def test_names_that_leave_the_folder_or_depend_on_a_record_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path"):
        FileImportOptions(path=path)


def test_a_name_that_turns_out_to_leave_the_folder_is_refused_when_it_is_known(filing: Filing) -> None:
    with pytest.raises(ConnectorError) as caught:
        filing.write('{{ "." + "." }}/out.jsonl', batch_of(records(1)))
    assert caught.value.code == "name_refused"


def test_a_link_in_the_way_is_not_followed(filing: Filing, tmp_path: Path) -> None:
    (filing.base / "out").symlink_to(tmp_path)
    with pytest.raises(ConnectorError) as caught:
        filing.write("out/a.jsonl", batch_of(records(1)))
    assert caught.value.code == "link_refused"
    target = tmp_path / "precious"
    target.write_text("stays")
    (filing.base / "b.jsonl").symlink_to(target)
    filing.write("b.jsonl", batch_of(records(1)))
    assert (target.read_text(), (filing.base / "b.jsonl").is_symlink()) == ("stays", False)


def test_a_run_that_wrote_nothing_leaves_the_file_as_it_is(filing: Filing) -> None:
    filing.put("out.jsonl", "old")
    filing.finish("out.jsonl", batch_of([]).scope)
    assert filing.text("out.jsonl") == "old"


def test_nothing_is_begun_once_the_run_is_to_stop(filing: Filing) -> None:
    [written] = filing.write("out.jsonl", batch_of(records(1, 2), stop=lambda: True), finish=False)
    assert written.not_sent == {0: 0.0, 1: 0.0}


# --- append ----------------------------------------------------------------------------------------------------------
def test_append_adds_after_what_is_there_and_ends_its_last_line(filing: Filing) -> None:
    filing.put("out.jsonl", '{"id": 0}')
    filing.write("out.jsonl", batch_of(records(1)), mode="append")
    filing.write("out.jsonl", batch_of(records(2), run=2), mode="append")
    assert written_ids(filing) == [0, 1, 2]


def test_append_to_a_packed_file_keeps_what_it_holds(filing: Filing) -> None:
    filing.put("out.jsonl.gz", '{"id": 0}\n')
    filing.write("out.jsonl.gz", batch_of(records(1)), mode="append")
    assert gzip.decompress((filing.base / "out.jsonl.gz").read_bytes()) == b'{"id": 0}\n{"id":1}\n'


def test_append_to_csv_follows_its_header_and_adds_new_columns(filing: Filing) -> None:
    filing.put("out.csv", "b,a\r\n1,2\r\n")
    filing.write("out.csv", batch_of([{"a": 3, "b": 4}, {"a": 5, "c": "six"}]), mode="append")
    assert filing.text("out.csv") == "b,a,c\r\n1,2,\r\n4,3,\r\n,5,six\r\n"


def test_the_records_of_a_retry_are_added_to_the_file_of_the_run(filing: Filing) -> None:
    filing.write("out.jsonl", batch_of(records(1, 2)))
    filing.write("out.jsonl", batch_of(records(3), run=2, kind="retry", ordinals=[77]))
    assert written_ids(filing) == [1, 2, 3]


def test_nothing_is_appended_to_a_json_document() -> None:
    with pytest.raises(ValueError, match="write jsonl or csv"):
        FileImportOptions(path="out.json", mode="append")


# --- kills -----------------------------------------------------------------------------------------------------------
class Killed(BaseException):
    """The process ends here."""


FATAL_CALLS = ["rename", "fsync", "unlink", "link", "rmdir", "open"]


@pytest.mark.parametrize("mode", ["replace", "append"])
@pytest.mark.parametrize("call", FATAL_CALLS)
def test_a_kill_at_any_call_of_a_run_leaves_every_record_once(
    filing: Filing, monkeypatch: pytest.MonkeyPatch, mode: str, call: str
) -> None:
    """Die at the k-th call, for every k; then do again what was not answered, and publish the next run too."""
    real = getattr(os, call)
    deaths = 0
    for at in range(1, 60):
        for path in filing.base.glob("out*"):
            path.unlink()
        name = f"out{at}.jsonl"
        filing.put(name, '{"id": 0}\n')
        left = at

        def dying(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return real(*arguments, **named)

        pages = [batch_of(records(1, 2), run=at), batch_of(records(3), first=2, run=at)]
        with monkeypatch.context() as patch:
            patch.setattr(os, call, dying)
            try:
                filing.write(name, *pages, mode=mode)
            except Killed:
                deaths += 1
        if left > 0:
            break
        filing.write(name, *pages, finish=False, mode=mode) if not is_published(filing, name) else None
        filing.finish(name, pages[0].scope, mode=mode)
        filing.finish(name, pages[0].scope, mode=mode)
        assert written_ids(filing, name) == ([1, 2, 3] if mode == "replace" else [0, 1, 2, 3])
        filing.write(name, batch_of(records(4), run=1000 + at), mode="append")
        assert written_ids(filing, name)[-2:] == [3, 4]
    assert deaths >= 1


def is_published(filing: Filing, name: str) -> bool:
    """All pages were committed before the run's end began, so none is delivered again after it."""
    return any(json.loads(line)["id"] == 3 for line in filing.text(name).splitlines())


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_a_run_whose_end_was_cut_off_is_not_published_twice_by_the_next_one(
    filing: Filing, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    settle, calls = publishing._settle, []

    def dying_second_time(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise Killed
        settle(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "_settle", dying_second_time)
        with pytest.raises(Killed):
            filing.write("out.jsonl", batch_of(records(1)), mode=mode)
    filing.write("out.jsonl", batch_of(records(2), run=2), mode="append")
    filing.finish("out.jsonl", batch_of([], run=1).scope, mode=mode)
    assert written_ids(filing) == [1, 2]


def test_a_full_disk_makes_the_page_wait_and_leaves_nothing_behind(
    filing: Filing, monkeypatch: pytest.MonkeyPatch
) -> None:
    filing.write("out.jsonl", batch_of(records(1)), finish=False)

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Outage, match="disk is full"):
            filing.write("out.jsonl", batch_of(records(2), first=1), finish=False)
    filing.write("out.jsonl", batch_of(records(2), first=1))
    assert written_ids(filing) == [1, 2]


# --- records ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "why"),
    [
        (float("nan"), "JSON has no number for nan"),
        ({"deep": [float("inf")]}, "JSON has no number for inf"),
        ("half \ud800", "half of a character"),
        (2**80, "more than 64 bits"),
        (b"raw", "kind bytes has no form in JSON"),
        ({1: "x"}, "name of a field in it is not a text"),
    ],
)
def test_a_record_that_json_cannot_say_fails_alone(filing: Filing, value: Any, why: str) -> None:
    bodies = [{"id": 1}, {"id": 2, "x": value}, {"id": 3}]
    [written] = filing.write("out.jsonl", batch_of(bodies))
    assert list(written.failures) == [1]
    failure = written.failures[1]
    assert why in failure.message
    assert (failure.field, failure.classification) == ("x", Classification.VALUE)
    assert written_ids(filing) == [1, 3]


def test_exact_numbers_keep_their_digits(filing: Filing) -> None:
    filing.write("out.jsonl", batch_of([{"a": Decimal("12.50"), "b": Decimal("0.1234567890123456789")}]))
    assert filing.text("out.jsonl") == '{"a":12.5,"b":"0.1234567890123456789"}\n'


def test_a_json_document_is_one_list(filing: Filing) -> None:
    filing.write("out.json", batch_of([{"id": 1}]), batch_of([{"id": 2}], first=1))
    assert json.loads(filing.text("out.json")) == [{"id": 1}, {"id": 2}]


def test_csv_has_all_fields_that_occur_and_nested_values_as_json(filing: Filing) -> None:
    bodies = [{"id": 1, "ok": True, "tags": ["a"]}, {"id": 2, "note": 'say "hi"\r\n', "none": None}]
    filing.write("out.csv", batch_of(bodies))
    rows = list(csv.reader(io.StringIO(filing.text("out.csv"), newline="")))
    assert rows == [
        ["id", "ok", "tags", "note", "none"],
        ["1", "true", '["a"]', "", ""],
        ["2", "", "", 'say "hi"\r\n', ""],
    ]


def test_csv_columns_and_delimiter_may_be_given(filing: Filing) -> None:
    filing.write("out.csv", batch_of([{"a": 1, "b": 2, "c": 3}]), columns=["c", "a"], delimiter=";")
    assert filing.text("out.csv") == "c;a\r\n3;1\r\n"


def test_formulas_are_defused_on_request(filing: Filing) -> None:
    bodies = [{"a": "=1+1", "b": "-5", "c": "@x", "d": -7, "e": "fine"}]
    filing.write("out.csv", batch_of(bodies), defuse_formulas=True)
    assert filing.text("out.csv").splitlines()[1] == "'=1+1,-5,'@x,-7,fine"


json_records = st.dictionaries(
    st.text("abé ", min_size=1, max_size=3),
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8) | st.floats(),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bodies=st.lists(json_records, min_size=1, max_size=12),
    size=st.integers(1, 5),
    name=st.sampled_from(["any.jsonl", "any.json", "any.jsonl.gz"]),
    order=st.randoms(use_true_random=False),
)
def test_what_was_written_in_any_portions_is_read_back_the_same(
    filing: Filing, bodies: list[Record], size: int, name: str, order: Any
) -> None:
    batches = [batch_of(bodies[at : at + size], first=at) for at in range(0, len(bodies), size)]
    (filing.base / name).unlink(missing_ok=True)
    failed = {at * size + index for at, one in enumerate(filing.write(name, *batches)) for index in one.failures}
    shuffled = [*batches, *order.sample(batches, len(batches) // 2)]
    order.shuffle(shuffled)
    filing.write(name, *shuffled)
    if len(failed) == len(bodies):
        assert not (filing.base / name).exists()
    else:
        assert filing.rows(name) == [body for at, body in enumerate(bodies) if at not in failed]
