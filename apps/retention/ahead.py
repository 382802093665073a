"""What the next purges would take, counted ahead by a worker: so that a page tells it without counting."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from apps.accounts.models import Account
from apps.core.clock import read_now
from apps.errors.models import Error
from apps.flows.models import Checkpoint
from apps.retention.models import Purge, PurgeExport, PurgePlan
from apps.retention.schedule import due_after, oldest_kept
from apps.runs.models import FlowState, Run
from apps.runs.statuses import RunStatus

DAYS_AHEAD = 3
BIG, BIG_OPEN = 10_000, 100
"""A purge of so many errors, or of so many that are open, is told to administrators on every page before it begins."""


@dataclass(frozen=True, slots=True)
class Going:
    """What a purge takes: errors, how many of them are open, and runs."""

    errors: int
    open_errors: int
    runs: int

    @property
    def is_nothing(self) -> bool:
        return not (self.errors or self.runs)


def going_before(account: Account, before: datetime) -> Going:
    """What began before a moment. Three queries that count: for a worker, and for a question that a person asks."""
    errors = Error.objects.of(account).filter(occurred_at__lt=before, keep=False, retry_run__isnull=True)
    runs = Run.objects.of(account).filter(created_at__lt=before, status__in=RunStatus.ended())
    latest = FlowState.objects.of(account).filter(last_run__isnull=False).values("last_run")
    moved = Checkpoint.objects.of(account).filter(moved_by_run__isnull=False).values("moved_by_run")
    going = runs.exclude(pk__in=latest).exclude(pk__in=moved)  # those stay
    return Going(errors.count(), errors.open().count(), going.count())


def look_ahead(account: Account) -> None:
    """Count what the purges of the next days take, each beside those before it."""
    plan = PurgePlan.objects.filter(account=account).first()
    if plan is None or plan.due_at is None or account.closed_at is not None:
        return
    ahead = going_by_night(account, plan.due_at)
    big = (night["at"] for night in ahead if night["errors"] >= BIG or night["open_errors"] >= BIG_OPEN)
    PurgePlan.objects.filter(account=account).update(ahead=ahead, counted_at=read_now(), big_at=next(big, None))


def going_by_night(account: Account, first: datetime) -> list[dict[str, Any]]:
    ahead = []
    before = Going(0, 0, 0)
    for day in range(DAYS_AHEAD):
        at = first + timedelta(days=day)
        upto = going_before(account, oldest_kept(account, at))
        numbers = {name: getattr(upto, name) - getattr(before, name) for name in Going.__slots__}
        ahead.append({"at": at, **numbers})
        before = upto
    return ahead


@dataclass(frozen=True, slots=True)
class Night:
    """One of the next purges: what occurred before `before`, and not before the purge ahead of it took it."""

    at: datetime
    going: Going
    since: datetime | None
    before: datetime

    @property
    def query(self) -> str:
        """The filters of a list of errors that these are."""
        ends = {"from": self.since, "to": self.before}
        return urlencode(
            {name: f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for name, moment in ends.items() if moment}
        )


def next_nights(account: Account, plan: PurgePlan | None) -> list[Night]:
    """What the next purges take: as a worker counted it; until it has, counted now."""
    due_at = (plan.due_at if plan is not None else None) or due_after(account, read_now())
    ahead = plan.ahead if plan is not None and plan.counted_at is not None else going_by_night(account, due_at)
    nights: list[Night] = []
    for night in ahead:
        at = datetime.fromisoformat(str(night["at"]))
        going = Going(*(night[name] for name in Going.__slots__))
        nights.append(Night(at, going, nights[-1].before if nights else None, oldest_kept(account, at)))
    return nights


def last_purges(account: Account, most: int = 10) -> list[Purge]:
    return list(Purge.objects.of(account).order_by("-id")[:most])


def last_exports(account: Account, most: int = 10) -> list[PurgeExport]:
    return list(PurgeExport.objects.of(account).order_by("-id")[:most])
