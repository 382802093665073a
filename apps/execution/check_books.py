"""Compares every kept counter with what it counts."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter that does not say what is there."""

    what: str
    kept: int
    counted: int

    def __str__(self) -> str:
        return f"{self.what}: kept {self.kept:,}, counted {self.counted:,}"


@dataclass(frozen=True, slots=True)
class Check:
    """`sql` returns (name of the row, kept, counted) for each row that differs."""

    what: str
    sql: str


def kept_against(table: str, key: str, column: str, counted: str) -> str:
    """SQL for the rows of a table whose kept column differs from a correlated count."""
    return (
        f"SELECT * FROM (SELECT {key} AS row_name, t.{column} AS kept, "  # noqa: S608 (constants of this file)
        f"COALESCE(({counted}), 0) AS counted FROM {table} t) x WHERE kept <> counted ORDER BY row_name"
    )


OPEN_OF_STEP = (
    "SELECT COUNT(*) FROM error e WHERE e.step_id = t.step_id AND e.state = 'open' AND e.retry_run_id IS NULL"
)
ERRORS_OF_RUN = "SELECT COUNT(*) FROM error e WHERE e.run_id = t.id AND e.unit"
ERRORS_OF_STEP_RUN = "SELECT COUNT(*) FROM error e WHERE e.run_id = t.run_id AND e.step_id = t.step_id"
RUNS_OF_FLOW = "SELECT COUNT(*) FROM run r WHERE r.flow_id = t.flow_id AND r.status ="

CHECKS = [
    Check("open errors of step", kept_against("step_state", "t.step_id", "open_errors", OPEN_OF_STEP)),
    Check("open unit errors of step", kept_against("step_state", "t.step_id", "open_units", OPEN_OF_STEP + " AND e.unit <> 'record'")),
    Check("errors in doubt of step", kept_against("step_state", "t.step_id", "in_doubt", OPEN_OF_STEP + " AND e.in_doubt")),
    Check(
        "watched keys of step",
        kept_against(
            "step_state", "t.step_id", "watched_keys",
            "SELECT COUNT(*) FROM error e WHERE e.step_id = t.step_id AND e.key_hash IS NOT NULL "
            "AND (e.state = 'open' OR e.passed_run_id IS NULL)",
        ),
    ),
    Check("open errors of root cause", kept_against("cause", "t.id", "open_errors",
          "SELECT COUNT(*) FROM error e WHERE e.cause_id = t.id AND e.state = 'open' AND e.retry_run_id IS NULL")),
    Check("errors of root cause", kept_against("cause", "t.id", "total_errors",
          "SELECT COUNT(*) FROM error e WHERE e.cause_id = t.id")),
    Check("errors by half hour of root cause", kept_against("cause", "t.id", "total_errors",
          "SELECT SUM(b.errors) FROM cause_bucket b WHERE b.cause_id = t.id")),
    Check("errors of run", kept_against("run", "t.id", "errors", ERRORS_OF_RUN + " = 'record'")),
    Check("unit errors of run", kept_against("run", "t.id", "unit_errors", ERRORS_OF_RUN + " <> 'record'")),
    Check("balance of run", kept_against("run", "t.id", "records_in",
          "SELECT r.success + r.ignored + r.failed + r.rolled_back FROM run r WHERE r.id = t.id")),
    Check("errors of step run", kept_against("step_run", "t.id", "errors", ERRORS_OF_STEP_RUN + " AND e.unit = 'record'")),
    Check("unit errors of step run", kept_against("step_run", "t.id", "unit_errors", ERRORS_OF_STEP_RUN + " AND e.unit <> 'record'")),
    Check("open errors of step run", kept_against("step_run", "t.id", "open_errors",
          ERRORS_OF_STEP_RUN + " AND e.state = 'open' AND e.retry_run_id IS NULL")),
    Check("auto-resolved errors of step run", kept_against("step_run", "t.id", "auto_resolved",
          ERRORS_OF_STEP_RUN + " AND e.reason IN ('superseded', 'succeeded', 'ignored')")),
    Check("balance of step run", kept_against("step_run", "t.id", "came_in",
          "SELECT s.success + s.ignored + s.errors + s.rolled_back FROM step_run s WHERE s.id = t.id")),
    Check("running runs of flow", kept_against("flow_state", "t.flow_id", "running", RUNS_OF_FLOW + " 'running'")),
    Check("queued runs of flow", kept_against("flow_state", "t.flow_id", "queued", RUNS_OF_FLOW + " 'queued'")),
    Check("pages done of run", kept_against("run", "t.id", "pages_done",
          "SELECT COUNT(DISTINCT p.seq) FROM page p WHERE p.run_id = t.id AND p.state = 'done' AND NOT EXISTS "
          "(SELECT 1 FROM page q WHERE q.run_id = p.run_id AND q.seq = p.seq AND q.state <> 'done')")),
    *[
        Check(f"{column} of flow in half hours", kept_against("flow_state", "t.flow_id", "flow_id",
              f"SELECT CASE WHEN COALESCE((SELECT SUM(b.{column}) FROM bucket b WHERE b.flow_id = t.flow_id AND b.grain = 30), 0) "
              f"= COALESCE((SELECT SUM({counted}) FROM run r WHERE r.flow_id = t.flow_id), 0) THEN t.flow_id ELSE 0 END"))
        for column, counted in (("success", "r.success"), ("ignored", "r.ignored"), ("errors", "r.errors + r.unit_errors"))
    ],
    Check("orphaned errors", "SELECT e.id, 1, 0 FROM error e LEFT JOIN run r ON r.id = e.run_id "
          "LEFT JOIN cause c ON c.id = e.cause_id LEFT JOIN retry_data d ON d.error_id = e.id "
          "WHERE r.id IS NULL OR c.id IS NULL OR d.error_id IS NULL"),
]  # fmt: skip


def differences() -> Iterator[Difference]:
    """Every kept counter that differs from its count. Reads whole tables: run it when it may take its time."""
    for check in CHECKS:
        with connection.cursor() as cursor:
            cursor.execute(check.sql)
            for name, kept, counted in cursor.fetchall():
                yield Difference(f"{check.what} {name}", int(kept), int(counted))
