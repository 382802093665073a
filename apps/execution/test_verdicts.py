"""What a draft would make of the open errors of a root cause, told from a test with their retry data."""

from dataclasses import replace
from typing import Any

from django.db.models import Q

from apps.connectors.redaction import Redactor
from apps.core.text import short
from apps.engine.classification import class_of
from apps.engine.plan import END, Plan
from apps.engine.ports import Failure
from apps.engine.records import Page
from apps.engine.result import FailedRecord, PageResult
from apps.errors.facts import cause_mark
from apps.errors.models import Cause, Error
from apps.errors.states import ErrorUnit, Passed
from apps.execution.journal import culprit_failure
from apps.runs.models import TestRun

Trials = list[tuple[Page, int | None, PageResult | None]]
"""Pages that were tried: with the error whose retry data the whole of it is, and the result unless time was over."""
Ends = dict[int, "FailedRecord | str | None"]
"""Error -> the failure that its record ended in, None if it went through, or why it came to no end."""


def verdicts_of(test: TestRun, plan: Plan, trials: Trials, redactor: Redactor) -> list[dict[str, Any]]:
    """One verdict an error: fixed, failing (as before), broken (in another way), or untested."""
    ends: Ends = {}
    for page, whole, result in trials:
        if result is not None:
            ends |= record_ends(page, result) if whole is None else {whole: page_end(result)}
    is_cut = any(result is None for *_, result in trials)
    group = Cause.objects.of(test.account_id).filter(Q(pk=test.cause) | Q(merged_into=test.cause))
    same = set(group.values_list("step__key", "fingerprint"))
    errors = Error.objects.of(test.account_id).filter(pk__in=test.errors).order_by("pk")
    verdicts = []
    for error in errors.only("step_id", "key", "unit", "passed_outcome", "account_id"):
        end = ends.get(error.pk, why_untested(error, is_cut=is_cut))
        facts = {"error": error.pk, "step": error.step_id, "key": redactor.text(error.key)}
        verdicts.append(facts | judged(plan, end, same, redactor))
    return verdicts


def judged(
    plan: Plan, end: FailedRecord | str | None, same: set[tuple[str, str]], redactor: Redactor
) -> dict[str, Any]:
    if end is None:
        return {"verdict": "fixed"}
    if isinstance(end, str):
        return {"verdict": "untested", "message": redactor.text(end)}
    node = plan.nodes[end.node]
    own = node if node.own == END else plan.nodes[node.own]
    place = plan.nodes[end.node if end.inner is None else end.inner].shown_path
    is_same = (own.key, cause_mark(end)) in same
    return {"verdict": "failing" if is_same else "broken", "at": place, **failure_facts(end.failure, redactor)}


def failure_facts(failure: Failure, redactor: Redactor) -> dict[str, Any]:
    return {
        "source": str(failure.source),
        "code": redactor.text(failure.code),
        "message": short(redactor.text(failure.message), 2_000),
        "class": class_of(failure),
        "field": failure.field or "",
    }


def record_ends(page: Page, result: PageResult) -> Ends:
    """What became of records of which each is the retry data of one error."""
    ends: Ends = {item.error: None for item in page.items if item.error is not None and item.at != END}
    waiting = why_waiting(result)
    ends |= {item.error: waiting for item in result.rest if item.error is not None}
    rolled_back = "another record of its page failed, so nothing of the page would stay"
    ends |= {item.error: rolled_back for item in result.undone if item.error is not None}
    ends |= {bad.error: "it is no record: correct its retry data" for bad in page.malformed if bad.error is not None}
    failed = [*open_failures(result), *([result.culprit] if result.culprit else [])]
    return ends | {e.item.error: e for e in failed if e.item.error is not None and e.raw is None}


def page_end(result: PageResult) -> FailedRecord | str | None:
    if result.culprit is not None:
        return replace(result.culprit, failure=culprit_failure(result.culprit))
    failed = open_failures(result)
    return failed[0] if failed else (why_waiting(result) if result.rest else None)


def open_failures(result: PageResult) -> list[FailedRecord]:
    return [entry for entry in result.failures() if not entry.is_handled]


def why_waiting(result: PageResult) -> str:
    return f"it would wait: {result.wait.reason}" if result.wait else "it would wait"


def why_untested(error: Error, *, is_cut: bool) -> str:
    if error.passed_outcome == Passed.SUCCESS:
        return "a newer pass of this record went through, so a retry does not send it"
    if error.unit in (ErrorUnit.RUN, ErrorUnit.WINDOW):
        return f"its retry exports the whole {error.unit} again"
    if is_cut:
        return "the time of the test was over before its turn"
    return "its retry data are gone, or the draft has no step any more at which they could begin"
