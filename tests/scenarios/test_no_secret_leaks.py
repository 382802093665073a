"""Runs that fail in every way, over every kind of connection that has secrets: no secret is found anywhere after them.

The applications here tell back what they were sent: header, address and body. Looked through is all that stays: every
cell of the database (packed ones unpacked), the log, captured requests and answers, and the pages of console and admin.
"""

import hashlib
import hmac
import json
import logging
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection as database
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Account, Role
from apps.errors.models import Error
from apps.execution import reader
from apps.flows.hooks import hook_address, hook_of
from apps.flows.models import Connection, Flow
from apps.runs.models import Capture, Run
from tests.factories import make_member
from tests.fakes.certificates import Authority
from tests.fakes.http_peer import Peer, Seen, reply
from tests.fakes.mail_server import MailServer
from tests.fakes.refusing import refusing_server
from tests.long_tests import SPREADS
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.django_db

CANARY = "canary/7d1e+s&cret ümlaut-91"
PLAIN = "canary-7d1e.secret-91"
ACCESS = "canary-access-4b2f.token"
SEALED = "canary-hook-secret-5a5a"
SIGN_INS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "basic": ({"auth": "basic", "user": "u"}, {"password": CANARY}),
    "bearer": ({"auth": "bearer"}, {"bearer_token": PLAIN}),
    "header_key": ({"auth": "api_key", "key_name": "X-Shop"}, {"api_key": PLAIN}),
    "query_key": ({"auth": "api_key", "key_in": "query", "key_name": "k"}, {"api_key": CANARY}),
    "oauth": ({"auth": "oauth2_client", "client_id": "c"}, {"client_secret": CANARY}),
    "oauth_body": ({"auth": "oauth2_client", "client_id": "c", "client_in": "body"}, {"client_secret": CANARY}),
    "oauth_refresh": ({"auth": "oauth2_refresh", "client_id": "c"}, {"refresh_token": CANARY, "client_secret": PLAIN}),
}
TO_IMPORTS, TO_EXPORTS = ("refused", "closed", "moved", "torn"), ("forbidden", "moved", "broken", "page")
IMPORT = """
flow: {key}
integration: {{key: trial, name: Trial}}
enabled: true
steps:
  - key: source
    export: {{connection: files, path: orders.jsonl}}
    trace_key: "{{{{ record.id }}}}"
  - key: send
    on_error: set_aside
    import: {{connection: {connection}, {options}}}
"""
EXPORT = """
flow: {key}
integration: {{key: trial, name: Trial}}
enabled: true
steps:
  - key: source
    export: {{connection: {connection}, {options}}}
    trace_key: "{{{{ record.id }}}}"
  - key: tell
    log: "{{{{ record.id }}}}"
"""


# --- what is looked for, and where -----------------------------------------------------------------------------------
def forms(secret: str) -> set[str]:
    """The secret as it travels and as it may be written down."""
    raw = secret.encode()
    found = {
        secret,
        escape(secret),
        json.dumps(secret)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
    }
    for text in (raw, b"u:" + raw, b"c:" + raw, b"c:" + quote_plus(secret).encode()):
        found |= {b64encode(text).decode().rstrip("="), urlsafe_b64encode(text).decode().rstrip("=")}
    return found | {raw.hex(), repr(secret)[1:-1], repr(raw)[2:-1]}


NEEDLES = frozenset().union(*map(forms, (CANARY, PLAIN, ACCESS, SEALED)))


def found_in(text: str) -> list[str]:
    return [needle for needle in NEEDLES if needle in text]


def cell_text(cell: Any) -> str:
    """A cell as text; packed bytes also unpacked."""
    if not isinstance(cell, bytes | memoryview):
        return str(cell)
    raw = bytes(cell)
    with suppress(zlib.error):
        raw += zlib.decompress(raw)
    return raw.decode("utf-8", "replace")


def dump() -> Iterator[tuple[str, str]]:
    """Every row of every table: the table's name and the row as text."""
    with database.cursor() as cursor:
        for table in database.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {database.ops.quote_name(table)}")
            for row in cursor.fetchall():
                yield table, "\n".join(map(cell_text, row))


def pages_of(account: Account) -> Iterator[str]:
    """The addresses of all that shows what runs and connections left.

    Nothing that a run left holds a secret, as every cell has been looked at: its pages are looked at for what they do
    with it, on some runs, and those of connections, which hold secrets, one and all.
    """
    yield from ("/errors/", "/connections/", "/integrations/", "/dashboard/completed/", "/dashboard/running/")
    # of 7 x 9 flows every eighth: each way to fail comes up, and each with another way to sign in
    flows = Flow.objects.of(account).order_by("pk")[::8]
    for flow in flows:
        yield from (f"/flows/{flow.pk}/{tab}" for tab in ("", "history/", "definition/", "errors/"))
    for run in Run.objects.of(account).filter(flow__in=flows):
        yield from (f"/runs/{run.pk}/", f"/runs/{run.pk}/log/")
    for error in Error.objects.of(account).filter(flow__in=flows):
        place = f"/flows/{error.flow_id}/steps/{error.step_id}/errors/{error.pk}/"
        yield from (place + tab for tab in ("", "data/", "request/", "response/", "history/"))
    for connection in Connection.objects.of(account):
        yield from (f"/connections/{connection.pk}/", f"/connections/{connection.pk}/edit/")


def admin_pages(models: Iterable[type[Model]]) -> Iterator[str]:
    """The list of each model in the admin, and the page of its newest row."""
    for model in models:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        rows = getattr(model, "unscoped", model._default_manager)
        for key in rows.order_by("-pk").values_list("pk", flat=True)[:1]:
            yield reverse(f"{name}_change", args=[key])


def assert_nothing_leaked(
    scene: Scene, log: pytest.LogCaptureFixture, models: Iterable[type[Model]] = (Connection, Error, Run)
) -> int:
    """Looks everywhere, in the admin at some models or all; the number of pages that were looked at."""
    assert found_in(log.text) == []
    for table, row in dump():
        assert (table, found_in(row)) == (table, [])
    client, number = Client(), 0
    user = User.objects.create_superuser("finder", "finder@example.org", "looks")
    make_member(scene.account, user=user, role=Role.OWNER)
    client.force_login(user)
    for path in (*pages_of(scene.account), *admin_pages(models)):
        answer = client.get(path)
        assert (path, answer.status_code) in {(path, 200), (path, 302), (path, 403)}
        assert (path, found_in(answer.content.decode() + str(answer.headers))) == (path, [])
        number += 1
    return number


# --- applications that tell back what they were sent -----------------------------------------------------------------
def told(one: Seen) -> dict[str, Any]:
    sent = {"headers": one.headers, "query": one.query, "body": one.body.decode("utf-8", "replace")}
    return {"message": f"Not with {json.dumps(sent)}", "error": sent, "id": 1}


def moved(one: Seen) -> Any:
    secret = one.headers.get("Authorization", "") + "".join(one.query.values())
    return reply(302, told(one), Location=f"/elsewhere?was={quote(secret)}")


def torn(one: Seen) -> Any:
    return reply(200, json.dumps(told(one)).encode()[:-5], Content_Type="application/json")


def page(one: Seen) -> Any:
    return reply(500, f"<html><b>{one.headers} {one.query} {one.body!r}</b>".encode(), Content_Type="text/html")


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    statuses = {"refused": 422, "closed": 401, "forbidden": 403, "broken": 400}
    for name, status in statuses.items():
        peer.on(f"/{name}", lambda one, status=status: reply(status, told(one), X_Echo=str(one.headers)[:2000]))
    for name, answering in (("moved", moved), ("torn", torn), ("page", page)):
        peer.on(f"/{name}", answering)
    granted = {"access_token": ACCESS, "expires_in": 3600, "token_type": "Bearer", "refresh_token": PLAIN}
    peer.on("/token", lambda one: granted)
    peer.on("/closed-token", lambda one: reply(401, told(one) | {"error_description": f"no {one.body!r}"}))
    with peer.running():
        yield peer


@pytest.fixture
def watched(sqlite_scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Reads in the worker's own thread: another one would wait for what this test's transaction has not committed."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(reader, "ReadAhead", reader.ReadInPlace)
    sqlite_scene.write("orders.jsonl", '{"id": 1, "to": "a@example.org"}\n{"id": 2, "to": "b@example.org"}\n')
    return sqlite_scene


@SPREADS
def test_http_runs_that_fail_in_every_way_leave_no_secret(
    watched: Scene, peer: Peer, caplog: pytest.LogCaptureFixture, spread: int
) -> None:
    for sign_in in list(SIGN_INS)[::spread]:
        seen, errors = len(peer.seen), Error.objects.of(watched.account).count()
        fail_in_every_way(watched, peer, sign_in)
        assert [one for one in peer.seen[seen:] if found_in(f"{one.headers} {one.query} {one.body!r}")]
        assert Error.objects.of(watched.account).count() >= errors + 4

    assert Capture.objects.of(watched.account).exists()
    assert assert_nothing_leaked(watched, caplog, admin.site._registry) > 50


def fail_in_every_way(scene: Scene, peer: Peer, sign_in: str) -> None:
    facts, secrets = SIGN_INS[sign_in]
    opened, closed = f"token-{sign_in}", f"closed-token-{sign_in}"
    for name, path in ((opened, "token"), (closed, "closed-token")):
        oauth = {"oauth_url": f"{peer.url}/{path}"} if "oauth" in sign_in else {}
        scene.connect(name, "http", base_url=peer.url, secrets=dict(secrets), **facts, **oauth)
    for name in TO_IMPORTS:
        scene.run(scene.apply(IMPORT.format(key=f"to-{name}-{sign_in}", connection=opened, options=f"path: /{name}")))
        Connection.unscoped.filter(name=opened).update(state="online")
    for name in TO_EXPORTS:
        options = f"path: /{name}, record_path: items"
        scene.run(scene.apply(EXPORT.format(key=f"from-{name}-{sign_in}", connection=opened, options=options)))
        Connection.unscoped.filter(name=opened).update(state="online")
    scene.run(scene.apply(IMPORT.format(key=f"untold-{sign_in}", connection=closed, options="path: /refused")))


def test_a_database_that_refuses_the_password_leaves_no_secret(
    watched: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    with refusing_server("u") as port:
        facts = {"database": "postgresql", "host": "127.0.0.1", "port": port, "name": "x", "user": "u"}
        watched.connect("closed", "sql", secrets={"password": CANARY}, sslmode="disable", **facts)
        watched.run(
            watched.apply(IMPORT.format(key="rows", connection="closed", options="operation: insert, table: orders"))
        )
        run = watched.run(watched.apply(EXPORT.format(key="all", connection="closed", options="query: SELECT 1 AS id")))
    assert run.wait_reason or run.outcome == "failed"
    assert_nothing_leaked(watched, caplog)


def test_a_mail_server_that_refuses_the_password_leaves_no_secret(
    watched: Scene, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    mail = MailServer(user=("u", "another"))
    with mail.running(starttls=authority.context()):
        facts = {"host": mail.host, "port": mail.port, "security": "starttls", "ca": authority.pem, "user": "u"}
        facts |= {"sender": "orders@example.org", "allowed_domains": ["example.org"]}
        watched.connect("post", "email", secrets={"password": PLAIN}, **facts)
        options = 'to: "{{ record.to }}", subject: Order, text: Hello'
        run = watched.run(watched.apply(IMPORT.format(key="mails", connection="post", options=options)))
    assert run.wait_reason or run.failed
    assert mail.taken == []
    assert_nothing_leaked(watched, caplog)


def test_requests_to_a_webhook_leave_no_secret(watched: Scene, caplog: pytest.LogCaptureFixture) -> None:
    body = b'[{"id": 1}, {"id": 2}]'
    signature = hmac.new(SEALED.encode(), body, hashlib.sha256).hexdigest()
    watched.connect("signed", "webhook", secrets={"secret": SEALED}, verification="hmac")
    watched.connect("token", "webhook", secrets={"secret": PLAIN}, verification="token", header="X-Token")
    tries = [
        ("signed", {"X-Signature": signature}, 202),
        ("signed", {"X-Signature": "0" * 64}, 401),
        ("signed", {"X-Signature": SEALED}, 401),
        ("token", {"X-Token": PLAIN}, 202),
        ("token", {"X-Token": PLAIN + "x"}, 401),
    ]
    for name in ("signed", "token"):
        options = "include_headers: [X-Token, X-Other], window_s: 0"
        watched.apply(EXPORT.format(key=name, connection=name, options=options))
    for name, headers, status in tries:
        path = "/hooks/" + hook_address(hook_of(Flow.unscoped.get(key=name))).rsplit("/", 1)[1]
        answer = Client().post(path, body, content_type="application/json", headers={**headers, "X-Other": "seen"})
        assert (name, answer.status_code) == (name, status)
        assert found_in(answer.content.decode()) == []
    for run in Run.unscoped.all():
        assert watched.work_to_the_end(run).records_in == 2
    assert_nothing_leaked(watched, caplog)


def test_the_search_finds_a_secret_in_each_place_and_form(watched: Scene, caplog: pytest.LogCaptureFixture) -> None:
    watched.connect("open", "http", base_url="http://127.0.0.1:1")
    for form in NEEDLES:
        packed = zlib.compress(f"x{form}x".encode())
        assert form in found_in(cell_text(packed))
    Connection.unscoped.filter(name="open").update(last_error=f"no {quote(CANARY)}")
    with pytest.raises(AssertionError, match="connection"):
        assert_nothing_leaked(watched, caplog)
