"""A signed-in member and a flow with runs and errors, for the tests of the pages of flows, runs and errors."""

import re
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from apps.accounts.models import Account
from apps.engine.records import key_hash
from apps.errors.models import Error
from apps.flows.models import Flow, Revision, Step
from apps.flows.services import apply_definition, set_connection
from apps.runs.models import Capture, FlowState, LogLevel, Run, RunLog, StepRun
from tests.factories import make_error, make_flow, make_integration, make_retry_data, make_run, make_step_run, step_of

DEFINITION = """flow: orders
integration: shop
steps:
  - key: source
    export: {connection: Files, path: in.csv}
  - key: target
    on_error: {policy: retry, attempts: 4, then: set_aside}
    import: {connection: Warehouse, table: orders}
"""


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def html_of(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.status_code
    return answer.content.decode()


def text_of(html: str) -> str:
    """The words of a page without markup, blanks folded."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def orders_flow(account: Account, **fields: Any) -> Flow:
    """A flow named Orders in the integration Shop, with a definition that says its error policies."""
    integration = make_integration(account, name="Shop", slug="shop")
    flow = make_flow(integration=integration, key="orders", name="Orders", **fields)
    Revision.unscoped.filter(pk=flow.revision_id).update(definition=DEFINITION)
    flow.refresh_from_db()
    return flow


def warehouse_flow(account: Account, text: str) -> Flow:
    """A flow as its definition says, which may name the connection Warehouse."""
    set_connection(account=account, name="Warehouse", kind="sql", config={"database": "sqlite", "file": "w.db"})
    return apply_definition(account=account, text=text).flow


def ended_run(flow: Flow, at: datetime, **fields: Any) -> Run:
    """1,000 records in = 953 success + 40 ignored + 7 failed, unless the fields say otherwise; it took 80 seconds."""
    values = {
        "status": "completed",
        "outcome": "completed_with_errors",
        "records_in": 1000,
        "success": 953,
        "ignored": 40,
        "failed": 7,
        "errors": 7,
        "pages_fetched": 2,
        "pages_done": 2,
        "done_exporting": True,
        "started_at": at,
        "ended_at": at + timedelta(seconds=80),
        **fields,
    }
    run = make_run(flow, **values)
    FlowState.unscoped.filter(flow=flow).update(last_run=run, last_status=run.outcome or run.status)
    return run


def with_steps(run: Run, **target: Any) -> None:
    """Counts of both steps; `target` are those of the import."""
    source, goal = step_of(run.flow, "source"), step_of(run.flow, "target")
    make_step_run(run, source, came_in=1000, success=1000, pages=2, busy_ms=4100)
    values = {"came_in": 1000, "success": 953, "ignored": 40, "errors": 7, "pages": 2, "busy_ms": 39000, **target}
    make_step_run(run, goal, **values)


def keyed_error(run: Run, step: Step, key: str, **fields: Any) -> Error:
    """An error with the hash that the product matches keys on."""
    return make_error(run, step=step, key=key, key_hash=key_hash(key), **fields)


def log_line(run: Run, text: str, **fields: Any) -> RunLog:
    values = {"level": LogLevel.INFO, **fields}
    line: RunLog = RunLog.unscoped.create(account_id=run.account_id, run=run, text=text, **values)
    return line


def furnish(run: Run, error: Error) -> None:
    """What a page can show beside bare rows: a record, a captured request, lines of a log, counts of the steps."""
    record = b'{"id":"A-1","altitude":"high","place":{"iata":"BAD","names":["Barksdale",null,1.50]}}'
    make_retry_data(error, record)
    capture = Capture.unscoped.create(
        account_id=run.account_id, run=run, step_id=error.step_id, ms=412, method="POST", status="400",
        request={"url": "/strikes", "headers": {"Authorization": "***"}}, response={"body": "no such airport"},
    )  # fmt: skip
    effects = {"field": "place.iata", "place": "line 17", "trace": "Refused\n  at the gate"}
    Error.unscoped.filter(pk=error.pk).update(capture=capture, effects=effects)
    log_line(run, "Page 1 saved: 500 records: 480 success, 18 ignored, 2 failed", page_seq=0)
    log_line(run, "The airport is slow", level=LogLevel.WARNING, step_id=error.step_id, page_seq=0)
    StepRun.unscoped.filter(run=run).update(came_in=500, success=480, errors=2, open_errors=2, empty_fields={"size": 3})


def runs_under_way(flow: Flow, run: Run) -> None:
    """Keeps the flow's state as the services do for a run that is running."""
    FlowState.unscoped.filter(flow=flow).update(running=1, last_run=run, last_status="running")


def run_with_steps(flow: Flow, at: datetime) -> Run:
    run = ended_run(flow, at)
    with_steps(run)
    return run


def furnished_error(run: Run) -> Error:
    """An error with everything that its page can show."""
    found = make_error(run, key="A-1", message="The altitude is no number")
    furnish(run, found)
    found.refresh_from_db()
    return found
