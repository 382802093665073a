"""Files that are not what they should be: a clear message in its place, the right status, nothing lost."""

import gzip
import json
from collections.abc import Callable

import pytest

from apps.errors.states import ErrorUnit
from apps.runs.statuses import RunOutcome, RunStatus
from tests.scenarios.scene import Scene, in_words

pytestmark = pytest.mark.django_db


def lines_of(count: int) -> bytes:
    return b"".join(json.dumps({"id": n, "amount": n}).encode() + b"\n" for n in range(count))


def document_of(count: int) -> bytes:
    return json.dumps([{"id": n, "amount": n} for n in range(count)]).encode()


# --- files that cannot be read at all -----------------------------------------------------------------------------
UNREADABLE: dict[str, tuple[str, Callable[[Scene], object], str, str]] = {
    "a file that is missing": ("orders.csv", lambda s: s.write("order.csv", "id\n"), "file_not_found", "order.csv"),
    "a folder that is missing": ("in/*.csv", lambda s: None, "file_not_found", "No file matches in/*.csv"),
    "a folder where a file should be": ("in", lambda s: s.write("in/a.csv", "id\n"), "file_not_found", "in"),
    "a workbook that is none": ("a.xlsx", lambda s: s.write("a.xlsx", b"PK\x03\x04 no"), "xlsx_unreadable", "a.xlsx"),
    "a text called a workbook": ("a.xlsx", lambda s: s.write("a.xlsx", "id,amount\n"), "xlsx_unreadable", "a.xlsx"),
    "a header with a name twice": (
        "a.csv", lambda s: s.write("a.csv", "id,amount,id\n1,2,3\n"), "duplicate_columns", '"id" more than once',
    ),
    "a document without the list": (
        "a.json, record_path: data", lambda s: s.write("a.json", '{"rows": []}'), "record_path_missing", '"rows"',
    ),
    "a document that is no JSON": ("a.json", lambda s: s.write("a.json", "<html></html>"), "record_path_missing", ""),
    "a damaged gzip": (
        "a.csv.gz", lambda s: s.write("a.csv.gz", gzip.compress(b"id,amount\n")[:9] + b"\xff" * 30), "gzip_damaged", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_read_fails_the_run_with_one_open_error_of_its_window(sqlite_scene, name):
    path, arrange, code, words = UNREADABLE[name]
    arrange(sqlite_scene)
    flow = sqlite_scene.flow_of(f"{{connection: files, path: {path}}}")

    run = sqlite_scene.run(flow)

    error = sqlite_scene.only_error(run)
    assert (run.status, run.outcome) == (RunStatus.FAILED, RunOutcome.FAILED)
    assert (error.unit, error.cause.code, error.state) == (ErrorUnit.WINDOW, code, "open")
    assert words in error.message
    assert in_words([error.message])
    assert sqlite_scene.loaded() == []


def test_a_connection_to_a_folder_that_does_not_exist_fails_the_run_and_names_it(sqlite_scene):
    sqlite_scene.connect("files", "file", folder="nowhere")
    run = sqlite_scene.run(sqlite_scene.flow_of_file("a.csv"))

    error = sqlite_scene.only_error(run)
    assert (run.status, error.cause.code) == (RunStatus.FAILED, "folder_not_found")
    assert "nowhere" in error.message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("a.csv", b"id,amount\n"),
        ("a.csv", b"\xef\xbb\xbf"),
        ("a.csv", b"\n\n\n"),
        ("a.json", b""),
        ("a.json", b"[]"),
        ("a.jsonl", b""),
        ("a.jsonl", b"\n\n"),
        ("a.csv.gz", gzip.compress(b"", mtime=0)),
    ],
)
def test_a_file_without_a_record_makes_an_empty_run(sqlite_scene, name, content):
    sqlite_scene.write(name, content)
    run = sqlite_scene.run(sqlite_scene.flow_of_file(name))

    assert (run.status, run.outcome, run.records_in) == (RunStatus.COMPLETED, RunOutcome.EMPTY, 0)
    assert sqlite_scene.errors(run) == []


# --- files that end too early -------------------------------------------------------------------------------------
CUT = {
    "a.json": (document_of(20)[:-25], "json_truncated"),
    "a.json.gz": (gzip.compress(document_of(20))[:-20], "gzip_truncated"),
    "a.jsonl.gz": (gzip.compress(lines_of(20))[:-12], "gzip_truncated"),
}


@pytest.mark.parametrize("name", CUT)
def test_of_a_file_that_ends_in_the_middle_the_pages_before_stand_and_the_rest_is_one_open_error(scene, name):
    content, code = CUT[name]
    scene.write(name, content)
    run = scene.run(scene.flow_of_file(name))

    error = scene.only_error(run)
    assert run.status == RunStatus.FAILED
    assert (error.unit, error.cause.code) == (ErrorUnit.WINDOW, code)
    assert in_words([error.message])
    loaded = scene.loaded()
    assert loaded == list(range(len(loaded)))
    assert run.success == len(loaded) == run.records_in


def test_once_the_file_is_whole_the_next_run_brings_all_of_it(scene):
    scene.write("a.json", document_of(20)[:-25])
    flow = scene.flow_of_file("a.json")
    scene.run(flow)
    scene.write("a.json", document_of(20))

    run = scene.run(flow)

    assert (run.status, run.outcome) == (RunStatus.COMPLETED, RunOutcome.COMPLETED)
    assert scene.loaded() == list(range(20))


def test_a_file_that_could_not_be_read_to_its_end_is_not_taken_for_done(sqlite_scene):
    """Of files that are read once, and moved when they are done, the broken one stays for the next run."""
    sqlite_scene.write("in/a.json", document_of(6))
    sqlite_scene.write("in/b.json", document_of(20)[:-25])
    flow = sqlite_scene.flow_of("{connection: files, path: in/*.json, new_files_only: true, move_to: done}")
    failed = sqlite_scene.run(flow)
    assert failed.status == RunStatus.FAILED
    assert (sqlite_scene.folder / "in/b.json").exists()

    sqlite_scene.write("in/b.json", document_of(20))
    run = sqlite_scene.run(flow)

    assert run.status == RunStatus.COMPLETED
    assert sqlite_scene.loaded() == list(range(20))
    assert list((sqlite_scene.folder / "in").iterdir()) == []


def test_a_json_line_that_was_cut_is_one_bad_record(scene):
    scene.write("a.jsonl", lines_of(10)[:-5])
    run = scene.run(scene.flow_of_file("a.jsonl"))

    error = scene.only_error(run)
    assert run.outcome == RunOutcome.COMPLETED_WITH_ERRORS
    assert error.message.startswith("line 10: this is not valid JSON")
    assert scene.retry_data(error) == lines_of(10)[:-5].splitlines()[-1]
    assert scene.loaded() == list(range(9))


# --- encodings ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_csv_file_is_read_whatever_it_is_encoded_in(scene, encoding):
    text = "id,amount,note\n" + "".join(f"{n},{n},Käse für Zoë {n}\n" for n in range(9))
    scene.write("a.csv", text.encode(encoding))
    run = scene.run(scene.flow_of_file("a.csv", change=with_numbers))

    assert (run.outcome, run.success) == (RunOutcome.COMPLETED, 9)
    assert scene.place.rows("SELECT note FROM orders WHERE id = 7") == [("Käse für Zoë 7",)]


def with_numbers(text: str) -> str:
    return text.replace("id: record.id, amount: record.amount", "id: number(record.id), amount: number(record.amount)")


def test_bytes_that_are_no_text_in_the_middle_of_a_file_are_one_bad_record(scene):
    rows = [f"{n},{n},Käse {n}\n".encode() for n in range(20)]
    rows[11] = b"11,11,K\xe4se\n"
    scene.write("a.csv", b"id,amount,note\n" + b"".join(rows))
    run = scene.run(scene.flow_of_file("a.csv", change=with_numbers))

    error = scene.only_error(run)
    assert error.message.startswith("line 13: byte 8 of the line (0xE4) is not valid in the encoding utf-8")
    assert scene.retry_data(error) == rows[11]
    assert scene.loaded() == [n for n in range(20) if n != 11]


def test_a_step_that_names_the_wrong_encoding_has_a_clear_error_for_each_row_that_it_spoils(scene):
    scene.write("a.csv", "id,amount,note\n1,1,Käse\n2,2,Brot\n".encode("cp1252"))
    run = scene.run(scene.flow_of_file("a.csv", ", encoding: utf-8", change=with_numbers))

    error = scene.only_error(run)
    assert "not valid in the encoding utf-8" in error.message
    assert scene.loaded() == [2]


# --- rows that break ----------------------------------------------------------------------------------------------
def test_broken_quotes_and_rows_of_another_length_are_pinned_to_their_lines(scene):
    good = [f'{n},{n},"said ""{n}"", twice"\n' for n in range(12)]
    bad = {3: '3,3,"never closed\n', 5: '5,5,"closed" and more\n', 7: "7,7\n", 9: "9,9,a,b\n"}
    rows = [bad.get(n, row) for n, row in enumerate(good)]
    scene.write("a.csv", "id,amount,note\n" + "".join(rows))
    run = scene.run(scene.flow_of_file("a.csv", change=with_numbers))

    assert scene.loaded() == [n for n in range(12) if n not in bad]
    messages = scene.messages(run)
    assert [text.partition(":")[0] for text in messages] == ["line 5", "line 7", "line 9", "line 11"]
    assert in_words(messages)
    assert sorted(scene.retry_data(error).decode() for error in scene.errors(run)) == sorted(bad.values())
