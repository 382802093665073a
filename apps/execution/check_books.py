"""Compares every kept counter with what it counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from django.db import connection


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter that does not say what is there."""

    what: str
    kept: int
    counted: int

    def __str__(self) -> str:
        return f"{self.what}: kept {self.kept:,}, counted {self.counted:,}"


class Kind(StrEnum):
    """What a check compares, and so how a difference is mended."""

    KEPT = "a kept column with a count"
    HALF_HOURS = "the half hours of a flow with its runs"
    QUARTERS = "the quarters of days of a flow with its half hours"
    PRESENT = "rows with those they belong to"


@dataclass(frozen=True, slots=True)
class Check:
    """`sql` returns (key of the row, kept, counted) for each row that differs.

    A kept column is `column` of the row of `table` whose `key` that is; `counted` is the SQL of its right value, in
    which the row is `t`.
    """

    what: str
    sql: str
    kind: Kind
    table: str = ""
    key: str = ""
    column: str = ""
    counted: str = ""


def kept_against(table: str, key: str, column: str, counted: str) -> str:
    """SQL for the rows of a table whose kept column differs from a correlated count."""
    return (
        f"SELECT * FROM (SELECT {key} AS row_name, t.{column} AS kept, "  # noqa: S608 (constants of this file)
        f"COALESCE(({counted}), 0) AS counted FROM {table} t) x WHERE kept <> counted ORDER BY row_name"
    )


OPEN = "e.state = 'open' AND e.retry_run_id IS NULL"
RECORD, UNIT = "e.unit = 'record'", "e.unit <> 'record'"
AUTO = "e.reason IN ('superseded', 'succeeded', 'ignored')"
BY_USER = "e.reason IN ('manual', 'retried', 'sent')"
WATCHED = "e.key_hash IS NOT NULL AND (e.state = 'open' OR e.passed_run_id IS NULL)"


def errors(*conditions: str) -> str:
    """SQL that counts errors by conditions on `e` and the row `t` that keeps the count."""
    return f"SELECT COUNT(*) FROM error e WHERE {' AND '.join(conditions)}"  # noqa: S608 (constants of this file)


def kept(table: str, key: str, counts: dict[str, tuple[str, str]]) -> list[Check]:
    """Checks of the counters of one table: words -> (column, SQL that counts)."""
    return [
        Check(what, kept_against(table, key, column, sql), Kind.KEPT, table, key, column, sql)
        for what, (column, sql) in counts.items()
    ]


OF_STEP = "e.step_id = t.step_id"
OF_CAUSE = "e.cause_id = t.id"
OF_RUN = "e.run_id = t.id"
OF_STEP_RUN = "e.run_id = t.run_id AND e.step_id = t.step_id"
RUNS_OF_FLOW = "SELECT COUNT(*) FROM run r WHERE r.flow_id = t.flow_id AND r.status ="
ENDED = "SELECT r.success + r.ignored + r.failed + r.rolled_back FROM run r WHERE r.id = t.id"
ENDED_AT_STEP = "SELECT s.success + s.ignored + s.errors + s.rolled_back FROM step_run s WHERE s.id = t.id"
# an automatic attempt that fails belongs to the error that it tried again, and makes no row of its own
FAILED_ATTEMPTS = (
    "SELECT COUNT(*) FROM retry_item i WHERE i.run_id = t.run_id AND i.outcome = 'retry_failed' "
    "AND i.new_error_id IS NULL AND EXISTS (SELECT 1 FROM error e WHERE e.id = i.error_id AND e.step_id = t.step_id)"
)
REMOVED = "SELECT COALESCE(SUM(s.{}), 0) FROM step_run s WHERE s.run_id = t.id"
PAGES_DONE = (
    "SELECT COUNT(DISTINCT p.seq) FROM page p WHERE p.run_id = t.id AND p.state = 'done' AND NOT EXISTS "
    "(SELECT 1 FROM page q WHERE q.run_id = p.run_id AND q.seq = p.seq AND q.state <> 'done')"
)
ORPHANS = (
    "SELECT e.id, 1, 0 FROM error e LEFT JOIN run r ON r.id = e.run_id LEFT JOIN cause c ON c.id = e.cause_id "
    "LEFT JOIN retry_data d ON d.error_id = e.id WHERE r.id IS NULL OR c.id IS NULL OR d.error_id IS NULL"
)


def in_buckets(column: str, counted: str) -> Check:
    """The half hours of a flow against the sum of its runs, and of what went of either."""
    return Check(
        f"{column} of flow in half hours",
        "SELECT flow_id, kept, counted FROM (SELECT t.flow_id, "  # noqa: S608 (constants of this file)
        f"COALESCE((SELECT SUM(b.{column}) FROM bucket b WHERE b.flow_id = t.flow_id AND b.grain = 30), 0) AS kept, "
        f"COALESCE((SELECT SUM({counted}) FROM run r WHERE r.flow_id = t.flow_id), 0) "
        f"+ COALESCE((SELECT p.{column} FROM purged_sums p WHERE p.flow_id = t.flow_id), 0) AS counted "
        "FROM flow_state t) x WHERE kept <> counted ORDER BY flow_id",
        Kind.HALF_HOURS,
        column=column,
    )


def in_quarters(column: str) -> Check:
    """The quarters of days of a flow against its half hours."""
    return Check(
        f"{column} of flow in quarters of days",
        "SELECT flow_id, kept, counted FROM (SELECT flow_id, "  # noqa: S608 (constants of this file)
        f"SUM(CASE WHEN grain = 360 THEN {column} ELSE 0 END) AS kept, "
        f"SUM(CASE WHEN grain = 30 THEN {column} ELSE 0 END) AS counted "
        "FROM bucket GROUP BY flow_id) x WHERE kept <> counted ORDER BY flow_id",
        Kind.QUARTERS,
        column=column,
    )


def of_ended(value: str, *conditions: str) -> str:
    """SQL for a value of a run that has ended, 0 for others and for retries."""
    counted = " AND ".join(["r.kind = 'flow'", "r.ended_at IS NOT NULL", *conditions])
    return f"CASE WHEN {counted} THEN {value} ELSE 0 END"


def epoch_ms(column: str) -> str:
    """SQL for the whole milliseconds since 1970; SQLite keeps a moment as text, and without a fraction if it is 0."""
    if connection.vendor == "sqlite":
        seconds = f"CAST(strftime('%s', substr({column}, 1, 19)) AS INTEGER)"
        return f"({seconds} * 1000 + CAST(substr({column} || '000', 21, 3) AS INTEGER))"
    return f"FLOOR(EXTRACT(EPOCH FROM {column}) * 1000)"


TOOK_MS = f"{epoch_ms('r.ended_at')} - {epoch_ms('r.started_at')}"
CHECKS = [
    *kept(
        "step_state",
        "t.step_id",
        {
            "open errors of step": ("open_errors", errors(OF_STEP, OPEN)),
            "open unit errors of step": ("open_units", errors(OF_STEP, OPEN, UNIT)),
            "errors in doubt of step": ("in_doubt", errors(OF_STEP, OPEN, "e.in_doubt")),
            "watched keys of step": ("watched_keys", errors(OF_STEP, WATCHED)),
        },
    ),
    *kept(
        "cause",
        "t.id",
        {
            "open errors of root cause": ("open_errors", errors(OF_CAUSE, OPEN)),
            "errors of root cause": ("total_errors", f"SELECT ({errors(OF_CAUSE)}) + t.removed_errors"),
            "errors of root cause outside of its half hours": (
                "older_errors",
                "SELECT t.total_errors - COALESCE(SUM(b.errors), 0) FROM cause_bucket b WHERE b.cause_id = t.id",
            ),
        },
    ),
    *kept(
        "run",
        "t.id",
        {
            "errors of run": ("errors", f"SELECT ({errors(OF_RUN, RECORD)}) + ({REMOVED.format('removed_errors')})"),
            "unit errors of run": (
                "unit_errors",
                f"SELECT ({errors(OF_RUN, UNIT)}) + ({REMOVED.format('removed_unit_errors')})",
            ),
            "balance of run": ("records_in", ENDED),
            "pages done of run": ("pages_done", PAGES_DONE),
        },
    ),
    *kept(
        "step_run",
        "t.id",
        {
            "errors of step run": (
                "errors",
                f"SELECT ({errors(OF_STEP_RUN, RECORD)}) + ({FAILED_ATTEMPTS}) + t.removed_errors + t.removed_attempts",
            ),
            "unit errors of step run": ("unit_errors", f"SELECT ({errors(OF_STEP_RUN, UNIT)}) + t.removed_unit_errors"),
            "open errors of step run": ("open_errors", errors(OF_STEP_RUN, OPEN)),
            "auto-resolved errors of step run": ("auto_resolved", errors(OF_STEP_RUN, AUTO)),
            "errors of step run resolved by members": ("user_resolved", errors(OF_STEP_RUN, BY_USER)),
            "balance of step run": ("came_in", ENDED_AT_STEP),
        },
    ),
    *kept(
        "flow_state",
        "t.flow_id",
        {
            "running runs of flow": ("running", RUNS_OF_FLOW + " 'running'"),
            "queued runs of flow": ("queued", RUNS_OF_FLOW + " 'queued'"),
        },
    ),
    in_buckets("success", "r.success"),
    in_buckets("ignored", "r.ignored"),
    in_buckets("errors", "r.errors + r.unit_errors"),
    in_buckets("runs", of_ended("1", "r.attempt = 1")),
    in_buckets("run_ms", of_ended(TOOK_MS, "r.started_at IS NOT NULL")),
    in_buckets("run_success", of_ended("r.success")),
    in_buckets("run_ignored", of_ended("r.ignored")),
    in_buckets("run_errors", of_ended("r.errors + r.unit_errors")),
    *map(in_quarters, ("success", "ignored", "errors", "resolved", "busy_ms")),
    Check("orphaned errors", ORPHANS, Kind.PRESENT),
]


def differences() -> Iterator[Difference]:
    """Every kept counter that differs from its count. Reads whole tables: run it when it may take its time."""
    for check in CHECKS:
        for name, kept, counted in found_by(check):
            yield Difference(f"{check.what} {name}", kept, counted)


def found_by(check: Check) -> list[tuple[int, int, int]]:
    """(key of the row, kept, counted) of each row that differs."""
    with connection.cursor() as cursor:
        cursor.execute(check.sql)
        return [(int(name), int(kept), int(counted)) for name, kept, counted in cursor.fetchall()]
