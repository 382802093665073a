"""Whoever acts at the same time: no deadlock, no error that nobody has, no counter that is wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings

SERVER = "postgresql://postgres@127.0.0.1:5432"
SECONDS = 4


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """What all stories, played on a PostgreSQL database of their own, came to."""
    name = f"fm_rivals_{uuid4().hex[:10]}"
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield played(f"{SERVER}/{name}", str(tmp_path_factory.mktemp("rivals")))
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def played(database: str, folder: str) -> dict:
    ours = {"DATABASE_URL": database, "DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "config.settings"}
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-m", "tests.execution.rivals", str(SECONDS)]
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, env={**kept, **ours}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.postgresql
def test_who_acts_on_a_flow_at_the_same_time_disturbs_nobody_and_nobody_waits_in_a_circle(found):
    assert set(found["stories"]) == {"everybody", "beating", "first errors", "attempts"}
    for story, told in found["stories"].items():
        assert (story, told["faults"]) == (story, [])
        assert (story, told["books"], told["stuck"]) == (story, [], 0)
        assert all(count > 0 for count in told["done"].values()), (story, told["done"])
    assert found["deadlocks"] == 0
