"""The journal of a run whose pages are at work at once: one owner reads and stores, helpers deliver beside it.

Each page has its own lease and fence, so whoever holds it books it, whatever became of the run's owner meanwhile; a
page whose worker died is taken by the next one that looks. Nothing is begun any more once the run is to be canceled or
has failed; when no page is at work any more, its owner ends it.
"""

from enum import Enum
from time import monotonic
from typing import Any

from django.db.models import Count, Max, Min, Q

from apps.core.clock import database_now, read_now
from apps.core.queue import enqueue, oldest_hint
from apps.core.transactions import repeated
from apps.engine.loop import Paused
from apps.engine.plan import Node
from apps.engine.ports import ConnectorError, ErrorSource, Failure, Outage
from apps.engine.records import Item, Page
from apps.engine.result import PageResult
from apps.engine.side_by_side import Nothing
from apps.errors.booking import Book, Booked
from apps.execution.beats import free_workers
from apps.execution.books import move_checkpoint
from apps.execution.claims import delivering_page, due, lease_is_free, others_wait
from apps.execution.journal import RunJournal, stop_failure
from apps.execution.owned_run import Fenced, Retries
from apps.execution.stored_pages import DEADLY_DELIVERIES, HOPELESS_DELIVERIES, LEFT_PAGE_WAIT_S
from apps.execution.turns import is_awaited, may_take_turn, pass_turn, take_turn
from apps.runs.log import log_wait
from apps.runs.models import Page as PageRow
from apps.runs.models import Run
from apps.runs.querysets import DELIVERING, NOT_DONE, PARKED
from apps.runs.services import wake
from apps.runs.statuses import PageState, RunStatus

HELP_RUN = "apps.execution.tasks.help_run"
SHORT_WAIT_S = 1.0
"""For a page that is due so soon its owner keeps the run."""
CALL_AGAIN_S, LONGEST_CALL_S = 1.0, 30.0
"""Helpers that do not come are called again, each time after a longer while: their workers are busy."""
AT_WORK = "other workers still have pages of it"


class Outlook(Enum):
    """What a look at the stored pages found beside a page to take."""

    LATER = Nothing.NOW
    THROUGH = Nothing.LEFT
    OVER = None
    """Nothing is to be done here: the run has ended, waits, or lets another run go first."""


class SharedRunJournal(RunJournal):
    """The inward port of the engine for the owner of a run whose pages are shared."""

    is_owner = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._called_at = 0.0
        self._call_again_s = CALL_AGAIN_S
        self._others = 0

    def in_hand(self) -> list[tuple[int, int]]:
        """Key and fence of the pages that this worker holds."""
        return [(row.pk, row.fence) for row in list(self.rows.values())]

    def _open_pages(self) -> Any:
        return PageRow.unscoped.filter(NOT_DONE, run_id=self.run.pk)

    # --- taking a page ------------------------------------------------------------------------------------------------
    def wants_more(self) -> bool:
        """As many pages as may be at work, and as many again that wait for their workers."""
        if self.is_exported or not self._mine().filter(stop_reason="", cancel_requested_at__isnull=True).exists():
            return False
        return bool(self._open_pages().count() < 2 * self.plan.parallel_pages)

    def take_page(self) -> Page | Nothing:
        found = self._look()
        if isinstance(found, Outlook):
            if found is Outlook.OVER:
                raise Paused
            return found.value
        row, could_help = found
        if could_help:
            self._call_helpers(could_help)
        if row.deliveries > DEADLY_DELIVERIES:
            return self._halve(row)
        return self._opened(row)

    @repeated
    def _look(self) -> tuple[PageRow, int] | Outlook:
        """Claim the first page that nobody has; with it, how many helpers would find another one."""
        run = self._mine().select_for_update().first()
        if run is None:
            return self._lost()
        counts = self._open_pages().aggregate(
            at_work=Count("pk", filter=DELIVERING & Q(lease_until__gt=database_now())),
            left=Count("pk", filter=DELIVERING & lease_is_free()),
            ready=Count("pk", filter=~DELIVERING & due()),
            due_at=Min("not_before", filter=~DELIVERING),
        )
        at_work, left, ready = counts["at_work"], counts["left"], counts["ready"]
        is_ending = is_to_end(run)
        takeable = left + (0 if is_ending else ready)
        if takeable and at_work < self.plan.parallel_pages:
            if not self._has_turn(run, at_work):
                return self._without_turn(at_work)
            row = self._claim_first(is_ending)
            if row is not None:
                return row, min(takeable, self.plan.parallel_pages - at_work) - 1
        if at_work or takeable:
            return Outlook.LATER if self.is_owner or at_work < self.plan.parallel_pages else Outlook.OVER
        if is_ending:
            self._end(run)
            return Outlook.OVER
        return Outlook.THROUGH if counts["due_at"] is None else self._wait_for_parked(run, counts["due_at"])

    def _lost(self) -> Outlook:
        """The run is not ours any more: it has ended or was put aside, or another worker took it."""
        if self._mine_or_ended():
            return Outlook.OVER
        raise Fenced

    def _mine_or_ended(self) -> bool:
        run = Run.unscoped.filter(pk=self.run.pk)
        return bool(run.filter(Q(fence=self.claim.fence) | ~Q(status=RunStatus.RUNNING)).exists())

    def _claim_first(self, is_ending: bool) -> PageRow | None:
        free = DELIVERING & lease_is_free()
        wanted = free if is_ending else free | ~DELIVERING & due()
        rows = self._open_pages().filter(wanted).order_by("seq", "part")
        row: PageRow | None = rows.select_for_update(skip_locked=True).first()
        return None if row is None else delivering_page(row, self.claim, rows)

    def _wait_for_parked(self, run: Run, due_at: Any) -> Outlook:
        wait_s = max(0.0, (due_at - read_now()).total_seconds())
        if wait_s < SHORT_WAIT_S or not self.is_owner:
            return Outlook.LATER
        self._put_aside(wait_s, run.wait_reason or "waits for its next attempt")
        return Outlook.OVER

    @repeated
    def wait_for_others(self) -> None:
        """Until the first of their leases ends; who books a page meanwhile wakes the run."""
        self._locked_run()
        until = self._open_pages().filter(DELIVERING).aggregate(first=Min("lease_until"))["first"]
        wait_s = (until - read_now()).total_seconds() if until is not None else 0.0
        self._put_aside(max(SHORT_WAIT_S, wait_s), AT_WORK)

    # --- turns --------------------------------------------------------------------------------------------------------
    def _has_turn(self, run: Run, at_work: int) -> bool:
        """While another run of the flow waits for its turn, pages that are at work end and no further one begins."""
        return may_take_turn(self.run) and not (at_work and is_awaited(self.run))

    def _without_turn(self, at_work: int) -> Outlook:
        if at_work:
            return Outlook.LATER
        if self.is_owner and take_turn(self.run, self.claim.fence):
            return Outlook.LATER
        return Outlook.OVER

    def _pass_turn(self, run: Run) -> None:
        if not self._open_pages().filter(DELIVERING, lease_until__gt=database_now()).exists():
            pass_turn(run)

    # --- helpers ------------------------------------------------------------------------------------------------------
    def _call_helpers(self, count: int) -> None:
        """Hint at free workers that would find a page; at none while anything else waits for a worker."""
        now = monotonic()
        if now - self._called_at < self._call_again_s or others_wait(self.run.pk) or oldest_hint() is not None:
            return
        with_others = self._open_pages().filter(DELIVERING).exclude(lease_owner=self.claim.owner)
        others = with_others.values("lease_owner").distinct().count()
        is_in_vain = self._called_at and others <= self._others
        self._call_again_s = min(self._call_again_s * 2, LONGEST_CALL_S) if is_in_vain else CALL_AGAIN_S
        self._called_at, self._others = now, others
        free = free_workers()
        for _ in range(min(count, 1 if free is None else free)):
            enqueue(HELP_RUN, self.run.pk)

    # --- booking ------------------------------------------------------------------------------------------------------
    def _go_on(self, run: Run, book: Book, result: PageResult, booked: Booked) -> bool:
        """Only the page waits, or stops the run: the others that are at work are booked first."""
        wait = result.wait if result.rest and result.wait is not None and result.wait.seconds > 0 else None
        reason = f"waiting: {wait.reason}"[:255] if wait is not None else ""
        facts: dict[str, Any] = {} if run.wait_reason == reason else {"wait_reason": reason}
        if result.stopped_by is not None and not run.stop_reason:
            facts["stop_reason"] = stop_failure(result).message
        if facts:
            Run.unscoped.filter(pk=run.pk).update(**facts)
        if wait is not None:
            log_wait(self.run, self.redactor.text(reason))
            if wait.is_outage and not (run.wait_reason == reason and self._is_known(book)):
                self._note_outage(wait.connection, wait.reason.removeprefix(f"connection {wait.connection}: "))
        return True

    def _is_known(self, book: Book) -> bool:
        """Whether another page of the run has waited as often: what keeps many from going on at once happened once."""
        parked = self._open_pages().filter(PARKED)
        attempt = parked.filter(seq=book.page_seq).aggregate(newest=Max("attempt"))["newest"]
        return bool(parked.exclude(seq=book.page_seq).filter(attempt__gte=attempt).exists())

    def _move_checkpoint(self, row: PageRow) -> None:
        """Over the pages that are through without a gap: the one that closes a gap moves it over those behind, too."""
        if not self.exports_in_order or self.retries is not Retries.NOTHING:
            return
        first_open = self._open_pages().aggregate(first=Min("seq"))["first"]
        done = PageRow.unscoped.filter(run_id=self.run.pk, state=PageState.DONE, seq__gte=row.seq)
        if first_open is not None:
            done = done.filter(seq__lt=first_open)
        last = done.filter(checkpoint_after__isnull=False).order_by("-seq", "-part").first()
        if last is not None and last.checkpoint_after is not None:
            move_checkpoint(self.run, self.step_ids[0], last.checkpoint_after)

    @repeated
    def announce(self, page: Page, node: Node, items: list[Item]) -> set[int]:
        self._refuse_lost(self.rows[page.seq, page.part])
        return super().announce(page, node, items)

    @repeated
    def _store_halves(self, row: PageRow, halves: tuple[bytes, bytes], first: int, second: int) -> None:
        self._refuse_lost(row)
        super()._store_halves(row, halves, first, second)

    def _refuse_lost(self, row: PageRow) -> None:
        """Raises Fenced if another worker has taken the page; with the run locked nobody does until this is through."""
        self._locked_run()
        if not PageRow.unscoped.filter(DELIVERING, pk=row.pk, fence=row.fence).exists():
            raise Fenced

    # --- ends ---------------------------------------------------------------------------------------------------------
    def _end(self, run: Run) -> None:
        """No page is at work any more: what was asked for, or what stopped it, ends the run."""
        if not self._cancel_if_asked(run):
            failure = Failure(ErrorSource.INTERNAL, "run_stopped", run.stop_reason)
            self._fail_rest(run, self._book(run, None), failure)
        pass_turn(run)

    def _others_at_work(self) -> bool:
        own = [key for key, _ in self.in_hand()]
        others = self._open_pages().filter(DELIVERING, lease_until__gt=database_now())
        return bool(others.exclude(pk__in=own).exists())

    def _left_to_others(self) -> bool:
        """Put the run aside for a moment while other workers have pages of it. What follows else is one transaction
        with this, so that none of them takes a page in between."""
        self._locked_run()
        if not self._others_at_work():
            return False
        self._put_aside(SHORT_WAIT_S, AT_WORK)
        return True

    @repeated
    def fail_export(self, error: ConnectorError) -> None:
        if not self._left_to_others():
            super().fail_export(error)

    @repeated
    def wait_for_source(self, outage: Outage) -> None:
        if not self._left_to_others():
            super().wait_for_source(outage)

    @repeated
    def leave_page(self, reason: str) -> bool:
        """As of any run; the page may stand in the target, so it stays one that is being delivered, by nobody."""
        row = next(iter(self.rows.values()), None)
        if row is None:
            return False
        run = self._locked_run()
        mine = PageRow.unscoped.filter(DELIVERING, pk=row.pk, fence=row.fence)
        mine.update(lease_owner="", lease_until=database_now(seconds=LEFT_PAGE_WAIT_S))
        if row.deliveries > HOPELESS_DELIVERIES:
            return False
        self._rest_after(reason)
        self._pass_turn(run)
        return True

    def _rest_after(self, reason: str) -> None:
        self._put_aside(LEFT_PAGE_WAIT_S, reason)


class HelperJournal(SharedRunJournal):
    """The same for a helper: it books the pages that it holds, and never touches the lease of the run."""

    is_owner = False

    def _mine(self) -> Any:
        return Run.unscoped.filter(pk=self.run.pk, status=RunStatus.RUNNING)

    def _lost(self) -> Outlook:
        return Outlook.OVER

    def _call_helpers(self, count: int) -> None:
        """The owner calls them."""

    def wait_for_others(self) -> None:
        """It just leaves."""

    def _go_on(self, run: Run, book: Book, result: PageResult, booked: Booked) -> bool:
        super()._go_on(run, book, result, booked)
        if not run.lease_owner:
            wake(run)  # it was put aside, maybe for this page
        return True

    def _end(self, run: Run) -> None:
        """The owner ends the run: what it has written is put in its place then, once."""
        if not run.lease_owner:
            wake(run)

    def _rest_after(self, reason: str) -> None:
        log_wait(self.run, self.redactor.text(reason))


def is_to_end(run: Run) -> bool:
    return run.cancel_requested_at is not None or run.stop_reason != ""
