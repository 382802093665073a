"""A worker is killed with kill -9 in the middle of a digest: the window goes out once, and no mail is lost.

A mail that the server had taken when its worker died comes again, with the same Message-ID, and the log says so.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests import migrated


def played(folder: Path, *moments: str) -> dict[str, Any]:
    migrated.copy_to(folder / "flowmend.sqlite3")
    ours = {"DATABASE_URL": f"sqlite:///{folder}/flowmend.sqlite3", "DATA_DIR": str(folder)}
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-m", "tests.notifications.killed_digest", *moments]
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, env={**kept, **ours, "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("moments", [["window", "END"], ["MAIL", "RCPT", "DATA"]], ids=["some", "others"])
def test_a_window_goes_out_once_wherever_its_worker_is_killed(tmp_path, moments):
    for moment, found in played(tmp_path, *moments).items():
        assert found["killed_by"] == 9
        assert found["written_when_killed"] == (0 if moment == "window" else 3)
        assert (found["messages"], found["windows"]) == (1, 3), "12:15, 12:30 and 12:45; the first one told something"
        assert found["told"] == [1] * 6, "each of three mailboxes is told of both errors in one mail"
        assert [status for status, *_ in found["deliveries"]] == ["sent"] * 3
        in_doubt = [(doubt, copies) for _, doubt, copies in found["deliveries"]]
        second = {"window": (False, 1), "END": (True, 2)}.get(moment, (True, 1))
        assert in_doubt == [(False, 1), second, (False, 1)]
