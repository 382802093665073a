"""Thousands of calls made up from the OpenAPI document, good ones and bad ones, by a member of each role.

None of them breaks us: no 5xx, no status and no answer that the document does not tell. In an ordinary run each call
is tried a few times; `GENERATED_CALLS=110 python -m pytest tests/api/test_generated_calls.py` makes ten thousand calls.
"""

import json
import os
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounts.models import Member, MemberRole, Role
from apps.accounts.tokens import Scope, issue_token
from apps.api import throttling
from apps.api.reference import document
from apps.core.ids import Kind, retry_data_key, wire_id
from apps.runs.models import Capture
from tests.api.client import Called, problems_of, read
from tests.console.screens import orders_flow
from tests.factories import make_error, make_member, make_retry_data, make_run, step_of

pytestmark = pytest.mark.django_db

TIMES = int(os.environ.get("GENERATED_CALLS", "2"))
OTHER_SPELLINGS = ("/{flow_id}/exports/{step_id}/", "/{flow_id}/imports/{step_id}/")


@cache
def calls() -> dict[str, list[Any]]:
    """What the document tells, by the first name of the path; of a step's three spellings one."""
    schemathesis = import_module("schemathesis")  # loaded where a call is made up, not wherever tests are collected
    found: dict[str, list[Any]] = {}
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(document(), default=str)))
    for call in (one.ok() for one in schema.get_all_operations()):
        if not any(spelling in call.path for spelling in OTHER_SPELLINGS):
            found.setdefault(call.path.split("/")[2], []).append(call)
    return found


RESOURCES = (
    "ashares", "audit", "connections", "errors", "exports", "flows", "imports", "integrations", "jobs", "metrics",
    "notifications", "records", "root-causes", "tags", "tokenInfo", "webhooks",
)  # fmt: skip
CALLERS = ("owner", "administrator", "manager", "monitor", "of_integration", "reader")


@dataclass(frozen=True)
class World:
    """Objects that paths can name, by the name of the path's part, and a token of each caller."""

    names: dict[str, str]
    tokens: dict[str, str]


@pytest.fixture
def world(account, owner) -> World:
    flow = orders_flow(account)
    step, run = step_of(flow), make_run(flow, status="completed")
    capture = Capture.unscoped.create(account=account, run=run, step=step)
    error = make_error(run, step=step, key="A-1", capture=capture)
    make_retry_data(error, b'{"id": 1}')
    names = {
        "flow_id": wire_id(Kind.FLOW, flow.pk),
        "step_id": wire_id(Kind.STEP, step.pk),
        "integration_id": wire_id(Kind.INTEGRATION, flow.integration_id),
        "job_id": wire_id(Kind.RUN, run.pk),
        "retry_data_key": retry_data_key(error.pk),
        "request_key": wire_id(Kind.CAPTURE, capture.pk),
        "cause_id": wire_id(Kind.CAUSE, error.cause_id),
        "connection_id": wire_id(Kind.CONNECTION, step.connection_id or 1),
        "trace_key": "A-1",
    }
    return World(names, {name: issue_token(member=who, scopes=scopes)[1] for name, who, scopes in callers(owner, flow)})


def callers(owner: Member, flow: Any) -> list[tuple[str, Member, tuple[Scope, ...]]]:
    single = make_member(owner.account)
    single.role = ""
    single.save(update_fields=["role"])
    MemberRole.unscoped.create(account=owner.account, member=single, integration=flow.integration, role=Role.MANAGER)
    others = [(role.value, make_member(owner.account, role=role), (Scope.FULL,)) for role in Role if role != Role.OWNER]
    return [
        ("owner", owner, (Scope.FULL,)), *others, ("of_integration", single, (Scope.FULL,)),
        ("reader", owner, (Scope.READ,)),
    ]  # fmt: skip


def test_every_resource_is_called():
    assert sorted(calls()) == list(RESOURCES)


@pytest.mark.parametrize("resource", RESOURCES)
def test_no_generated_call_breaks_the_api_or_answers_off_its_document(resource, world):
    for call in calls()[resource]:
        try_out(call, world)


def try_out(call: Any, world: World) -> None:
    mode = import_module("schemathesis").GenerationMode
    good, bad = (call.as_strategy(generation_mode=kind) for kind in (mode.POSITIVE, mode.NEGATIVE))
    browser = Client(raise_request_exception=False)

    @settings(max_examples=TIMES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=st.one_of(good, bad), who=st.sampled_from(CALLERS), is_real=st.sampled_from([True, True, True, False]))
    def tried(case: Any, who: str, is_real: bool) -> None:
        throttling._counted.clear()
        with transaction.atomic():
            found = sent(browser, case, world, who, is_real=is_real)
            transaction.set_rollback(True)
        declared = document()["paths"][case.path][case.method.lower()]["responses"]
        assert found.status < 500, (case.method, case.path, case.query, case.body, found.json)
        if found.status not in (405, 413, 415):
            assert str(found.status) in declared, (case.method, case.path, found.status, found.json)
            is_chosen = any("clude" in name.lower() for name in case.query or {})
            problems = problems_of(case.path, case.method, found, is_chosen=is_chosen)
            assert not problems, (case.method, case.path, problems)

    tried()


def sent(browser: Client, case: Any, world: World, who: str, *, is_real: bool) -> Called:
    """The answer to a generated call; `is_real`: its path names what is there."""
    path = case.path
    for name, value in (case.path_parameters or {}).items():
        path = path.replace(f"{{{name}}}", world.names.get(name, str(value)) if is_real else str(value))
    query = {name: value if isinstance(value, str) else json.dumps(value) for name, value in (case.query or {}).items()}
    body = b"" if type(case.body).__name__ == "NotSet" else json.dumps(case.body, default=str).encode()
    answer = browser.generic(
        case.method, path, body, "application/json", headers={"Authorization": f"Bearer {world.tokens[who]}"},
        query_params=query,
    )  # fmt: skip
    return read(answer)
