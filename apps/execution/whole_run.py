"""The journal of a run that is one scope: its pages are delivered together, and booked in one transaction."""

from collections.abc import Iterator
from dataclasses import replace

from apps.core.transactions import repeated
from apps.engine.loop import Paused
from apps.engine.ports import ConnectorError, ErrorSource, Failure
from apps.engine.records import Page, unpack
from apps.engine.result import PageResult, Wait
from apps.engine.run_delivery import RunResult, opened
from apps.errors.booking import book_page
from apps.execution.books import count_page
from apps.execution.claims import claim_page, due
from apps.execution.journal import RunJournal, named
from apps.execution.owned_run import cut_from
from apps.execution.page_log import log_page
from apps.execution.stored_pages import DEADLY_DELIVERIES
from apps.execution.turns import pass_turn, take_turn
from apps.runs.log import log_run
from apps.runs.models import Intent, LogLevel, Run
from apps.runs.models import Page as PageRow
from apps.runs.statuses import PageState


class WholeRunJournal(RunJournal):
    """The inward port of the engine for a run that is one scope."""

    def open_pages(self) -> Iterator[Page]:
        """Claim and open the stored pages in order; only one is in memory at a time.

        Raises Paused if they must wait, ConnectorError if workers died on them again and again.
        """
        stored = PageRow.unscoped.filter(run_id=self.run.pk).exclude(state=PageState.DONE).order_by("seq", "part")
        late = stored.exclude(due()).order_by("-not_before").first()
        if late is not None:
            self._wait_for_page(late)
            raise Paused
        names = list(stored.values_list("pk", flat=True))
        if names and not take_turn(self.run, self.claim.fence):
            raise Paused
        for name in names:
            page = self._open(PageRow.unscoped.get(pk=name))
            if page is None:
                raise Paused
            yield page

    def _open(self, row: PageRow) -> Page | None:
        """One that is in hand already is opened again; None: it is somebody else's by now."""
        mine = self.rows.get((row.seq, row.part))
        if mine is None:
            claimed = claim_page(row, self.claim)
            if claimed is None:
                return None
            row = claimed
            if row.deliveries > DEADLY_DELIVERIES:
                raise WorkersDied
        assert row.payload is not None, "a page is durable before it is delivered"
        items, malformed = unpack(bytes(row.payload))
        self._renew_keys(items)
        row.payload = None  # a run of many pages has to fit into memory
        self.rows[row.seq, row.part] = row
        return Page(row.seq, row.part, row.now_at, items, malformed, cut_from=cut_from(row))

    def is_cancel_asked(self) -> bool:
        return bool(Run.unscoped.filter(pk=self.run.pk, cancel_requested_at__isnull=False).exists())

    # --- what was kept ------------------------------------------------------------------------------------------------
    def commit_all(self, result: RunResult) -> bool:
        """Book every page of a delivery in one transaction. Raises Fenced if the run is not ours any more."""
        goes_on = self._commit_all(result) if result.refused is None else self._take_back(result)
        self.rows.clear()
        return goes_on

    @repeated
    def _commit_all(self, result: RunResult) -> bool:
        run = self._locked_run()
        rest = PageResult()
        for packed in result.pages:
            walked = opened(packed)
            row = self.rows[walked.page.seq, walked.page.part]
            self._book_page(run, row, walked.page, walked.result)
            if walked.result.rest:
                rest.rest = walked.result.rest
                rest.wait = longest(rest.wait, walked.result.wait)
        goes_on = not self._cancel_if_asked(run) and self._goes_on_now(rest)
        pass_turn(run)
        return goes_on

    # --- what was not -------------------------------------------------------------------------------------------------
    @repeated
    def _take_back(self, result: RunResult) -> bool:
        """Nothing stays: every record is booked as rolled back, and one open error runs the window again.

        The pages stay as they are stored: another attempt of the run takes them over.
        """
        run = self._locked_run()
        is_whole = not PageRow.unscoped.filter(run_id=run.pk, state=PageState.DONE).exists()
        for packed in result.pages if is_whole else ():
            walked = opened(packed)
            book = self._book(run, walked.page.seq)
            booked = book_page(book, walked.result)
            count_page(book, self.plan, walked.result, booked, is_through=False)
            log_page(book, walked.page, walked.result, booked, self.redactor)
        assert result.refused is not None
        culprit, failure = result.culprit, result.refused
        where = f" at {self._path_of(result)}" if culprit is not None else ""
        who = f"{named(culprit)}{where} failed" if culprit is not None else "the target refused to commit it"
        message = f"Nothing of this run was kept, because {who}: {failure.message}"
        effects = culprit.effects if culprit is not None else {}
        self._fail_rest(run, self._book(run, None), replace(failure, message=message), effects=effects)
        pass_turn(run)
        return False

    def _path_of(self, result: RunResult) -> str:
        assert result.culprit is not None
        inner = result.culprit.inner
        return self.plan.nodes[result.culprit.node if inner is None else inner].shown_path

    def give_back(self, result: RunResult) -> None:
        """Nothing was kept: all pages are delivered again, after the wait if there is one."""
        self._give_back(result)
        self.rows.clear()

    @repeated
    def _give_back(self, result: RunResult) -> None:
        run = self._locked_run()
        mine = PageRow.unscoped.filter(run_id=run.pk, state=PageState.DELIVERING, lease_owner=self.claim.owner)
        if self.has_unsafe_sends:  # of each the outcome is known, and kept with its record
            Intent.objects.of(run.account_id).filter(page_id__in=mine.values("pk")).delete()
        mine.update(state=PageState.FETCHED, lease_owner="", lease_until=None, deliveries=0)
        for (seq, part), payload in result.changed.items():
            PageRow.unscoped.filter(run_id=run.pk, seq=seq, part=part).update(payload=payload)
        if self._cancel_if_asked(run):
            if result.standing:
                log_run(run, f"{result.standing:,} sends went out before and stand.", level=LogLevel.WARNING)
        else:
            self._wait(result.wait or Wait(0, ""))
        pass_turn(run)

    def _wait(self, wait: Wait) -> None:
        self._put_aside(wait.seconds, f"waiting: {wait.reason}" if wait.reason else "")
        if wait.is_outage:
            self._note_outage(wait.connection, wait.reason.removeprefix(f"connection {wait.connection}: "))


def longest(one: Wait | None, other: Wait | None) -> Wait | None:
    if one is None or other is None:
        return one or other
    return other if other.seconds > one.seconds else one


class WorkersDied(ConnectorError):  # noqa: N818 (an answer: nobody goes on with the run)
    """Workers died on a run again and again; whether its target had committed, only the target can tell."""

    def __init__(self) -> None:
        text = f"The workers that delivered this run died {DEADLY_DELIVERIES} times before they could book it. "
        text += "Look into its target before you retry it."
        super().__init__("worker_died", text, source=ErrorSource.INTERNAL)

    def failure(self) -> Failure:
        return replace(super().failure(), unknown=True)
