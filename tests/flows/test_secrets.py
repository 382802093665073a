"""Credentials of connections: encrypted at rest, rotated by a command, never shown."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection as database

from apps.core.crypto import SecretUnreadableError, current_key_id
from apps.execution.management.commands import rotate_keys
from apps.flows.models import Connection
from apps.flows.secrets import read_secrets, replace_secrets, secret_names, write_secrets
from tests.factories import make_account, make_connection, make_webhook

pytestmark = pytest.mark.django_db

CANARY = "canary-7f3a"


def stored(connection):
    with database.cursor() as cursor:
        cursor.execute("SELECT secrets FROM connection WHERE id = %s", [connection.pk])
        return bytes(cursor.fetchone()[0])


def fresh(connection):
    return Connection.unscoped.get(pk=connection.pk)


def test_secrets_are_encrypted_at_rest_and_read_back():
    connection = make_connection(secrets={"password": CANARY})
    assert CANARY.encode() not in stored(connection)
    assert read_secrets(fresh(connection)) == {"password": CANARY}
    assert secret_names(fresh(connection)) == ["password"]
    assert CANARY not in repr(fresh(connection)) + str(fresh(connection))


def test_writing_one_secret_keeps_the_others():
    connection = make_connection(secrets={"password": "a", "token": "b"})
    write_secrets(connection, {"token": "c"})
    write_secrets(connection, {"password": None})
    assert read_secrets(fresh(connection)) == {"token": "c"}


def test_a_connection_without_secrets_has_none():
    connection = make_connection()
    assert read_secrets(connection) == {}
    replace_secrets(connection, {})
    assert fresh(connection).secrets is None


class TestRotation:
    def rotate(self, *arguments):
        out = StringIO()
        call_command("rotate_keys", *arguments, stdout=out)
        return out.getvalue()

    def test_after_rotation_the_old_key_may_go(self, settings):
        settings.FIELD_KEYS = ["old"]
        connection = make_connection(secrets={"password": CANARY})
        settings.FIELD_KEYS = ["new", "old"]
        assert self.rotate().startswith("1 connections sealed")
        settings.FIELD_KEYS = ["new"]
        assert read_secrets(fresh(connection)) == {"password": CANARY}

    def test_a_second_rotation_has_nothing_to_do(self, settings):
        settings.FIELD_KEYS = ["old"]
        make_connection(secrets={"password": CANARY})
        settings.FIELD_KEYS = ["new", "old"]
        self.rotate()
        assert self.rotate("--dry-run").startswith("0 connections")
        assert self.rotate().startswith("0 connections")

    def test_each_set_is_told_with_its_progress(self, settings, monkeypatch):
        monkeypatch.setattr(rotate_keys, "PROGRESS_EVERY", 2)
        settings.FIELD_KEYS = ["old"]
        account = make_account()
        for _ in range(3):
            make_connection(account, secrets={"password": CANARY})
        make_webhook(account)
        settings.FIELD_KEYS = ["new", "old"]
        assert "3 connections to seal" in self.rotate("--dry-run")
        assert "1 secrets of webhooks to seal" in self.rotate("--dry-run")
        told = self.rotate().splitlines()
        assert told[:2] == ["2 of 3 connections …", f"3 connections sealed with key {current_key_id()}."]
        assert f"1 secrets of webhooks sealed with key {current_key_id()}." in told
        assert [line for line in self.rotate("--dry-run").splitlines() if not line.startswith("0 ")] == []

    def test_a_lost_key_is_told_by_name_and_the_others_are_rotated(self, settings):
        settings.FIELD_KEYS = ["lost"]
        make_connection(name="Warehouse", secrets={"password": CANARY})
        settings.FIELD_KEYS = ["old"]
        readable = make_connection(secrets={"password": "b"})
        settings.FIELD_KEYS = ["new", "old"]
        with pytest.raises(CommandError, match="Warehouse"):
            self.rotate()
        settings.FIELD_KEYS = ["new"]
        assert read_secrets(fresh(readable)) == {"password": "b"}

    def test_secrets_of_a_lost_key_can_be_set_again(self, settings):
        settings.FIELD_KEYS = ["lost"]
        connection = make_connection(secrets={"password": CANARY})
        settings.FIELD_KEYS = ["new"]
        with pytest.raises(SecretUnreadableError):
            read_secrets(fresh(connection))
        replace_secrets(connection, {"password": "again"})
        assert read_secrets(fresh(connection)) == {"password": "again"}
