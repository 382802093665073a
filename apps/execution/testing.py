"""Works on a test run: reads its records, lets them through the draft, writes the report. Nothing else is written."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection

from apps.connectors.base import Limits
from apps.core.clock import read_now
from apps.engine.plan import Node, Plan
from apps.engine.ports import BadRecord, ConnectorError, Record, Window
from apps.engine.records import Page, number_records, unpack
from apps.engine.seen import TimeUp
from apps.engine.testing import PageTest
from apps.errors.models import Error, RetryData
from apps.errors.states import ErrorUnit, Passed
from apps.execution.books import stored_checkpoint
from apps.execution.opened import OpenedSteps
from apps.execution.retry_reader import RetryRows
from apps.execution.test_claims import claim_test, end_test, renew_test, tell_stage
from apps.execution.test_report import Report
from apps.flows.definition import DefinitionError, parse_definition
from apps.flows.models import Step
from apps.flows.planning import build_plan
from apps.flows.selectors import known_to
from apps.runs.models import TestRun
from apps.runs.statuses import RunKind, Trigger
from apps.runs.test_runs import pasted_records

logger = logging.getLogger(__name__)

TIME_S = 60.0
LIMITS = Limits(statement_s=20.0, read_s=20.0, total_s=30.0)
"""What a connector may take at most within a test: somebody is waiting."""


def work_on_test(test_id: int) -> None:
    """Claim a test, work on it, write its report."""
    test = claim_test(test_id)
    if test is None:
        return
    with held(test):
        try:
            report, problem = run_test(test)
        except (ConnectorError, DefinitionError) as error:
            report, problem = None, str(error)
        except Exception as error:
            logger.exception("Test run %s could not be worked on.", test.pk)
            report, problem = None, f"Flowmend could not work on this test: {type(error).__name__}: {error}"
        end_test(test, report, problem=problem)


@contextmanager
def held(test: TestRun) -> Iterator[None]:
    """Renew the lease from a thread of its own, until the work is done."""
    done = threading.Event()

    def beat() -> None:
        try:
            while not done.wait(settings.LEASE_SECONDS / 3) and renew_test(test):
                pass
        finally:
            connection.close()

    thread = threading.Thread(target=beat, name=f"heartbeat of test {test.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=5)


def run_test(test: TestRun) -> tuple[dict[str, Any], str]:
    """The report, and why it is not whole. Raises ConnectorError and DefinitionError."""
    definition = parse_definition(test.text, known=known_to(test.account_id))
    plan = build_plan(definition)
    opened = OpenedSteps(test.flow, plan, environment=definition.environment, limits=LIMITS)
    pages = PageTest(plan, opened, run=run_words(test), tell=Told(test, plan), time_s=TIME_S)
    report = Report(test, plan, opened.secrets())
    try:
        problem = Trial(test, plan, opened, pages, report).run()
    finally:
        pages.end()
        opened.close()
    return report.made(pages.seen), problem


def run_words(test: TestRun) -> dict[str, Any]:
    """What expressions read as `run`."""
    kind = RunKind.TEST if test.cause is None else RunKind.RETRY
    return {"id": test.pk, "kind": str(kind), "trigger": str(Trigger.MANUAL), "parameters": {}, "attempt": 1}


@dataclass
class Told:
    """Tells the page which step is at work, each once: a scope that is walked again says nothing new."""

    test: TestRun
    plan: Plan
    told: set[int] = field(default_factory=set)

    def __call__(self, node: Node) -> None:
        if node.index not in self.told:
            self.told.add(node.index)
            tell_stage(self.test, f"step {node.shown_path} ({node.index + 1} of {len(self.plan.nodes)})")


@dataclass
class Trial:
    """The records of one test on their way."""

    test: TestRun
    plan: Plan
    opened: OpenedSteps
    pages: PageTest
    report: Report

    def run(self) -> str:
        """Why not all of it could be seen; "" if it could."""
        try:
            if self.test.cause is None:
                self._take_page()
            else:
                self._take_errors()
        except TimeUp:
            return f"The test took longer than {TIME_S:.0f} seconds and was ended there: what was seen is below."
        finally:
            self.report.judge()
        return ""

    def _take_page(self) -> None:
        now = read_now()
        records: Sequence[Record | BadRecord] | None = pasted_records(self.test)
        if records is None:
            tell_stage(self.test, "reading the export")
            window = window_of(self.test, self.plan, now)
            records = read_first(self.opened, window, self.test.size, self.pages.check_time)
        items, malformed = number_records(records, 0, self.plan.key_of)
        self._deliver(Page(0, 0, now, items, malformed))

    def _take_errors(self) -> None:
        """Their retry data, page by page, from the steps at which their retry would begin."""
        errors = Error.objects.of(self.test.account_id).filter(pk__in=self.test.errors)
        data = errors.filter(retry_data__purged_at=None, retry_data__record__isnull=False)
        sent = data.exclude(passed_outcome=Passed.SUCCESS)
        units = dict(sent.order_by("pk").values_list("pk", "unit"))
        alone = [key for key, unit in units.items() if unit == ErrorUnit.PAGE]
        single = [key for key, unit in units.items() if unit == ErrorUnit.RECORD]
        rows, ordinal = RetryRows(self.test.account_id, self.plan), 0
        for first in range(0, len(single), self.plan.page_size):
            part = single[first : first + self.plan.page_size]
            self._deliver(Page(0, first, read_now(), *rows.of(part, ordinal)))
            ordinal += len(part)
        for key in alone:
            items, _ = unpack(bytes(RetryData.objects.of(self.test.account_id).get(pk=key).record))
            for ordinal, item in enumerate(items, ordinal):  # noqa: B020 (goes on counting)
                item.ordinal = ordinal
            ordinal += 1
            self._deliver(Page(0, key, read_now(), items), error=key)

    def _deliver(self, page: Page, *, error: int | None = None) -> None:
        self.report.begin(page, error)
        self.report.end(self.pages.deliver(page))


# --- reading ---------------------------------------------------------------------------------------------------------
def window_of(test: TestRun, plan: Plan, now: datetime) -> Window:
    """From the present checkpoint; nobody writes down how far it was read."""
    step = Step.objects.of(test.account_id).filter(flow=test.flow_id, key=plan.export.key).first()
    checkpoint = stored_checkpoint(test.flow_id, step.pk) if step is not None else None
    size = min(plan.page_size, test.size)
    return Window(size, now, checkpoint=checkpoint, flow=plan.flow, settings=plan.settings)


def read_first(
    opened: OpenedSteps, window: Window, size: int, check_time: Callable[[], None]
) -> list[Record | BadRecord]:
    """The first records of the export. `finish` is never called, so nothing is moved away. Raises TimeUp."""
    source = opened.source(window)
    found: list[Record | BadRecord] = []
    try:
        for page in source.pages():
            check_time()
            found += page.records
            if len(found) >= size:
                break
    finally:
        source.close()
    return found[:size]
