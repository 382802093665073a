"""How a run ends or waits: through, failed, canceled; put aside until its source or a connection is back."""

from datetime import datetime
from typing import Any

from django.db.models import F

from apps.core.transactions import repeated
from apps.engine.ports import ConnectorError, ErrorSource, Failure, Outage
from apps.engine.result import PageResult
from apps.errors.booking import Book, book_page, book_unit, resolve_windows, supersede_windows
from apps.errors.models import RetryItem
from apps.errors.services import end_unit_retry, release_waiting
from apps.errors.services.counting import lock_flow_states
from apps.errors.states import ErrorUnit, ItemState
from apps.execution.books import count_page, move_checkpoint, unbalanced
from apps.execution.owned_run import OwnedRun, Retries
from apps.execution.page_log import log_page, log_units
from apps.execution.unsent import unsent, waiting_parts
from apps.flows.models import Flow
from apps.flows.services import note_success, offline_among
from apps.runs.log import log_run
from apps.runs.models import LogLevel, Run, StepRun
from apps.runs.models import Page as PageRow
from apps.runs.reruns import end_failed
from apps.runs.services import (
    RunRefused,
    drop_pages,
    end_run,
    forget_payload,
    is_in_delivery,
    outcome_of,
    start_run,
    wake,
)
from apps.runs.statuses import PageState, RunOutcome, RunStatus, Trigger

OFFLINE_WAIT_S = 3600.0
"""A run that needs an offline connection sleeps that long, unless the connection comes back and wakes it."""
SOURCE_WAITS_S = (5, 10, 20, 40, 60)
"""How long a run waits each time its export cannot be reached, before its window fails."""


class RunEnds(OwnedRun):
    """The ends of a claimed run, and its waits."""

    @repeated
    def fail_export(self, error: ConnectorError) -> None:
        run = self._locked_run()
        if not self._cancel_if_asked(run):
            self._fail_rest(run, self._book(run, None), error.failure())

    @repeated
    def wait_for_source(self, outage: Outage) -> None:
        """Put the run aside; after the last wait the window fails with what the outage said."""
        run = self._locked_run()
        if self._cancel_if_asked(run):
            return
        if run.deliveries >= len(SOURCE_WAITS_S):
            self._fail_rest(run, self._book(run, None), outage.failure())
            return
        wait_s = max(SOURCE_WAITS_S[run.deliveries], outage.retry_after_s or 0)
        self._mine().update(deliveries=F("deliveries") + 1)
        self._put_aside(wait_s, f"waiting: connection {self.plan.export.connection}: {outage.message}")
        self._note_outage(self.plan.export.connection, outage.message)

    def finish(self) -> None:
        """End the run: check its balance sheet, move a checkpoint that only moves at the end, start what follows."""
        self.before_end()
        self._finish()

    @repeated
    def _finish(self) -> None:
        run = self._locked_run()
        if self._cancel_if_asked(run):
            return
        lock_flow_states(run.account_id, run.flow_id)
        self._move_last_checkpoint(run)
        difference = unbalanced(run)
        if difference:
            failure = Failure(ErrorSource.INTERNAL, "books_differ", difference)
            book = self._book(run, None)
            booked = book_unit(book, failure, unit=ErrorUnit.RUN, node=0, window={})
            count_page(book, self.plan, PageResult(), booked, is_through=False)
            log_units(book, booked, self.redactor)
            run.refresh_from_db()
        end_run(run, status=RunStatus.COMPLETED, outcome=outcome_of(run))
        if self.keeps_pages:
            forget_payload(run)
        note_success(account_id=run.account_id, environment=run.environment, names=self._answered(run))
        self._end_well(run)

    def _answered(self, run: Run) -> set[str]:
        """The connections that this run has worked through: of its export, and of the steps that a record came to."""
        came = StepRun.objects.of(run.account_id).filter(run=run, came_in__gt=0)
        reached = set(came.values_list("step_id", flat=True))
        nodes = zip(self.step_ids, self.plan.nodes, strict=True)
        used = {node.connection for step, node in nodes if node.connection and step in reached}
        exported = self.plan.export.connection if self.retries is Retries.NOTHING else None
        return used | ({exported} if exported else set())

    def _move_last_checkpoint(self, run: Run) -> None:
        if self.exports_in_order or self.retries is not Retries.NOTHING:
            return
        last = PageRow.unscoped.filter(run_id=run.pk).order_by("-seq").first()
        if last is not None and last.checkpoint_after is not None:
            move_checkpoint(run, self.step_ids[0], last.checkpoint_after)

    def _end_well(self, run: Run) -> None:
        """What follows from a run that went through to its end."""
        if self.retries is Retries.UNIT:
            end_unit_retry(run, succeeded=True)
        elif self.retries is Retries.NOTHING:
            is_of_its_own = run.window_from or run.window_to or (run.position or {}).get("rest_is_exported")
            resolve_windows(self._book(run, None), has_own_window=bool(is_of_its_own))
            start_followers(run)

    @repeated
    def cancel(self) -> bool:
        """Cancel the run if that was asked for; True if it is canceled now.

        A page that may stand in the target is delivered and booked first: its commit ends the run.
        """
        run = self._locked_run()
        return not is_in_delivery(run) and self._cancel_if_asked(run)

    def _cancel_if_asked(self, run: Run) -> bool:
        if run.cancel_requested_at is None:
            return False
        lock_flow_states(run.account_id, run.flow_id)
        self._set_aside_parts(run)
        drop_pages(self.run)
        forget_payload(self.run)
        end_run(run, status=RunStatus.CANCELED, outcome=RunOutcome.CANCELED)
        self._release_retried(run)
        return True

    def _release_retried(self, run: Run) -> None:
        if self.retries is not Retries.NOTHING:
            release_waiting(run)

    def _fail_rest(self, run: Run, book: Book, failure: Failure, effects: dict[str, Any] | None = None) -> None:
        """The rest of the window becomes one open error on the export; the run has failed.

        A retry of records has no window: what was not sent returns to the state it had.
        """
        if self.retries is Retries.RECORDS:
            lock_flow_states(run.account_id, run.flow_id)
            drop_pages(self.run)
            log_run(run, failure.message, level=LogLevel.ERROR)
            end_run(run, status=RunStatus.FAILED, outcome=RunOutcome.FAILED)
            self._release_retried(run)
            return
        lock_flow_states(run.account_id, run.flow_id)
        self._set_aside_parts(run)
        window = {"position": self._delivered_position(), "from": _iso(run.window_from), "to": _iso(run.window_to)}
        retried = retried_unit(run) if self.retries is Retries.UNIT else None
        booked = book_unit(
            book, failure, unit=ErrorUnit.WINDOW, node=0, window=window, effects=effects, retried=retried
        )
        count_page(book, self.plan, PageResult(), booked, is_through=False)
        log_units(book, booked, self.redactor)
        supersede_windows(book, booked.errors[0].id)
        run.refresh_from_db(fields=["status", "unique_id"])
        if told := end_failed(run, self.plan.workflow_retry):
            log_run(run, told)
        if self.retries is Retries.UNIT:
            end_unit_retry(run, succeeded=False, new_error=booked.errors[0].id)

    def _set_aside_parts(self, run: Run) -> None:
        """Errors for what waits of pages that were delivered in part; a retry of records gives its own back."""
        if self.retries is Retries.RECORDS:
            return
        for row in waiting_parts(run):
            book = self._book(run, row.seq)
            page, result = unsent(row, self.plan)
            booked = book_page(book, result)
            PageRow.unscoped.filter(pk=row.pk).update(error_rows=booked.rows, **self._done(row))
            is_through = not any(part.seq == row.seq and part.pk != row.pk for part in waiting_parts(run))
            count_page(book, self.plan, result, booked, is_through=is_through)
            log_page(book, page, result, booked, self.redactor)
            if is_through:
                self._move_checkpoint(row)

    def _delivered_position(self) -> Any:
        """Where the window goes on: behind the last page that is through."""
        pages = PageRow.unscoped.filter(run_id=self.run.pk)
        waiting = pages.exclude(state=PageState.DONE).order_by("seq").values_list("seq", flat=True).first()
        done = pages.filter(state=PageState.DONE)
        last = (done if waiting is None else done.filter(seq__lt=waiting)).order_by("-seq").first()
        return last.position_after if last else None

    def wait_for_connection(self) -> bool:
        """Put the run aside if a connection that it needs is offline; uses no attempt. True: it waits."""
        run, names = self.run, self._needed_connections()
        away = offline_among(account_id=run.account_id, environment=run.environment, names=names)
        if away is None:
            return False
        since = f"{away.offline_since:%d %b %H:%M:%S} UTC" if away.offline_since else ""
        reason = f"waiting: connection {away.name}: offline since {since}: {away.last_error}"
        self._wait_for_connection(reason)
        if offline_among(account_id=run.account_id, environment=run.environment, names=names) is None:
            wake(run)  # it came back meanwhile, and whoever brought it back did not see this run wait
        return True

    def _needed_connections(self) -> list[str]:
        """Of a retry of records: not those of the steps before the one at which it starts, nor the export's."""
        nodes = self.plan.nodes
        if self.retries is Retries.RECORDS and self.run.start_step is not None:
            keys = [node.key for node in nodes]
            nodes = nodes[keys.index(self.run.start_step.key) :] if self.run.start_step.key in keys else ()
        return [node.connection for node in nodes if node.connection]

    @repeated
    def _wait_for_connection(self, reason: str) -> None:
        run = self._locked_run()
        if is_in_delivery(run) or not self._cancel_if_asked(run):  # as in `cancel`
            self._put_aside(OFFLINE_WAIT_S, reason)


def start_followers(run: Run) -> None:
    """Start the flows that run after this one."""
    for flow in Flow.unscoped.filter(run_after_id=run.flow_id, enabled=True, removed_at__isnull=True).order_by("pk"):
        try:
            start_run(flow=flow, trigger=Trigger.FLOW)
        except RunRefused as refused:
            log_run(run, str(refused), level=LogLevel.WARNING)


def retried_unit(run: Run) -> int | None:
    """The error of a page, run or window that a retry has."""
    waiting = RetryItem.objects.of(run.account_id).filter(run=run, state=ItemState.WAITING)
    return waiting.values_list("error_id", flat=True).first()


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
