"""Fixtures of the connectors' tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.connectors.http import reading, target
from tests.connectors.filing import Filing
from tests.fakes.databases import mariadb_target, postgresql_target, sql_target, sqlite_target
from tests.fakes.http_peer import HttpPlace, Peer

__all__ = ["mariadb_target", "postgresql_target", "sql_target", "sqlite_target"]


@pytest.fixture
def filing(tmp_path: Path) -> Filing:
    return Filing(tmp_path / "files")


@pytest.fixture
def _sent_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses before a request that was cut is sent again, a fiftieth of what they are."""
    for module in (reading, target):
        monkeypatch.setattr(module, "RESENT_AFTER_S", (0.002, 0.016))


@pytest.fixture
def peer() -> Iterator[Peer]:
    """An HTTP application that answers what the test says."""
    with Peer().running() as running:
        yield running


@pytest.fixture
def place(peer: Peer) -> HttpPlace:
    return HttpPlace(peer.url)
