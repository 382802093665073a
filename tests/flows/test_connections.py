"""Connections: checked by their connector's own model, secrets apart, bounds from the settings."""

import pytest

from apps.accounts.models import AuditEntry
from apps.engine.ports import ConnectorError
from apps.flows.connections import connector_config, database_identity, open_connector, surroundings_for
from apps.flows.models import Connection
from apps.flows.secrets import read_secrets
from apps.flows.services import ConnectionRefused, apply_definition, set_connection, set_secrets
from tests.factories import make_account, make_connection
from tests.flows.definitions import flow_of

pytestmark = pytest.mark.django_db

SERVER = {"database": "postgresql", "host": "db.example.org", "name": "stock", "user": "flow"}
CANARY = "canary-52c1"


def test_a_connection_is_made_with_its_secrets_apart(account):
    connection = set_connection(
        account=account, name="warehouse", kind="sql", config=SERVER, secrets={"password": CANARY}
    )
    stored = Connection.unscoped.get(pk=connection.pk)
    assert stored.config == SERVER
    assert read_secrets(stored) == {"password": CANARY}
    config = connector_config(stored)
    assert config.password.get_secret_value() == CANARY
    entry = AuditEntry.unscoped.get(act="connection.set")
    assert CANARY not in str(entry.after)
    assert entry.after["secrets"] == ["password"]


def test_a_change_keeps_the_secrets_that_it_does_not_name(account):
    set_connection(account=account, name="warehouse", kind="sql", config=SERVER, secrets={"password": CANARY})
    changed = set_connection(account=account, name="warehouse", kind="sql", config={**SERVER, "port": "5433"})
    assert read_secrets(changed) == {"password": CANARY}
    assert connector_config(changed).port == 5433
    assert read_secrets(set_secrets(connection=changed, secrets={"password": None})) == {}


def test_every_mistake_in_a_connection_is_told_and_nothing_stored(account):
    with pytest.raises(ConnectionRefused) as caught:
        set_connection(
            account=account,
            name="warehouse",
            kind="sql",
            config={"database": "dbase", "prot": 1, "password": CANARY},
            secrets={"pasword": "x"},
        )
    told = {mistake.place: str(mistake) for mistake in caught.value.mistakes}
    assert set(told) == {"database", "prot", "password", "pasword"}
    assert "did you mean port?" in told["prot"]
    assert "did you mean password?" in told["pasword"]
    assert CANARY not in str(caught.value)
    assert not Connection.unscoped.exists()


def test_an_unknown_kind_is_refused_with_the_known_ones(account):
    with pytest.raises(ConnectionRefused, match="did you mean file"):
        set_connection(account=account, name="x", kind="files", config={})


def test_a_connection_that_steps_use_keeps_its_kind(account):
    set_connection(account=account, name="files", kind="file", config={})
    apply_definition(account=account, text=flow_of())
    with pytest.raises(ConnectionRefused, match="is of the kind file, and steps use it"):
        set_connection(account=account, name="files", kind="sql", config=SERVER)


def test_each_account_has_its_own_folder_of_databases_and_ours_is_never_a_target(account, settings):
    settings.EGRESS_ALLOW_NETS = ["10.0.0.0/8"]
    ours, theirs = surroundings_for(account), surroundings_for(make_account())
    assert ours.sqlite_root != theirs.sqlite_root
    assert ours.account != theirs.account
    assert ours.allow_nets == ("10.0.0.0/8",)
    assert database_identity({"ENGINE": "x.postgresql", "NAME": "n", "HOST": "h", "PORT": ""}) == "h:5432/n"
    assert database_identity({"ENGINE": "x.sqlite3", "NAME": "/a/../b.sqlite3"}) == "/b.sqlite3"


def test_a_stored_connection_that_cannot_be_used_says_why_without_its_secrets(account):
    broken = make_connection(account, name="w", kind="sql", config={"database": "x"}, secrets={"password": CANARY})
    with pytest.raises(
        ConnectorError, match="The connection w cannot be opened: database: This must be one of"
    ) as caught:
        open_connector(broken, surroundings_for(account))
    assert CANARY not in str(caught.value)
    with pytest.raises(ConnectorError, match="There is no connector of the kind gone"):
        open_connector(make_connection(account, kind="gone"), surroundings_for(account))
