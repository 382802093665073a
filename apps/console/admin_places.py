"""Where the console shows what stands in a table of the admin."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Model
from django.urls import reverse

from apps.errors import models as errors
from apps.flows.models import Checkpoint, Connection, Flow, Hook, Integration, Revision, Step
from apps.runs.models import Arrival, Bucket, Capture, FlowState, Page, Run, RunLog, StepRun, TestRun

Row = Any


def no_text(row: Row) -> str:
    return ""


@dataclass(frozen=True)
class Place:
    """A page of the console. `needs` is what a list reads with its rows, so that none of them asks by itself."""

    name: str
    arguments: Callable[[Row], list[Any]] = lambda row: [row.pk]
    environment: Callable[[Row], str] = no_text
    needs: tuple[str, ...] = ()
    query: Callable[[Row], str] = no_text

    def address(self, row: Row) -> str:
        """The page, in the environment of what it shows: the console looks at one of them at a time."""
        environment, query = self.environment(row), self.query(row)
        parts = [query, f"environment={environment}" if environment else ""]
        asked = "&".join(part for part in parts if part)
        return reverse(f"console:{self.name}", args=self.arguments(row)) + (f"?{asked}" if asked else "")


def of_flow(
    name: str, arguments: Callable[[Row], list[Any]] = lambda row: [row.flow_id], query: Callable[[Row], str] = no_text
) -> Place:
    """A page of the flow that a row belongs to."""
    return Place(name, arguments, lambda row: str(row.flow.integration.environment), ("flow__integration",), query)


def of_run() -> Place:
    """The page of the run that a row belongs to."""
    return Place("run", lambda row: [row.run_id], lambda row: row.run.environment, ("run",))


def of_error() -> Place:
    """The error that a row belongs to, by way of the search: the row may be older than the error is kept."""
    return Place("search", lambda row: [], query=lambda row: f"q=e-{row.error_id}" if row.error_id else "")


PLACES: dict[type[Model], Place] = {
    Integration: Place("integration", lambda row: [row.slug], lambda row: row.environment),
    Connection: Place("connection", environment=lambda row: row.environment),
    Flow: Place("flow", environment=lambda row: row.integration.environment, needs=("integration",)),
    Step: of_flow("step-errors", arguments=lambda row: [row.flow_id, row.pk]),
    errors.StepState: of_flow("step-errors", arguments=lambda row: [row.flow_id, row.step_id]),
    Revision: of_flow("flow-definition", query=lambda row: f"revision={row.number}"),
    Checkpoint: of_flow("flow-checkpoint"),
    Hook: of_flow("flow"),
    Arrival: of_flow("flow"),
    FlowState: of_flow("flow"),
    Bucket: of_flow("flow"),
    TestRun: of_flow("flow-test", arguments=lambda row: [row.flow_id, row.pk]),
    Run: Place("run", environment=lambda row: row.environment),
    StepRun: of_run(),
    Page: of_run(),
    RunLog: of_run(),
    Capture: of_run(),
    errors.Error: of_flow("error", arguments=lambda row: [row.flow_id, row.step_id, row.pk]),
    errors.Cause: of_flow("cause", arguments=lambda row: [row.pk]),
    errors.CauseBucket: Place("cause", lambda row: [row.cause_id]),
    errors.RetryData: of_error(),
    errors.RetryVersion: of_error(),
    errors.RetryItem: of_error(),
    errors.BulkItem: of_error(),
    errors.ErrorText: of_error(),
    errors.ErrorTag: of_error(),
    errors.Comment: of_error(),
    errors.Assignment: of_error(),
    errors.BulkAct: Place("error-act"),
    errors.Tag: Place("tag-list", lambda row: []),
    errors.Rule: Place("rule", environment=lambda row: row.environment),
    errors.RuleRevision: Place("rule", lambda row: [row.rule_id]),
    errors.RuleHit: of_error(),
    errors.SavedView: Place("view-list", lambda row: []),
}
