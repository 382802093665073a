"""With DEBUG=0 the house does not open with a newcomer's keys."""

import os
import subprocess
import sys

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from apps.core.checks import CONSOLE_MAIL, check_newcomer_settings, newcomer_settings, refuse_newcomer_settings

GOOD = {
    "IS_NEWCOMER": False,
    "SECRET_KEY": "k" * 64,
    "FIELD_KEYS": ["a key of our own"],
    "ALLOWED_HOSTS": ["flows.example.org"],
    "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
    "PUBLIC_URL": "https://flows.example.org",
}


@pytest.fixture
def in_production(settings):
    for name, value in GOOD.items():
        setattr(settings, name, value)
    return settings


def test_good_settings_are_taken(in_production):
    refuse_newcomer_settings()
    assert [message for message in check_newcomer_settings(None) if message.level > 20] == []


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SECRET_KEY", "newcomer", "SECRET_KEY is the published default"),
        ("FIELD_KEYS", "newcomer", "FIELD_KEYS starts with the published default"),
        ("FIELD_KEYS", [], "FIELD_KEYS is empty"),
        ("ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]", "testserver"], "ALLOWED_HOSTS names loopback only"),
        ("ALLOWED_HOSTS", ["*"], "ALLOWED_HOSTS is"),
        ("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend", "EMAIL_BACKEND prints mail"),
        ("PUBLIC_URL", "http://flows.example.org", "PUBLIC_URL is http://flows.example.org"),
        ("PUBLIC_URL", "https://127.0.0.1", "PUBLIC_URL is"),
    ],
)
def test_each_newcomers_setting_is_refused_by_name(in_production, name, value, sentence):
    defaults = {"SECRET_KEY": in_production.NEWCOMER_SECRET_KEY, "FIELD_KEYS": [in_production.NEWCOMER_FIELD_KEY]}
    setattr(in_production, name, defaults[name] if value == "newcomer" else value)
    with pytest.raises(ImproperlyConfigured, match=sentence):
        refuse_newcomer_settings()
    assert [problem.msg for problem in check_newcomer_settings(None) if problem.id == "flowmend.E001"] != []


def test_every_newcomers_setting_is_named_at_once(settings):
    settings.IS_NEWCOMER, settings.EMAIL_BACKEND = False, CONSOLE_MAIL
    with pytest.raises(ImproperlyConfigured) as refusal:
        refuse_newcomer_settings()
    for name in ("SECRET_KEY", "FIELD_KEYS", "ALLOWED_HOSTS", "EMAIL_BACKEND", "PUBLIC_URL"):
        assert name in str(refusal.value)


def test_a_newcomer_may_start(settings):
    settings.IS_NEWCOMER = True
    refuse_newcomer_settings()


def test_a_published_key_that_only_decrypts_is_let_through_until_rotation(in_production):
    in_production.FIELD_KEYS = ["a key of our own", in_production.NEWCOMER_FIELD_KEY]
    assert newcomer_settings() == []


def test_the_deployment_check_is_clean_with_good_settings():
    good = {
        "DEBUG": "0",
        "SECRET_KEY": "Zk3!" + "qwertyuiopasdfghjklzxcvbnm0123456789" * 2,
        "FIELD_KEYS": "a key of our own",
        "ALLOWED_HOSTS": "flows.example.org",
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "PUBLIC_URL": "https://flows.example.org",
    }
    kept = {name: os.environ[name] for name in ("PATH", "DATABASE_URL", "DATA_DIR") if name in os.environ}
    outcome = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=django_settings.BASE_DIR,
        env={**kept, **good},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert outcome.returncode == 0, outcome.stderr
