"""The support bundle of a job: an address that opens it for a few minutes, and the zip behind it."""

from typing import Any

from django.http import HttpResponse
from django.urls import path, reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema

from apps.accounts.tokens import Scope
from apps.api.authentication import BearerToken
from apps.api.operations import FAILURES, operation
from apps.api.queries import text
from apps.api.serializers.jobs import DiagnosticsAnswer
from apps.api.signed_addresses import SignedAddress, signed_address
from apps.api.views.jobs import OneJob
from apps.runs.models import Run
from apps.support.services import diagnostics
from apps.support.subjects import about_run

SIGNATURE = (text("signature", "What the address of the file was signed with; then no token is needed.", 1000),)


class JobSubject(OneJob):
    http_method_names = ["get", "head", "options"]

    def run_of(self, job_id: str) -> Run:
        """The run, also of a child job. Raises Http404."""
        job = self.job(job_id)
        return job if isinstance(job, Run) else job.run


class Diagnostics(JobSubject):
    @operation(answer=DiagnosticsAnswer, scope=Scope.ERRORS)
    def get(self, request: Any, job_id: str) -> Any:
        """The support bundle of a job: ticket, errors, log, definition, samples, without secrets. Its address is good
        for ten minutes."""
        run = self.run_of(job_id)
        address, until = signed_address(reverse("api:job-diagnostics-file", args=[job_id]), self.caller.token)
        return {"signedURL": address, "fileName": file_name(run), "expiresAt": until}


class DiagnosticsFile(JobSubject):
    authentication_classes = (SignedAddress, BearerToken)  # type: ignore[assignment]

    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY, **FAILURES})
    @operation(query=SIGNATURE, status=200, scope=Scope.ERRORS)
    def get(self, request: Any, job_id: str) -> HttpResponse:
        """The zip itself, by a token or by its signed address."""
        run = self.run_of(job_id)
        answer = HttpResponse(diagnostics(about_run(run), self.caller.member), content_type="application/zip")
        answer["Content-Disposition"] = f'attachment; filename="{file_name(run)}"'
        return answer


def file_name(run: Run) -> str:
    return f"support-bundle-run-{run.pk}.zip"


urls = [
    path("jobs/<str:job_id>/diagnostics", Diagnostics.as_view(), name="job-diagnostics"),
    path("jobs/<str:job_id>/diagnostics/file", DiagnosticsFile.as_view(), name="job-diagnostics-file"),
]
