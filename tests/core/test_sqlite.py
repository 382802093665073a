"""SQLite under several writers at once: nobody ever hears "database is locked"."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from django.conf import settings as django_settings

WRITERS = 4
TRANSACTIONS = 40

FIRST = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from apps.accounts.models import Account
Account.objects.create(pk=1, retention_days=0)
"""
WRITER = f"""
import django
django.setup()
from django.db import transaction
from django.db.models import F
from apps.accounts.models import Account
for _ in range({TRANSACTIONS}):
    with transaction.atomic():
        account = Account.objects.get(pk=1)
        Account.objects.filter(pk=1).update(retention_days=F("retention_days") + 1)
        Account.objects.create(name=account.name)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(django_settings.BASE_DIR)}
    return {**kept, "DATA_DIR": str(tmp_path / "made" / "by" / "us"), "DJANGO_SETTINGS_MODULE": "config.settings"}


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=django_settings.BASE_DIR,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    return out


def test_writers_wait_for_each_other_and_every_transaction_counts(environment):
    finish(start(environment, "-c", FIRST))
    for writer in [start(environment, "-c", WRITER) for _ in range(WRITERS)]:
        finish(writer)
    done = WRITERS * TRANSACTIONS
    with closing(sqlite3.connect(Path(environment["DATA_DIR"]) / "flowmend.sqlite3")) as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert file.execute("SELECT max(retention_days), count(*) FROM account").fetchone() == (done, done + 1)


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(environment, tmp_path):
    (tmp_path / "file").touch()
    process = start({**environment, "DATA_DIR": str(tmp_path / "file" / "below")}, "manage.py", "check")
    assert "The folder of the database" in process.communicate(timeout=60)[1]
    assert process.returncode != 0
