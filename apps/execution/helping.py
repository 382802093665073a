"""One slice of help: a worker that delivers stored pages of a run which another worker owns.

Every run has an owner before any has a helper: a helper comes only while no other run waits for a worker, and leaves at
the next page boundary when one does. So many pages at once never keep another flow, or another account, waiting.
"""

import logging
from dataclasses import dataclass, field
from time import monotonic

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError

from apps.connectors.redaction import Redactor
from apps.core.clock import database_now
from apps.core.logs import logged_with
from apps.core.queue import oldest_hint
from apps.engine.plan import Plan
from apps.engine.side_by_side import help_along
from apps.execution.arrivals import arrivals_for
from apps.execution.claims import Claim, HelperHeartbeat, heartbeat, leave_pages, others_wait, worker_name
from apps.execution.opened import OpenedSteps
from apps.execution.owned_run import Fenced
from apps.execution.shared_run import HelperJournal
from apps.execution.worker import LONGEST_SLICE_S, Slice, is_shared, pause, told
from apps.flows.definition import DefinitionError
from apps.flows.models import Step
from apps.flows.planning import plan_for
from apps.runs.models import Run
from apps.runs.querysets import RUNNING
from apps.runs.statuses import RunStatus

logger = logging.getLogger(__name__)


def help_slice(run_id: int) -> None:
    """Deliver pages of a run beside its owner. Harmless when there are none to take, or the run has ended."""
    with logged_with(run=f"r-{run_id}"):
        if others_wait(run_id) or not is_owned(run_id):
            return
        claim = Claim(run_id, worker_name(), 0)
        try:
            with heartbeat(claim, HelperHeartbeat) as beat:
                HelperSlice(claim, beat).work()
        except Fenced:
            logger.warning("A page of run r-%s was taken over by another worker.", run_id)
            leave_pages(claim)
        except DatabaseError as error:
            logger.warning("Help for run r-%s ends, because the database failed: %s", run_id, str(error).strip())
            leave_pages(claim)


def is_owned(run_id: int) -> bool:
    """Whether a worker owns the run: one that waits for its owner would wait for a helper as well."""
    return bool(Run.unscoped.filter(RUNNING, pk=run_id, lease_until__gt=database_now()).exists())


@dataclass
class HelperSlice(Slice):
    """What one helper does for a run."""

    started: float = field(default_factory=monotonic)

    def work(self) -> bool:
        runs = Run.unscoped.select_related("flow__account", "flow__integration", "revision")
        run = runs.filter(pk=self.claim.run_id, status=RunStatus.RUNNING).first()
        if run is None or run.revision is None:
            return False
        try:
            plan = plan_for(run.revision)
        except DefinitionError:
            return False  # its owner tells
        if is_shared(run, plan):
            self._help(run, plan)
        return False

    def _help(self, run: Run, plan: Plan) -> None:
        steps = {step.key: step for step in Step.unscoped.filter(flow_id=run.flow_id)}
        journal = HelperJournal(self.claim, run, plan, steps)
        self.beat.holds = journal.in_hand
        opened = OpenedSteps(run.flow, plan, arrivals_for(run, plan))
        try:
            journal.redactor = Redactor(opened.secrets())
            help_along(self._delivery(run, plan, journal, opened), journal, self._must_leave, pause)
        except (OperationalError, InterfaceError, Fenced):
            raise
        except Exception as error:
            logger.exception("A page of run r-%s could not be worked on.", run.pk)
            journal.leave_page(f"page is delivered again after {told(error)}")
        finally:
            opened.close()

    def _must_leave(self) -> bool:
        """Unlike the run's owner a helper also gives way to what waits in the queue and is no run."""
        elapsed = monotonic() - self.started
        if self._must_stop() or elapsed > LONGEST_SLICE_S or others_wait(self.claim.run_id):
            return True
        return elapsed > settings.SLICE_SECONDS and oldest_hint() is not None
