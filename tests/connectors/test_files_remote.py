"""Files on an SFTP server and in a bucket: who may be trusted, what is not followed, and what a cut leaves behind."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko
import pytest
from pydantic import ValidationError

from apps.connectors.base import Connector, Limits, Surroundings
from apps.connectors.files.content import Content
from apps.connectors.files.options import FileExportOptions, FileImportOptions
from apps.connectors.files.remote import s3 as s3_module
from apps.connectors.files.remote import shelf as shelf_module
from apps.connectors.files.remote import store as store_module
from apps.connectors.files.remote.connector import S3Connector, SftpConnector
from apps.engine.ports import Batch, ConnectorError, Outage, Record, Window
from tests.connectors.filing import NOON, batch_of
from tests.fakes.http_peer import LOOPBACK
from tests.fakes.remote_files import SftpPlace, s3_place, sftp_server
from tests.long_tests import SPREADS

LIMITS = Limits(connect_s=2, read_s=2, total_s=5)


class Away:
    """One of the two kinds of servers, and the connector that speaks to it; every act opens it anew."""

    def __init__(self, kind: type[Connector], place: Any, root: Path) -> None:
        self.kind = kind
        self.place = place
        self.surroundings = Surroundings(7, root, root, allow_nets=LOOPBACK, limits=LIMITS)

    @contextmanager
    def opened(self, **changes: Any) -> Iterator[Connector]:
        connector = self.kind(self.kind.Config(**{**self.place.config, **changes}), self.surroundings)
        try:
            yield connector
        finally:
            connector.close()

    def rows(self, path: str, page_size: int = 100, window: Window | None = None, **options: Any) -> list[Any]:
        with self.opened() as connector:
            source = connector.open_export(FileExportOptions(path=path, **options), window or Window(page_size, NOON))
            found = [row for page in source.pages() for row in page.records]
            source.finish()
            return found

    def write(self, path: str, *batches: Batch, finish: bool = True, **options: Any) -> None:
        for batch in batches:
            with self.opened() as connector:
                connector.open_import(FileImportOptions(path=path, **options)).write(batch)
        if finish:
            self.finish(path, batches[-1], **options)

    def finish(self, path: str, batch: Batch, **options: Any) -> None:
        with self.opened() as connector:
            target: Any = connector.open_import(FileImportOptions(path=path, **options))
            target.finish(batch.scope)

    def put(self, name: str, content: bytes) -> None:
        if isinstance(self.place, SftpPlace):
            path = self.place.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        else:
            self.place.put(name, content)

    def get(self, name: str) -> bytes:
        if isinstance(self.place, SftpPlace):
            return (self.place.folder / name).read_bytes()
        return bytes(self.place.get(name))

    def names(self) -> list[str]:
        if isinstance(self.place, SftpPlace):
            folder = self.place.folder
            return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        return list(self.place.names())


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[Away]:
    with sftp_server(tmp_path / "server") as place:
        yield Away(SftpConnector, place, tmp_path)


@pytest.fixture
def s3(tmp_path: Path) -> Away:
    return Away(S3Connector, s3_place(), tmp_path)


@pytest.fixture(params=["sftp", "s3"])
def away(request: pytest.FixtureRequest) -> Away:
    """The same test on both."""
    found: Away = request.getfixturevalue(request.param)
    return found


def lines(*numbers: int) -> bytes:
    return b"".join(b'{"id": %d}\n' % number for number in numbers)


def records(*numbers: int) -> list[Record]:
    return [{"id": number} for number in numbers]


def ids(content: bytes) -> list[int]:
    return [json.loads(line)["id"] for line in content.splitlines()]


# --- reading ---------------------------------------------------------------------------------------------------------
def test_a_pattern_reads_its_files_in_the_order_of_their_names(away: Away) -> None:
    away.put("in/2024/b.jsonl", lines(2))
    away.put("in/2023/a.jsonl", lines(1))
    away.put("in/2024/c.jsonl", lines(3))
    away.put("in/2024/c.txt", b"no")
    away.put(".flowmend/in/x.jsonl", lines(9))
    assert away.rows("in/*/*.jsonl") == records(1, 2, 3)


def test_files_are_moved_away_once_read_and_a_taken_name_gets_a_number(away: Away) -> None:
    away.put("in/a.jsonl", lines(1))
    away.put("done/a.jsonl", lines(7))
    assert away.rows("in/*.jsonl", move_to="done") == records(1)
    assert away.names() == ["done/a-2.jsonl", "done/a.jsonl"]
    assert away.get("done/a-2.jsonl") == lines(1)


def test_a_file_is_new_again_when_its_content_has_changed(away: Away) -> None:
    away.put("a.jsonl", lines(1))
    with away.opened() as connector:
        options = FileExportOptions(path="*.jsonl", new_files_only=True)
        page = list(connector.open_export(options, Window(10, NOON)).pages())[-1]
    seen = Window(10, NOON, checkpoint=page.checkpoint)
    assert away.rows("*.jsonl", new_files_only=True, window=seen) == []
    away.put("a.jsonl", lines(1, 2))
    assert away.rows("*.jsonl", new_files_only=True, window=seen) == records(1, 2)


def test_a_large_file_is_read_in_blocks_and_goes_on_in_the_middle(away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BLOCK_BYTES", 7_000)
    away.put("a.jsonl", lines(*range(4_000)))
    with away.opened() as connector:
        source = connector.open_export(FileExportOptions(path="a.jsonl"), Window(1_500, NOON))
        first = next(iter(source.pages()))
    rest = away.rows("a.jsonl", window=Window(1_500, NOON, position=first.position))
    assert [row["id"] for row in [*first.records, *rest]] == list(range(4_000))


def test_a_file_that_changes_while_it_is_read_is_told(away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BLOCK_BYTES", 7_000)
    away.put("a.jsonl", lines(*range(4_000)))
    with away.opened() as connector:
        pages = iter(connector.open_export(FileExportOptions(path="a.jsonl"), Window(100, NOON)).pages())
        next(pages)
        away.put("a.jsonl", lines(*range(5_000)))
        with pytest.raises(ConnectorError) as caught:
            list(pages)
    assert caught.value.code == "file_changed"


def test_what_is_not_there_is_told_with_its_neighbours(away: Away) -> None:
    away.put("in/stock.csv", b"id\n1\n")
    with pytest.raises(ConnectorError, match=r"There is no file in/stok\.csv .*There are: stock\.csv\."):
        away.rows("in/stok.csv")


# --- writing ---------------------------------------------------------------------------------------------------------
def test_nothing_but_the_file_is_left_behind(away: Away) -> None:
    away.write("out/a.jsonl", batch_of(records(1, 2)), batch_of(records(3), first=2))
    assert away.names() == ["out/a.jsonl"]
    assert ids(away.get("out/a.jsonl")) == [1, 2, 3]


def test_the_end_of_a_run_may_be_repeated(away: Away) -> None:
    for run in (1, 2):
        batch = batch_of(records(run), run=run)
        away.write("a.jsonl", batch, mode="append")
        away.finish("a.jsonl", batch, mode="append")
    assert ids(away.get("a.jsonl")) == [1, 2]


def test_two_runs_that_were_cut_off_do_not_lose_or_double_each_other(away: Away) -> None:
    first, second = batch_of(records(1), run=1), batch_of(records(2), run=2)
    away.write("a.jsonl", first, finish=False, mode="append")
    away.write("a.jsonl", second, finish=False, mode="append")
    for batch in (second, first, second):
        away.finish("a.jsonl", batch, mode="append")
    assert sorted(ids(away.get("a.jsonl"))) == [1, 2]


def test_a_run_waits_for_another_that_writes_the_same_file(away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf_module, "LOCK_WAIT_S", 0.1)
    monkeypatch.setattr(shelf_module, "LOCK_LOOK_S", 0.05)
    first, second = batch_of(records(1), run=1), batch_of(records(2), run=2)
    away.write("a.jsonl", first, finish=False)
    away.write("a.jsonl", second, finish=False)
    with monkeypatch.context() as patch:
        patch.setattr(Content, "write_to", die)
        patch.setattr(shelf_module.RemoteShelf, "_give_back", lambda *_: None)
        with pytest.raises(Killed):
            away.finish("a.jsonl", first)
    with pytest.raises(Outage, match="is being written by another run"):
        away.finish("a.jsonl", second)
    away.finish("a.jsonl", first)
    away.finish("a.jsonl", second)
    assert ids(away.get("a.jsonl")) == [2]


def test_a_run_that_died_after_its_file_was_there_keeps_nobody_waiting(
    away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf_module, "LOCK_WAIT_S", 0.1)
    monkeypatch.setattr(shelf_module, "LOCK_LOOK_S", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(shelf_module.RemoteShelf, "_give_back", lambda *_: None)
        away.write("a.jsonl", batch_of(records(1), run=1))
    away.write("a.jsonl", batch_of(records(2), run=2), mode="append")
    assert ids(away.get("a.jsonl")) == [1, 2]
    assert away.names() == ["a.jsonl"]


class Killed(BaseException):
    """The process ends here."""


def die(*_: object) -> None:
    raise Killed


@SPREADS
def test_a_connection_cut_at_any_call_of_a_run_s_end_leaves_every_record_once(sftp: Away, spread: int) -> None:
    """Cut at the k-th call that changes something, for every k; then end the run again, twice."""
    cuts = 0
    for at in range(1, 60, spread):
        sftp.put("a.jsonl", lines(0))
        pages = [batch_of(records(1), run=at), batch_of(records(2), first=1, run=at)]
        sftp.write("a.jsonl", *pages, finish=False, mode="append")
        calls = Countdown(at, sftp.place.cut)
        sftp.place.before = calls
        try:
            sftp.finish("a.jsonl", pages[0], mode="append")
        except ConnectorError:
            cuts += 1
        sftp.place.before = lambda call: None
        for _ in range(2):
            sftp.finish("a.jsonl", pages[0], mode="append")
        assert ids(sftp.get("a.jsonl")) == [0, 1, 2], at
        if calls.left > 0:
            break
    assert cuts * spread >= 5


class Countdown:
    """Does something at the n-th call that changes anything."""

    def __init__(self, left: int, act: Callable[[], None]) -> None:
        self.left = left
        self._act = act

    def __call__(self, call: str) -> None:
        if call in {"open", "posix_rename", "rename", "remove", "rmdir", "chattr"}:
            self.left -= 1
            if self.left == 0:
                self._act()


# --- whom to trust ---------------------------------------------------------------------------------------------------
def test_an_unknown_server_is_refused_and_shows_its_fingerprint(sftp: Away) -> None:
    with sftp.opened(host_key="") as connector:
        found = connector.ping().found
    assert f"shows the host key {sftp.place.fingerprint}" in found
    assert "Compare it" in found


def test_a_server_with_another_key_is_refused_before_anybody_signs_in(sftp: Away) -> None:
    other = paramiko.ECDSAKey.generate()
    with sftp.opened(host_key=f"files.example.com {other.get_name()} {other.get_base64()}") as connector:
        ping = connector.ping()
    assert not ping.is_ok
    assert "not the one that this connection knows" in ping.found


def test_a_server_is_known_by_its_public_key_too(sftp: Away) -> None:
    key = sftp.place.host_key
    with sftp.opened(host_key=f"{key.get_name()} {key.get_base64()} the old server") as connector:
        assert connector.ping().is_ok


def test_a_private_key_signs_in_and_a_damaged_one_is_told_without_its_text(sftp: Away) -> None:
    text = io.StringIO()
    sftp.place.user_key.write_private_key(text)
    with sftp.opened(password=None, private_key=text.getvalue()) as connector:
        assert connector.ping().is_ok
    with sftp.opened(password=None, private_key=text.getvalue()[:120]) as connector:
        ping = connector.ping()
    assert "private key of this connection cannot be read" in ping.found
    assert text.getvalue().splitlines()[1][:40] not in ping.found


def test_a_connection_without_any_way_to_sign_in_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs a password or a private_key"):
        SftpConnector.Config(host="files.example.com", user="me")


@pytest.mark.parametrize("changes", [{"allow_nets": ()}, {"allow_nets": ("10.0.0.0/8",)}])
def test_a_private_address_is_not_reached_unless_the_operator_allows_it(away: Away, changes: dict[str, Any]) -> None:
    away.surroundings = replace(away.surroundings, **changes)
    with away.opened() as connector:
        assert "EGRESS_ALLOW_NETS" in connector.ping().found


def test_links_are_not_followed(sftp: Away, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/a.jsonl").write_bytes(lines(1))
    sftp.put("in/b.jsonl", lines(2))
    (sftp.place.folder / "in/a.jsonl").symlink_to(tmp_path / "secret/a.jsonl")
    (sftp.place.folder / "out").symlink_to(tmp_path / "secret")
    assert sftp.rows("in/*.jsonl") == records(2)
    for path in ("in/a.jsonl", "out/a.jsonl", "*/a.jsonl"):
        with pytest.raises(ConnectorError):
            sftp.rows(path)
    with pytest.raises(ConnectorError, match="links are not followed"):
        sftp.write("out/new.jsonl", batch_of(records(1)))
    assert sorted(path.name for path in (tmp_path / "secret").iterdir()) == ["a.jsonl"]


@pytest.mark.parametrize("path", ["../a.jsonl", "in/../../a.jsonl", "/etc/passwd", ".flowmend/lock"])
def test_no_name_leaves_the_folder(path: str) -> None:
    for options in (FileExportOptions, FileImportOptions):
        with pytest.raises(ValidationError):
            options(path=path)


@pytest.mark.parametrize("kind", ["sftp", "s3"])
def test_a_missing_library_is_told_with_the_way_to_install_it(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    connector, library = {"sftp": (SftpConnector, "paramiko"), "s3": (S3Connector, "minio")}[kind]
    monkeypatch.setitem(sys.modules, library, None)
    for name in [name for name in sys.modules if name.startswith(f"apps.connectors.files.remote.{kind}")]:
        monkeypatch.delitem(sys.modules, name)
    config = {
        "sftp": {"host": "a.example", "user": "me", "password": "x"},
        "s3": {"bucket": "flows", "access_key": "a", "secret_key": "b"},
    }[kind]
    ping = connector(connector.Config(**config), Surroundings(7, tmp_path, tmp_path)).ping()
    assert f"pip install 'flowmend[{kind}]'" in ping.found


# --- a bucket --------------------------------------------------------------------------------------------------------
def test_a_large_object_is_written_in_parts(s3: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_module, "PART_BYTES", 5 * 1024 * 1024)
    body = {"id": 1, "text": "x" * 3_000_000}
    s3.write("big.jsonl", batch_of([body]), batch_of([body], first=1))
    assert [row["id"] for row in s3.rows("big.jsonl")] == [1] * 2
    assert "-" in (s3.place.client.stat_object(s3.place.bucket, "big.jsonl").etag or "")


def test_a_bucket_that_is_not_there_is_named(s3: Away) -> None:
    with s3.opened(bucket="no-such-bucket") as connector:
        ping = connector.ping()
    assert (ping.is_ok, ping.found[:35]) == (False, "There is no bucket no-such-bucket a")


@pytest.mark.parametrize("endpoint", ["ftp://a", "https://user:pw@a", "https://a/path", "a:9000"])
def test_an_endpoint_is_an_address_and_nothing_more(endpoint: str) -> None:
    with pytest.raises(ValidationError):
        S3Connector.Config(endpoint=endpoint, bucket="flows", access_key="a", secret_key="b")
