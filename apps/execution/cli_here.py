"""Works on one run within the command's own process, beside the watching."""

import logging
import os
import tempfile
import threading
from pathlib import Path

from django.core.management.base import CommandError
from django.db import Error as DatabaseError
from django.db import connection

from apps.execution import drain
from apps.execution.tasks import work_run
from apps.runs.models import Run
from apps.runs.statuses import RunStatus

logger = logging.getLogger(__name__)

PAUSE_S = 0.2


class WorkHere:
    """A thread that works on a run slice by slice until it ends; `stop` lets it end its page first.

    Earlier runs of the flow that have not ended go first, as they would with workers.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.problem: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"work on {run}")
        self._drain_file = Path(tempfile.gettempdir()) / f"flowmend-drain-here-{os.getpid()}-{run.pk}"

    def start(self) -> None:
        os.environ[drain.VARIABLE] = str(self._drain_file)
        self._thread.start()

    def refuse_broken(self) -> None:
        """Raises CommandError once the work has broken off."""
        if self.problem is not None:
            raise CommandError(f"The work on {self.run} broke off: {self.problem}. It is taken up again by a worker.")

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        self._stop.set()
        drain.ask(self._drain_file)
        self._thread.join()
        drain.withdraw(self._drain_file)

    def _work(self) -> None:
        try:
            while not self._stop.is_set() and self._work_once():
                self._stop.wait(PAUSE_S)
        except Exception as error:
            logger.exception("The work on %s broke off.", self.run)
            self.problem = error
        finally:
            connection.close()

    def _work_once(self) -> bool:
        """A slice of each run that is open; False when there is none."""
        try:
            open_runs = self._open_runs()
            for run_id in open_runs:
                work_run(run_id)
        except DatabaseError:  # away or busy: the run's lease runs out, then it is taken up again
            logger.warning("Flowmend's database did not answer; trying again.", exc_info=True)
            connection.close()
            return True
        return bool(open_runs)

    def _open_runs(self) -> list[int]:
        """The run and those before it, until it has ended."""
        runs = Run.objects.of(self.run.account_id).filter(flow_id=self.run.flow_id, pk__lte=self.run.pk)
        ids = list(runs.exclude(status__in=RunStatus.ended()).order_by("pk").values_list("pk", flat=True))
        return ids if self.run.pk in ids else []
