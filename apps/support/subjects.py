"""What a support bundle is about: an error, a root cause, a run, or a flow within a stretch of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from django.db.models import Max, OuterRef, Q, Subquery

from apps.accounts.models import Account
from apps.core.ids import Kind, short_id
from apps.errors.models import Cause, Error
from apps.errors.querysets import ErrorQuerySet
from apps.flows.models import Flow, Revision
from apps.runs.models import Run

MOST_SAMPLES = 10
MOST_RUNS = 5


class SubjectKind(StrEnum):
    ERROR = "error"
    CAUSE = "cause"
    RUN = "run"
    FLOW = "flow"


@dataclass(frozen=True)
class Subject:
    """Made by one of the functions below; the object that it is named by has been fetched with its permission."""

    kind: SubjectKind
    key: int
    flow: Flow
    error: Error | None = None
    cause: Cause | None = None
    run: Run | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __str__(self) -> str:
        letters = {SubjectKind.ERROR: Kind.ERROR, SubjectKind.CAUSE: Kind.CAUSE, SubjectKind.RUN: Kind.RUN}
        if self.kind in letters:
            return f"{self.word} {short_id(letters[self.kind], self.key)}"
        return f"flow {self.flow.name}"

    @property
    def word(self) -> str:
        return "root cause" if self.kind is SubjectKind.CAUSE else self.kind.value

    @property
    def account(self) -> Account:
        return self.flow.integration.account

    @property
    def facts(self) -> dict[str, Any]:
        """What it is made from again."""
        times = {"since": self.since, "until": self.until}
        named = {name: moment.isoformat() for name, moment in times.items() if moment is not None}
        return {"kind": self.kind.value, "id": self.key, **named}

    @cached_property
    def samples(self) -> Sequence[Error]:
        """Errors that show what is wrong, the newest first; of a run or a flow the newest of each root cause."""
        rows = self._errors().select_related("step", "cause", "run__revision", "capture", "retry_data__from_step")
        if self.kind is SubjectKind.RUN:
            newest = self._errors().order_by().values("cause").annotate(newest=Max("pk")).order_by("-newest")
            rows = rows.filter(pk__in=[row["newest"] for row in newest[:MOST_SAMPLES]])
        if self.kind is SubjectKind.FLOW:
            rows = rows.filter(pk__in=self._newest_of_each_cause())
        return list(rows.order_by("-pk")[:MOST_SAMPLES])

    def _newest_of_each_cause(self) -> list[int]:
        """Found from the root causes: reading through all errors of a flow would take as long as there are errors."""
        causes = Cause.objects.of(self.flow.account_id).filter(flow=self.flow)
        if self.since is not None:
            causes = causes.filter(last_seen_at__gte=self.since)
        errors = self._errors().filter(cause=OuterRef("pk")).order_by("-pk").values("pk")[:1]
        found = causes.annotate(newest=Subquery(errors)).filter(newest__isnull=False).order_by("-last_seen_at")
        return list(found.values_list("newest", flat=True)[:MOST_SAMPLES])

    def _errors(self) -> ErrorQuerySet:
        rows = Error.objects.of(self.flow.account_id).filter(flow=self.flow)
        if self.error is not None:
            return rows.filter(pk=self.error.pk)
        if self.cause is not None:
            return rows.filter(Q(cause=self.cause) | Q(cause__merged_into=self.cause))
        if self.run is not None:
            return rows.filter(run=self.run)
        return rows.filter(**self._within("occurred_at"))

    def _within(self, column: str) -> dict[str, datetime]:
        bounds = {f"{column}__gte": self.since, f"{column}__lt": self.until}
        return {name: moment for name, moment in bounds.items() if moment is not None}

    @cached_property
    def runs(self) -> Sequence[Run]:
        """Those whose logs are told, the newest first."""
        rows = Run.objects.of(self.flow.account_id).filter(flow=self.flow).select_related("revision")
        if self.kind is SubjectKind.FLOW:
            rows = rows.filter(**self._within("created_at"))
        else:
            named = {self.run.pk} if self.run is not None else set()
            rows = rows.filter(pk__in=named or {error.run_id for error in self.samples})
        return list(rows.order_by("-pk")[:MOST_RUNS])

    @property
    def revision(self) -> Revision | None:
        """The one that failed: of the newest run that is told, else the present one."""
        return next((run.revision for run in self.runs if run.revision is not None), self.flow.revision)


def about_error(error: Error) -> Subject:
    return Subject(SubjectKind.ERROR, error.pk, error.flow, error=error)


def about_cause(cause: Cause) -> Subject:
    return Subject(SubjectKind.CAUSE, cause.pk, cause.flow, cause=cause)


def about_run(run: Run) -> Subject:
    return Subject(SubjectKind.RUN, run.pk, run.flow, run=run)


def about_flow(flow: Flow, since: datetime | None = None, until: datetime | None = None) -> Subject:
    return Subject(SubjectKind.FLOW, flow.pk, flow, since=since, until=until)
