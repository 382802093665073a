"""Chainable reads of errors and root causes; the conditions are the ones of the indexes that answer them."""

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q, Sum

from apps.errors.search import IsHit, TextHolds, are_common, words_of
from apps.errors.states import Classification, ErrorState, ErrorUnit
from apps.runs.querysets import Moment

if TYPE_CHECKING:
    import apps.errors.models as own
    from apps.accounts.models import Member
    from apps.flows.models import Flow, Integration, Step
    from apps.runs.models import Run

STORED_OPEN = Q(state=ErrorState.OPEN)
OPEN = STORED_OPEN & Q(retry_run__isnull=True)  # what people call open: no retry has it
RETRYING = Q(retry_run__isnull=False)
RESOLVED = Q(state=ErrorState.RESOLVED)
OPEN_UNITS = OPEN & ~Q(unit=ErrorUnit.RECORD)
KEYED = Q(key_hash__isnull=False)
TO_AUTO_RESOLVE = KEYED & (STORED_OPEN | Q(passed_run__isnull=True))
DUE_FOR_RETRY = Q(next_attempt_at__isnull=False)
AT_WORK = DUE_FOR_RETRY | RETRYING
NOTED = Q(has_notes=True)
IN_DOUBT = Q(in_doubt=True)
SHOWN_AS: dict[str, Q] = {
    "auto_retrying": DUE_FOR_RETRY,
    "in_doubt": OPEN & IN_DOUBT,
    "retry_failed": OPEN & Q(retry_failed=True),
}
"""What an open error is shown as beside open, and the errors of which that is true."""


class ErrorQuerySet(models.QuerySet["own.Error"]):
    def open(self) -> Self:
        """Open and not under a retry: what every open count counts."""
        return self.filter(OPEN)

    def retrying(self) -> Self:
        return self.filter(RETRYING)

    def resolved(self) -> Self:
        return self.filter(RESOLVED)

    def for_step(self, step: "Step | int") -> Self:
        return self.filter(step=step)

    def for_flow(self, flow: "Flow | int") -> Self:
        return self.filter(flow=flow)

    def for_run(self, run: "Run | int") -> Self:
        return self.filter(run=run)

    def of_cause(self, cause: "own.Cause | int") -> Self:
        return self.filter(cause=cause)

    def of_class(self, classification: Classification) -> Self:
        return self.filter(cause__classification=classification)

    def with_key(self, key_hash: int) -> Self:
        return self.filter(key_hash=key_hash)

    def assigned_to(self, member: "Member | int | None") -> Self:
        """Errors of this member; None: of nobody."""
        return self.filter(assignee__isnull=True) if member is None else self.filter(assignee=member)

    def occurred_between(self, since: Moment | None, until: Moment | None) -> Self:
        """Errors that occurred in [since, until); None leaves that end open."""
        rows = self if since is None else self.filter(occurred_at__gte=since)
        return rows if until is None else rows.filter(occurred_at__lt=until)

    def resolved_between(self, since: Moment | None, until: Moment | None) -> Self:
        """Errors that were resolved in [since, until); None leaves that end open."""
        rows = self if since is None else self.filter(RESOLVED, resolved_at__gte=since)
        return rows if until is None else rows.filter(RESOLVED, resolved_at__lt=until)

    def due(self, now: Moment) -> Self:
        """Errors whose next automatic attempt has come."""
        return self.filter(DUE_FOR_RETRY, next_attempt_at__lte=now)

    def to_auto_resolve(self, flow: "Flow | int", key_hashes: list[int]) -> Self:
        """Errors of these keys that are open, or that no newer pass of their key has gone through yet."""
        return self.filter(TO_AUTO_RESOLVE, flow=flow, key_hash__in=key_hashes)

    def search(self, question: str) -> Self:
        """Errors whose message or trace key holds every word of the question; a blank question filters nothing.

        On PostgreSQL it looks first how common the words are: one query.
        """
        if not question.strip():
            return self
        words = words_of(question)
        if not words:
            return self.none()
        return self.filter((TextHolds if are_common(words, using=self.db) else IsHit)(tuple(words)))

    def newest_first(self) -> Self:
        return self.order_by("-id")


class CauseQuerySet(models.QuerySet["own.Cause"]):
    def open(self) -> Self:
        return self.filter(open_errors__gt=0)

    def for_step(self, step: "Step | int") -> Self:
        return self.filter(step=step)

    def newest_first(self) -> Self:
        return self.order_by("-last_seen_at", "-id")

    def open_total(self) -> int:
        """Open errors of these causes, by their kept counts."""
        total: int | None = self.aggregate(total=Sum("open_errors"))["total"]
        return total or 0


class StepStateQuerySet(models.QuerySet["own.StepState"]):
    def for_flow(self, flow: "Flow | int") -> Self:
        return self.filter(flow=flow)

    def for_integration(self, integration: "Integration | int") -> Self:
        return self.filter(integration=integration)

    def open_total(self) -> int:
        """Open errors over these steps, units (pages, runs, windows) among them."""
        total: int | None = self.aggregate(total=Sum("open_errors"))["total"]
        return total or 0
