"""Child processes that cannot outlive their parent: each in a session of its own, killed with it, started anew.

Parent-death signals are Linux's (prctl); elsewhere a supervisor that is killed leaves its children to the operator.
"""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
GUARD_VARIABLE = "FLOWMEND_DIE_WITH_PARENT"
STOP_PATIENCE_S = 15.0
RESTART_PAUSE_S = 1.0


def _prctl() -> Callable[[int, int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    return lambda option, value: int(library.prctl(option, value, 0, 0, 0))


_call = _prctl()


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies; ends at once if that has happened already."""
    if _call is not None:
        _call(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1 and os.getpid() != 1:
            os._exit(1)


def guard_forks() -> None:
    """Make every process that this one forks die with it; called in the worker's processes."""
    if os.environ.get(GUARD_VARIABLE):
        os.register_at_fork(after_in_child=die_with_parent)


@dataclass
class Child:
    """One supervised command. `stop_signal` asks it to end in order."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: int = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0

    def start(self) -> None:
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 (our own commands)
            list(self.command),
            env={**os.environ, **self.environment, GUARD_VARIABLE: "1"},
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def restart_if_ended(self) -> bool:
        """Start the command again on any exit, even a clean one; not more often than once a second."""
        if self.is_running or time.monotonic() - self.started_at < RESTART_PAUSE_S:
            return False
        status = None if self.process is None else self.process.returncode
        logger.warning("%s ended with status %s and is started again.", self.name, status)
        self.kill_group()
        self.start()
        return True

    def ask_to_stop(self) -> None:
        """Tell the main process only: a signal to the whole group would cut its tasks."""
        if self.process is not None and self.is_running:
            self.process.send_signal(self.stop_signal)

    def wait(self, deadline: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            logger.warning("%s did not stop in time and is killed.", self.name)
        self.kill_group()

    def kill_group(self) -> None:
        """End whatever is left of the command's session."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            self.process.wait()
