"""Works on one run within the command's own process, beside the watching."""

import os
import tempfile
import threading
from pathlib import Path

from django.db import connection

from apps.execution import drain
from apps.execution.tasks import work_run
from apps.runs.models import Run

PAUSE_S = 0.2


class WorkHere:
    """A thread that works on a run slice by slice until it ends; `stop` lets it end its page first."""

    def __init__(self, run_id: int) -> None:
        self.run_id = run_id
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"work on r-{run_id}")
        self._drain_file = Path(tempfile.gettempdir()) / f"flowmend-drain-here-{os.getpid()}-{run_id}"

    def start(self) -> None:
        os.environ[drain.VARIABLE] = str(self._drain_file)
        self._thread.start()

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        self._stop.set()
        drain.ask(self._drain_file)
        self._thread.join()
        drain.withdraw(self._drain_file)

    def _work(self) -> None:
        try:
            while not self._stop.is_set() and not self._is_ended():
                work_run(self.run_id)
                self._stop.wait(PAUSE_S)
        finally:
            connection.close()

    def _is_ended(self) -> bool:
        run = Run.unscoped.filter(pk=self.run_id).first()
        return run is None or run.is_ended
