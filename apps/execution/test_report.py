"""The report of a test run: per step what came in and out, and what became of each error of a root cause."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from apps.connectors.redaction import Redactor
from apps.core.text import short, storable_value
from apps.engine.plan import Plan, StepKind
from apps.engine.ports import Record
from apps.engine.records import Page, to_json
from apps.engine.result import PageResult
from apps.engine.seen import Seen
from apps.engine.testing import Row, Stage, stages_of
from apps.execution.test_verdicts import Trials, failure_facts, verdicts_of
from apps.runs.models import TestRun

MOST_ROWS = 20
MOST_LINES = 50
MOST_SHOWN = 6_000
"""Characters of one record that are kept."""
MOST_IN_ALL = 1_500_000
LEAST_SHOWN = 300
"""What is kept of a record once the report is long enough."""


@dataclass
class Report:
    """Gathers what a test finds out; `judge` and `made` turn it into what is kept."""

    test: TestRun
    plan: Plan
    secrets: set[str]
    pages: Trials = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    _length: int = 0

    def __post_init__(self) -> None:
        self._redactor = Redactor(self.secrets)

    def begin(self, page: Page, error: int | None) -> None:
        """A page sets out; `error` has the whole of it as its retry data."""
        self.pages.append((page, error, None))

    def end(self, result: PageResult) -> None:
        page, error, _ = self.pages[-1]
        self.pages[-1] = page, error, result

    def judge(self) -> None:
        if self.test.cause is not None:
            self.verdicts = verdicts_of(self.test, self.plan, self.pages, self._redactor)

    def made(self, seen: Seen) -> dict[str, Any]:
        results = [result for _, _, result in self.pages if result is not None]
        names = ("success", "ignored", "failed", "rolled_back")
        report = {
            "records": sum(len(page) for page, _, _ in self.pages),
            "counts": {name: sum(getattr(result, name) for result in results) for name in names},
            "notes": notes_of(self.plan, results),
            "log": self._log(results),
            "stages": [self._stage(stage) for stage in stages_of(self.plan, seen)],
            "verdicts": self.verdicts,
        }
        clean: dict[str, Any] = storable_value(report)[0]
        return clean

    def _log(self, results: list[PageResult]) -> list[dict[str, str]]:
        lines = [line for result in results for line in result.log][:MOST_LINES]
        return [
            {
                "level": str(line.level),
                "step": self.plan.nodes[line.node].shown_path if line.node is not None else "",
                "text": short(self._redactor.text(line.text), 2_000),
            }
            for line in lines
        ]

    # --- one step ----------------------------------------------------------------------------------------------------
    def _stage(self, stage: Stage) -> dict[str, Any]:
        node = stage.node
        return {
            "key": node.key,
            "name": node.name,
            "path": node.shown_path,
            "kind": str(node.kind),
            "connection": node.connection,
            "in": len(stage.rows),
            "out": stage.went_on,
            "ignored": stage.count("ignored"),
            "errors": stage.count("error"),
            "handled": stage.count("handled"),
            "rolled_back": stage.count("rolled_back"),
            "waits": stage.count("waits"),
            "ms": stage.busy_ms,
            "is_sent": not (node.kind is StepKind.IMPORT and not node.is_transactional),
            "rows": [self._row(row) for row in first_of(stage.rows)],
        }

    def _row(self, row: Row) -> dict[str, Any]:
        visit, failure = row.visit, row.failure
        made = {"number": visit.ordinal + 1, "key": self._redactor.text(visit.key), "outcome": row.outcome}
        if visit.before:
            made["in"] = self._shown(visit.before)
        if row.outcome == "succeeded":
            made["out"] = "" if visit.after == visit.before else self._shown(visit.after)
        if row.built is not None:
            made["built"] = self._shown(row.built)
        return made | (failure_facts(failure, self._redactor) if failure is not None else {})

    def _shown(self, record: Record) -> str:
        """A record as text, without secrets, cut to a readable length."""
        clean = self._redactor.value(orjson.loads(to_json(record)))
        text = orjson.dumps(clean, option=orjson.OPT_INDENT_2).decode()
        kept = short(text, MOST_SHOWN if self._length < MOST_IN_ALL else LEAST_SHOWN)
        self._length += len(kept)
        return kept


def first_of(rows: list[Row]) -> list[Row]:
    """The rows that are shown: those that failed before the others, then as they came."""
    chosen = sorted(rows, key=lambda row: row.outcome not in {"error", "handled"})[:MOST_ROWS]
    return sorted(chosen, key=lambda row: row.visit.ordinal)


def notes_of(plan: Plan, results: list[PageResult]) -> list[str]:
    """What a reader of the report must know beside the steps."""
    notes = []
    for result in results:
        if result.wait is not None:
            notes.append(f"Not all could be tried. In a run the page would wait: {result.wait.reason}")
        if result.stopped_by is not None:
            notes.append(f"A run would stop here: step {plan.nodes[result.stopped_by.node].name} fails the run.")
        if result.culprit is not None:
            notes.append("The scope of this flow is the page: one record failed, so nothing of the page would stay.")
    return list(dict.fromkeys(notes))[:10]
