"""`manage.py connection`: secrets never on the command line, mistakes in words, a test that tells what it found."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.models import AuditEntry
from apps.execution.cli_secrets import read_secret_values
from apps.flows.models import Connection
from apps.flows.secrets import read_secrets
from tests.factories import make_account

CANARY = "canary-91ab"


def connection_command(*arguments):
    out, err = StringIO(), StringIO()
    try:
        call_command("connection", *arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        return out.getvalue(), err.getvalue(), ended.code
    return out.getvalue(), err.getvalue(), 0


@pytest.fixture
def shop(db):
    return make_account("Shop")


SERVER = ["--config", "database=postgresql", "--config", "host=127.0.0.1", "--config", "name=x", "--config", "user=u"]


def test_a_connection_is_made_with_a_secret_from_a_file(shop, tmp_path):
    (tmp_path / "password").write_text(CANARY + "\n")
    secret = f"password=@{tmp_path}/password"
    out = connection_command("set", "warehouse", "--kind", "sql", *SERVER, "--secret", secret)[0]
    assert out == "warehouse (sql, production) is made.\n"
    assert read_secrets(Connection.unscoped.get()) == {"password": CANARY}
    shown = connection_command("list")[0] + connection_command("list", "--json")[0]
    assert "password" in shown
    assert CANARY not in shown


def test_after_how_many_failures_it_is_offline_comes_from_a_field_or_a_file(shop, tmp_path):
    connection_command("set", "inbox", "--kind", "file")
    assert Connection.unscoped.get().offline_after == 3
    connection_command("set", "inbox", "--config", "offline_after=5")
    assert Connection.unscoped.get().offline_after == 5
    (tmp_path / "inbox.yaml").write_text("offline_after: 1\n")
    connection_command("set", "inbox", "--config-file", str(tmp_path / "inbox.yaml"))
    assert Connection.unscoped.get().offline_after == 1
    with pytest.raises(CommandError, match="offline_after"):
        connection_command("set", "inbox", "--config", "offline_after=0")
    connection_command("set", "inbox", "--config", "offline_after=")
    assert Connection.unscoped.get().offline_after == 3


def test_a_secret_comes_from_the_environment(shop, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", CANARY)
    connection_command("set", "warehouse", "--kind", "sql", *SERVER, "--secret", "password=env:DB_PASSWORD")
    assert read_secrets(Connection.unscoped.get()) == {"password": CANARY}


def test_a_secret_is_asked_for():
    asked = []

    def ask(prompt):
        asked.append(prompt)
        return CANARY

    assert read_secret_values(["password"], ask) == {"password": CANARY}
    assert asked == ["password: "]


def test_a_secret_on_the_command_line_is_refused_and_not_repeated(shop):
    with pytest.raises(CommandError, match="must not stand on the command line") as caught:
        connection_command("set", "warehouse", "--kind", "sql", *SERVER, "--secret", f"password={CANARY}")
    assert CANARY not in str(caught.value)
    with pytest.raises(CommandError, match="This is a secret: it never stands among the plain fields") as caught:
        connection_command("set", "warehouse", "--kind", "sql", *SERVER, "--config", f"password={CANARY}")
    assert CANARY not in str(caught.value)
    assert not Connection.unscoped.exists()


@pytest.mark.parametrize(
    ("source", "sentence"),
    [("env:NOT_THERE_AT_ALL", "the variable NOT_THERE_AT_ALL is not set"), ("@/nowhere/at/all", "No such file")],
)
def test_a_secret_that_is_not_there_is_told(shop, source, sentence):
    with pytest.raises(CommandError, match=sentence):
        connection_command("set", "warehouse", "--kind", "sql", *SERVER, "--secret", f"password={source}")


def test_a_change_adds_to_the_fields_and_takes_empty_ones_away(shop):
    connection_command("set", "warehouse", "--kind", "sql", *SERVER, "--config", "sslmode=disable")
    out = connection_command("set", "warehouse", "--config", "port=5433", "--config", "sslmode=")[0]
    assert out == "warehouse (sql, production) is changed.\n"
    assert Connection.unscoped.get().config == {
        "database": "postgresql", "host": "127.0.0.1", "name": "x", "user": "u", "port": "5433"
    }  # fmt: skip


def test_the_fields_come_from_a_file(shop, tmp_path):
    (tmp_path / "c.yaml").write_text("folder: inbox\n")
    connection_command("set", "files", "--kind", "file", "--config-file", str(tmp_path / "c.yaml"))
    assert Connection.unscoped.get().config == {"folder": "inbox"}


def test_mistakes_are_told_in_words(shop):
    with pytest.raises(CommandError, match="did you mean port") as caught:
        connection_command("set", "w", "--kind", "sql", "--config", "database=postgres", "--config", "prot=1")
    assert "must be one of postgresql, sqlite" in str(caught.value)
    with pytest.raises(CommandError, match="say its kind with --kind"):
        connection_command("set", "w")


def test_testing_a_connection_tells_what_was_found(shop, tmp_path, settings):
    settings.FILES_ROOT = tmp_path
    (tmp_path / str(shop.pk)).mkdir()
    connection_command("set", "files", "--kind", "file")
    out, _, status = connection_command("test", "files", "--json")
    assert (json.loads(out)["ok"], status) == (True, 0)


def test_a_connection_that_does_not_answer_ends_with_status_1(shop):
    connection_command("set", "warehouse", "--kind", "sql", *SERVER, "--config", "port=1")
    out, _, status = connection_command("test", "warehouse")
    assert "warehouse does not answer" in out
    assert status == 1
    with pytest.raises(CommandError, match="did you mean warehouse"):
        connection_command("test", "warehose")


def test_what_a_test_finds_is_kept_as_the_test_button_keeps_it(shop, tmp_path, settings):
    settings.FILES_ROOT = tmp_path
    connection_command("set", "files", "--kind", "file", "--config", "folder=inbox")
    connection_command("test", "files")
    failed = Connection.unscoped.get()
    assert "The folder inbox of this connection does not exist" in failed.last_error
    (tmp_path / str(shop.pk) / "inbox").mkdir(parents=True)
    connection_command("test", "files")
    answers = Connection.unscoped.get()
    assert (answers.state, answers.last_error) == ("online", "")
    entries = AuditEntry.unscoped.filter(act="connection.test").order_by("id")
    assert [(entry.actor_kind, entry.after["ok"]) for entry in entries] == [("command", False), ("command", True)]
