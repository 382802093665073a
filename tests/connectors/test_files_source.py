"""Which files an export reads, where it goes on, and what happens to a file that is done."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from apps.connectors.base import Limits
from apps.connectors.files.options import FileExportOptions
from apps.engine.ports import Classification, ConnectorError, SourcePage, Window
from tests.connectors.filing import NOON, Filing, resumed_rows


def run_once(filing: Filing, window: Window | None = None, **options: object) -> list[SourcePage]:
    """A whole run: read, then finish by another worker that knows only the last position."""
    window = window or filing.window()
    pages = list(filing.pages("in/*.jsonl", window=window, **options))
    position = pages[-1].position if pages else window.position
    connector = filing.connector()
    chosen = FileExportOptions(path="in/*.jsonl", **options)  # type: ignore[arg-type]
    connector.open_export(chosen, filing.window(position=position)).finish()
    connector.close()
    return pages


def ids(pages: list[SourcePage]) -> list[int]:
    return [row["id"] for page in pages for row in page.records]  # type: ignore[index]


def put_ids(filing: Filing, **files: list[int]) -> None:
    for name, numbers in files.items():
        filing.put(f"in/{name}.jsonl", "".join(f'{{"id": {number}}}\n' for number in numbers))


# --- names -----------------------------------------------------------------------------------------------------------
def test_files_of_a_pattern_are_read_in_name_order(filing: Filing) -> None:
    put_ids(filing, b=[3, 4], a=[1, 2], c=[5])
    filing.put("in/d.txt", "x")
    filing.put("in/.hidden.jsonl", '{"id": 9}')
    assert ids(list(filing.pages("in/*.jsonl"))) == [1, 2, 3, 4, 5]
    filing.put("other/a.jsonl", '{"id": 6}')
    assert ids(list(filing.pages("*/[ac].jsonl"))) == [1, 2, 5, 6]


def test_a_page_says_where_it_came_from(filing: Filing) -> None:
    filing.put("in/a.csv", "id\n1\n2\n3\n")
    assert [page.source_ref for page in filing.pages("in/a.csv", 2)] == [
        "in/a.csv, lines 2 to 3",
        "in/a.csv, lines 4 to 4",
    ]


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../8/a.csv", "in/../../a.csv", "~/a.csv", "in\\a.csv", "a\0b", "in/a\nb", ""]
)
def test_names_that_could_leave_the_folder_are_refused_with_a_sentence(path: str) -> None:
    with pytest.raises(ValueError, match=r"refused|relative|backslash|missing|at least 1"):
        FileExportOptions(path=path)


@pytest.mark.parametrize("trap", ["link to a file", "link to a folder", "a pipe", "a folder"])
def test_only_regular_files_below_the_folder_are_opened(filing: Filing, tmp_path: Path, trap: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.csv").write_text("id\n1\n")
    make: dict[str, Callable[[], object]] = {
        "link to a file": lambda: (filing.base / "a.csv").symlink_to(outside / "a.csv"),
        "link to a folder": lambda: (filing.base / "in").symlink_to(outside),
        "a pipe": lambda: os.mkfifo(filing.base / "a.csv"),
        "a folder": lambda: (filing.base / "a.csv").mkdir(),
    }
    make[trap]()
    path = "in/a.csv" if trap == "link to a folder" else "a.csv"
    with pytest.raises(ConnectorError):
        filing.rows(path)
    assert filing.rows("*/*.csv", if_missing="empty") == []


def test_a_link_that_takes_the_place_of_a_listed_file_is_not_followed(filing: Filing, tmp_path: Path) -> None:
    put_ids(filing, a=[1], b=[2])
    secret = tmp_path / "secret.jsonl"
    secret.write_text('{"id": "secret"}\n')
    pages = filing.pages("in/*.jsonl")
    next(pages)
    (filing.base / "in/b.jsonl").unlink()
    (filing.base / "in/b.jsonl").symlink_to(secret)
    with pytest.raises(ConnectorError, match="links are not followed"):
        next(pages)


def test_the_folder_of_the_connection_may_not_be_a_link(filing: Filing, tmp_path: Path) -> None:
    (filing.base / "data").symlink_to(tmp_path)
    ping = Filing(filing.root, "data").connector().ping()
    assert not ping.is_ok
    assert "links are not followed" in ping.found


# --- missing files ---------------------------------------------------------------------------------------------------
def test_a_missing_file_says_what_is_there_instead(filing: Filing) -> None:
    filing.put("in/orders-2024.csv", "a\n1\n")
    filing.put("in/zebra.txt", "x")
    with pytest.raises(ConnectorError) as caught:
        filing.rows("in/order-2024.csv")
    assert (caught.value.code, caught.value.classification) == ("file_not_found", Classification.MISSING)
    assert caught.value.message.startswith("There is no file in/order-2024.csv in the connection's folder.")
    assert "There are: orders-2024.csv" in caught.value.message


def test_a_missing_file_may_be_no_failure(filing: Filing) -> None:
    assert filing.rows("in/*.csv", if_missing="empty") == []
    with pytest.raises(ConnectorError, match=r"No file matches in/\*\.csv"):
        filing.rows("in/*.csv")


def test_a_missing_folder_of_the_connection_is_named(filing: Filing) -> None:
    with pytest.raises(ConnectorError, match="folder nowhere of this connection does not exist"):
        Filing(filing.root, "nowhere").rows("a.csv")


# --- resuming --------------------------------------------------------------------------------------------------------
def test_reading_goes_on_in_the_next_file_after_any_page(filing: Filing) -> None:
    put_ids(filing, a=list(range(5)), b=[], c=list(range(5, 9)), d=[9])
    whole = filing.rows("in/*.jsonl", 2)
    assert len(whole) == 10
    assert all(found == whole for found in resumed_rows(filing, "in/*.jsonl", 2))
    assert all(found == whole for found in resumed_rows(filing, "in/*.jsonl", 2, new_files_only=True))


@pytest.mark.parametrize("change", ["longer", "rewritten", "replaced", "removed"])
def test_a_file_that_changed_between_kill_and_resume_is_refused(filing: Filing, change: str) -> None:
    put_ids(filing, a=[1, 2, 3, 4])
    page = next(filing.pages("in/a.jsonl", 2))
    path = filing.base / "in/a.jsonl"
    if change == "longer":
        path.write_bytes(path.read_bytes() + b'{"id": 5}\n')
    elif change == "rewritten":
        path.write_bytes(path.read_bytes()[::-1])
    elif change == "replaced":
        copy = filing.put("in/copy", path.read_bytes())
        copy.rename(path)
    else:
        path.unlink()
    with pytest.raises(ConnectorError) as caught:
        list(filing.pages("in/a.jsonl", window=filing.window(2, position=page.position)))
    assert caught.value.code == "file_changed"


def test_a_file_that_changes_while_it_is_read_is_refused(filing: Filing) -> None:
    put_ids(filing, a=[1, 2, 3, 4])
    pages = filing.pages("in/a.jsonl", 2)
    next(pages)
    (filing.base / "in/a.jsonl").write_text('{"id": 7}\n')
    with pytest.raises(ConnectorError, match="was changed after a part of it had been read"):
        next(pages)


def test_a_file_that_is_done_may_be_gone_when_the_run_is_resumed(filing: Filing) -> None:
    put_ids(filing, a=[1, 2])
    pages = list(filing.pages("in/*.jsonl", 2))
    (filing.base / "in/a.jsonl").unlink()
    assert list(filing.pages("in/*.jsonl", window=filing.window(position=pages[-1].position))) == []


# --- move when done --------------------------------------------------------------------------------------------------
def test_files_are_moved_once_they_are_through_and_a_taken_name_gets_a_number(filing: Filing) -> None:
    put_ids(filing, a=[1], b=[2], empty=[])
    filing.put("in/done/a.jsonl", "older")
    run_once(filing, move_to="in/done", if_missing="empty")
    assert sorted(path.name for path in (filing.base / "in/done").iterdir()) == ["a-2.jsonl", "a.jsonl", "b.jsonl"]
    assert filing.text("in/done/a.jsonl") == "older"


def test_finish_may_be_called_twice_and_by_a_worker_that_read_nothing(filing: Filing) -> None:
    put_ids(filing, a=[1], b=[2])
    pages = run_once(filing, move_to="done")
    assert run_once(filing, filing.window(position=pages[-1].position), move_to="done") == []
    assert sorted(path.name for path in (filing.base / "done").iterdir()) == ["a.jsonl", "b.jsonl"]


def test_a_file_that_came_or_changed_during_the_run_is_not_moved(filing: Filing) -> None:
    put_ids(filing, b=[1], c=[2])
    pages = list(filing.pages("in/*.jsonl", move_to="done"))
    put_ids(filing, a=[0], b=[1, 3])
    connector = filing.connector()
    options = FileExportOptions(path="in/*.jsonl", move_to="done")
    connector.open_export(options, filing.window(position=pages[-1].position)).finish()
    assert sorted(path.name for path in (filing.base / "in").iterdir()) == ["a.jsonl", "b.jsonl"]
    assert [path.name for path in (filing.base / "done").iterdir()] == ["c.jsonl"]


def test_a_kill_between_the_two_steps_of_a_move_leaves_no_copy(filing: Filing) -> None:
    put_ids(filing, a=[1])
    pages = list(filing.pages("in/*.jsonl", move_to="done"))
    (filing.base / "done").mkdir()
    os.link(filing.base / "in/a.jsonl", filing.base / "done/a.jsonl")
    run_once(filing, filing.window(position=pages[-1].position), move_to="done")
    assert [path.name for path in (filing.base / "done").iterdir()] == ["a.jsonl"]
    assert list((filing.base / "in").iterdir()) == []


def test_files_cannot_be_moved_into_the_folder_they_are_read_from() -> None:
    with pytest.raises(ValueError, match="name another one"):
        FileExportOptions(path="in/*.csv", move_to="in/")


# --- new files only --------------------------------------------------------------------------------------------------
def test_only_new_and_changed_files_are_read_by_the_next_run(filing: Filing) -> None:
    put_ids(filing, a=[1], b=[2])
    first = run_once(filing, new_files_only=True)
    put_ids(filing, a=[1, 3], c=[4])
    second = run_once(filing, filing.window(checkpoint=first[-1].checkpoint), new_files_only=True)
    assert ids(second) == [1, 3, 4]
    assert second[-1].checkpoint is not None
    assert second[-1].checkpoint.value == {"files": 3, "last": "in/c.jsonl"}


def test_the_checkpoint_moves_with_the_last_page_of_each_file(filing: Filing) -> None:
    put_ids(filing, a=[1, 2, 3], b=[4])
    pages = list(filing.pages("in/*.jsonl", 2, new_files_only=True))
    assert [page.checkpoint.value["files"] if page.checkpoint else None for page in pages] == [None, 1, 2]


def test_every_run_reads_everything_by_default(filing: Filing) -> None:
    put_ids(filing, a=[1])
    assert [page.checkpoint for page in run_once(filing)] == [None]
    assert ids(run_once(filing)) == [1]


def test_a_window_of_time_keeps_the_files_changed_in_it(filing: Filing) -> None:
    put_ids(filing, a=[1])  # changed an hour before noon
    assert ids(list(filing.pages("in/*", window=filing.window(start=NOON - timedelta(hours=2), end=NOON)))) == [1]
    assert list(filing.pages("in/*", window=filing.window(start=NOON))) == []
    assert list(filing.pages("in/*", min_age_s=7200)) == []


# --- packed files ----------------------------------------------------------------------------------------------------
def test_a_truncated_gzip_file_gives_its_pages_and_then_the_fault(filing: Filing) -> None:
    path = filing.put(
        "a.jsonl.gz", "".join(f'{{"id": {os.urandom(40).hex()!r}}}\n'.replace("'", '"') for _ in range(9000))
    )
    path.write_bytes(path.read_bytes()[:-5000])
    pages = filing.pages("a.jsonl.gz")
    found = [len(next(pages).records) for _ in range(80)]
    assert sum(found) == 8000
    with pytest.raises(ConnectorError) as caught:
        list(pages)
    assert caught.value.code == "gzip_truncated"


def test_a_damaged_gzip_file_says_so(filing: Filing) -> None:
    path = filing.put("a.csv.gz", "id\n" + "1\n" * 5000)
    data = bytearray(path.read_bytes())
    data[-6] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(ConnectorError) as caught:
        filing.rows("a.csv.gz")
    assert caught.value.code == "gzip_damaged"


def test_a_gzip_bomb_is_stopped(tmp_path: Path) -> None:
    filing = Filing(tmp_path, limits=Limits(max_bytes=100_000))
    filing.put("a.csv.gz", b"id\n" + (b"1" * 999 + b"\n") * 4_000)
    with pytest.raises(ConnectorError) as caught:
        filing.rows("a.csv.gz", 1_000)
    assert caught.value.code == "unpacks_too_far"


def test_gzip_members_one_after_the_other_are_one_file(filing: Filing) -> None:
    one, two = filing.put("1.gz", '{"id": 1}\n').read_bytes(), filing.put("2.gz", '{"id": 2}\n').read_bytes()
    (filing.base / "a.jsonl.gz").write_bytes(one + b"\0" * 512 + two)
    assert filing.rows("a.jsonl.gz") == [{"id": 1}, {"id": 2}]


def test_compression_goes_by_content_unless_the_step_says(filing: Filing) -> None:
    filing.put("plain.jsonl.gz", b"\x1f\x8b").write_bytes(b'{"id": 1}\n')
    assert filing.rows("plain.jsonl.gz") == [{"id": 1}]
    with pytest.raises(ConnectorError, match="not packed with gzip"):
        filing.rows("plain.jsonl.gz", compression="gzip")
