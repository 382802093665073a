"""Errors that occurred too long ago, the oldest first: open ones too, unless they are kept or a retry has them."""

from datetime import datetime
from typing import Any

from django.db.models import Q

from apps.errors.models import Error
from apps.errors.services.removing import remove_errors
from apps.errors.services.resolving import locked_errors
from apps.errors.states import ErrorState
from apps.retention.models import Purge, PurgeKind
from apps.retention.stages.base import ERRORS_AT_ONCE


def purge_errors(purge: Purge) -> bool:
    found = list(old_errors(purge)[:ERRORS_AT_ONCE])
    if not found:
        return True
    errors = locked_errors(purge.account_id, [key for _, key in found])
    is_closing = purge.kind == PurgeKind.CLOSING
    chosen = [e for e in errors if is_closing or (not e.keep and e.retry_run_id is None)]
    remove_errors(purge.account_id, chosen)
    opened = sum(e.state == ErrorState.OPEN for e in chosen)
    purge.count(errors=len(chosen), open_errors=opened)
    occurred_at, key = found[-1]
    purge.position = {"at": occurred_at.isoformat(), "id": key}
    return len(found) < ERRORS_AT_ONCE


def old_errors(purge: Purge) -> Any:
    """(when, id) of the errors behind the position, by when they occurred."""
    rows = Error.objects.of(purge.account_id).filter(occurred_at__lt=purge.before)
    return behind(rows, "occurred_at", purge.position).values_list("occurred_at", "pk")


def behind(rows: Any, column: str, position: dict[str, Any]) -> Any:
    """The rows behind a position of (moment, id), in that order. The first condition alone is what the index takes."""
    if position:
        at = datetime.fromisoformat(position["at"])
        later = Q(**{f"{column}__gt": at}) | Q(**{column: at}, pk__gt=position["id"])
        rows = rows.filter(later, **{f"{column}__gte": at})
    return rows.order_by(column, "pk")
