"""Plain functions that make rows: name what the test is about, the rest is filled in.

`flow = make_flow(account, name="Orders")`; `error = make_error(step=step, key="A-1")`. Counters are kept as the product
keeps them: an open error is counted on its step and its cause.
"""

import hashlib
from itertools import count
from typing import Any

from django.contrib.auth.models import User
from django.db.models import F

from apps.accounts.models import Account, Member, Role
from apps.accounts.services import add_member, create_account
from apps.core.clock import wall_now
from apps.errors.models import Cause, Error, RetryData, StepState
from apps.errors.search import searched_text, write_texts
from apps.errors.states import ErrorState
from apps.flows.models import Connection, Flow, Integration, Revision, Step
from apps.flows.secrets import replace_secrets
from apps.notifications.channels import add_channel
from apps.notifications.models import Channel
from apps.runs.models import FlowState, Page, Run, StepRun
from apps.webhooks.models import Event, Webhook
from apps.webhooks.services import add_webhook

_numbers = count(1)


def make_user(username: str = "", *, password: str = "", **fields: Any) -> User:
    name = username or f"user{next(_numbers)}"
    return User.objects.create_user(name, f"{name}@example.org", password or None, **fields)


def make_account(name: str = "", *, owner: User | None = None) -> Account:
    return create_account(name=name or f"Account {next(_numbers)}", owner=owner or make_user())


def make_member(account: Account | None = None, *, role: Role = Role.MANAGER, user: User | None = None) -> Member:
    return add_member(account=account or make_account(), user=user or make_user(), role=role)


def make_integration(account: Account | None = None, **fields: Any) -> Integration:
    number = next(_numbers)
    values = {"name": f"Integration {number}", "slug": f"integration-{number}", **fields}
    return Integration.unscoped.create(account=account or make_account(), **values)


def make_connection(
    account: Account | None = None, *, secrets: dict[str, str] | None = None, **fields: Any
) -> Connection:
    values = {"name": f"Connection {next(_numbers)}", "kind": "sql", **fields}
    connection = Connection.unscoped.create(account=account or make_account(), **values)
    if secrets:
        replace_secrets(connection, secrets)
    return connection


def make_webhook(account: Account | None = None, **fields: Any) -> Webhook:
    """One that asks for every event and signs with `a secret of tests`, unless told."""
    account = account or make_account()
    member = Member.objects.of(account).order_by("pk")[0]
    values = {"url": "http://127.0.0.1:9/hook", "events": Event.values, "secret": "a secret of tests", **fields}
    return add_webhook(account=account, member=member, **values)[0]


def make_channel(account: Account | None = None, **fields: Any) -> Channel:
    """One of kind webhook, unless told."""
    account = account or make_account()
    values = {"name": f"Channel {next(_numbers)}", "kind": "webhook", "address": "http://127.0.0.1:9/hook", **fields}
    return add_channel(account=account, by=Member.objects.of(account).order_by("pk")[0], **values)[0]


def make_flow(account: Account | None = None, *, integration: Integration | None = None, **fields: Any) -> Flow:
    """A flow with revision 1, an export step, an import step and the states that are kept for it."""
    number = next(_numbers)
    group = integration or make_integration(account)
    values = {"key": f"flow-{number}", "name": f"Flow {number}", "enabled": True, **fields}
    flow = Flow.unscoped.create(account=group.account, integration=group, **values)
    definition = f"key: {flow.key}\n"
    flow.revision = Revision.unscoped.create(
        account=flow.account,
        flow=flow,
        number=1,
        definition=definition,
        sha256=hashlib.sha256(definition.encode()).hexdigest(),
    )
    flow.save(update_fields=["revision"])
    FlowState.unscoped.create(account=flow.account, flow=flow)
    make_step(flow, key="source", kind="export", name="Source", position=0)
    make_step(flow, key="target", kind="import", name="Target", position=1)
    return flow


def make_step(flow: Flow, **fields: Any) -> Step:
    number = next(_numbers)
    values = {"key": f"step-{number}", "kind": "import", "name": f"Step {number}", "position": number, **fields}
    step = Step.unscoped.create(account=flow.account, flow=flow, **values)
    StepState.unscoped.create(account=flow.account, step=step, flow=flow, integration_id=flow.integration_id)
    return step


def step_of(flow: Flow, key: str = "target") -> Step:
    return Step.unscoped.get(flow=flow, key=key)


def make_run(flow: Flow | None = None, **fields: Any) -> Run:
    """A queued run; `status`, `outcome` and counts as given."""
    flow = flow or make_flow()
    values = {"integration": flow.integration, "revision": flow.revision, **fields}
    return Run.unscoped.create(account=flow.account, flow=flow, environment=flow.integration.environment, **values)


def make_step_run(run: Run, step: Step, **fields: Any) -> StepRun:
    return StepRun.unscoped.create(account_id=run.account_id, run=run, step=step, position=step.position, **fields)


def make_page(run: Run | None = None, **fields: Any) -> Page:
    run = run or make_run()
    values = {"seq": next(_numbers), "now_at": wall_now(), **fields}
    return Page.unscoped.create(account_id=run.account_id, run=run, **values)


def make_cause(step: Step | None = None, **fields: Any) -> Cause:
    step = step or step_of(make_flow())
    values = {
        "fingerprint": hashlib.sha256(str(next(_numbers)).encode()).hexdigest(),
        "source": "application",
        "code": "500",
        "pattern": "The server said no",
        **fields,
    }
    return Cause.unscoped.create(account_id=step.account_id, flow_id=step.flow_id, step=step, **values)


def key_hash_of(key: str) -> int | None:
    """A 64-bit signed number of a trace key; None for a blank one."""
    if not key:
        return None
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big", signed=True)


def make_error(
    run: Run | None = None, *, step: Step | None = None, cause: Cause | None = None, key: str = "", **fields: Any
) -> Error:
    """An error (open unless the fields say otherwise), counted and searchable; see also `make_retry_data`."""
    step = step or (cause.step if cause else step_of(run.flow if run else make_flow()))
    run = run or make_run(step.flow)
    cause = cause or make_cause(step)
    values = {"key": key, "key_hash": key_hash_of(key), "message": "The server said no", **fields}
    error = Error.unscoped.create(
        account_id=step.account_id, flow_id=step.flow_id, step=step, run=run, cause=cause, **values
    )
    _count(error)
    write_texts(error.account_id, [(error.pk, searched_text(error.message, error.key))])
    return error


def _count(error: Error) -> None:
    is_open = int(error.state == ErrorState.OPEN and error.retry_run_id is None)
    StepState.unscoped.filter(pk=error.step_id).update(
        open_errors=F("open_errors") + is_open, last_error_at=error.occurred_at
    )
    Cause.unscoped.filter(pk=error.cause_id).update(
        open_errors=F("open_errors") + is_open,
        total_errors=F("total_errors") + 1,
        last_seen_at=error.occurred_at,
    )


def make_retry_data(error: Error, record: bytes = b"{}", **fields: Any) -> RetryData:
    values = {"from_step_id": error.step_id, "root_run_id": error.run_id, "record": record, **fields}
    return RetryData.unscoped.create(account_id=error.account_id, error=error, **values)
