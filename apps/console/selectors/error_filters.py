"""The filters of the lists of errors: read from an address, said in words, applied to a queryset.

The search field also takes prefixes: `key:A-17 code:23505 run:r-48213 connection refused`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.http import QueryDict

from apps.accounts.models import Member
from apps.console.spans import Span, span_in
from apps.core.ids import LARGEST_KEY, Kind, WrongIdError, parse_short_id
from apps.core.text import storable
from apps.engine.records import key_hash
from apps.errors.models import Cause, ErrorTag
from apps.errors.querysets import SHOWN_AS, CauseQuerySet, ErrorQuerySet
from apps.errors.states import ERROR_LOOKS, Classification, ErrorUnit, Reason

CLASSES = {str(value): str(label) for value, label in Classification.choices}
PREFIXES = re.compile(r'(?<!\S)(key|code|run):(?:"([^"]*)"|(\S+))')
LONGEST_QUESTION = 500
USER_REASONS = (Reason.MANUAL, Reason.RETRIED, Reason.RETRY_FAILED, Reason.SENT, Reason.RULE)
# what `reason=` may name: one reason, or a group of them
REASON_GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "auto": ("auto-resolved", tuple(sorted(Reason.automatic()))),
    "user": ("resolved by people and rules", tuple(reason.value for reason in USER_REASONS)),
    "policy": ("handled by the step's policy", (Reason.HANDLED.value,)),
}
REASONS = {name: words for name, (words, _) in REASON_GROUPS.items()} | {
    str(value): str(label).lower() for value, label in Reason.choices
}
ME, NOBODY = "me", "nobody"
SHOWN = {name: ERROR_LOOKS[name].word.lower() for name in SHOWN_AS}
RESOLVED = "resolved_"  # before `range`, `from` and `to`: when the error was resolved
UNITS = {"record": "records only", "units": "pages, runs and windows"}
ASSIGNEES = {ME: "me", NOBODY: "nobody"}


@dataclass(frozen=True)
class ErrorFilter:
    """What is asked for in an account. `texts` are the values as given; ids are None where they name nothing."""

    account: int
    texts: Mapping[str, str] = field(default_factory=dict)
    words: str = ""
    key: str = ""
    code: str = ""
    run: int | None = None
    cause: int | None = None
    tag: int | None = None
    assignee: int | None = None  # blank with `assignee=nobody`
    span: Span = field(default_factory=Span)
    resolved: Span = field(default_factory=Span)
    is_impossible: bool = False

    def text(self, name: str) -> str:
        """A parameter's value as given; "" where it was not."""
        return self.texts.get(name, "")

    @property
    def question(self) -> str:
        return self.text("q")

    @property
    def is_on(self) -> bool:
        return bool(self.texts or self.span.name or self.resolved.name)

    @property
    def names(self) -> list[str]:
        """The filters that are on, in words, for a list that is empty because of them."""
        found = [f"search “{self.text('q')}”"] if self.text("q") else []
        found += [f"class {CLASSES.get(self.text('class'), self.text('class')).lower()}"] if self.text("class") else []
        found += [f"{name} {self.text(name)}" for name in ("source", "code", "key") if self.text(name)]
        found += [f"run {self.text('run')}"] if self.text("run") else []
        found += ["one root cause"] if self.text("cause") else []
        found += ["one tag"] if self.text("tag") else []
        found += [f"assigned to {ASSIGNEES.get(self.text('assignee'), 'one member')}"] if self.text("assignee") else []
        found += [REASONS.get(self.text("reason"), self.text("reason"))] if self.text("reason") else []
        found += [UNITS.get(self.text("unit"), self.text("unit"))] if self.text("unit") else []
        found += [SHOWN.get(self.text("shown"), self.text("shown"))] if self.text("shown") else []
        found += [f"occurred {self.span.text}"] if self.span.name else []
        return found + ([f"resolved {self.resolved.text}"] if self.resolved.name else [])


OF_ERRORS = ("reason", "unit", "tag", "assignee", "shown")
"""Filters that a root cause does not tell."""
PARAMETERS = ("q", "class", "source", "code", "run", "cause", "key", "reason", "unit", "tag", "assignee", "shown")


def filter_of(member: Member, query: QueryDict, zone: ZoneInfo, now: datetime) -> ErrorFilter:
    """The filter that an address names, as this member means it; a time without a zone is in his.

    What cannot match anything (a run `x`) makes the list empty, not broken.
    """
    texts = {name: storable(query.get(name, ""))[0].strip()[:LONGEST_QUESTION] for name in PARAMETERS}
    given = {name: text for name, text in texts.items() if text}
    words, prefixed = split_question(texts["q"])
    run, is_bad_run = _id_of(texts["run"] or prefixed.get("run", ""), Kind.RUN)
    cause, is_bad_cause = _id_of(texts["cause"], Kind.CAUSE)
    tag, is_bad_tag = key_of(texts["tag"])
    assignee, is_bad_assignee = assignee_of(texts["assignee"], member)
    return ErrorFilter(
        member.account_id,
        given,
        words,
        texts["key"] or prefixed.get("key", ""),
        texts["code"] or prefixed.get("code", ""),
        run,
        cause,
        tag,
        assignee,
        span_in(query, zone, now),
        span_in(query, zone, now, prefix=RESOLVED),
        is_bad_run or is_bad_cause or is_bad_tag or is_bad_assignee,
    )


def assignee_of(text: str, member: Member) -> tuple[int | None, bool]:
    """(member's id, whether the text names none): `me`, `nobody` (None) or an id."""
    if text in (ME, NOBODY):
        return (member.pk if text == ME else None), False
    return key_of(text)


def key_of(text: str) -> tuple[int | None, bool]:
    """(id, whether the text names none); (None, False) for a blank."""
    if not text:
        return None, False
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    return (number, False) if 0 < number <= LARGEST_KEY else (None, True)


def split_question(question: str) -> tuple[str, dict[str, str]]:
    """The free words of a search, and the values of its prefixes."""
    found = {match[1]: match[2] or match[3] or "" for match in PREFIXES.finditer(question)}
    return PREFIXES.sub(" ", question).strip(), found


def _id_of(text: str, kind: Kind) -> tuple[int | None, bool]:
    if not text:
        return None, False
    try:
        return parse_short_id(text, kind), False
    except WrongIdError:
        return None, True


def matching(rows: ErrorQuerySet, wanted: ErrorFilter) -> ErrorQuerySet:
    """The errors that match all filters."""
    if wanted.is_impossible:
        return rows.none()
    rows = rows.filter(_conditions(wanted)).occurred_between(wanted.span.since, wanted.span.until)
    rows = rows.resolved_between(wanted.resolved.since, wanted.resolved.until)
    if wanted.cause is not None:
        rows = rows.filter(cause__in=merged_with(wanted.account, wanted.cause))
    if wanted.tag is not None:
        rows = rows.filter(pk__in=ErrorTag.objects.of(wanted.account).filter(tag=wanted.tag).values("error_id"))
    if wanted.text("assignee"):
        rows = rows.assigned_to(wanted.assignee)
    hashed = key_hash(wanted.key)
    if hashed is not None:
        rows = rows.with_key(hashed)
    return rows.search(wanted.words)


def matching_causes(causes: CauseQuerySet, wanted: ErrorFilter) -> CauseQuerySet | None:
    """Those of the root causes whose open errors are all that match; None where a filter looks at errors themselves."""
    is_of_errors = any(wanted.text(name) for name in OF_ERRORS)
    if is_of_errors or wanted.words or wanted.key or wanted.run is not None or wanted.span.name or wanted.resolved.name:
        return None
    if wanted.cause is not None:
        causes = causes.filter(Q(pk=wanted.cause) | Q(merged_into=wanted.cause))
    return causes.filter(**_of_cause(wanted))


def merged_with(account: int, cause: int) -> list[int]:
    """A root cause and what was merged into it; ids, so that the index of causes answers. One query."""
    rows = Cause.objects.of(account).filter(Q(pk=cause) | Q(merged_into=cause))
    return [cause, *(key for key in rows.values_list("pk", flat=True) if key != cause)]


def _of_cause(wanted: ErrorFilter) -> dict[str, str]:
    conditions = {"classification": wanted.text("class"), "source": wanted.text("source"), "code": wanted.code}
    return {name: value for name, value in conditions.items() if value}


def _conditions(wanted: ErrorFilter) -> Q:
    found = Q(**{f"cause__{name}": value for name, value in _of_cause(wanted).items()})
    if wanted.run is not None:
        found &= Q(run=wanted.run)
    if wanted.text("reason"):
        group = REASON_GROUPS.get(wanted.text("reason"))
        found &= Q(reason__in=group[1] if group else (wanted.text("reason"),))
    if wanted.text("shown"):
        found &= SHOWN_AS.get(wanted.text("shown"), Q(pk__in=[]))
    if wanted.text("unit"):
        is_record = Q(unit=ErrorUnit.RECORD)
        found &= is_record if wanted.text("unit") == "record" else ~is_record
    return found
