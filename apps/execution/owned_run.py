"""A run in the hands of the worker that claimed it: the fence before every write, and the book that is written in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from django.db.models import F

from apps.connectors.redaction import Redactor
from apps.core.clock import database_now, read_now
from apps.engine.plan import Plan
from apps.errors.booking import Book
from apps.execution.attempts import is_as_exported
from apps.execution.books import move_checkpoint
from apps.execution.claims import Claim
from apps.flows.models import Flow, Step
from apps.flows.services import note_outage
from apps.runs.log import log_wait
from apps.runs.models import Page as PageRow
from apps.runs.models import Run
from apps.runs.reruns import may_be_run_again
from apps.runs.statuses import PageState, RunKind, RunStatus

LONGEST_PATH = 255


class Fenced(Exception):  # noqa: N818 (an answer: this worker lost its lease)
    """Somebody else owns the run by now; nothing was written."""


class Retries(Enum):
    """What a run re-processes: nothing (it is a run of its flow), the records of errors, or a page, run or window."""

    NOTHING = 0
    RECORDS = 1
    UNIT = 2


@dataclass
class OwnedRun:
    """A claimed run, its plan and what is known of its pages."""

    claim: Claim
    run: Run
    plan: Plan
    steps: dict[str, Step]
    exports_in_order: bool = True
    retries: Retries = Retries.NOTHING
    has_unsafe_sends: bool = False
    before_end: Callable[[], None] = lambda: None
    """Called when every page is through, before the run ends: moves files into place. May be called again."""
    redactor: Redactor = field(default_factory=Redactor)
    """Takes the secrets of the plan's connections out of what is noted in the log."""

    def __post_init__(self) -> None:
        self.rows: dict[tuple[int, int], PageRow] = {}
        nodes = self.plan.nodes
        self.step_ids = [self.steps[nodes[node.own].key if node.is_inner else node.key].pk for node in nodes]
        position = self.run.position or {}
        self.next_seq: int = position.get("seq", 0)
        self.next_ordinal: int = position.get("ordinal", 0)
        self.exports_in_order = position.get("in_order", True)
        self.is_exported = self.run.done_exporting
        self.keeps_pages = may_be_run_again(self.run, self.plan.workflow_retry)
        self._generations: dict[int, int] | None = None

    def _mine(self) -> Any:
        return Run.unscoped.filter(pk=self.run.pk, fence=self.claim.fence, status=RunStatus.RUNNING)

    def _locked_run(self) -> Run:
        run = self._mine().select_for_update().first()
        if run is None:
            raise Fenced
        return run

    def _book(self, run: Run, page_seq: int | None) -> Book:
        flow = Flow.unscoped.only("auto_resolve", "auto_retry").get(pk=run.flow_id)
        return Book(
            account=run.account_id,
            integration=run.integration_id,
            flow=run.flow_id,
            run=run.pk,
            root_run=run.root_run_id or run.pk,
            pass_no=run.pass_no or 0,
            now=read_now(),
            steps=self.step_ids,
            paths=[node.shown_path[:LONGEST_PATH] for node in self.plan.nodes],
            is_auto_resolving=flow.auto_resolve,
            is_auto_retrying=flow.is_auto_retrying,
            page_seq=page_seq,
            is_auto_retry=run.kind == RunKind.AUTO_RETRY,
            member=run.started_by_id,
        )

    def _put_aside(self, wait_s: float, reason: str) -> None:
        Run.unscoped.filter(pk=self.run.pk).update(
            lease_owner="",
            lease_until=database_now(),
            not_before=database_now(seconds=wait_s),
            wait_reason=reason[:255],
            change_no=F("change_no") + 1,
        )
        log_wait(self.run, self.redactor.text(reason))

    def _note_outage(self, connection: str, message: str) -> None:
        run = self.run
        note_outage(account_id=run.account_id, environment=run.environment, name=connection, message=message)

    def _done(self, row: PageRow) -> dict[str, Any]:
        """The columns of a part that is through; one that another attempt would need keeps its records."""
        is_kept = self.keeps_pages and is_as_exported(row, cut_from(row))
        return {"state": PageState.DONE} if is_kept else {"state": PageState.DONE, "payload": None}

    def _move_checkpoint(self, row: PageRow) -> None:
        if self.exports_in_order and row.checkpoint_after is not None and self.retries is Retries.NOTHING:
            move_checkpoint(self.run, self.step_ids[0], row.checkpoint_after)


def cut_from(row: PageRow) -> tuple[int, ...]:
    """The parts that a part was cut out of because workers died on them, oldest first."""
    return tuple((row.source_ref or {}).get("cut_from", ()))
