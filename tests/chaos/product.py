"""The running product as a tree of processes that can be killed one by one."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
ORPHANS_PATIENCE_S = 10.0
STOP_PATIENCE_S = 40.0
WORKERS = "qcluster"
WHOLE_TREE = 8
"""Supervisor, web with its worker, dispatcher, and the queue's main process, sentinel, pusher, monitor, workers."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Product:
    """`manage.py up` on a free port; started again whenever its supervisor was killed."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.environment = {**os.environ, **environment}
        self.log = log.open("ab")
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.orphans: list[str] = []

    def command(self) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), "up", "--port", str(self.port)]

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command(),
            env=self.environment,
            cwd=ROOT,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def kill_one(self, dice: random.Random, among: str = "") -> str:
        """Kill a random process of the tree with SIGKILL, or one of a kind; returns what it was."""
        assert self.process is not None
        tree = self._settled_tree()
        victim = dice.choice([process for process in tree if among in describe(process)] or tree)
        name = describe(victim)
        if victim.pid == self.process.pid:
            self._kill_supervisor(tree)
            return name
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            return f"{name} (gone already)"
        return name

    def _settled_tree(self) -> list[psutil.Process]:
        """The processes once the product has most of them: else the plan kills little but supervisors that start."""
        deadline = time.monotonic() + 5
        while len(tree := self._tree()) < WHOLE_TREE and time.monotonic() < deadline:
            time.sleep(0.1)
        return tree

    def _tree(self) -> list[psutil.Process]:
        assert self.process is not None
        try:
            root = psutil.Process(self.process.pid)
            return [root, *sorted(root.children(recursive=True), key=lambda p: p.pid)]
        except psutil.NoSuchProcess:
            return []

    def _kill_supervisor(self, tree: list[psutil.Process]) -> None:
        """Nothing of the product may outlive its supervisor; then it is started again."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        _, alive = psutil.wait_procs(tree[1:], timeout=ORPHANS_PATIENCE_S)
        self.orphans += [describe(process) for process in alive]
        for process in alive:
            process.kill()
        self.start()

    @contextmanager
    def workers_frozen(self) -> Iterator[None]:
        """Nobody hears what is put into the queue meanwhile."""
        workers = [process for process in self._tree() if WORKERS in describe(process)]
        for process in workers:
            process.suspend()
        try:
            yield
        finally:
            for process in workers:
                process.resume()

    def restart(self) -> float:
        """As an operator would; returns how long it took to stop, in seconds."""
        began = time.monotonic()
        self._end()
        seconds = time.monotonic() - began
        self.start()
        self.wait_until_up()
        return seconds

    def stop(self) -> None:
        self._end()
        self.log.close()

    def _end(self) -> None:
        """SIGTERM; whatever is left then is an orphan."""
        assert self.process is not None
        tree = self._tree()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.orphans.append(f"the supervisor did not stop within {STOP_PATIENCE_S:.0f} s")
            self.process.kill()
            self.process.wait()
        _, alive = psutil.wait_procs(tree, timeout=5)
        self.orphans += [describe(process) for process in alive]
        for process in alive:
            process.kill()

    def wait_until_up(self, patience_s: float = 60) -> None:
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.2)
        raise RuntimeError(f"The product did not come up within {patience_s} s; see {self.log.name}.")


def describe(process: psutil.Process) -> str:
    try:
        words = [Path(word).name for word in process.cmdline() if not word.startswith("-")]
        return f"{process.pid} {' '.join(words[1:3])}"
    except psutil.Error:
        return str(process.pid)
