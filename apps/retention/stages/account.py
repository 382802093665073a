"""The rest of a closed account, table by table: whoever points to a row goes before it.

The account itself stays, closed, with what its audit log says about it.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from django.apps import apps
from django.db.models import ForeignKey, Q

from apps.accounts.models import Account, AuditEntry
from apps.core.models import AccountScoped
from apps.retention.models import Purge
from apps.retention.stages.base import ROWS_AT_ONCE, delete_rows

Model = Any


def purge_account(purge: Purge) -> bool:
    """A batch of the table that the purge is at."""
    tables = in_order()
    place, after = purge.position.get("table", 0), purge.position.get("id", 0)
    if place == len(tables):
        return True
    model = tables[place]
    if not after:
        untie(model, purge.account_id)
    rows = theirs(model, purge).filter(pk__gt=after).order_by("pk")
    keys = list(rows.values_list("pk", flat=True)[:ROWS_AT_ONCE])
    purge.count(rows=delete_rows(theirs(model, purge).filter(pk__in=keys)))
    purge.position = {"table": place, "id": keys[-1]} if keys else {"table": place + 1}
    return False


def theirs(model: Model, purge: Purge) -> Any:
    rows = model.objects.of(purge.account_id)
    if model is Purge:
        return rows.exclude(pk=purge.pk)
    if model is AuditEntry:
        return rows.exclude(object_kind=Account._meta.model_name)
    return rows


def untie(model: Model, account: int) -> None:
    """Rows whose turn comes later, or that point to rows of their own table, let go of these."""
    tables = in_order()
    for other in tables[tables.index(model) :]:
        names = [field.name for field in ties(other) if field.remote_field.model is model]
        if names:
            held = Q(*[(f"{name}__isnull", False) for name in names], _connector=Q.OR)
            other.objects.of(account).filter(held).update(**dict.fromkeys(names))


def ties(model: Model) -> Iterator[Any]:
    """The fields by which rows point to others with a constraint of the database."""
    for field in model._meta.local_fields:
        if (
            isinstance(field, ForeignKey)
            and getattr(field, "db_constraint", False)
            and field.remote_field.model is not Account
        ):
            yield field


@lru_cache(maxsize=1)
def in_order() -> list[Model]:
    """All tables with rows of accounts, each before those to which its rows must point."""
    left = [model for model in apps.get_models() if issubclass(model, AccountScoped)]
    found: list[Model] = []
    while left:
        free = [model for model in left if not any(is_needed(model, other) for other in left)]
        assert free, f"These tables need each other: {left}"
        found += free
        left = [model for model in left if model not in free]
    return found


def is_needed(model: Model, other: Model) -> bool:
    return any(field.remote_field.model is model and not field.null for field in ties(other))
