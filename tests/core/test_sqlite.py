"""SQLite under several writers at once: nobody ever hears "database is locked"."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from apps.core.apps import make_database_folder

WRITERS = 4
TRANSACTIONS = 40

PROGRAM = f"""
import os, sys
import django
django.setup()
from pathlib import Path
from django.conf import settings
from django.core.management import call_command
from django.db import connections, transaction
from django.db.models import F
from apps.accounts.models import Account
from tests import migrated

def write():
    for _ in range({TRANSACTIONS}):
        with transaction.atomic():
            account = Account.objects.get(pk=1)
            Account.objects.filter(pk=1).update(retention_days=F("retention_days") + 1)
            Account.objects.create(name=account.name)

migrated.copy_to(Path(settings.DATABASES["default"]["NAME"]))
call_command("migrate", verbosity=0)
Account.objects.create(pk=1, retention_days=0)
connections.close_all()
writers = []
for _ in range({WRITERS}):
    if not (pid := os.fork()):
        write()
        os._exit(0)
    writers.append(pid)
sys.exit(any(os.waitpid(pid, 0)[1] for pid in writers))
"""


def test_writers_wait_for_each_other_and_every_transaction_counts(tmp_path):
    folder = tmp_path / "made" / "by" / "us"
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(django_settings.BASE_DIR)}
    subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=django_settings.BASE_DIR,
        env={**kept, "DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "config.settings"},
        timeout=180,
        check=True,
    )
    done = WRITERS * TRANSACTIONS
    with closing(sqlite3.connect(folder / "flowmend.sqlite3")) as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert file.execute("SELECT max(retention_days), count(*) FROM account").fetchone() == (done, done + 1)


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    ours = django_settings.DATABASES["default"]
    monkeypatch.setitem(ours, "ENGINE", "django.db.backends.sqlite3")
    monkeypatch.setitem(ours, "NAME", tmp_path / "file" / "below" / "flowmend.sqlite3")
    with pytest.raises(ImproperlyConfigured, match="The folder of the database"):
        make_database_folder()
