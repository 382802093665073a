"""The harnesses of files on other machines: real servers, the same formats as on this one."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from apps.connectors.base import Surroundings
from apps.connectors.files.remote.connector import S3Connector, SftpConnector
from apps.engine.ports import BadRecord, Record, Window
from tests.connectors.contract import CANARY, FormatHarness, Harness, Variant
from tests.connectors.filing import NOON
from tests.fakes.http_peer import LOOPBACK
from tests.fakes.remote_files import S3Place, SftpPlace, s3_place, sftp_server

FORMATS = ("a.csv", "a.jsonl.gz", "a.json", "a.xlsx")


class RemoteFileHarness(FormatHarness):
    """What both kinds of servers have in common."""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name

    def surroundings(self) -> Surroundings:
        return Surroundings(7, self.root, self.root, allow_nets=LOOPBACK, limits=self.limits)

    def stored(self) -> list[Record]:
        """Read by the connector itself: what a reader of the format finds."""
        with self.opened() as connector:
            options = self.options("export", {"path": f"out/{self.name}"})
            pages = connector.open_export(options, Window(1000, NOON)).pages()
            rows = [row for page in pages for row in page.records if not isinstance(row, BadRecord)]
        return sorted(({**row, "id": int(row["id"])} for row in rows), key=lambda row: row["id"])


class SftpHarness(RemoteFileHarness):
    connector = SftpConnector

    def __init__(self, root: Path, name: str, place: SftpPlace) -> None:
        super().__init__(root, name)
        self.place = place

    def config(self) -> Record:
        return self.place.config

    def broken_config(self) -> Record:
        return {**self.config(), "password": CANARY}

    def hanging_config(self, port: int) -> Record:
        return {**self.config(), "port": port, "password": CANARY}

    def put(self, name: str, content: bytes) -> None:
        path = self.place.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


class S3Harness(RemoteFileHarness):
    connector = S3Connector

    def __init__(self, root: Path, name: str, place: S3Place) -> None:
        super().__init__(root, name)
        self.place = place

    def config(self) -> Record:
        return {**self.place.config, "folder": "team"}

    def broken_config(self) -> Record:
        return {**self.config(), "endpoint": "http://127.0.0.1:1", "access_key": CANARY, "secret_key": CANARY}

    def hanging_config(self, port: int) -> Record:
        return {**self.config(), "endpoint": f"http://127.0.0.1:{port}", "secret_key": CANARY}

    def put(self, name: str, content: bytes) -> None:
        self.place.put(f"team/{name}", content)


@contextmanager
def opened_sftp(root: Path, name: str) -> Iterator[Harness]:
    with sftp_server(root / "server") as place:
        yield SftpHarness(root, name, place)


@contextmanager
def opened_s3(root: Path, name: str) -> Iterator[Harness]:
    yield S3Harness(root, name, s3_place())


def remote_variant(opening: Callable[[Path, str], AbstractContextManager[Harness]], name: str) -> Variant:
    traits = {"export", "spoiled", "silent"} | (set() if name.endswith("xlsx") else {"import"})
    return Variant(lambda root: opening(root, name), frozenset(traits))


REMOTE_HARNESSES: dict[str, dict[str, Variant]] = {
    "sftp": {name: remote_variant(opened_sftp, name) for name in FORMATS},
    "s3": {name: remote_variant(opened_s3, name) for name in FORMATS},
}
