"""Who gets at what, for every call below /v1/: the list comes from the URL configuration, so none is forgotten."""

import re
from typing import Any

import pytest

from apps.accounts.models import Account, Role
from apps.accounts.tokens import Scope
from apps.api.operations import Operation
from apps.api.urls import RESOURCES
from apps.core.ids import Kind, retry_data_key, wire_id
from tests.api.client import Api, api_of
from tests.factories import (
    make_account,
    make_cause,
    make_connection,
    make_error,
    make_flow,
    make_member,
    make_retry_data,
    make_run,
    make_webhook,
    step_of,
)

pytestmark = pytest.mark.django_db
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
LOOKED_FOR = "trace_key"
"""A part of a path that names no object: a list that is looked for by it is empty."""


OPEN = {"schema", "docs"}
"""What tells of the API itself, and nothing of any account."""
NO_CALL = 405
"""Of a view that several addresses share, not every method is a call at each of them."""


def calls() -> list[tuple[str, str, Operation]]:
    """Method, path and declaration of every call; parts of a path that vary stand in angle brackets."""
    found = []
    for pattern in (pattern for resource in RESOURCES for pattern in resource if pattern.name not in OPEN):
        handlers = {method: getattr(pattern.callback.view_class, method.lower(), None) for method in METHODS}
        found += [(method, str(pattern.pattern), one.operation) for method, one in handlers.items() if one is not None]
    return found


def ids_in(account: Account) -> dict[str, str]:
    """Ids of an account's objects, by the name that a path has for them; one that is missing here fails the tests."""
    flow = make_flow(account)
    error = make_error(make_run(flow), step=step_of(flow), cause=make_cause(step_of(flow)), key="A-1")
    make_retry_data(error)
    return {
        "integration_id": wire_id(Kind.INTEGRATION, flow.integration_id),
        "flow_id": wire_id(Kind.FLOW, flow.pk),
        "step_id": wire_id(Kind.STEP, error.step_id),
        "export_id": wire_id(Kind.STEP, step_of(flow, "source").pk),
        "connection_id": wire_id(Kind.CONNECTION, make_connection(account).pk),
        "job_id": wire_id(Kind.RUN, error.run_id),
        "retry_data_key": retry_data_key(error.pk),
        "trace_key": "A-1",
        "cause_id": wire_id(Kind.CAUSE, error.cause_id),
        "tag_id": wire_id(Kind.TAG, 2**40),
        "webhook_id": wire_id(Kind.WEBHOOK, make_webhook(account).pk),
        "act_id": wire_id(Kind.BULK_ACT, 2**40),
        "request_key": wire_id(Kind.CAPTURE, 2**40),
    }


def filled(route: str, ids: dict[str, str]) -> str:
    ids = {**ids, "step_id": ids["export_id"]} if route.startswith("exports") else ids
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda part: ids[part[1]], route)


def status_of(api: Api, method: str, path: str) -> Any:
    headers = {"Authorization": f"Bearer {api.token}"} if api.token else {}
    return api.browser.generic(method, f"/v1/{path}", b"", "application/json", headers=headers).status_code


def test_without_a_token_every_call_is_401(db):
    ids = ids_in(make_account())
    found = {(method, route): status_of(Api(), method, filled(route, ids)) for method, route, _ in calls()}
    assert {call: status for call, status in found.items() if status != 401} == {}


def test_what_belongs_to_another_account_is_not_there(api):
    ids = ids_in(make_account())
    named = [(method, route) for method, route, _ in calls() if "<" in route and LOOKED_FOR not in route]
    found = {(method, route): status_of(api, method, filled(route, ids)) for method, route in named}
    assert {call: status for call, status in found.items() if status not in (404, NO_CALL)} == {}
    assert len(named) > 20


def test_a_token_without_the_scope_gets_at_nothing(owner, account):
    ids = ids_in(account)
    weak = {scope: api_of(owner, scope) for scope in (Scope.READ, Scope.RUN)}
    found = {
        (method, route): status_of(
            weak[Scope.RUN if one.scope is Scope.READ else Scope.READ], method, filled(route, ids)
        )
        for method, route, one in calls()
        if one.scope is not None
    }
    assert {call: status for call, status in found.items() if status not in (403, NO_CALL)} == {}


def test_a_monitor_changes_no_flow_and_no_connection(account):
    ids = ids_in(account)
    monitor = api_of(make_member(account, role=Role.MONITOR))
    changing = [(method, route) for method, route, one in calls() if one.scope is Scope.EDIT]
    found = {(method, route): status_of(monitor, method, filled(route, ids)) for method, route in changing}
    assert {call: status for call, status in found.items() if status != 403} == {}
    assert len(changing) > 15
