"""Who gets at what, for every call below /v1/: each is in one table, so that none is forgotten."""

import re
from dataclasses import dataclass

import pytest

from apps.accounts.models import Account, Member, Role
from apps.accounts.tokens import Scope
from apps.api.operations import Operation
from apps.api.urls import RESOURCES
from apps.core.ids import Kind, retry_data_key, wire_id
from apps.engine.records import key_hash
from apps.errors.models import BulkAct, Tag
from apps.errors.states import BulkKind
from apps.runs.models import Capture
from tests.access import NO_CALL, Call, filled, least_role, plainly, read_table, role_below, status_of
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
TABLE = """
any GET: token-info
view GET: integration-list integration integration-flows flow-list flow flow-dependencies flow-last-export
 export-list export import-list import connection-list connection member-list integration-members metrics
 job-list job job-joberrors0 job-joberrors1 job-errors2 job-diagnostics job-diagnostics-file
 notification-list flow-latest integration-latest
 flow-errors integration-errors step-errors step-resolved error-data step-error-data error-request inbox act
 root-cause-list root-cause record tag-list tag
view POST: job-current flow-stats
run_flow POST: flow-run
cancel_run PUT: job-cancel
cancel_run DELETE: job
retry_errors POST: step-retry step-errors-retry retry-matching
resolve_errors POST: resolve-matching
resolve_errors PUT: step-resolved
assign_errors POST PUT: step-errors-assign integration-errors-assign
apply_tags POST PUT: step-tags step-errors-tags

edit_retry_data PUT: error-data step-error-data
define_tags POST: tag-list
define_tags PUT DELETE: tag
edit_flows POST: integration-list flow-list flow-clone export-list import-list
edit_flows PUT PATCH: integration flow export import
edit_flows DELETE: export import
edit_connections POST: connection-list connection-ping webhook-list webhook-test
edit_connections PUT PATCH: connection
edit_connections GET: webhook-list webhook webhook-deliveries
edit_connections PUT: webhook
move_checkpoint PUT: flow-last-export

delete DELETE: integration flow connection webhook step-resolved
read_audit GET: audit-list flow-audit
"""
CALLS = read_table(TABLE, METHODS)
ALIAS = re.compile(r"-of-(export|import)$")
"""Of an address that names what its step is: the same call."""
LOOKED_FOR = "trace_key"
"""A part of a path that names no object: a list that is looked for by it is empty."""


OPEN = {"schema", "docs"}
"""What tells of the API itself, and nothing of any account."""


@dataclass(frozen=True, eq=False)
class Address:
    """One method of one address; parts of its path that vary stand in angle brackets."""

    call: Call
    path: str
    operation: Operation
    is_alias: bool

    def asked(self, api: Api, ids: dict[str, str]) -> int:
        values = {**ids, "step_id": ids["export_id"]} if self.path.startswith("exports") else ids
        headers = {"Authorization": f"Bearer {api.token}"} if api.token else {}
        path = f"/v1/{filled(self.path, values)}"
        browser = plainly(api.browser)
        return status_of(lambda: browser.generic(self.call[0], path, b"", "application/json", headers=headers))


def addresses() -> list[Address]:
    found = []
    for pattern in (pattern for resource in RESOURCES for pattern in resource if pattern.name not in OPEN):
        view = pattern.callback.view_class
        call = ALIAS.sub("", pattern.name)
        for method in METHODS:
            one = getattr(view, method.lower(), None) if method.lower() in view.http_method_names else None
            if one is not None:
                found.append(Address((method, call), str(pattern.pattern), one.operation, call != pattern.name))
    return found


ADDRESSES = addresses()
BY_ROLE = [one for one in ADDRESSES if not one.is_alias and CALLS.get(one.call, "any") != "any"]


def ids_in(account: Account) -> dict[str, str]:
    """Ids of an account's objects, by the name that a path has for them; one that is missing here fails the tests."""
    flow = make_flow(account)
    run = make_run(flow)
    capture = Capture.unscoped.create(account=account, run=run, step=step_of(flow))
    error = make_error(
        run, step=step_of(flow), cause=make_cause(step_of(flow)), key="A-1", key_hash=key_hash("A-1"), capture=capture
    )
    make_retry_data(error)
    act = BulkAct.unscoped.create(account=account, act=BulkKind.RESOLVE)
    return {
        "integration_id": wire_id(Kind.INTEGRATION, flow.integration_id),
        "flow_id": wire_id(Kind.FLOW, flow.pk),
        "step_id": wire_id(Kind.STEP, error.step_id),
        "export_id": wire_id(Kind.STEP, step_of(flow, "source").pk),
        "connection_id": wire_id(Kind.CONNECTION, make_connection(account).pk),
        "job_id": wire_id(Kind.RUN, run.pk),
        "retry_data_key": retry_data_key(error.pk),
        "trace_key": "A-1",
        "cause_id": wire_id(Kind.CAUSE, error.cause_id),
        "tag_id": wire_id(Kind.TAG, Tag.unscoped.create(account=account, name="supplier asked").pk),
        "webhook_id": wire_id(Kind.WEBHOOK, make_webhook(account).pk),
        "act_id": wire_id(Kind.BULK_ACT, act.pk),
        "request_key": wire_id(Kind.CAPTURE, capture.pk),
    }


def wrong(found: dict[Address, int], *right: int) -> dict[Call, int]:
    return {address.call: status for address, status in found.items() if status not in right}


def test_every_call_is_in_the_table():
    """A call that the table does not name fails here: give it its act there."""
    assert {address.call for address in ADDRESSES} == set(CALLS)


def test_without_a_token_every_call_is_401(db):
    ids = ids_in(make_account())
    assert wrong({address: address.asked(Api(), ids) for address in ADDRESSES}, 401) == {}


def test_what_belongs_to_another_account_is_not_there(api):
    ids = ids_in(make_account())
    named = [address for address in ADDRESSES if "<" in address.path and LOOKED_FOR not in address.path]
    assert wrong({address: address.asked(api, ids) for address in named}, 404, NO_CALL) == {}
    assert len(named) > 20


def test_a_token_without_the_scope_gets_at_nothing(owner, account):
    ids = ids_in(account)
    reads, runs = api_of(owner, Scope.READ), api_of(owner, Scope.RUN)
    scoped = [address for address in ADDRESSES if address.operation.scope is not None]
    found = {one: one.asked(runs if one.operation.scope is Scope.READ else reads, ids) for one in scoped}
    assert wrong(found, 403, NO_CALL) == {}


def test_the_least_role_of_an_act_may_do_it(account):
    ids = ids_in(account)
    apis = {role: api_of(make_member(account, role=role)) for role in Role}
    BulkAct.unscoped.update(member=Member.objects.of(account).get(role=Role.MONITOR))  # one sees only one's own
    found = {one: one.asked(apis[least_role(CALLS[one.call])], ids) for one in BY_ROLE}
    assert {one.call: status for one, status in found.items() if status in (401, 403, 404) or status >= 500} == {}


def test_the_role_below_is_refused(account):
    ids = ids_in(account)
    apis = {role: api_of(make_member(account, role=role)) for role in Role}
    below = [(one, role_below(CALLS[one.call])) for one in BY_ROLE]
    found = {one: one.asked(apis[role], ids) for one, role in below if role}
    assert wrong(found, 403) == {}
    assert len(found) > 30
