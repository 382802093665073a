"""What the search at the top of every page finds: an id's page, a record, flows by name, errors by their text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.db.models.functions import Left
from django.urls import reverse

from apps.console.access import Reach
from apps.console.selectors.errors import SHOWN_MESSAGE
from apps.core.ids import Kind, WrongIdError, parse_short_id
from apps.core.text import storable
from apps.engine.records import key_hash
from apps.errors.journey import Record, find_record
from apps.errors.models import Cause, Error
from apps.flows.models import Flow
from apps.runs.models import Run

MOST_FLOWS, MOST_ERRORS = 10, 10


@dataclass(frozen=True)
class Found:
    """At most ten flows and ten errors, the newest first."""

    record: Record | None
    flows: Sequence[Flow]
    errors: Sequence[Error]

    @property
    def is_empty(self) -> bool:
        return not (self.record or self.flows or self.errors)


def found_for(reach: Reach, question: str) -> Found:
    """Four queries at most."""
    words = re.escape(storable(question)[0])  # a regex: of SQLite's LIKE only A to Z have two cases
    hashed = key_hash(question)
    record = find_record(reach, hashed) if hashed is not None else None
    flows = Flow.objects.of(reach.account_id).present().filter(**reach.where())
    named = flows.filter(Q(name__iregex=words) | Q(key__iregex=words)).select_related("integration")
    errors = Error.objects.of(reach.account_id).filter(**reach.where("flow__integration")).search(question)
    shown = errors.annotate(short_message=Left("message", SHOWN_MESSAGE)).defer("message", "effects")
    with_names = shown.select_related("cause", "step", "flow", "resolved_by__user").newest_first()
    return Found(record, list(named.order_by("name", "pk")[:MOST_FLOWS]), list(with_names[:MOST_ERRORS]))


KINDS = {Kind.RUN: "run", Kind.ERROR: "error", Kind.CAUSE: "root cause", Kind.FLOW: "flow"}


def address_of_id(reach: Reach, text: str) -> str:
    """The page of what a short id (`r-48213`, `e-9184413`) names within reach; "" for anything else. One query."""
    named = _named_by(text)
    return _address(reach, *named) if named else ""


def kind_of_id(text: str) -> str:
    """`run` for `r-48213`, whether it is there or not; "" for what is no id."""
    named = _named_by(text)
    return KINDS[named[0]] if named else ""


def _named_by(text: str) -> tuple[Kind, int] | None:
    if "-" not in text:
        return None
    for kind in KINDS:
        try:
            return kind, parse_short_id(text, kind)
        except WrongIdError:
            continue
    return None


def _address(reach: Reach, kind: Kind, key: int) -> str:
    if kind is Kind.ERROR:
        rows = Error.objects.of(reach.account_id).filter(pk=key, **reach.where("flow__integration"))
        place = rows.values_list("flow", "step", "pk").first()
        return reverse("console:error", args=place) if place else ""
    if kind is Kind.RUN:
        is_there = Run.objects.of(reach.account_id).filter(pk=key, **reach.where_copied()).exists()
    elif kind is Kind.CAUSE:
        is_there = Cause.objects.of(reach.account_id).filter(pk=key, **reach.where("flow__integration")).exists()
    else:
        is_there = Flow.objects.of(reach.account_id).present().filter(pk=key, **reach.where()).exists()
    return reverse(f"console:{kind.name.lower()}", args=[key]) if is_there else ""
