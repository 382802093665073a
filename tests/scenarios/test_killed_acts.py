"""A worker is killed in the middle of an act on many errors: the books are right, and another one ends the act."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings

from tests import migrated
from tests.scenarios.killed_acts_counts import CHUNK, COUNT, KILLED_IN

SERVER = "postgresql://postgres@127.0.0.1:5432"
END = {"resolve": ["resolved"], "retry": ["resolved"], "classify": ["auto_retrying"]}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What became of each act, on a database of their own."""
    folder = tmp_path_factory.mktemp("acts")
    if request.param == "sqlite":
        migrated.copy_to(folder / "flowmend.sqlite3")
        yield played(f"sqlite:///{folder}/flowmend.sqlite3", folder)
        return
    name = f"fm_acts_{uuid4().hex[:10]}"
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield played(f"{SERVER}/{name}", folder)
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def played(database: str, folder: Path) -> dict[str, Any]:
    ours = {"DATABASE_URL": database, "DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "config.settings"}
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-m", "tests.scenarios.killed_acts"]
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, env={**kept, **ours}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_worker_that_is_killed_in_a_chunk_leaves_right_books_and_the_act_ends(found):
    for act in END:
        check(act, found[act])


def check(act: str, told: dict[str, Any]) -> None:
    assert told["done_when_killed"] == (KILLED_IN - 1) * CHUNK, "the chunk that was cut is not there"
    assert told["hints"] == 1
    assert (told["done"], told["is_ended"], told["states"]) == (COUNT, True, END[act])
    assert told["books"] == told["books_after"] == told["books_at_the_end"] == []
    assert told.get("retried", COUNT) == COUNT
