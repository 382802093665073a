"""Jobs: what has run, what runs now, and how to end it."""

from typing import Any

from django.db.models import Q
from django.urls import path
from rest_framework.response import Response

from apps.accounts.permissions import Act
from apps.accounts.tokens import Scope
from apps.api.caller import one
from apps.api.failures import conflict
from apps.api.operations import ApiView, operation
from apps.api.paging import Listed, limit_of, next_link
from apps.api.queries import ENVIRONMENT, number, read_body
from apps.api.selectors.errors import PAGES, facts_of, next_address, rendered, within
from apps.api.selectors.jobs import (
    JOB_FILTERS,
    JOB_PAGES,
    children_of,
    jobs_of,
    matching_children,
    matching_runs,
    means_children,
    plain,
    runs_of,
)
from apps.api.selectors.stats import FlowStats, flow_stats
from apps.api.serializers.errors import ErrorAnswer
from apps.api.serializers.jobs import JobAnswer, StatsAnswer, StatsBody
from apps.core.ids import Kind, WrongIdError, parse_wire_id
from apps.core.pagination import KeysetPage, keyset_page
from apps.runs.models import FlowState, Run, StepRun
from apps.runs.services import RunRefused, cancel_run

LATEST = (number("limit", "How many at most; one unless told.", 1, 1000),)


class JobList(ApiView):
    @operation(query=(*JOB_FILTERS, *JOB_PAGES), answer=JobAnswer, many=True)
    def get(self, request: Any) -> Listed:
        """Jobs, the newest first: runs, or child jobs where those are asked for."""
        return self.listed(request, plain(self.query))

    def listed(self, request: Any, asked: dict[str, Any]) -> Listed:
        account, size = self.caller.account, limit_of(self.query)
        cursor, reach = self.query.get("page", ""), self.caller.reach
        page: KeysetPage[Any]
        if means_children(asked):
            page = keyset_page(matching_children(reach, asked), cursor=cursor, size=size)
            jobs = children_of(account, page.rows)
        else:
            page = keyset_page(matching_runs(reach, asked), cursor=cursor, size=size)
            jobs = jobs_of(account, page.rows)
        return Listed(jobs, next_link(request, next_address(request, page.next_cursor)))


class CurrentJobs(ApiView):
    @operation(answer=JobAnswer, many=True, is_kept=False)
    def post(self, request: Any) -> Listed:
        """The runs that are queued, at work, or wait to be run again. The body filters as the query of /jobs does."""
        asked = plain(read_body(self.sent, (*JOB_FILTERS, ENVIRONMENT)))
        reach = self.caller.within(asked.get("environment", "")).reach
        rows = matching_runs(reach, asked).under_way().order_by("-pk")
        return Listed(jobs_of(self.caller.account, list(rows[: limit_of({})])))


class OneJob(ApiView):
    @operation(answer=JobAnswer)
    def get(self, request: Any, job_id: str) -> Any:
        """One job."""
        return answer_of(self.job(job_id))

    @operation(answer=JobAnswer, scope=Scope.RUN, status=200)
    def delete(self, request: Any, job_id: str) -> Any:
        """Cancel a run; the same as PUT …/cancel."""
        return self.canceled(job_id)

    def canceled(self, job_id: str) -> Any:
        job = self.job(job_id)
        run = job if isinstance(job, Run) else job.run
        self.caller.require(Act.CANCEL_RUN, run.integration_id)
        try:
            cancel_run(run=run, member=self.caller.member)
        except RunRefused as refused:
            raise conflict(str(refused), "job_ended") from refused
        return answer_of(self.job(job_id))

    def job(self, job_id: str) -> Run | StepRun:
        """A run, or what a step did in one. Raises Http404."""
        try:
            return one(runs_of(self.caller.reach), parse_wire_id(job_id, Kind.RUN))
        except WrongIdError:
            return one(matching_children(self.caller.reach, {}), parse_wire_id(job_id, Kind.STEP_RUN))


def answer_of(job: Run | StepRun) -> dict[str, Any]:
    if isinstance(job, Run):
        return jobs_of(job.account, [job])[0]
    return children_of(job.account, [job])[0]


class CanceledJob(OneJob):
    http_method_names = ["put", "options"]

    @operation(answer=JobAnswer, scope=Scope.RUN)
    def put(self, request: Any, job_id: str) -> Any:
        """Cancel a run at its next page boundary. One that has ended is 409."""
        return self.canceled(job_id)


class JobErrors(OneJob):
    http_method_names = ["get", "head", "options"]

    @operation(query=PAGES, answer=ErrorAnswer, many=True, scope=Scope.ERRORS)
    def get(self, request: Any, job_id: str) -> Response:
        """The errors of a job, open and resolved, the newest first."""
        job = self.job(job_id)
        chosen = Q(run=job) if isinstance(job, Run) else Q(run=job.run_id, step=job.step_id)
        rows = facts_of(within(self.caller.reach).filter(chosen))
        page = keyset_page(rows, cursor=self.query.get("page", ""), size=limit_of(self.query))
        links = next_link(request, next_address(request, page.next_cursor))
        return Response(rendered(self.caller.account, page.rows), headers=links)


class LatestOfFlow(ApiView):
    @operation(query=LATEST, answer=JobAnswer, many=True)
    def get(self, request: Any, flow_id: str) -> Listed:
        """The latest runs of a flow."""
        flow = self.caller.flow(flow_id)
        rows = runs_of(self.caller.reach).without_retries().for_flow(flow).order_by("-pk")
        return Listed(jobs_of(self.caller.account, list(rows[: self.query.get("limit", 1)])))


class LatestOfIntegration(ApiView):
    @operation(query=LATEST, answer=JobAnswer, many=True)
    def get(self, request: Any, integration_id: str) -> Listed:
        """The latest run of each flow of an integration, the newest first."""
        found = self.caller.integration(integration_id)
        latest = FlowState.objects.of(found.account_id).filter(flow__integration=found, last_run__isnull=False)
        rows = runs_of(self.caller.reach).filter(pk__in=latest.values("last_run")).order_by("-pk")
        return Listed(jobs_of(self.caller.account, list(rows[: self.query.get("limit", limit_of({}))])))


class RunStats(ApiView):
    @operation(body=StatsBody, answer=StatsAnswer, many=True, is_kept=False)
    def post(self, request: Any) -> list[FlowStats]:
        """What each flow's runs added up to over a time, and its open errors now. The last 24 hours unless told."""
        body = self.body
        return flow_stats(
            self.caller.reach, body.get("_flowIds"), body.get("_integrationIds"),
            since=body.get("startDate"), until=body.get("endDate"),
        )  # fmt: skip


urls = [
    path("jobs", JobList.as_view(), name="job-list"),
    path("jobs/current", CurrentJobs.as_view(), name="job-current"),
    path("jobs/<str:job_id>", OneJob.as_view(), name="job"),
    path("jobs/<str:job_id>/cancel", CanceledJob.as_view(), name="job-cancel"),
    *(
        path(f"jobs/<str:job_id>/{end}", JobErrors.as_view(), name=f"job-{end.lower()}{number}")
        for number, end in enumerate(("joberrors", "jobErrors", "errors"))
    ),
    path("flows/runs/stats", RunStats.as_view(), name="flow-stats"),
    path("flows/<str:flow_id>/jobs/latest", LatestOfFlow.as_view(), name="flow-latest"),
    path("integrations/<str:integration_id>/jobs/latest", LatestOfIntegration.as_view(), name="integration-latest"),
]
