"""Secrets of connections go in by the form and come out nowhere: pages, audit log, errors, admin, logs, database."""

import logging
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.test import Client
from pydantic import Field, SecretStr

from apps.accounts.models import AuditEntry, Member, Role
from apps.connectors.base import ConnectionConfig, Connector, Ping
from apps.connectors.registry import CONNECTORS
from apps.flows.models import Connection
from apps.flows.secrets import read_secrets
from tests.console.scenes import make_scene
from tests.fakes.refusing import refusing_server

CANARY = "canary/7d1e+secret&91"
KEY = "-----BEGIN PRIVATE KEY-----\ncanaryMIGHAgEAMBMGByqGSM49\ncanaryAgEGCCqGSM49AwEHBG0w\n-----END PRIVATE KEY-----"
KEY_LINES = KEY.splitlines()[1:3]


class KeyConfig(ConnectionConfig):
    """A server that takes private keys."""

    host: str = Field(title="Host")
    private_key: SecretStr = Field(title="Private key", description="The key.", json_schema_extra={"multiline": True})
    passphrase: SecretStr | None = Field(None, title="Passphrase")


class TellTale(Connector):
    """Breaks off with its secrets in the message, or tells them as what it found."""

    kind = "telltale"
    label = "Tell-tale"
    Config: ClassVar[type[ConnectionConfig]] = KeyConfig

    def ping(self) -> Ping:
        told = f"{self.config.private_key.get_secret_value()} {self.config.passphrase.get_secret_value()}"
        if self.config.host == "raises":
            raise RuntimeError(told)
        return Ping(False, f"Sign in with {told}", f"Refused: {told}")


class Echo(BaseHTTPRequestHandler):
    """Refuses every request and tells it back: headers, address and body."""

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = f"{self.path}\n{self.headers}\n{body!r}".encode()
        self.send_response(401, "No " + str(self.headers.get("Authorization", ""))[:40])
        self.send_header("Content-Length", str(len(told)))
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(told)

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def log_message(self, *arguments: Any) -> None:
        """Says nothing: the log is what is looked at."""


@pytest.fixture
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def refusing() -> Iterator[str]:
    """The port of a PostgreSQL server that refuses the password."""
    with refusing_server("u") as port:
        yield str(port)


POSTGRESQL = {"database": "postgresql", "host": "127.0.0.1", "name": "x", "user": "u", "synchronous_commit": "on"}
HTTP = {"base_url": "{echo}/v1", "key_in": "header", "client_in": "header", "verify_tls": "on", "ping_path": "me"}
CASES = [
    ("sql", {**POSTGRESQL, "port": "1", "password": CANARY}),
    ("sql", {**POSTGRESQL, "port": "{refusing}", "sslmode": "disable", "password": CANARY}),
    ("http", {**HTTP, "auth": "basic", "user": "u", "password": CANARY}),
    ("http", {**HTTP, "auth": "bearer", "bearer_token": CANARY}),
    ("http", {**HTTP, "auth": "api_key", "api_key": CANARY, "key_in": "query", "key_name": "k"}),
    ("http", {**HTTP, "auth": "oauth2_client", "oauth_url": "{echo}/token", "client_id": "c", "client_secret": CANARY}),
    ("http", {**HTTP, "auth": "oauth2_refresh", "oauth_url": "{echo}/token", "client_id": "c", "client_in": "body",
              "refresh_token": CANARY}),
    ("webhook", {"verification": "hmac", "key_encoding": "base64", "secret": CANARY}),
    ("telltale", {"host": "tells", "private_key": KEY, "passphrase": CANARY}),
    ("telltale", {"host": "raises", "private_key": KEY, "passphrase": CANARY}),
]  # fmt: skip


def needles() -> list[str]:
    """What no text may hold: the secrets and the forms in which they travel."""
    raw = CANARY.encode()
    basic = b64encode(b"u:" + raw).decode()
    return [CANARY, CANARY.replace("&", "&amp;"), quote(CANARY, safe=""), b64encode(raw).decode(), basic, *KEY_LINES]


def found_in(text: str) -> list[str]:
    return [needle for needle in needles() if needle in text]


def dump() -> str:
    """Every row of every table as the database holds it."""
    with database.cursor() as cursor:
        tables = database.introspection.table_names(cursor)
        rows = []
        for table in tables:
            cursor.execute(f"SELECT * FROM {database.ops.quote_name(table)}")
            rows += [bytes(cell) if isinstance(cell, memoryview) else cell for row in cursor for cell in row]
    return "\n".join(map(str, rows))


@pytest.mark.parametrize(("kind", "fields"), CASES)
def test_a_secret_that_was_set_and_used_is_found_nowhere(
    client: Client,
    admin_client: Client,
    mara: User,
    settings: Any,
    echo: str,
    refusing: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    fields: dict[str, str],
) -> None:
    monkeypatch.setitem(CONNECTORS, "telltale", TellTale)
    settings.EGRESS_ALLOW_NETS = ["127.0.0.0/8"]
    caplog.set_level(logging.DEBUG)
    client.force_login(mara)
    make_scene(mara)
    Member.unscoped.filter(user=mara).update(role=Role.ADMINISTRATOR)
    sent = {name: value.replace("{echo}", echo).replace("{refusing}", refusing) for name, value in fields.items()}
    data = {f"config-{name}": value for name, value in sent.items()}

    refused = client.post(f"/connections/new/{kind}/", {**data, "connection-name": " "})
    made = client.post(f"/connections/new/{kind}/", {**data, "connection-name": "Canary"})
    assert (refused.status_code, made.status_code) == (422, 302)
    stored = Connection.unscoped.get(name="Canary")
    assert set(read_secrets(stored).values()) <= {CANARY, KEY}
    home = f"/connections/{stored.pk}/"
    tested = client.post(f"{home}test", follow=True)
    assert AuditEntry.unscoped.get(act="connection.test").after["ok"] is False

    pages = [refused, made, tested]
    pages += [client.get(path) for path in ("/connections/", home, f"{home}edit/", f"{home}delete")]
    pages += [client.post(f"{home}edit/", {**data, "config-host": ""}, follow=True)]
    pages += [admin_client.get(f"/admin/flows/connection/{page}") for page in ("", f"{stored.pk}/change/")]
    entries = AuditEntry.unscoped.filter(object_kind="connection").values_list("pk", flat=True)
    pages += [admin_client.get(f"/admin/accounts/auditentry/{entry}/change/") for entry in entries]
    assert {page.status_code for page in pages} <= {200, 302, 422}
    for page in pages:
        assert found_in(page.content.decode()) == []
        assert found_in(str(page.headers) + str(page.cookies)) == []
    assert found_in(caplog.text) == []
    assert found_in(dump()) == []


def test_the_search_for_secrets_finds_one_that_is_not_hidden(client: Client, mara: User) -> None:
    scene = make_scene(mara)
    Connection.unscoped.filter(account=scene.account).update(last_error=f"refused: {CANARY}")
    client.force_login(mara)
    assert found_in(client.get("/connections/").content.decode()) == [CANARY.replace("&", "&amp;")]
    assert found_in(dump()) == [CANARY]
