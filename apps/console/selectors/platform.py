"""How Flowmend itself is doing: workers, queue, database and disk, as the troubleshooting guide shows them."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import perf_counter

from django.conf import settings
from django.db import connection

from apps.console.selectors.pulse import Pulse
from apps.console.wording import duration_text
from apps.core.clock import database_now, read_now, wall_now
from apps.runs.models import WORKER_SILENCE_S, Machine

LONG_IN_QUEUE = timedelta(minutes=2)
SLOW_MS = 100
LITTLE_SHARE, LITTLE_BYTES = 0.1, 2 * 1024**3
NONE_SHARE, NONE_BYTES = 0.02, 256 * 1024**2
MANY_CONNECTIONS = 0.8


@dataclass(frozen=True)
class Fact:
    """One thing measured just now; `look` is ok, warn or err, or blank for what is neither good nor bad."""

    name: str
    text: str
    look: str = "ok"


def worker_facts(pulse: Pulse) -> list[Fact]:
    """No query: the pulse is read for every page."""
    up, known = pulse.workers_up, pulse.workers
    if not up:
        return [Fact("Workers", f"none up: no sign of life for {WORKER_SILENCE_S:.0f} s", "err")]
    return [Fact("Workers", f"{up:,} of {known:,} up", "ok" if up == known else "warn")]


def machine_facts() -> list[Fact]:
    """Each machine that has given a sign of life in the last hour; one query."""
    up_to = read_now()
    silent = timedelta(seconds=WORKER_SILENCE_S)
    return [
        Fact(
            machine.name,
            f"{_work_of(machine)}, seen {_ago(up_to - machine.seen_at)}",
            "ok" if up_to - machine.seen_at <= silent and (machine.workers or machine.dispatches) else "err",
        )
        for machine in Machine.objects.filter(seen_at__gt=database_now(seconds=-3600)).order_by("name")
    ]


def _work_of(machine: Machine) -> str:
    return "dispatcher" if machine.dispatches else f"{machine.workers} worker{'' if machine.workers == 1 else 's'}"


def _ago(age: timedelta) -> str:
    return f"{duration_text(age)} ago"


def queue_facts(pulse: Pulse) -> list[Fact]:
    """Of the account; no query."""
    length = Fact("In the queue", f"{pulse.queued:,} run{'' if pulse.queued == 1 else 's'}")
    if pulse.oldest_queued_at is None:
        return [length, Fact("The oldest", "nothing waits")]
    age = wall_now() - pulse.oldest_queued_at
    return [length, Fact("The oldest", f"waits for {duration_text(age)}", "warn" if age > LONG_IN_QUEUE else "ok")]


def database_facts() -> list[Fact]:
    begun = perf_counter()
    read_now()
    ms = 1000 * (perf_counter() - begun)
    answer = Fact("Database answers", f"in {ms:,.1f} ms", "warn" if ms > SLOW_MS else "ok")
    return [answer, *(_postgresql_facts() if connection.vendor == "postgresql" else _sqlite_facts())]


def _postgresql_facts() -> list[Fact]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_database_size(current_database()), current_setting('server_version'), "
            "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), "
            "current_setting('max_connections')::int"
        )
        size, version, used, most = cursor.fetchone()
    return [
        Fact("Database", f"PostgreSQL {version}", ""),
        Fact("Database size", bytes_text(size), ""),
        Fact("Database connections", f"{used:,} of {most:,}", "warn" if used > MANY_CONNECTIONS * most else "ok"),
    ]


def _sqlite_facts() -> list[Fact]:
    file = Path(str(connection.settings_dict["NAME"]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT sqlite_version(), page_count * page_size FROM pragma_page_count, pragma_page_size")
        version, size = cursor.fetchone()
    log = file.with_name(f"{file.name}-wal")
    waiting = log.stat().st_size if log.is_file() else 0
    return [
        Fact("Database", f"SQLite {version}, for one machine", ""),
        Fact("Database size", f"{bytes_text(size)}, and {bytes_text(waiting)} in the write-ahead log", ""),
    ]


def disk_facts() -> list[Fact]:
    """Of the folders that this machine writes to; two of them on the same disk are told once."""
    places: Sequence[tuple[str, Path]] = (("Data", settings.DATA_DIR), ("Files of accounts", settings.FILES_ROOT))
    found: dict[int, Fact] = {}
    for name, folder in places:
        there = _existing(Path(folder))
        found.setdefault(there.stat().st_dev, _disk_fact(name, there))
    return list(found.values())


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _disk_fact(name: str, folder: Path) -> Fact:
    disk = shutil.disk_usage(folder)
    return Fact(f"Free for {name.lower()}", f"{bytes_text(disk.free)} of {bytes_text(disk.total)}", look_of(disk))


def look_of(disk: "shutil._ntuple_diskusage") -> str:
    if disk.free < min(NONE_SHARE * disk.total, NONE_BYTES):
        return "err"
    return "warn" if disk.free < min(LITTLE_SHARE * disk.total, LITTLE_BYTES) else "ok"


def bytes_text(size: float) -> str:
    """`512 B`, `1.4 MB`, `37 GB`"""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
