"""Servers of our own that may be hurt: a Redis and a PostgreSQL on free loopback ports, a disk of a few megabytes."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.chaos.product import free_port

PATIENCE_S = 30.0
DISK_BYTES = 48 * 2**20


def wait_for(answers: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with suppress(psycopg.Error, redis.RedisError):
            if answers():
                return
        time.sleep(0.05)
    raise RuntimeError(f"{what} did not answer within {PATIENCE_S:.0f} s.")


# --- Redis -----------------------------------------------------------------------------------------------------------
class OwnRedis:
    """Keeps nothing on disk: when it is stopped, all hints are gone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.client = redis.Redis(port=self.port, socket_timeout=2)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = ["redis-server", *options, "--dir", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.client.ping, "Redis")

    def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def wipe(self) -> None:
        self.client.flushall()


@contextmanager
def own_redis(folder: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


# --- PostgreSQL ------------------------------------------------------------------------------------------------------
class OwnPostgresql:
    """A cluster of its own that is durable as in production: a crash must lose nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []

    @property
    def address(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}"

    def make(self) -> None:
        self.folder.mkdir()
        if self.as_user:
            shutil.chown(self.folder, "postgres", "postgres")
            for above in [self.folder.parent]:
                above.chmod(0o755)
        self._call("initdb", "--auth", "trust", "--username", "postgres", "--encoding", "UTF8", "--no-sync")

    def start(self) -> None:
        self._control("start")
        self.wait()

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")

    def restart(self) -> None:
        """As after a crash: nobody is waited for, the log is played again."""
        self._control("restart", "-m", "immediate")
        self.wait()

    def cut_connections(self) -> int:
        """End every session but ours; returns how many there were."""
        ask = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        with psycopg.connect(f"{self.address}/postgres", autocommit=True) as server:
            row = server.execute(f"{ask} AND backend_type = 'client backend'").fetchone()
        return row[0] if row else 0

    def wait(self) -> None:
        wait_for(self._answers, "PostgreSQL")

    def _answers(self) -> bool:
        with psycopg.connect(f"{self.address}/postgres", connect_timeout=2) as server:
            return server.execute("SELECT 1").fetchone() is not None

    def _control(self, act: str, *options: str) -> None:
        settings = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c max_connections=60"
        self._call("pg_ctl", act, *options, "-w", "-o", settings, "-l", str(self.folder / "log"))

    def _call(self, program: str, *options: str) -> None:
        binary = shutil.which(program) or str(newest_binaries() / program)
        command = [*self.as_user, binary, "-D", str(self.folder), *options]
        done = subprocess.run(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.decode(errors='replace')}")


def newest_binaries() -> Path:
    """Debian keeps them outside of everybody's path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not found:
        raise RuntimeError("There is no PostgreSQL on this machine.")
    return found[-1]


@contextmanager
def own_postgresql(folder: Path) -> Iterator[OwnPostgresql]:
    server = OwnPostgresql(folder)
    server.make()
    server.start()
    try:
        yield server
    finally:
        server.stop()


# --- a small disk ----------------------------------------------------------------------------------------------------
class SmallDisk:
    """A file system of its own in memory, which can be filled to the last byte. Only root may mount one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        with (self.folder / "ballast").open("ab", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(4096))

    def empty(self) -> None:
        (self.folder / "ballast").unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)], check=True)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def ask_to_end(process: "subprocess.Popen[bytes]", patience_s: float) -> bool:
    """SIGTERM, then SIGKILL; whether it ended by itself."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True
