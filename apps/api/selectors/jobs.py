"""Jobs as the API tells them: a run is a job, and each of its steps is a child job of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db.models import F, Q, QuerySet, Sum

from apps.accounts.models import Account
from apps.accounts.reach import Reach
from apps.api.filters import Asked, Filters, filtered, parameters_of
from apps.api.queries import Parameter, choice, many, moment, number, text, wire
from apps.api.selectors.errors import SAME_MILLISECOND
from apps.api.serializers.jobs import TYPES
from apps.core.ids import Kind, wire_id
from apps.flows.models import StepKind
from apps.runs.models import Run, StepRun
from apps.runs.querysets import RunQuerySet
from apps.runs.statuses import RunKind, RunStatus

CHILD_TYPES = frozenset({"export", "import"})
TYPE_OF: dict[str, str] = {RunKind.FLOW: "flow", RunKind.RETRY: "retry", RunKind.AUTO_RETRY: "retry"}
COUNTS = {
    "numError": F("errors") + F("unit_errors"), "numSuccess": F("success"), "numIgnore": F("ignored"),
    "numExport": F("records_in"),
}  # fmt: skip
JOB_PAGES = (
    number("limit", "How many at most; 1,000 unless told.", 1),
    text("page", "Where the page begins; the Link header names it.", 300),
)
ALIASES = {"integration_id": "_integrationId", "flow_id": "_flowId", "flow_job_id": "_flowJobId"}
TYPE = choice("type", "Only jobs of this type; flow and retry are runs, export and import are child jobs.", TYPES)
TYPE_IN = many(choice("type_in", "Only jobs of these types.", TYPES))


def counted(name: str, end: str, words: str) -> Asked:
    own = f"{name}_{end}"
    return Asked(number(own, f"Only jobs whose {name} is {words} than this, or equal."), own, method="by_count")


# --- what is asked for -----------------------------------------------------------------------------------------------
class RunFilters(Filters):
    """What runs are narrowed by, each name as it is and as older clients write it."""

    to_run, counts = "", COUNTS

    _integrationId = Asked(wire("_integrationId", "Only jobs of this integration.", Kind.INTEGRATION), "integration")
    _flowId = Asked(wire("_flowId", "Only jobs of this flow.", Kind.FLOW), "flow")
    _flowId_in = Asked(many(wire("_flowId_in", "Only jobs of these flows.", Kind.FLOW)), "flow", "in")
    createdAt_gte = Asked(moment("createdAt_gte", "Only jobs that were created then or later."), "created_at", "gte")
    createdAt_lte = Asked(moment("createdAt_lte", "Only jobs that were created then or earlier."), method="until")
    status = Asked(many(choice("status", "Only jobs with this status.", RunStatus.values)), method="of_status")
    numError_gte = counted("numError", "gte", "more")
    numError_lte = counted("numError", "lte", "less")
    numSuccess_gte = counted("numSuccess", "gte", "more")
    numSuccess_lte = counted("numSuccess", "lte", "less")
    numIgnore_gte = counted("numIgnore", "gte", "more")
    numIgnore_lte = counted("numIgnore", "lte", "less")
    numExport_gte = counted("numExport", "gte", "more")
    numExport_lte = counted("numExport", "lte", "less")

    def until(self, rows: Any, name: str, value: Any) -> Any:
        return rows.filter(**{f"{self.to_run}created_at__lte": value + SAME_MILLISECOND})

    def of_status(self, rows: Any, name: str, values: Iterable[str]) -> Any:
        """One by one: SQLite answers `OR` from a partial index, and not a list."""
        found = Q()
        for value in values:
            found |= Q(**{f"{self.to_run}status": value})
        return rows.filter(found)

    def by_count(self, rows: Any, name: str, value: int) -> Any:
        counted_name = name.partition("_")[0]
        return rows.alias(**{counted_name: self.counts[counted_name]}).filter(**{f"{name.replace('_', '__')}": value})


class ChildFilters(RunFilters):
    """The same for what steps did in runs."""

    to_run, counts = "run__", COUNTS | {"numExport": F("came_in")}

    _flowJobId = Asked(wire("_flowJobId", "The child jobs of this run.", Kind.RUN), "run")
    _exportId = Asked(wire("_exportId", "The child jobs of this export.", Kind.STEP), "step")
    _importId = Asked(wire("_importId", "The child jobs of this import.", Kind.STEP), "step")

    def __init__(self, **facts: Any) -> None:
        super().__init__(**facts)
        for name in (name for name in RunFilters.base_filters if self.filters[name].method is None):
            self.filters[name].field_name = f"{self.to_run}{self.filters[name].field_name}"


JOB_FILTERS: tuple[Parameter, ...] = (
    *parameters_of(ChildFilters), TYPE, TYPE_IN,
    *(replace(one, name=alias) for alias, name in ALIASES.items() for one in parameters_of(ChildFilters)
      if one.name == name),
)  # fmt: skip


def plain(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The filters of a call under their first names."""
    found = {ALIASES.get(name, name): value for name, value in asked.items()}
    types = {*found.pop("type_in", ()), *([found.pop("type")] if "type" in found else [])}
    return found | ({"types": types} if types else {})


def means_children(asked: Mapping[str, Any]) -> bool:
    """Whether child jobs are asked for."""
    return any(name in asked for name in ("_flowJobId", "_exportId", "_importId")) or bool(
        asked.get("types") and asked["types"] <= CHILD_TYPES
    )


def runs_of(reach: Reach) -> RunQuerySet:
    """The runs that somebody sees; tests of definitions are none."""
    rows: RunQuerySet = Run.objects.of(reach.account_id).filter(kind__in=TYPE_OF, **reach.where_copied())
    return rows.select_related("canceled_by__user")


def matching_runs(reach: Reach, asked: Mapping[str, Any]) -> RunQuerySet:
    rows = filtered(RunFilters, runs_of(reach), asked, reach.account_id)
    types = asked.get("types", set())
    if types:
        rows = rows.filter(kind__in=[kind for kind, name in TYPE_OF.items() if name in types])
    return rows


def matching_children(reach: Reach, asked: Mapping[str, Any]) -> "QuerySet[StepRun]":
    """What steps did in the runs that match."""
    runs = {f"run__{name}": value for name, value in reach.where_copied().items()}
    rows: QuerySet[StepRun] = StepRun.objects.of(reach.account_id).filter(**runs)
    types = asked.get("types", CHILD_TYPES)
    if types == {"export"}:
        rows = rows.filter(step__kind=StepKind.EXPORT)
    elif types == {"import"}:
        rows = rows.exclude(step__kind=StepKind.EXPORT)
    shown = rows.select_related("run__canceled_by__user", "step")
    return filtered(ChildFilters, shown, asked, reach.account_id)


# --- jobs ------------------------------------------------------------------------------------------------------------
def jobs_of(account: Account, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Runs as jobs; one query for what became of their errors."""
    steps = StepRun.objects.of(account).filter(run__in=[run.pk for run in runs]).order_by()
    sums = steps.values_list("run_id").annotate(Sum("open_errors"), Sum("auto_resolved"), Sum("user_resolved"))
    now = {run: (opened, by_itself + by_user) for run, opened, by_itself, by_user in sums}
    kept = timedelta(days=account.retention_days)
    return [_job(run, *now.get(run.pk, (0, 0)), kept) for run in runs]


def children_of(account: Account, rows: Sequence[StepRun]) -> list[dict[str, Any]]:
    """Step runs as child jobs; no query."""
    kept = timedelta(days=account.retention_days)
    return [_child(row, kept) for row in rows]


def _job(run: Run, opened: int, resolved: int, kept: timedelta) -> dict[str, Any]:
    counts = {
        "numError": run.errors + run.unit_errors, "numSuccess": run.success, "numIgnore": run.ignored,
        "numExport": run.records_in, "numPagesProcessed": run.pages_done, "numOpenError": opened,
        "numResolved": resolved, "retriable": opened > 0,
    }  # fmt: skip
    return {"_id": wire_id(Kind.RUN, run.pk), "type": TYPE_OF[run.kind]} | _facts(run, kept) | counts


def _child(row: StepRun, kept: timedelta) -> dict[str, Any]:
    is_export = row.step.kind == StepKind.EXPORT
    counts = {
        "numError": row.errors + row.unit_errors, "numSuccess": row.success, "numIgnore": row.ignored,
        "numExport": row.came_in, "numPagesProcessed": row.pages, "numOpenError": row.open_errors,
        "retriable": row.open_errors > 0,
        "numResolved": row.auto_resolved + row.user_resolved,
    }  # fmt: skip
    own = {
        "_id": wire_id(Kind.STEP_RUN, row.pk),
        "type": "export" if is_export else "import",
        "_flowJobId": row.run_id,
        "_expOrImpId": row.step_id,
        "_exportId" if is_export else "_importId": row.step_id,
        "oIndex": row.position,
    }
    return _facts(row.run, kept) | own | counts


def _facts(run: Run, kept: timedelta) -> dict[str, Any]:
    return {
        "_integrationId": run.integration_id,
        "_flowId": run.flow_id,
        "status": run.status,
        "outcome": run.outcome,
        "createdAt": run.created_at,
        "startedAt": run.started_at,
        "endedAt": run.ended_at,
        "lastExecutedAt": run.ended_at or run.started_at,
        "lastModified": run.ended_at or run.started_at or run.created_at,
        "purgeAt": run.created_at + kept,
        "numPagesGenerated": run.pages_fetched,
        "doneExporting": run.done_exporting or run.is_ended,
        "canceledBy": run.canceled_by.user.email if run.canceled_by is not None else "",
    }
