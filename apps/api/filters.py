"""Filters of lists: what a name in the query narrows a list to.

A filter set says for each `Parameter` which column it asks and how. The parameter reads and documents the value; so a
query, a body and the OpenAPI document all know the same names.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from django.db.models import QuerySet
from django.forms import Field
from django_filters import Filter, FilterSet

from apps.api.queries import Parameter

RowsT = TypeVar("RowsT", bound="QuerySet[Any]")


class Asked(Filter):
    """A parameter and the column that it asks; `method` names a method of the set for what is no plain column."""

    field_class = Field

    def __init__(
        self, parameter: Parameter, column: str = "", lookup: str = "exact", method: str | None = None
    ) -> None:
        self.parameter = parameter
        super().__init__(field_name=column, lookup_expr=lookup, method=method)


class Filters(FilterSet):
    """A filter set of one account."""

    def __init__(self, *, account: int, **facts: Any) -> None:
        self.account = account
        super().__init__(**facts)


def parameters_of(filters: type[Filters]) -> tuple[Parameter, ...]:
    return tuple(one.parameter for one in filters.base_filters.values())


def filtered(filters: type[Filters], rows: RowsT, asked: Mapping[str, Any], account: int) -> RowsT:
    """The rows that match all that is asked; names of other parameters are not looked at."""
    if not filters.base_filters.keys() & asked.keys():
        return rows  # a set copies all of its filters, which takes as long as to read a hundred rows
    found: RowsT = filters(account=account, data=asked, queryset=rows).qs
    return found
