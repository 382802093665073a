"""What the stages of a purge share. Each does one batch in its caller's transaction and says how far it got."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

from apps.retention.models import Purge

ERRORS_AT_ONCE = 500
ROWS_AT_ONCE = 1_000
RUNS_AT_ONCE = 50

Stage = Callable[[Purge], bool]
"""One batch; it moves `purge.position` and adds to `purge.counts`. True once nothing is left of this stage."""


def take(rows: "QuerySet[Any]", most: int = ROWS_AT_ONCE) -> int:
    """Delete some of these rows, which nothing points to with a constraint; returns how many."""
    keys = list(rows.order_by("pk").values_list("pk", flat=True)[:most])
    return delete_rows(rows.model._default_manager.filter(pk__in=keys)) if keys else 0


def delete_rows(rows: "QuerySet[Any]") -> int:
    """Delete rows in one statement, without reading what the ORM would look for beside them."""
    return int(rows._raw_delete(rows.db) or 0)  # None where no row can match
