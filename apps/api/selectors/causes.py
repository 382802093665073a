"""Root causes over the API: what was merged into one is told as one."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from apps.accounts.reach import Reach
from apps.api.queries import choice, number, text, wire
from apps.core.ids import Kind
from apps.errors.models import Cause
from apps.errors.states import Classification

CAUSE_FILTERS = (
    choice("state", "Which root causes: those with open errors unless told.", ("open", "resolved", "all")),
    wire("_integrationId", "Only root causes of this integration.", Kind.INTEGRATION),
    wire("_flowId", "Only root causes of this flow.", Kind.FLOW),
    wire("_expOrImpId", "Only root causes of this step.", Kind.STEP),
    text("source", "Only root causes of errors of this source.", 32),
    text("code", "Only root causes of errors with this code.", 128),
    choice("classification", "Only root causes of this class.", Classification.values),
    number("limit", "How many at most; 1,000 unless told.", 1),
    text("page", "Where the page begins; the Link header names it.", 300),
)
COLUMNS = {
    "_integrationId": "flow__integration", "_flowId": "flow", "_expOrImpId": "step", "source": "source",
    "code": "code", "classification": "classification",
}  # fmt: skip


@dataclass(frozen=True)
class Group:
    """A root cause with those that were merged into it."""

    cause: Cause
    members: tuple[Cause, ...]

    @property
    def merged(self) -> list[int]:
        return [member.pk for member in self.members]

    @property
    def all(self) -> tuple[Cause, ...]:
        return (self.cause, *self.members)

    @property
    def open_errors(self) -> int:
        return sum(cause.open_errors for cause in self.all)

    @property
    def total_errors(self) -> int:
        return sum(cause.total_errors for cause in self.all)

    @property
    def first_seen_at(self) -> datetime:
        return min(cause.first_seen_at for cause in self.all)

    @property
    def last_seen_at(self) -> datetime:
        return max(cause.last_seen_at for cause in self.all)

    @property
    def classifiedBy(self) -> str:  # noqa: N802 (a name of the API)
        return "rule" if self.cause.classified_by_id is None else "user"


def heads(reach: Reach, asked: Mapping[str, Any]) -> "QuerySet[Cause]":
    """Root causes that are not merged into another."""
    rows = Cause.objects.of(reach.account_id).filter(merged_into__isnull=True, **reach.where("flow__integration"))
    rows = rows.filter(**{column: asked[name] for name, column in COLUMNS.items() if name in asked})
    merged = Cause.objects.of(reach.account_id).filter(merged_into__isnull=False, open_errors__gt=0)
    is_open = Q(open_errors__gt=0) | Q(pk__in=merged.order_by().values("merged_into"))
    wanted = {"open": is_open, "resolved": ~is_open, "all": Q()}[asked.get("state", "open")]
    return rows.filter(wanted).select_related("assignee__user")


def groups_of(account_id: int, causes: list[Cause]) -> list[Group]:
    """One query."""
    members: dict[int, list[Cause]] = defaultdict(list)
    for member in Cause.objects.of(account_id).filter(merged_into__in=[cause.pk for cause in causes]).order_by("pk"):
        members[member.merged_into_id or 0].append(member)
    return [Group(cause, tuple(members[cause.pk])) for cause in causes]
