"""What an act on errors would do: which it takes, and why it leaves the others. The act asks the same conditions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, CharField, Count, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable

from apps.accounts.models import Account
from apps.core.clock import read_now
from apps.errors.models import Error
from apps.errors.querysets import IN_DOUBT, OPEN, RESOLVED, RETRYING, STORED_OPEN, ErrorQuerySet
from apps.errors.states import BulkKind, Passed, Reason

RETRIED_ALREADY = "retried already"
REOPENED = Reason.by_hand() | Reason.automatic()
Conditions = Sequence[tuple[Q | Combinable, str]]


@dataclass(frozen=True)
class PlanLine:
    """Errors of one flow that fare alike; `why_not` is blank for those that the act takes."""

    flow: str
    why_not: str
    count: int
    went_through: int  # of them, those whose key went through since


@dataclass(frozen=True)
class ActPlan:
    """What an act would do to a selection, counted by flow and reason."""

    lines: Sequence[PlanLine]

    @property
    def total(self) -> int:
        return sum(line.count for line in self.lines)

    @property
    def eligible(self) -> int:
        return sum(line.count for line in self.lines if not line.why_not)

    @property
    def went_through(self) -> int:
        """How many of those that the act takes have a newer success of their record."""
        return sum(line.went_through for line in self.lines if not line.why_not)

    @property
    def left_alone(self) -> list[tuple[str, int]]:
        """(why, how many), the most frequent first."""
        sums: Counter[str] = Counter()
        for line in self.lines:
            if line.why_not:
                sums[line.why_not] += line.count
        return sums.most_common()

    @property
    def flows(self) -> list[tuple[str, int]]:
        """(flow, how many of its errors the act takes), the most first."""
        sums: Counter[str] = Counter()
        for line in self.lines:
            if not line.why_not:
                sums[line.flow] += line.count
        return sums.most_common()


def retry_conditions(account: Account, *, includes_resolved: bool, now: datetime) -> Conditions:
    """What keeps an error from being retried, in the order in which it is said."""
    resolved: Conditions = () if includes_resolved else ((RESOLVED, "is resolved"),)
    return (
        (RETRYING, RETRIED_ALREADY),
        *resolved,
        (Q(retry_data__isnull=True) | Q(retry_data__purged_at__isnull=False), "its retry data are gone"),
        (Q(occurred_at__lt=now - timedelta(days=account.retention_days), keep=False), "is older than the retention"),
        (
            Q(step__removed_at__isnull=False) | Q(retry_data__from_step__removed_at__isnull=False),
            "its step was removed",
        ),
        (Q(flow__enabled=False) | Q(flow__removed_at__isnull=False), "its flow is disabled"),
    )


def reopen_conditions() -> Conditions:
    """What keeps a resolved error from being opened again."""
    same_account = Error.objects.of(OuterRef("account"))
    newer = same_account.filter(STORED_OPEN, step=OuterRef("step"), key_hash=OuterRef("key_hash"))
    return (
        (OPEN | RETRYING | ~Q(reason__in=REOPENED), "not reopened"),
        (Q(key_hash__isnull=False) & Exists(newer), "a newer one is open"),
    )


RESOLVE_CONDITIONS: Conditions = ((RETRYING, "retrying"), (RESOLVED, "was resolved"))
SENT_CONDITIONS: Conditions = (*RESOLVE_CONDITIONS, (~IN_DOUBT, "is not in doubt"))


def with_why_not(errors: ErrorQuerySet, conditions: Conditions) -> QuerySet[Any]:
    """The errors with `why_not`: blank for those that meet none of the conditions, else the words of the first."""
    cases = [When(condition, then=Value(words)) for condition, words in conditions]
    return errors.annotate(why_not=Case(*cases, default=Value(""), output_field=CharField()))


def retry_plan(*, account: Account, errors: ErrorQuerySet, includes_resolved: bool = False) -> ActPlan:
    """What a retry of these errors would do. One query beside the clock, whatever their number."""
    return _plan(errors, retry_conditions(account, includes_resolved=includes_resolved, now=read_now()))


def act_plan(kind: str, *, account: Account, errors: ErrorQuerySet, includes_resolved: bool = False) -> ActPlan:
    """What an act on these errors would do."""
    if kind == BulkKind.RETRY:
        return retry_plan(account=account, errors=errors, includes_resolved=includes_resolved)
    settled = {
        BulkKind.RESOLVE: RESOLVE_CONDITIONS, BulkKind.SENT: SENT_CONDITIONS, BulkKind.ASSIGN: (), BulkKind.TAG: (),
    }  # fmt: skip
    return _plan(errors, settled[BulkKind(kind)] if kind in settled else reopen_conditions())


def _plan(errors: ErrorQuerySet, conditions: Conditions) -> ActPlan:
    rows: QuerySet[Any] = with_why_not(errors.order_by(), conditions).values_list("flow__name", "why_not")
    counted = rows.annotate(number=Count("pk"), passed=Count("pk", filter=Q(passed_outcome=Passed.SUCCESS)))
    return ActPlan([PlanLine(*row) for row in counted.order_by("flow__name", "why_not")])
