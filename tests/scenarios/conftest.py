"""The scene of the scenarios: fresh folders, a target on either database, and books that are checked at the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from apps.accounts.models import Account
from tests.fakes.databases import make_place
from tests.fakes.running import World, books, make_world
from tests.scenarios.calls import Calls
from tests.scenarios.scene import Scene


@pytest.fixture
def world(account: Account) -> World:
    """A flow "source -> target" on a fake database."""
    return make_world(account)


TARGETS = ["sqlite", "postgresql"] if connection.vendor == "sqlite" else ["postgresql"]
"""With our own database on PostgreSQL the target is there too: a SQLite target has been seen beside SQLite."""


@pytest.fixture(params=TARGETS)
def scene(request: pytest.FixtureRequest, account: Account, tmp_path: Path, settings: object) -> Iterator[Scene]:
    """The same test with a target on either database. Whatever happens in it, the books are clean in the end."""
    yield from make_scene(request.param, account, tmp_path, settings)


@pytest.fixture
def calls(scene: Scene) -> Calls:
    """A parent and its sub-flow on that scene."""
    made = Calls(scene)
    made.prepare()
    return made


@pytest.fixture
def sqlite_scene(account: Account, tmp_path: Path, settings: object) -> Iterator[Scene]:
    """For tests in which the target plays no part."""
    yield from make_scene("sqlite", account, tmp_path, settings)


@pytest.fixture
def postgresql_scene(account: Account, tmp_path: Path, settings: object) -> Iterator[Scene]:
    """For tests of what only a server can do."""
    yield from make_scene("postgresql", account, tmp_path, settings)


def make_scene(kind: str, account: Account, tmp_path: Path, settings: object) -> Iterator[Scene]:
    settings.FILES_ROOT, settings.SQLITE_ROOT = tmp_path / "files", tmp_path / "databases"
    settings.EGRESS_ALLOW_NETS = ["127.0.0.0/8", "::1/128"]
    root = tmp_path / "databases" / str(account.pk)
    root.mkdir(parents=True)
    for place in make_place(kind, root):
        made = Scene(account, place)
        made.prepare()
        yield made
        assert books() == []
