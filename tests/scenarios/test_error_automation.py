"""The template Error automation: installed by one click, its flows retry and resolve errors over the real API."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account, Member, Role, Token
from apps.errors.models import Error
from apps.execution import reader
from apps.flows.models import Connection, Flow
from apps.flows.secrets import read_secrets
from apps.flows.services import apply_definition, install_error_automation
from apps.flows.services.installing import template
from apps.runs.models import Run
from tests.factories import make_member
from tests.scenarios.scene import Scene

INSTALL = "/integrations/error-automation/install"


@pytest.fixture
def scene(
    transactional_db: None, live_server: Any, sqlite_scene: Scene, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Scene:
    """Pages are read in place: the reader's thread would keep a connection to the database of the test."""
    monkeypatch.setattr(reader, "ReadAhead", reader.ReadInPlace)
    settings.PUBLIC_URL = live_server.url
    return sqlite_scene


def failing_orders(scene: Scene) -> Flow:
    lines = [f'{{"id": {number}, "amount": {amount}}}' for number, amount in ((1, 5), (2, -1), (3, -2))]
    scene.write("orders.jsonl", "\n".join(lines))
    flow = scene.flow_of_file("orders.jsonl")
    scene.run(flow)
    assert Error.objects.of(scene.account).open().count() == 2
    return flow


def automation(scene: Scene, key: str, **settings: str) -> Run:
    """Run one of the flows with these settings."""
    text = template(key).replace("enabled: false", "enabled: true")
    for name, value in settings.items():
        text = text.replace(f'  {name}: ""', f"  {name}: {value}")
    return scene.run(apply_definition(account=scene.account, text=text).flow)


def test_the_flows_retry_and_resolve_what_matches(scene: Scene) -> None:
    account = scene.account
    member = Member.objects.of(account).get(role=Role.OWNER)
    failing_orders(scene)
    install_error_automation(account=account, member=member)
    scene.place.execute("DELETE FROM orders")

    nothing = automation(scene, "retry-errors", source="mapping")
    assert (nothing.outcome, nothing.records_in) == ("empty", 0), scene.messages(nothing)
    retried = automation(scene, "retry-errors", source="application")
    assert (retried.outcome, retried.success) == ("completed", 2), scene.messages(retried)
    for run in Run.objects.of(account).filter(kind="retry"):
        scene.work_to_the_end(run)
    assert Error.objects.of(account).filter(reason="retry_failed").count() == 2

    code = Error.objects.of(account).open().select_related("cause")[0].cause.code
    resolved = automation(scene, "resolve-errors", source="application", code=f'"{code}"', message="amount")
    assert (resolved.outcome, resolved.success) == ("completed", 2), (code, scene.messages(resolved))
    assert not Error.objects.of(account).open().exists()
    assert Error.objects.of(account).filter(reason="manual").count() == 2


@pytest.mark.django_db
def test_one_click_installs_it_with_a_connection_and_a_token_of_its_own(client: Client, account: Account) -> None:
    manager = make_member(account, role=Role.MANAGER)
    client.force_login(manager.user)
    assert INSTALL in client.get("/integrations/").content.decode()
    answer = client.post(INSTALL, follow=True)
    assert answer.redirect_chain[-1][0] == "/integrations/error-automation/flows/"
    assert "Retry errors" in answer.content.decode()

    token = Token.objects.of(account).get()
    secret = read_secrets(Connection.objects.of(account).get(name="Flowmend API"))["bearer_token"]
    assert (token.member, token.scopes, secret.startswith(token.prefix)) == (manager, ["errors"], True)
    assert secret not in answer.content.decode()
    flows = Flow.objects.of(account).values_list("key", "enabled")
    assert set(flows) == {("retry-errors", False), ("resolve-errors", False)}

    client.post(INSTALL)
    assert (Token.objects.of(account).count(), Flow.objects.of(account).count()) == (1, 2)
    assert INSTALL not in client.get("/integrations/").content.decode()


@pytest.mark.django_db
def test_a_monitor_installs_nothing(client: Client, account: Account) -> None:
    client.force_login(make_member(account, role=Role.MONITOR).user)
    assert client.post(INSTALL).status_code == 403
    assert INSTALL not in client.get("/integrations/").content.decode()
    assert not Flow.objects.of(account).exists()
