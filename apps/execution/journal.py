"""The journal of one run: stores its pages, writes their page commits, ends it. Each call is one transaction.

Nothing else writes the facts of a page. A worker whose fence is old gets `Fenced` and writes nothing.
"""

from dataclasses import replace

from apps.core.transactions import repeated
from apps.engine.ports import ErrorSource, Failure
from apps.engine.records import Page
from apps.engine.result import FailedRecord, PageResult
from apps.errors.booking import Book, Booked, book_page, book_unit
from apps.errors.models import RetryItem
from apps.errors.services import POSTPONED, end_unit_retry, postpone_waiting
from apps.errors.services.counting import lock_flow_states
from apps.errors.states import ErrorUnit, ItemState
from apps.execution.books import count_page
from apps.execution.owned_run import Retries
from apps.execution.page_log import log_page, log_units
from apps.execution.run_ends import retried_unit
from apps.execution.stored_pages import StoredPages
from apps.execution.turns import pass_turn
from apps.runs.log import log_run
from apps.runs.models import Intent, LogLevel, Run
from apps.runs.models import Page as PageRow
from apps.runs.services import end_run, outcome_of
from apps.runs.statuses import RunKind, RunStatus


class RunJournal(StoredPages):
    """The inward port of the engine for one claimed run; what is here is the page commit."""

    def commit(self, page: Page, result: PageResult) -> bool:
        """One transaction: the page's errors, resolves, counters, checkpoint, remaining part, and the run's end if due.

        Returns whether the run goes on at once. Raises Fenced if the page or the run is not ours any more.
        """
        goes_on = self._commit(self.rows[page.seq, page.part], page, result)
        del self.rows[page.seq, page.part]
        return goes_on

    @repeated
    def _commit(self, row: PageRow, page: Page, result: PageResult) -> bool:
        run = self._locked_run()
        book, booked = self._book_page(run, row, page, result)
        goes_on = self._go_on(run, book, result, booked)
        self._pass_turn(run)
        return goes_on

    def _pass_turn(self, run: Run) -> None:
        pass_turn(run)

    def _book_page(self, run: Run, row: PageRow, page: Page, result: PageResult) -> tuple[Book, Booked]:
        """One page that is through, or a part of it: its outcome, what is left of it, and the checkpoint."""
        self._settle_page(row, len(result.failures()))
        if self.has_unsafe_sends:
            Intent.objects.of(self.run.account_id).filter(page_id=row.pk).delete()
        book = self._book(run, page.seq)
        booked = book_page(book, result)
        is_through = self._store_rest(row, result)
        count_page(book, self.plan, result, booked, is_through=is_through)
        if result.culprit is not None:
            self._book_culprit(run, book, row, result.culprit)
        log_page(book, page, result, booked, self.redactor)
        if is_through:
            self._move_checkpoint(row)
        return book, booked

    def _book_culprit(self, run: Run, book: Book, row: PageRow, culprit: FailedRecord) -> None:
        """One open error for a page of which nothing stayed; its retry sends the page again."""
        retried = retried_unit(run) if self.retries is Retries.UNIT else None
        assert row.payload is not None, "a page is durable before it is delivered"
        booked = book_unit(
            book,
            culprit_failure(culprit),
            unit=ErrorUnit.PAGE,
            node=culprit.node,
            inner=culprit.inner,
            effects=culprit.effects,
            records=bytes(row.payload),
            retried=retried,
        )
        count_page(book, self.plan, PageResult(), booked, is_through=False)
        log_units(book, booked, self.redactor)
        if retried is not None:
            end_unit_retry(run, succeeded=False, new_error=booked.errors[0].id)

    def _go_on(self, run: Run, book: Book, result: PageResult, booked: Booked) -> bool:
        if result.stopped_by is not None:
            self._fail_rest(run, book, stop_failure(result))
            return False
        if self._cancel_if_asked(run) or self._is_postponed(run, result, booked):
            return False
        return self._goes_on_now(result)

    def _goes_on_now(self, result: PageResult) -> bool:
        if result.rest and result.wait is not None and result.wait.seconds > 0:
            self._put_aside(result.wait.seconds, f"waiting: {result.wait.reason}")
            if result.wait.is_outage:
                place = f"connection {result.wait.connection}: "
                self._note_outage(result.wait.connection, result.wait.reason.removeprefix(place))
            return False
        return True

    def _is_postponed(self, run: Run, result: PageResult, booked: Booked) -> bool:
        """End an automatic attempt whose first page failed as before, and let the rest of it wait for the next one."""
        is_first = run.kind == RunKind.AUTO_RETRY and self.next_seq == 1 and not result.rest
        if not (is_first and booked.again == len(result.ended) > 0) or not self._has_waiting_items():
            return False
        lock_flow_states(run.account_id, run.flow_id)
        run.refresh_from_db()
        log_run(run, POSTPONED, level=LogLevel.WARNING)
        end_run(run, status=RunStatus.COMPLETED, outcome=outcome_of(run))
        postpone_waiting(run)
        return True

    def _has_waiting_items(self) -> bool:
        items = RetryItem.objects.of(self.run.account_id).filter(run_id=self.run.pk, state=ItemState.WAITING)
        return bool(items.exists())


def stop_failure(result: PageResult) -> Failure:
    """Why the run stopped: a step whose policy is `fail` failed a record."""
    assert result.stopped_by is not None
    failure = result.stopped_by.failure
    message = f"The run was stopped, as the step's policy says, by: {failure.message}"
    return Failure(ErrorSource.INTERNAL, "run_stopped", message)


def culprit_failure(culprit: FailedRecord) -> Failure:
    """Why nothing of a page stayed: the failure of the record to blame, which is named."""
    message = f"Nothing of this page was kept, because {named(culprit)} failed: {culprit.failure.message}"
    return replace(culprit.failure, message=message)


def named(culprit: FailedRecord) -> str:
    """The record to blame, by its trace key if it has one."""
    return f'the record "{culprit.item.key}"' if culprit.item.key else f"the record number {culprit.item.ordinal + 1}"
