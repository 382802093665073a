"""Which errors a rule means: by conditions that the database answers, then by a field of the retry data."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import orjson
from django.db.models import Count, Exists, F, OuterRef, Q

from apps.accounts.models import Account
from apps.core.bulk import in_array
from apps.errors.models import Error, RetryData, RuleHit
from apps.errors.querysets import OPEN, ErrorQuerySet
from apps.errors.rules.definition import Conditions
from apps.flows.models import Flow

FIELD_CHUNK = 500


def open_matches(account: Account | int, environment: str, conditions: Conditions, now: datetime) -> ErrorQuerySet:
    """Open errors that meet all conditions but the one about a field."""
    rows = matches(account, environment, conditions).filter(OPEN)
    if conditions.older_than_minutes:
        rows = rows.filter(occurred_at__lte=now - timedelta(minutes=conditions.older_than_minutes))
    return rows.filter(cause__open_errors__gte=conditions.at_least) if conditions.at_least else rows


def past_matches(
    account: Account | int, environment: str, conditions: Conditions, since: datetime, now: datetime
) -> ErrorQuerySet:
    """The errors since a moment that would have been met, but for the condition about a field. An error was old enough
    if it stayed open for so long; a root cause had enough if so many of them came since."""
    rows = matches(account, environment, conditions).filter(occurred_at__gte=since)
    if conditions.older_than_minutes:
        age = timedelta(minutes=conditions.older_than_minutes)
        stayed = Q(resolved_at__gte=F("occurred_at") + age)
        rows = rows.filter(stayed | Q(resolved_at__isnull=True, occurred_at__lte=now - age))
    if conditions.at_least:
        counted = Error.objects.of(account).filter(occurred_at__gte=since).order_by().values("cause")
        rows = rows.filter(
            cause__in=counted.annotate(number=Count("pk")).filter(number__gte=conditions.at_least).values("cause")
        )
    return rows


def matches(account: Account | int, environment: str, conditions: Conditions) -> ErrorQuerySet:
    """By place, cause and text, in every state."""
    flows = Flow.objects.of(account).filter(integration__environment=environment)
    if conditions.integration:
        flows = flows.filter(integration=conditions.integration)
    if conditions.flow:
        flows = flows.filter(pk=conditions.flow)
    of_cause = {"source": conditions.source, "code": conditions.code, "classification": conditions.classification}
    causes = {f"cause__{name}": value for name, value in of_cause.items() if value}
    rows: ErrorQuerySet = Error.objects.of(account).filter(flow__in=flows.values("pk"), **causes)
    return rows.search(conditions.text)


def with_field(account: Account | int, conditions: Conditions, ids: Iterable[int]) -> list[int]:
    """Those of these errors whose retry data meet the condition about a field; all where there is none."""
    ids = list(ids)
    if not conditions.field:
        return ids
    found = []
    for first in range(0, len(ids), FIELD_CHUNK):
        chunk = ids[first : first + FIELD_CHUNK]
        condition, params = in_array("error_id", chunk)
        data = RetryData.objects.of(account).extra(where=[condition], params=params)  # noqa: S610
        records = dict(data.values_list("error_id", "record"))
        found += [pk for pk in chunk if pk in records and is_met(conditions, records[pk])]
    return found


def is_met(conditions: Conditions, stored: bytes | memoryview | None) -> bool:
    """Whether a stored record has the value; one that is gone or no JSON has none."""
    try:
        return conditions.fits(orjson.loads(bytes(stored or b"")))
    except orjson.JSONDecodeError:
        return False


def not_met_by(rows: ErrorQuerySet, account: Account | int, revision: int) -> ErrorQuerySet:
    """Without those that this revision of a rule has met already."""
    met = RuleHit.objects.of(account).filter(revision=revision, error=OuterRef("pk"))
    return rows.filter(~Exists(met))
