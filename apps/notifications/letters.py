"""Messages in words: what stands in a mail, in a Slack message, and in the JSON for a webhook."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from apps.core.text import short
from apps.errors.models import Cause, Error
from apps.errors.states import Reason
from apps.notifications import links
from apps.notifications.models import Message, MessageDelivery, MessageKind

MOST_DETAILS = 100
"""So many errors are told in full in one message, so that mail programs do not cut it."""
MOST_FLOWS = 100
LONGEST_TEXT = 300


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    href: str


@dataclass(frozen=True, slots=True)
class Detail:
    """One error: what went wrong, with which record, where and when; `note` how it was resolved, or who gave it."""

    text: str
    href: str
    at: datetime | None = None
    step: str = ""
    key: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Errors under a heading; `more` is how many there are beside those that are told in full."""

    title: str
    details: tuple[Detail, ...]
    more: Link | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A flow, or what was assigned to the reader."""

    title: str
    above: str = ""
    href: str = ""
    counts: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class Letter:
    """A message in words, the same for all who are told it but for what they were assigned."""

    kind: str
    title: str
    environment: str
    summary: tuple[str, ...] = ()
    until: datetime | None = None
    sections: tuple[Section, ...] = ()
    links: tuple[Link, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_sandbox(self) -> bool:
        return self.environment == "sandbox"

    @property
    def subject(self) -> str:
        """One line, so that no name in it can begin another header."""
        words = f"{'[sandbox] ' if self.is_sandbox else ''}{self.title}"
        return short(" ".join(words.split()), 200)


def letter_of(message: Message) -> Letter:
    """One query for the errors that it names."""
    if message.kind == MessageKind.DIGEST:
        return digest_letter(message)
    return ALARMS[MessageKind(message.kind)](message)


# --- digests ---------------------------------------------------------------------------------------------------------
def digest_letter(message: Message) -> Letter:
    facts, environment = message.facts, message.environment
    shown = facts["flows"][:MOST_FLOWS]
    loaded = errors_of(message.account_id, detailed_ids(shown))
    sections = [flow_section(flow, loaded, environment) for flow in shown]
    if len(facts["flows"]) > MOST_FLOWS:
        rest = len(facts["flows"]) - MOST_FLOWS
        more = Link("Open the dashboard", links.page("dashboard", environment=environment))
        sections.append(Section(f"{rest:,} more flow{plural(rest)}", links=(more,)))
    counts = (f"{facts['new']:,} new", f"{facts['resolved']:,} resolved", f"{facts['open']:,} open")
    return Letter(
        kind=message.kind,
        title=f"{counts[0]}, {counts[1]}, {counts[2]} errors",
        environment=environment,
        summary=late_text(facts["windows"]),
        until=datetime.fromisoformat(facts["until"]),
        sections=tuple(sections),
        links=(Link("Open the errors", links.page("error-list", environment=environment)),),
        facts={name: facts[name] for name in ("new", "resolved", "open")},
    )


def late_text(windows: int) -> tuple[str, ...]:
    if windows < 2:
        return ()
    return (f"This tells of {windows:,} windows of 15 minutes together.",)


def detailed_ids(flows: Iterable[Mapping[str, Any]]) -> list[int]:
    """The errors that are told in full: of each flow a few, of all not too many."""
    ids = [error for flow in flows for name in ("new_ids", "resolved_ids") for error in flow[name]]
    return ids[:MOST_DETAILS]


def flow_section(flow: Mapping[str, Any], loaded: Mapping[int, Error], environment: str) -> Section:
    open_url = links.page("flow-errors", flow["id"], environment=environment)
    found = [Link("Open", open_url)]
    if flow["open"] and flow["new_ids"]:
        told = {"flow": flow["id"], "newest": flow["new_ids"][0], "environment": environment}
        found += [Link(act.capitalize(), links.act_on_flow(act, **told)) for act in ("retry", "resolve")]
    names = ("new", "resolved", "open")
    return Section(
        title=flow["name"],
        above=flow["integration"],
        href=links.page("flow", flow["id"], environment=environment),
        counts=tuple(f"{flow[name]:,} {name}" for name in names if flow[name] or name == "open"),
        groups=tuple(flow_groups(flow, loaded, open_url, environment)),
        links=tuple(found),
    )


def flow_groups(
    flow: Mapping[str, Any], loaded: Mapping[int, Error], open_url: str, environment: str
) -> Iterator[Group]:
    resolved_url = links.page("error-list", environment=environment, view="list", state="resolved", flow=flow["id"])
    for name, url in (("new", open_url), ("resolved", resolved_url)):
        if flow[name]:
            details = [detail_of(loaded[key]) for key in flow[f"{name}_ids"] if key in loaded]
            rest = flow[name] - len(details)
            more = Link(f"{rest:,} more {name} error{plural(rest)}" if details else f"{rest:,} {name}", url)
            yield Group(name.capitalize(), tuple(details), more if rest else None)


def detail_of(error: Error, *, note: str = "") -> Detail:
    environment = error.flow.integration.environment
    is_resolved = bool(error.reason)
    return Detail(
        text=short(" ".join(error.message.split()), LONGEST_TEXT),
        href=links.page("error", error.flow_id, error.step_id, error.pk, environment=environment),
        at=error.resolved_at if is_resolved else error.occurred_at,
        step=error.step.name,
        key=error.key,
        note=note or (Reason(error.reason).label if is_resolved else ""),
    )


def errors_of(account: int, ids: Iterable[int]) -> dict[int, Error]:
    rows = Error.objects.of(account).filter(pk__in=list(ids)).select_related("step", "flow__integration")
    return {error.pk: error for error in rows}


def plural(count: int) -> str:
    return "" if count == 1 else "s"


# --- what one reader is told -----------------------------------------------------------------------------------------
def letter_for(letter: Letter, delivery: MessageDelivery) -> Letter:
    """With what was assigned to this reader; at most two queries."""
    given = delivery.own.get("assigned")
    if not given:
        return letter
    count = delivery.own["assigned_count"]
    title = f"{count:,} assigned to you"
    if letter.facts.get("new") or letter.facts.get("resolved"):
        title = f"{letter.title}; {title}"
    return replace(letter, title=title, sections=(assigned_section(letter, delivery, given, count), *letter.sections))


def assigned_section(letter: Letter, delivery: MessageDelivery, given: list[dict[str, Any]], count: int) -> Section:
    errors = errors_of(delivery.account_id, [one["error"] for one in given if one["error"]])
    causes = causes_of(delivery.account_id, [one["cause"] for one in given if one["cause"]])
    details = [detail_of(errors[one["error"]]) for one in given if one["error"] in errors]
    details += [cause_detail(causes[one["cause"]], letter.environment) for one in given if one["cause"] in causes]
    mine = links.page("error-list", environment=letter.environment, view="list", assignee="me")
    rest = count - len(details)
    group = Group("", tuple(details), Link(f"{rest:,} more", mine) if rest > 0 else None)
    return Section("Assigned to you", groups=(group,), links=(Link("Open yours", mine),))


def causes_of(account: int, ids: list[int]) -> dict[int, Cause]:
    rows = Cause.objects.of(account).filter(pk__in=ids).select_related("step") if ids else ()
    return {cause.pk: cause for cause in rows}


def cause_detail(cause: Cause, environment: str) -> Detail:
    return Detail(
        text=short(" ".join(cause.pattern.split()), LONGEST_TEXT),
        href=links.page("cause", cause.pk, environment=environment),
        step=cause.step.name,
        note=f"Root cause with {cause.open_errors:,} open error{plural(cause.open_errors)}",
    )


# --- at once ---------------------------------------------------------------------------------------------------------
def run_failed(message: Message) -> Letter:
    facts, environment = message.facts, message.environment
    found = [
        Link("Open the run", links.page("run", facts["run"], environment=environment)),
        Link("Open its errors", links.page("flow-errors", facts["flow"], environment=environment)),
    ]
    attempts = facts["attempts"]
    last = f" It was its last attempt of {attempts:,}." if attempts > 1 else ""
    return _alarm(message, f"Run r-{facts['run']} of {facts['name']} failed", facts["message"] + last, found)


def connection_offline(message: Message) -> Letter:
    said = f"{message.facts['error']} Work that needs it waits and uses no attempts; Flowmend tries it again by itself."
    return _alarm(message, f"Connection {message.facts['name']} is offline", said, [_connection(message)])


def connection_online(message: Message) -> Letter:
    said = "What waited for it goes on."
    return _alarm(message, f"Connection {message.facts['name']} is online again", said, [_connection(message)])


def threshold(message: Message) -> Letter:
    facts = message.facts
    said = []
    if "more_new" in facts:
        said.append(f"{facts['new']:,} new errors in one window, more than {facts['more_new']:,}.")
    if "more_open" in facts:
        said.append(f"{facts['open']:,} open errors, more than {facts['more_open']:,}.")
    title = f"More errors than expected in {facts['name']}"
    found = Link("Open the errors", links.of_scope(facts, environment=message.environment))
    return _alarm(message, title, " ".join(said), [found])


def rule_met(message: Message) -> Letter:
    """The errors of a flow that a rule met together; one query for those that are told in full."""
    facts, environment = message.facts, message.environment
    errors = [error for _, error in sorted(errors_of(message.account_id, facts["ids"]).items(), reverse=True)]
    open_url = links.page("flow-errors", facts["flow"], environment=environment)
    rest = facts["count"] - len(errors)
    more = Link(f"{rest:,} more error{plural(rest)}", open_url) if rest > 0 else None
    found = [Link("Open", open_url)]
    if any(not error.reason for error in errors):
        told = {"flow": facts["flow"], "newest": facts["ids"][0], "environment": environment}
        found += [Link(act.capitalize(), links.act_on_flow(act, **told)) for act in ("retry", "resolve")]
    section = Section(
        title=facts["name"],
        above=facts["integration"],
        href=links.page("flow", facts["flow"], environment=environment),
        groups=(Group("Met", tuple(detail_of(error) for error in errors), more),),
        links=tuple(found),
    )
    title = f"Rule {facts['rule']} met {facts['count']:,} error{plural(facts['count'])} in {facts['name']}"
    rule = Link("Open the rule", links.page("rule", facts["rule_id"], environment=environment))
    return replace(_alarm(message, title, "", [rule]), sections=(section,))


def test(message: Message) -> Letter:
    said = "This is a test of Flowmend's notifications. Nothing has happened."
    found = Link("Open the notifications", links.page("notification-list", environment=message.environment))
    return _alarm(message, "Test of notifications", said, [found])


def _alarm(message: Message, title: str, said: str, found: list[Link]) -> Letter:
    return Letter(
        kind=message.kind,
        title=title,
        environment=message.environment,
        summary=(said.strip(),) if said.strip() else (),
        until=message.created_at,
        links=tuple(found),
        facts=message.facts,
    )


def _connection(message: Message) -> Link:
    address = links.page("connection", message.facts["connection"], environment=message.environment)
    return Link("Open the connection", address)


ALARMS = {
    MessageKind.RUN_FAILED: run_failed,
    MessageKind.CONNECTION_OFFLINE: connection_offline,
    MessageKind.CONNECTION_ONLINE: connection_online,
    MessageKind.THRESHOLD: threshold,
    MessageKind.RULE_MET: rule_met,
    MessageKind.TEST: test,
}
