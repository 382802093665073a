"""A test run as its page shows it: the steps, the records of one of them, the verdicts on a root cause's errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Count, Max, Q

from apps.console.json_view import visible
from apps.errors.models import Cause, Error
from apps.errors.querysets import ErrorQuerySet
from apps.flows.models import Flow
from apps.runs.models import TestRun
from apps.runs.test_runs import report_of

SIZES = (100, 1_000)
"""How many open errors of a root cause a test may take."""
MOST_CAUSES = 20
SHOWN = 100
WORDS = {
    "failing": ("Still failing", "They fail at the same step with the same message shape."),
    "broken": ("Newly broken", "They fail at another step, or in another way."),
    "untested": ("Not tested", "What would become of them is not known."),
    "fixed": ("Fixed", "They go through, or are filtered or handled as the definition says."),
}
OUTCOMES = {
    "succeeded": ("ok", "circle-check", "success"),
    "ignored": ("idle", "circle-slash", "ignored"),
    "error": ("err", "octagon-x", "error"),
    "handled": ("warn", "triangle-alert", "handled"),
    "rolled_back": ("idle", "undo-2", "rolled back"),
    "waits": ("idle", "clock", "not reached"),
}


@dataclass(frozen=True)
class Verdict:
    """The errors of one verdict: all are counted, the first ones shown."""

    name: str
    label: str
    about: str
    errors: Sequence[dict[str, Any]]

    @property
    def count(self) -> int:
        return len(self.errors)

    @property
    def shown(self) -> Sequence[dict[str, Any]]:
        return self.errors[:SHOWN]

    @property
    def more(self) -> int:
        return max(0, self.count - SHOWN)


@dataclass(frozen=True)
class TestView:
    """What there is to show of a test; `chosen` is the number of the step whose records are shown."""

    __test__ = False

    test: TestRun
    flow: Flow
    wanted: int | None = None

    @cached_property
    def report(self) -> dict[str, Any]:
        return report_of(self.test)

    @cached_property
    def stages(self) -> list[dict[str, Any]]:
        return [stage | {"number": number} for number, stage in enumerate(self.report.get("stages", []))]

    @cached_property
    def chosen(self) -> dict[str, Any] | None:
        """The step that was asked for, else the first at which a record failed, else the last that saw any."""
        stage = self._chosen()
        return None if stage is None else stage | {"rows": [shown_row(row) for row in stage["rows"]]}

    def _chosen(self) -> dict[str, Any] | None:
        if self.wanted is not None and self.wanted < len(self.stages):
            return self.stages[self.wanted]
        failing = [stage for stage in self.stages if stage["errors"]]
        seen = [stage for stage in self.stages if stage["in"]]
        return next(iter(failing), None) or next(reversed(seen), None) or next(iter(self.stages), None)

    @cached_property
    def verdicts(self) -> list[Verdict]:
        found = self.report.get("verdicts", [])
        grouped = {name: [one for one in found if one["verdict"] == name] for name in WORDS}
        return [Verdict(name, label, about, grouped[name]) for name, (label, about) in WORDS.items()]

    @property
    def is_current(self) -> bool:
        """Whether what was tested is the flow's current revision by now."""
        return self.flow.revision is not None and self.flow.revision.definition == self.test.text

    @cached_property
    def retry(self) -> dict[str, Any]:
        """How many open errors the cause has now, and the newest of them."""
        found = open_of_cause(self.flow, self.test.cause or 0).aggregate(count=Count("pk"), newest=Max("pk"))
        return found if found["count"] else {}


def shown_row(row: dict[str, Any]) -> dict[str, Any]:
    """A record at a step with the look of its outcome; texts with control characters written out."""
    tone, icon, word = OUTCOMES[row["outcome"]]
    texts = {name: visible(row[name]) for name in ("in", "out", "built") if name in row}
    return row | texts | {"tone": tone, "icon": icon, "word": word, "has_out": "out" in row}


def open_of_cause(flow: Flow, cause: int) -> ErrorQuerySet:
    """The open errors of a root cause and of those that were merged into it."""
    group = Cause.objects.of(flow.account_id).filter(Q(pk=cause) | Q(merged_into=cause), flow=flow)
    rows: ErrorQuerySet = Error.objects.of(flow.account_id).open().filter(cause__in=group.values("pk"))
    return rows


def causes_to_test(flow: Flow) -> list[Cause]:
    """The root causes of a flow that have open errors, the newest ones first. One query."""
    heads = Cause.objects.of(flow.account_id).filter(flow=flow, merged_into__isnull=True).open()
    return list(heads.select_related("step").newest_first()[:MOST_CAUSES])
