"""What settings of a flow will do, in sentences with its own names, times and numbers."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apps.console.schedule_text import cron_text
from apps.console.wording import duration_text
from apps.engine.plan import OnError, Policy, WorkflowRetry
from apps.errors.schedule import OFFSETS_S
from apps.flows.models import Flow, Overlap, Scope
from apps.flows.schedules import next_due

NEXT_TIMES = 5
ATTEMPTS = [f"{seconds // 60}:{seconds % 60:02}" for seconds in OFFSETS_S]


def times(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def day_and_time(moment: datetime, zone: ZoneInfo) -> str:
    """`Mon 23 Nov 06:30`."""
    local = moment.astimezone(zone)
    return f"{local:%a} {local.day} {local:%b %H:%M}"


# --- the flow --------------------------------------------------------------------------------------------------------
def of_schedule(flow: Flow, values: Mapping[str, Any], now: datetime) -> list[str]:
    """The next five times. Raises ValueError for a schedule that is none."""
    cron, zone = values["cron"], ZoneInfo(values["time_zone"] or "UTC")
    if not cron:
        ways = "after another flow, by hand or by the API" if flow.run_after_id else "by hand or by the API"
        return [f"{flow.name} has no schedule: it runs only when it is started {ways}."]
    moments, after = [], now
    for _ in range(NEXT_TIMES):
        after = next_due(cron, zone.key, after)
        moments.append(after)
    shown = [day_and_time(moment, zone) for moment in moments]
    name = f"{moments[0].astimezone(zone):%Z}"
    when = f"{cron_text(cron)}, {zone.key}. The next {NEXT_TIMES} times: {listed(shown)} ({name})."
    found = [when, overlap_words(flow, str(values["overlap"]), moments)]
    if not flow.enabled:
        found.append(f"{flow.name} is disabled, so nothing runs before it is enabled.")
    return found


def overlap_words(flow: Flow, overlap: str, moments: Sequence[datetime]) -> str:
    apart = duration_text(moments[1] - moments[0])
    start = f"If a run takes longer than the {apart} to the next one, "
    if overlap == Overlap.SKIP:
        return f"{start}the next one is left out."
    if overlap == Overlap.ALLOW:
        return f"{start}both run side by side."
    return f"{start}the next one waits until it has ended."


def of_workflow_retry(flow: Flow, values: Mapping[str, Any], now: datetime) -> list[str]:
    """When a run that failed would be run again."""
    attempts = int(values["attempts"])
    if not attempts:
        return [f"A run of {flow.name} that fails stays failed. Its next run comes by its schedule or by hand."]
    rule = WorkflowRetry(attempts, float(values["minutes"]), bool(values["backoff"]))
    zone = ZoneInfo(flow.time_zone or "UTC")
    start = (
        next_due(flow.cron, flow.time_zone, now) if flow.cron else datetime(now.year, now.month, now.day, 6, tzinfo=UTC)
    )
    moments, moment = [], start
    for attempt in range(1, attempts + 1):
        moment += timedelta(seconds=rule.wait_s(attempt))
        moments.append(day_and_time(moment, zone) if (moment - start) >= timedelta(hours=12) else clock(moment, zone))
    first = f"If the run of {day_and_time(start, zone)} fails at once, {flow.name} is run again at {listed(moments)}"
    return [
        f"{first}, until one attempt does not fail.",
        "Each attempt begins at the first step with the same payload: use it when all steps may safely run twice.",
        f"Those who are told of failed runs hear of it after the last attempt, {duration_text(moment - start)} later.",
    ]


def clock(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%H:%M}"


def of_auto_resolve(is_on: bool, open_errors: int) -> list[str]:
    mine = times(open_errors, "open error")
    if not is_on:
        return [
            f"Nothing is resolved by itself: the {mine} of this flow stay until somebody retries or resolves them.",
            "From the next page on this holds, and automatic attempts that wait are canceled.",
        ]
    return [
        f"When a later run takes the record of one of the {mine} through its step, or fails it again, or filters it, "
        "the older error is resolved.",
    ]


def of_auto_retry(is_on: bool, *, is_resolving: bool) -> list[str]:
    """Whether errors that pass by themselves are tried again, and when."""
    if not is_on:
        return [
            "An intermittent error stays open like any other, until somebody retries or resolves it or a later run "
            "takes its record through. Attempts that wait are canceled.",
            "How often a step itself tries a record before it becomes an error is said in its error handling.",
        ]
    if not is_resolving:
        return ["Nothing is tried again while auto-resolve of this flow is off."]
    return [
        f"An intermittent error is tried again {listed(ATTEMPTS)} minutes after it occurred, until one attempt goes "
        "through; after the last it stays open.",
        "No attempt comes earlier than the application asks for. Meanwhile the error is open and counted.",
    ]


def of_trace_key(template: str, last_key: str, open_errors: int, *, is_changed: bool) -> list[str]:
    usual = (
        "A record is known by the first of id, _id, Id, internalId, uuid, key, externalId, sku, number, email that it "
        "has, or by what its connector names."
    )
    found = [f"Each record is known as {template}, with its own values." if template else usual]
    if last_key:
        found.append(f"An open error of this flow has the key {last_key}.")
    if is_changed and open_errors:
        found.append(
            f"The {times(open_errors, 'open error')} keep the keys that they have: where the new template makes other "
            "ones, later runs do not resolve them by themselves."
        )
    return found


def of_scope(scope: str, page_size: int, parallel_pages: int) -> list[str]:
    page = (
        f"Up to {times(page_size, 'record')} go through the steps together; a run that was interrupted goes on behind "
        "the last such page."
    )
    found = [SCOPES.get(scope, SCOPES[Scope.NONE]), page]
    if parallel_pages > 1:
        found.append(
            f"Up to {parallel_pages} pages of a run are at work at once, as workers are free: where two of its records "
            "have the same key, either may be written last."
        )
    return found


SCOPES: dict[str, str] = {
    Scope.NONE: "Each statement stands by itself: what was written before a failure stays.",
    Scope.RECORD: "If a record fails at a later step, what it wrote at earlier steps is undone; all others stay.",
    Scope.PAGE: "If one record of a page fails, nothing of its page stays: one error holds it, and re-sends it.",
    Scope.RUN: "If one record fails, nothing of the whole run stays: one error holds it, and runs its window again.",
}


# --- a step ----------------------------------------------------------------------------------------------------------
FINALS = {
    "set_aside": "it becomes an open error, and the other records go on",
    "fail": "the run stops, its status is failed: what was not exported yet waits as an error of the export",
    "ignore": "the error is noted as handled, and the record goes on to the next steps",
}


def of_policy(step_name: str, policy: Policy, exceptions: Mapping[str, str]) -> list[str]:
    """What becomes of a record that fails at a step."""
    start = f"A record that fails at {step_name}"
    if policy.on_error is OnError.RETRY:
        found = [f"{start} {retry_words(policy)}. If it still fails, {FINALS[policy.then.value]}."]
    else:
        found = [f"{start}: {FINALS[policy.on_error.value]}."]
    for name, other in exceptions.items():
        words = f"it {retry_words(policy)}" if other == "retry" else FINALS[other]
        found.append(f"One of the class {name.replace('_', ' ')}: {words}.")
    return found


def retry_words(policy: Policy) -> str:
    waits = [duration_text(policy.wait_s(attempt)) for attempt in range(policy.attempts)]
    return f"is tried again {times(policy.attempts, 'time')}, after {listed(waits)}"


def of_handling(handling: str, ends: str, *, is_scoped: bool) -> str:
    if not is_scoped:
        undone = "Nothing is undone, because each statement of this flow stands by itself"
    elif handling in {"continue", "custom_without_rollback"}:
        undone = "Only what this step itself wrote for the record is undone"
    else:
        undone = "What the record wrote before is undone too"
    if handling == "continue":
        return f"{undone}; then the record goes on as if nothing had happened, and the error is logged."
    if handling.startswith("custom"):
        after = "the error stops there" if ends == "end" else "the error is raised again to the calling flow"
        return f"{undone}; then the handler's steps run, and {after}."
    return f"{undone}; then the error goes to the calling flow, if there is one."
