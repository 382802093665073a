"""Which rules dealt with an error, so that its history names them with their revision."""

from collections.abc import Iterable

from django.db.models import QuerySet

from apps.accounts.models import Account
from apps.core.bulk import in_array
from apps.errors.models import Error, RuleHit, RuleRevision
from apps.errors.rule_models import HitState

DEALT = (HitState.ACTED, HitState.GUARDED)
"""A rule in shadow mode did nothing to the error, so its history says nothing about it."""


def hits_of(error: Error) -> "QuerySet[RuleHit]":
    """The rules that acted on it, or left it alone on purpose, the newest first."""
    rows: QuerySet[RuleHit] = RuleHit.objects.of(error.account_id).filter(error=error, state__in=DEALT)
    return rows.select_related("revision__rule").order_by("-pk")


def resolvers_of(account: Account | int, errors: Iterable[int]) -> dict[int, RuleRevision]:
    """Error -> the rule that resolved it, for those that one did. One query, none for no errors."""
    keys = list(errors)
    if not keys:
        return {}
    condition, params = in_array("error_id", keys)
    hits = RuleHit.objects.of(account).filter(state=HitState.ACTED).extra(where=[condition], params=params)  # noqa: S610
    found = hits.select_related("revision__rule").order_by("pk")
    return {hit.error_id: hit.revision for hit in found if hit.revision.definition["acts"].get("resolve")}
