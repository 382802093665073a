"""One slice of work on one run: claim it, open what its plan needs, let the engine loop, give it back."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic, sleep

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError

from apps.connectors.redaction import Redactor
from apps.core.clock import read_now
from apps.core.logs import logged_with
from apps.engine.delivery import Delivery
from apps.engine.loop import work, work_as_one
from apps.engine.plan import END, Node, Plan, ScopeKind, StepKind
from apps.engine.ports import ConnectorError, ErrorSource, LedgerKey, Outage, Scope, Window
from apps.engine.records import Page
from apps.engine.run_delivery import RunDelivery
from apps.engine.side_by_side import work_beside
from apps.engine.walk import identity
from apps.execution import drain
from apps.execution.arrivals import arrivals_for
from apps.execution.books import stored_checkpoint
from apps.execution.claims import Claim, Heartbeat, claim_run, heartbeat, others_wait, release_run
from apps.execution.journal import RunJournal
from apps.execution.opened import OpenedSteps
from apps.execution.owned_run import Fenced, Retries
from apps.execution.reader import NoSource, ReadAhead, ReadInPlace, reader_of
from apps.execution.retry_reader import PageReader, RetryReader, is_unit_retry, retried_page
from apps.execution.shared_run import SharedRunJournal
from apps.execution.whole_run import WholeRunJournal
from apps.flows.definition import DefinitionError
from apps.flows.models import Step
from apps.flows.planning import plan_for
from apps.runs.log import log_run
from apps.runs.models import LogLevel, Run
from apps.runs.services import RETRY_KINDS, hint, is_in_delivery, run_facts
from apps.runs.statuses import RunStatus

logger = logging.getLogger(__name__)

AnyReader = NoSource | ReadAhead | ReadInPlace | RetryReader | PageReader
LONGEST_SLICE_S = 600.0
FAILED_DATABASE_WAIT_S = 2.0
PAUSE_S = 0.1


def work_slice(run_id: int) -> bool:
    """Work on a run until it ends, must wait, or its slice is over. Returns whether the run was ours to work on."""
    with logged_with(run=f"r-{run_id}"):
        return _work_slice(run_id)


def _work_slice(run_id: int) -> bool:
    claim = claim_run(run_id)
    if claim is None:
        return False
    try:
        with heartbeat(claim) as beat:
            has_more = Slice(claim, beat).work()
    except Fenced:
        logger.warning("Run r-%s was taken over by another worker.", run_id)
        has_more = True
    except DatabaseError as error:
        logger.warning("Run r-%s is given back, because the database failed: %s", run_id, str(error).strip())
        release_run(claim, wait_s=FAILED_DATABASE_WAIT_S, reason="waiting: Flowmend's own database failed")
        return True
    if has_more and release_run(claim):
        hint(run_id)
    return True


@dataclass
class Slice:
    """What one worker does for one claimed run."""

    claim: Claim
    beat: Heartbeat

    def work(self) -> bool:
        """True: there is more to do at once."""
        run = Run.unscoped.select_related("flow__account", "flow__integration", "revision").get(pk=self.claim.run_id)
        assert run.revision is not None, "a flow without a definition starts no run"
        try:
            plan = plan_for(run.revision)
        except DefinitionError as error:
            journal_of(self.claim, run, plan_of_export(run)).fail_export(outdated(error))
            return False
        return self._work(run, plan, journal_of(self.claim, run, plan))

    def _work(self, run: Run, plan: Plan, journal: RunJournal) -> bool:
        started = monotonic()
        opened = OpenedSteps(run.flow, plan, arrivals_for(run, plan))
        journal.redactor = Redactor(opened.secrets())
        try:
            return self._loop(run, plan, journal, opened, lambda: self._is_over(started))
        except (OperationalError, InterfaceError, Fenced):
            raise  # ours: the lease decides who goes on
        except ConnectorError as error:
            journal.fail_export(error)
            return False
        except Exception as error:
            logger.exception("Run r-%s could not be worked on.", run.pk)
            if not journal.leave_page(f"page is delivered again after {told(error)}"):
                fail_setup(journal, error)
            return False
        finally:
            opened.close()

    def _loop(
        self, run: Run, plan: Plan, journal: RunJournal, opened: OpenedSteps, is_over: Callable[[], bool]
    ) -> bool:
        if journal.cancel():
            publish_if_ended(run, opened)
            return False
        if journal.wait_for_connection():
            return False
        reader = open_reader(run, plan, journal, opened)
        if reader is None:
            return False
        try:
            delivery = self._delivery(run, plan, journal, opened)
            if isinstance(journal, WholeRunJournal) and isinstance(delivery, RunDelivery):
                return work_as_one(delivery, reader, journal, is_over, plan.max_records)
            if isinstance(journal, SharedRunJournal):
                self.beat.holds = journal.in_hand
                return work_beside(delivery, reader, journal, is_over, pause)
            return work(delivery, reader, journal, is_over)
        finally:
            reader.close()
            publish_if_ended(run, opened)

    def _delivery(self, run: Run, plan: Plan, journal: RunJournal, opened: OpenedSteps) -> Delivery:
        root = run.root_run_id or run.pk

        def ledger_key(page: Page, step: str) -> LedgerKey:
            return LedgerKey(run.account_id, run.pk, page.seq, page.part, step)

        kind = RunDelivery if is_one_scope(run, plan) else Delivery
        return kind(
            plan,
            opened,
            ledger_key,
            identity(run.account_id, root),
            run_facts(run),
            self._must_stop,
            announce=journal.announce,
        )

    def _must_stop(self) -> bool:
        return self.beat.is_lost or drain.is_asked()

    def _is_over(self, started: float) -> bool:
        elapsed = monotonic() - started
        if self._must_stop() or elapsed > LONGEST_SLICE_S:
            return True
        return elapsed > settings.SLICE_SECONDS and others_wait(self.claim.run_id)


def journal_of(claim: Claim, run: Run, plan: Plan) -> RunJournal:
    steps = {step.key: step for step in Step.unscoped.filter(flow_id=run.flow_id)}
    kind = WholeRunJournal if is_one_scope(run, plan) else SharedRunJournal if is_shared(run, plan) else RunJournal
    return kind(claim, run, plan, steps, retries=retries_of(run))


def is_one_scope(run: Run, plan: Plan) -> bool:
    """Whether all of a run is delivered together: a retry of records, or of a page, is one page at a time."""
    if plan.scope is not ScopeKind.RUN or retries_of(run) is Retries.RECORDS:
        return False
    return retries_of(run) is Retries.NOTHING or retried_page(run) is None


def is_shared(run: Run, plan: Plan) -> bool:
    """Whether other workers may deliver pages of a run beside its owner: a retry is worked on by one."""
    return plan.parallel_pages > 1 and retries_of(run) is Retries.NOTHING


def retries_of(run: Run) -> Retries:
    if run.kind not in RETRY_KINDS:
        return Retries.NOTHING
    return Retries.UNIT if is_unit_retry(run) else Retries.RECORDS


def open_reader(run: Run, plan: Plan, journal: RunJournal, opened: OpenedSteps) -> AnyReader | None:
    """The export, read ahead, or the retry data of errors. None if it could not be opened; the journal knows."""
    now = read_now()
    if journal.retries is Retries.RECORDS:
        journal.before_end = lambda: opened.finish(run_scope(run, plan, now))
        return RetryReader(run, plan, first_ordinal=journal.next_ordinal, now=now)
    if journal.retries is Retries.UNIT and (failed := retried_page(run)) is not None:
        journal.before_end = lambda: opened.finish(run_scope(run, plan, now))
        return PageReader(run, plan, failed, now=now)
    try:
        source = opened.source(window_of(run, plan, now))
    except ConnectorError as error:
        return without_source(run, journal, error)
    journal.exports_in_order = source.in_order

    def before_end() -> None:
        opened.finish(run_scope(run, plan, now))
        source.finish()

    journal.before_end = before_end
    return reader_of(source, key_of=plan.key_of, first_ordinal=journal.next_ordinal, now=now)


def without_source(run: Run, journal: RunJournal, error: ConnectorError) -> NoSource | None:
    """The export cannot be opened. Pages that may stand in the target are delivered and booked before that counts."""
    if is_in_delivery(run) or isinstance(journal, SharedRunJournal):
        return NoSource(error)
    if isinstance(error, Outage):
        journal.wait_for_source(error)
    else:
        journal.fail_export(error)
    return None


def window_of(run: Run, plan: Plan, now: datetime) -> Window:
    export = Step.unscoped.only("id").get(flow_id=run.flow_id, key=plan.export.key)
    return Window(
        page_size=plan.page_size,
        now=now,
        position=(run.position or {}).get("source"),
        checkpoint=stored_checkpoint(run.flow_id, export.pk),
        start=run.window_from,
        end=run.window_to,
        parameters=run.parameters,
        flow=plan.flow,
        settings=plan.settings,
    )


def run_scope(run: Run, plan: Plan, now: datetime) -> Scope:
    return Scope(now, plan.flow, run_facts(run), plan.settings)


def pause() -> None:
    """Before a worker looks again for a page that it may take."""
    sleep(PAUSE_S)


def publish_if_ended(run: Run, opened: OpenedSteps) -> None:
    """What was committed before a run was canceled or failed stays: files come into their place too."""
    status = Run.unscoped.values_list("status", flat=True).get(pk=run.pk)
    if status not in {RunStatus.CANCELED, RunStatus.FAILED}:
        return
    try:
        opened.finish(run_scope(run, opened.plan, read_now()))
    except ConnectorError as error:
        log_run(run, f"What was written could not be put in its place: {error.message}", level=LogLevel.ERROR)


def plan_of_export(run: Run) -> Plan:
    """What is left of a plan that cannot be compiled any more: the export, for the error to stand on.

    Helpers that came while it could be may still have pages of the run.
    """
    step = Step.unscoped.get(flow_id=run.flow_id, kind=StepKind.EXPORT, removed_at__isnull=True)
    return Plan((Node(0, step.key, step.name, StepKind.EXPORT, END),), parallel_pages=2)


def outdated(error: DefinitionError) -> ConnectorError:
    """The definition was fine when it was applied, but something that it names has gone since."""
    text = f"The flow's definition cannot be run any more: {error}"
    return ConnectorError("definition_outdated", text, source=ErrorSource.INTERNAL)


def fail_setup(journal: RunJournal, error: Exception) -> None:
    text = f"Flowmend could not work on this run: {told(error)}"
    journal.fail_export(ConnectorError(type(error).__name__, text, source=ErrorSource.INTERNAL))


def told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip()}"
