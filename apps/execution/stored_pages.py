"""The pages of a run that are stored: claimed, cut where they kill their workers, kept until they are booked."""

from typing import Any

from django.db.models import F, Max

from apps.core.bulk import insert_rows
from apps.core.clock import database_now, read_now
from apps.core.transactions import repeated
from apps.engine.loop import Fetched, Paused
from apps.engine.plan import Node
from apps.engine.records import Item, Page, pack, unpack
from apps.engine.result import PageResult
from apps.execution.attempts import generations_of, unique_id_of
from apps.execution.books import checkpoint_json
from apps.execution.claims import claim_page
from apps.execution.owned_run import Fenced, Retries, cut_from
from apps.execution.retry_reader import skip_passed
from apps.execution.run_ends import RunEnds
from apps.execution.turns import pass_turn, take_turn
from apps.runs.models import Intent, IntentState
from apps.runs.models import Page as PageRow
from apps.runs.reruns import replace_older
from apps.runs.services import run_facts
from apps.runs.statuses import PageState, RunKind

DEADLY_DELIVERIES = 3
"""After that many deliveries without a commit a page is halved, down to the record that kills its worker."""
HOPELESS_DELIVERIES = 6
"""After that many a single record, though it was refused, keeps the run from going on: then the run fails."""
LEFT_PAGE_WAIT_S = 5.0
"""Before a page that could not be booked is delivered again."""


class StoredPages(RunEnds):
    """The stored pages of a claimed run."""

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
