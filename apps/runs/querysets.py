"""Chainable reads of runs and pages; the conditions are the ones of the indexes that answer them."""

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.expressions import Combinable

from apps.runs.statuses import PageState, RunKind, RunOutcome, RunStatus

if TYPE_CHECKING:
    import apps.runs.models as own
    from apps.flows.models import Flow

QUEUED = Q(status=RunStatus.QUEUED)
RUNNING = Q(status=RunStatus.RUNNING)
RETRYING = Q(status=RunStatus.RETRYING)
ACTIVE = QUEUED | RUNNING  # not `IN`: SQLite matches a partial index with the OR, and not with the list
NOT_EMPTY = ~Q(outcome=RunOutcome.EMPTY)
NOT_DONE = ~Q(state=PageState.DONE)
DELIVERING = Q(state=PageState.DELIVERING)
PARKED = Q(state=PageState.PARKED)

Moment = datetime | Combinable


class RunQuerySet(models.QuerySet["own.Run"]):
    def queued(self) -> Self:
        return self.filter(QUEUED)

    def running(self) -> Self:
        return self.filter(RUNNING)

    def active(self) -> Self:
        """Queued or running."""
        return self.filter(ACTIVE)

    def to_be_run_again(self) -> Self:
        """Failed, and the next attempt is pending."""
        return self.filter(RETRYING)

    def under_way(self) -> Self:
        """Queued, running, or waiting to be run again."""
        return self.filter(ACTIVE | RETRYING)

    def last_attempts(self) -> Self:
        """Without the attempts that another one has followed: of a run that was run again only the newest."""
        following = self.model.objects.of(OuterRef("account")).filter(
            root_run=OuterRef("root_run"), attempt=OuterRef("attempt") + 1, kind=RunKind.FLOW
        )
        return self.exclude(Exists(following), kind=RunKind.FLOW, attempts__gt=1)

    def not_empty(self) -> Self:
        """Without the runs that completed with success, ignored and errors all 0."""
        return self.filter(NOT_EMPTY)

    def retries(self) -> Self:
        return self.filter(kind__in=[RunKind.RETRY, RunKind.AUTO_RETRY])

    def without_retries(self) -> Self:
        return self.exclude(kind__in=[RunKind.RETRY, RunKind.AUTO_RETRY])

    def for_flow(self, flow: "Flow | int") -> Self:
        return self.filter(flow=flow)

    def created_between(self, since: Moment | None, until: Moment | None) -> Self:
        """Runs created in [since, until); None leaves that end open."""
        rows = self if since is None else self.filter(created_at__gte=since)
        return rows if until is None else rows.filter(created_at__lt=until)

    def due(self, now: Moment) -> Self:
        """Queued runs whose time has come."""
        return self.filter(QUEUED, Q(not_before__isnull=True) | Q(not_before__lte=now))

    def abandoned(self, now: Moment) -> Self:
        """Running, but whoever ran them let the lease run out."""
        return self.filter(RUNNING, lease_until__lt=now)

    def newest_first(self) -> Self:
        return self.order_by("-id")


class PageQuerySet(models.QuerySet["own.Page"]):
    def not_done(self) -> Self:
        return self.filter(NOT_DONE)

    def for_run(self, run: "own.Run | int") -> Self:
        return self.filter(run=run)

    def abandoned(self, now: Moment) -> Self:
        """In delivery, but whoever delivered them let the lease run out."""
        return self.filter(DELIVERING, lease_until__lt=now)

    def parked_until(self, now: Moment) -> Self:
        """Parked pages whose time has come."""
        return self.filter(PARKED, not_before__lte=now)
