"""The journal of one run: stores its pages, writes their page commits, ends it. Each call is one transaction.

Nothing else writes the facts of a page. A worker whose fence is old gets `Fenced` and writes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from django.db.models import F, Max

from apps.core.bulk import insert_rows
from apps.core.clock import database_now, read_now
from apps.core.transactions import repeated
from apps.engine.loop import Fetched, Paused
from apps.engine.plan import Node, Plan
from apps.engine.ports import ConnectorError, ErrorSource, Failure, Outage
from apps.engine.records import Item, Page, pack, unpack
from apps.engine.result import FailedRecord, PageResult
from apps.errors.booking import Book, Booked, book_page, book_unit, resolve_windows, supersede_windows
from apps.errors.models import RetryItem
from apps.errors.services import POSTPONED, end_unit_retry, postpone_waiting, release_waiting
from apps.errors.services.counting import lock_flow_states
from apps.errors.states import ErrorUnit, ItemState
from apps.execution.attempts import generations_of, is_as_exported, unique_id_of
from apps.execution.books import checkpoint_json, count_page, log_lines, log_run, move_checkpoint, unbalanced
from apps.execution.claims import Claim, claim_page
from apps.execution.retry_reader import skip_passed
from apps.execution.turns import pass_turn, take_turn
from apps.execution.unsent import unsent, waiting_parts
from apps.flows.models import Flow, Step
from apps.flows.services import note_outage, note_success, offline_among
from apps.runs.models import Intent, IntentState, LogLevel, Run
from apps.runs.models import Page as PageRow
from apps.runs.reruns import end_failed, may_be_run_again, replace_older
from apps.runs.services import (
    RunRefused,
    drop_pages,
    end_run,
    forget_payload,
    is_in_delivery,
    outcome_of,
    run_facts,
    start_run,
    wake,
)
from apps.runs.statuses import PageState, RunKind, RunOutcome, RunStatus, Trigger

OFFLINE_WAIT_S = 3600.0
"""A run that needs an offline connection sleeps that long, unless the connection comes back and wakes it."""
SOURCE_WAITS_S = (5, 10, 20, 40, 60)
"""How long a run waits each time its export cannot be reached, before its window fails."""
DEADLY_DELIVERIES = 3
"""After that many deliveries without a commit a page is halved, down to the record that kills its worker."""
HOPELESS_DELIVERIES = 6
"""After that many a single record, though it was refused, keeps the run from going on: then the run fails."""
LONGEST_PATH = 255
LEFT_PAGE_WAIT_S = 5.0
"""Before a page that could not be booked is delivered again."""


class Fenced(Exception):  # noqa: N818 (an answer: this worker lost its lease)
    """Somebody else owns the run by now; nothing was written."""


class Retries(Enum):
    """What a run re-processes: nothing (it is a run of its flow), the records of errors, or a page, run or window."""

    NOTHING = 0
    RECORDS = 1
    UNIT = 2


@dataclass
class RunJournal:
    """The inward port of the engine for one claimed run."""

    claim: Claim
    run: Run
    plan: Plan
    steps: dict[str, Step]
    exports_in_order: bool = True
    retries: Retries = Retries.NOTHING
    has_unsafe_sends: bool = False
    before_end: Callable[[], None] = lambda: None
    """Called when every page is through, before the run ends: moves files into place. May be called again."""

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

    # --- pages in --------------------------------------------------------------------------------------------------
    def next_page(self) -> Page | None:
        stored = (
            PageRow.unscoped.filter(run_id=self.run.pk).exclude(state=PageState.DONE).order_by("seq", "part").first()
        )
        if stored is None:
            return None
        if not take_turn(self.run, self.claim.fence):
            raise Paused
        row = claim_page(stored, self.claim)
        if row is None:
            self._wait_for_page(stored)
            raise Paused
        if row.deliveries > DEADLY_DELIVERIES:
            return self._halve(row)
        return self._opened(row)

    def _opened(self, row: PageRow) -> Page:
        assert row.payload is not None
        items, malformed = unpack(bytes(row.payload))
        self._renew_keys(items)
        self._skip_passed(items)
        self.rows[row.seq, row.part] = row
        return Page(row.seq, row.part, row.now_at, items, malformed, cut_from=cut_from(row))

    def _renew_keys(self, items: list[Item]) -> None:
        """What an earlier attempt of this run failed definitely is not sent with the same idempotency key again."""
        if self._generations is None:
            self._generations = generations_of(self.run)
        for item in items if self._generations else ():
            item.generation = max(item.generation, self._generations.get(item.ordinal, 0))

    def _skip_passed(self, items: list[Item]) -> None:
        if self.retries is Retries.RECORDS:
            skip_passed(self.run, items)

    @repeated
    def _wait_for_page(self, row: PageRow) -> None:
        """The page is parked for later: put the run aside until then."""
        run = self._locked_run()
        if not self._cancel_if_asked(run):
            wait_s = max(0.0, (row.not_before - read_now()).total_seconds()) if row.not_before else 0.0
            self._put_aside(wait_s, run.wait_reason or f"page {row.seq} waits for its next attempt")

    def _put_aside(self, wait_s: float, reason: str) -> None:
        Run.unscoped.filter(pk=self.run.pk).update(
            lease_owner="",
            lease_until=database_now(),
            not_before=database_now(seconds=wait_s),
            wait_reason=reason[:255],
            change_no=F("change_no") + 1,
        )

    def _halve(self, row: PageRow) -> Page:
        """Split a page that kept killing its worker; a single record that does becomes an error of its own."""
        assert row.payload is not None
        items, malformed = unpack(bytes(row.payload))
        middle = len(items) // 2
        if not middle:
            page = self._opened(row)
            page.is_deadly = True
            return page
        halves = pack(items[:middle], malformed), pack(items[middle:], [])
        self._store_halves(row, halves, middle + len(malformed), len(items) - middle)
        return self._opened(row)

    @repeated
    def _store_halves(self, row: PageRow, halves: tuple[bytes, bytes], first: int, second: int) -> None:
        self._locked_run()
        row.refresh_from_db()
        self._rename(row)
        row.payload, row.records, row.deliveries = halves[0], first, 1
        row.save(update_fields=["part", "source_ref", "payload", "records", "deliveries"])
        self._part_row(row, halves[1], second).save(force_insert=True)

    def _rename(self, row: PageRow) -> None:
        """Both halves get names of their own: the old one may stand in the target's ledger for all of the records."""
        row.source_ref = {**(row.source_ref or {}), "cut_from": [*cut_from(row), row.part]}
        row.part = self._next_part(row)

    def store(self, fetched: Fetched, *, claim: bool) -> Page:
        must_wait = claim and not take_turn(self.run, self.claim.fence)
        claim = claim and not must_wait
        row = PageRow(
            account_id=self.run.account_id,
            run_id=self.run.pk,
            seq=self.next_seq,
            state=PageState.DELIVERING if claim else PageState.FETCHED,
            records=fetched.records,
            ordinal_from=self.next_ordinal,
            payload=fetched.payload,
            source_ref={"at": fetched.source_ref},
            position_after=fetched.position,
            checkpoint_after=checkpoint_json(fetched),
            now_at=fetched.now,
            lease_owner=self.claim.owner if claim else "",
            fence=int(claim),
            deliveries=int(claim),
        )
        position: dict[str, Any] = {
            "seq": self.next_seq + 1,
            "ordinal": self.next_ordinal + fetched.records,
            "source": fetched.position,
            "in_order": self.exports_in_order,  # also for a worker that cannot open the source
        }
        self._store(row, position, unique_id_of(self.plan, run_facts(self.run), fetched) if row.seq == 0 else "")
        self.next_seq, self.next_ordinal = position["seq"], position["ordinal"]
        if must_wait:
            raise Paused
        if claim:
            self._skip_passed(fetched.items)
            self.rows[row.seq, row.part] = row
        return Page(row.seq, 0, fetched.now, fetched.items, fetched.malformed)

    @repeated
    def _store(self, row: PageRow, position: dict[str, Any], unique_id: str) -> None:
        stored = self._mine().update(position=position, pages_fetched=F("pages_fetched") + 1, deliveries=0)
        if not stored:
            raise Fenced
        row.pk = None  # a number that was given to it in a transaction that was undone is not taken again
        row.save(force_insert=True)
        if unique_id and self.run.kind == RunKind.FLOW:
            self.run.unique_id = unique_id
            replace_older(self.run, unique_id)

    @repeated
    def announce(self, page: Page, node: Node, items: list[Item]) -> set[int]:
        """Write down what is about to be sent where a repeat cannot be recognised; see `apps.engine.walk.Announce`."""
        self.has_unsafe_sends = True
        row, step = self.rows[page.seq, page.part], self.step_ids[node.index]
        self._locked_run()  # whoever takes the run over comes before this, or sees it
        earlier = Intent.objects.of(self.run.account_id).filter(page_id=row.pk, step_id=step)
        known = set(earlier.values_list("ordinal", flat=True))
        fresh = [item for item in items if item.ordinal not in known]
        insert_rows(
            Intent,
            ["account", "page", "step", "ordinal", "generation", "state"],
            [(self.run.account_id, row.pk, step, i.ordinal, i.generation, IntentState.SENDING) for i in fresh],
        )
        return known

    @repeated
    def restart_export(self) -> None:
        """Forget the pages of an export that cannot resume and was cut while they were stored."""
        self._locked_run()
        PageRow.unscoped.filter(run_id=self.run.pk).delete()
        self._mine().update(position=None, pages_fetched=0)
        self.next_seq = self.next_ordinal = 0

    @repeated
    def end_export(self) -> None:
        if not self._mine().update(done_exporting=True):
            raise Fenced
        self.is_exported = True

    # --- the page commit -------------------------------------------------------------------------------------------
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
        self._settle_page(row, len(result.failures()))
        if self.has_unsafe_sends:
            Intent.objects.of(self.run.account_id).filter(page_id=row.pk).delete()
        book = self._book(run, page.seq)
        booked = book_page(book, result)
        is_through = self._store_rest(row, result)
        count_page(book, self.plan, result, booked, is_through=is_through)
        if result.culprit is not None:
            self._book_culprit(run, book, row, result.culprit)
        log_lines(book, self.plan, page, result)
        if is_through:
            self._move_checkpoint(row)
        goes_on = self._go_on(run, book, result, booked)
        pass_turn(run)
        return goes_on

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
        if retried is not None:
            end_unit_retry(run, succeeded=False, new_error=booked.ids[0])

    @repeated
    def leave_page(self, reason: str) -> bool:
        """Leave the page in hand, which could not be booked, for another delivery; it may stand in the target.

        After enough of them it is halved, down to the record to blame. False: no page is in hand, or all was tried.
        """
        row = next(iter(self.rows.values()), None)
        if row is None or row.deliveries > HOPELESS_DELIVERIES:
            return False
        run = self._locked_run()
        self._put_aside(LEFT_PAGE_WAIT_S, reason)
        pass_turn(run)
        return True

    def _settle_page(self, row: PageRow, error_rows: int) -> None:
        """Compare-and-swap on (fence, delivering): a page is booked once."""
        mine = PageRow.unscoped.filter(
            pk=row.pk, fence=row.fence, state=PageState.DELIVERING, lease_owner=self.claim.owner
        )
        if not mine.update(error_rows=error_rows, lease_until=None, **self._done(row)):
            raise Fenced

    def _done(self, row: PageRow) -> dict[str, Any]:
        """The columns of a part that is through; one that another attempt would need keeps its records."""
        is_kept = self.keeps_pages and is_as_exported(row, cut_from(row))
        return {"state": PageState.DONE} if is_kept else {"state": PageState.DONE, "payload": None}

    def _store_rest(self, row: PageRow, result: PageResult) -> bool:
        """Keep what has no outcome yet as the page's next part; True if the page is through."""
        if result.rest:
            part = self._part_row(row, pack(result.rest, []), len(result.rest))
            part.state = PageState.PARKED
            part.source_ref = {
                "at": (row.source_ref or {}).get("at", "")
            }  # none of these was written: no ledger tells of them
            part.attempt = row.attempt + 1
            part.deliveries = 0
            part.save(force_insert=True)
            wait_s = result.wait.seconds if result.wait else 0
            PageRow.unscoped.filter(pk=part.pk).update(not_before=database_now(seconds=wait_s))
            return False
        others = PageRow.unscoped.filter(run_id=self.run.pk, seq=row.seq).exclude(state=PageState.DONE)
        return not others.exists()

    def _next_part(self, row: PageRow) -> int:
        last: int = PageRow.unscoped.filter(run_id=self.run.pk, seq=row.seq).aggregate(last=Max("part"))["last"]
        return last + 1

    def _part_row(self, row: PageRow, payload: bytes, records: int) -> PageRow:
        return PageRow(
            account_id=row.account_id,
            run_id=row.run_id,
            seq=row.seq,
            part=self._next_part(row),
            records=records,
            ordinal_from=row.ordinal_from,
            payload=payload,
            source_ref=row.source_ref,
            position_after=row.position_after,
            checkpoint_after=row.checkpoint_after,
            now_at=row.now_at,
            attempt=row.attempt,
            deliveries=1,
        )

    def _move_checkpoint(self, row: PageRow) -> None:
        if self.exports_in_order and row.checkpoint_after is not None and self.retries is Retries.NOTHING:
            move_checkpoint(self.run, self.step_ids[0], row.checkpoint_after)

    def _go_on(self, run: Run, book: Book, result: PageResult, booked: Booked) -> bool:
        if result.stopped_by is not None:
            self._fail_rest(run, book, stop_failure(result))
            return False
        if self._cancel_if_asked(run) or self._is_postponed(run, result, booked):
            return False
        if result.rest and result.wait is not None and result.wait.seconds > 0:
            self._put_aside(result.wait.seconds, f"waiting: {result.wait.reason}")
            if result.wait.is_outage:
                place = f"connection {result.wait.connection}: "
                self._note_outage(result.wait.connection, result.wait.reason.removeprefix(place))
            return False
        return True

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

    def _release_retried(self, run: Run) -> None:
        if self.retries is not Retries.NOTHING:
            release_waiting(run)

    def _fail_rest(self, run: Run, book: Book, failure: Failure) -> None:
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
        booked = book_unit(book, failure, unit=ErrorUnit.WINDOW, node=0, window=window, retried=retried)
        count_page(book, self.plan, PageResult(), booked, is_through=False)
        supersede_windows(book, booked.ids[0])
        run.refresh_from_db(fields=["status", "unique_id"])
        if told := end_failed(run, self.plan.workflow_retry):
            log_run(run, told)
        if self.retries is Retries.UNIT:
            end_unit_retry(run, succeeded=False, new_error=booked.ids[0])

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
            log_lines(book, self.plan, page, result)
            if is_through:
                self._move_checkpoint(row)

    def _delivered_position(self) -> Any:
        """Where the window goes on: behind the last page that is through."""
        pages = PageRow.unscoped.filter(run_id=self.run.pk)
        waiting = pages.exclude(state=PageState.DONE).order_by("seq").values_list("seq", flat=True).first()
        done = pages.filter(state=PageState.DONE)
        last = (done if waiting is None else done.filter(seq__lt=waiting)).order_by("-seq").first()
        return last.position_after if last else None

    # --- ends ------------------------------------------------------------------------------------------------------
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
            run.refresh_from_db()
        end_run(run, status=RunStatus.COMPLETED, outcome=outcome_of(run))
        if self.keeps_pages:
            forget_payload(run)
        names = [node.connection for node in self.plan.nodes if node.connection]
        note_success(account_id=run.account_id, environment=run.environment, names=names)
        self._end_well(run)

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
        if not self._cancel_if_asked(self._locked_run()):
            self._put_aside(OFFLINE_WAIT_S, reason)

    def _note_outage(self, connection: str, message: str) -> None:
        run = self.run
        note_outage(account_id=run.account_id, environment=run.environment, name=connection, message=message)

    # --- helpers ---------------------------------------------------------------------------------------------------
    def _mine(self) -> Any:
        return Run.unscoped.filter(pk=self.run.pk, fence=self.claim.fence, status=RunStatus.RUNNING)

    def _locked_run(self) -> Run:
        run = self._mine().select_for_update().first()
        if run is None:
            raise Fenced
        return run

    def _book(self, run: Run, page_seq: int | None) -> Book:
        flow = Flow.unscoped.only("auto_resolve").get(pk=run.flow_id)
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
            page_seq=page_seq,
            is_auto_retry=run.kind == RunKind.AUTO_RETRY,
            member=run.started_by_id,
        )


def cut_from(row: PageRow) -> tuple[int, ...]:
    """The parts that a part was cut out of because workers died on them, oldest first."""
    return tuple((row.source_ref or {}).get("cut_from", ()))


def stop_failure(result: PageResult) -> Failure:
    """Why the run stopped: a step whose policy is `fail` failed a record."""
    assert result.stopped_by is not None
    failure = result.stopped_by.failure
    message = f"The run was stopped, as the step's policy says, by: {failure.message}"
    return Failure(ErrorSource.INTERNAL, "run_stopped", message)


def culprit_failure(culprit: FailedRecord) -> Failure:
    """Why nothing of a page stayed: the failure of the record to blame, which is named."""
    who = f'the record "{culprit.item.key}"' if culprit.item.key else f"the record number {culprit.item.ordinal + 1}"
    message = f"Nothing of this page was kept, because {who} failed: {culprit.failure.message}"
    return replace(culprit.failure, message=message)


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
