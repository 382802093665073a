"""Settings that are wrong are told in a sentence before anything starts."""

import os
import re
import runpy
import subprocess
import sys

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=django_settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("WORKERS", "many", "WORKERS is 'many': it has to be a number, 1 or more."),
        ("WORKERS", "0", "WORKERS is '0': it has to be a number, 1 or more."),
        ("LEASE_SECONDS", "nan", "LEASE_SECONDS is 'nan': it has to be a number, 1 or more."),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is 'LOUD': DEBUG, INFO, WARNING, ERROR or CRITICAL."),
        ("LOG_FORMAT", "xml", "LOG_FORMAT is 'xml': line or json."),
        ("DATABASE_URL", "flowmend", "DATABASE_URL is no address of a database"),
        ("DATABASE_URL", "mysql://somewhere/flowmend", "DATABASE_URL names a database that Flowmend does not run on"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=f"^{re.escape(sentence)}"):
        runpy.run_path(str(django_settings.BASE_DIR / "config/settings.py"))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("WORKERS", "many", "WORKERS is 'many'"),
        ("DEBUG", "0", "DEBUG is 0, but these settings are still a newcomer's: (1) SECRET_KEY"),
        ("DATA_DIR", "/dev/null/var", "The folder of the database, /dev/null/var, cannot be made"),
    ],
)
def test_the_start_ends_with_a_sentence_and_without_a_trace(name: str, value: str, sentence: str) -> None:
    outcome = manage("check", **{name: value})
    assert outcome.returncode == 1
    assert outcome.stderr.startswith(f"Flowmend does not start: {sentence}")
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("command", ["up", "migrate", "check_books"])
def test_a_database_that_is_away_is_a_sentence(command: str) -> None:
    outcome = manage(command, DATABASE_URL="postgres://nobody@127.0.0.1:1/flowmend")
    assert outcome.returncode == 1
    assert "does not answer" in outcome.stderr
    assert "Traceback" not in outcome.stderr
