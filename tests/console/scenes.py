"""An account with something going on, for the pages that show it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.accounts.models import Account, Role
from apps.core.clock import wall_now
from apps.flows.models import Flow, Integration
from apps.runs.buckets import count_in_buckets
from apps.runs.models import Bucket, FlowState, Grain, Machine, Run, StepRun
from tests.factories import (
    make_account,
    make_cause,
    make_connection,
    make_error,
    make_flow,
    make_integration,
    make_member,
    make_run,
    step_of,
)


@dataclass(frozen=True)
class Scene:
    account: Account
    shop: Integration
    strikes: Flow
    airports: Flow


def add_ended_run(flow: Flow, *, ago: timedelta, took_s: float = 60, outcome: str = "completed", **counts: Any) -> Run:
    """A run that started `ago` and has ended, with its flow's state and half-hour bucket kept as the product does."""
    started = wall_now() - ago
    status = outcome if outcome in ("failed", "canceled") else "completed"
    ended = started + timedelta(seconds=took_s)
    run = make_run(
        flow, status=status, outcome=outcome, started_at=started, ended_at=ended, done_exporting=True, **counts
    )
    Run.unscoped.filter(pk=run.pk).update(created_at=started)
    numbers = {name: counts.get(name, 0) for name in ("success", "ignored", "errors")}
    add_to_bucket(flow, started, busy_ms=round(took_s * 1000), **numbers)
    count_in_buckets(run)
    return run


def add_to_bucket(flow: Flow, at: datetime, **counts: int) -> None:
    for grain in Grain:
        slot = int(at.timestamp()) // 60 // grain
        row, _ = Bucket.unscoped.get_or_create(account_id=flow.account_id, flow=flow, grain=grain, slot=slot)
        for name, number in counts.items():
            setattr(row, name, getattr(row, name) + number)
        row.save()


def set_state(flow: Flow, run: Run | None, letters: str = "", **fields: Any) -> None:
    values = {"last_runs": letters, "changed_at": wall_now(), **fields}
    if run is not None:
        values |= {
            "last_run": run,
            "last_status": run.outcome or run.status,
            "last_started_at": run.started_at,
            "last_ended_at": run.ended_at,
        }
    FlowState.unscoped.filter(pk=flow.pk).update(**values)


def make_scene(user: Any) -> Scene:
    """Two flows of one integration; one with 3 open errors and a run under way, one that is fine and queued."""
    account = make_account("Harbor & Pine")
    make_member(account, user=user, role=Role.MANAGER)
    shop = make_integration(account, name="Birds and airports", slug="birds", description="Strikes and places")
    strikes = make_flow(integration=shop, name="Wildlife strikes", cron="*/15 * * * *")
    airports = make_flow(integration=shop, name="Airports")
    warehouse = make_connection(account, name="Warehouse")
    step_of(strikes).__class__.unscoped.filter(flow=strikes, key="target").update(connection=warehouse)
    ended = add_ended_run(
        strikes, ago=timedelta(hours=3), outcome="completed_with_errors", success=940, ignored=20, failed=3, errors=3
    )
    set_state(strikes, ended, "ooow", running=1)
    cause = make_cause(step_of(strikes), first_seen_at=wall_now())
    for key in ("A-1", "A-2", "A-3"):
        make_error(ended, cause=cause, key=key, message="The altitude is no number")
    set_state(airports, add_ended_run(airports, ago=timedelta(days=2), success=500), "oooo", queued=1)
    Machine.objects.create(name="w1:7", workers=2, seen_at=wall_now())
    return Scene(account, shop, strikes, airports)


def start_work(scene: Scene) -> Run:
    """One run of the strikes at its third page, started a minute ago."""
    started = wall_now() - timedelta(seconds=60)
    run = make_run(
        scene.strikes, status="running", started_at=started, success=300, failed=2, errors=2, pages_fetched=3,
        pages_done=2, lease_owner="w1:7:1", trigger="schedule",
    )  # fmt: skip
    StepRun.unscoped.create(account=scene.account, run=run, step=step_of(scene.strikes), position=1)
    set_state(scene.strikes, run, "ooow", running=1, last_ended_at=None)
    return run
