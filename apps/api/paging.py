"""Pages of plain lists: `limit` and `skip` (or `page` from 1 and `pageSize`), and the `Link` header to the next one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest

from apps.api.queries import number

LARGEST_PAGE = 1000
FURTHEST = 1_000_000
LIMIT = number("limit", "How many at most; 1,000 unless told.", 1)
PAGING = (
    LIMIT,
    number("skip", "How many to pass over first."),
    number("page", "Which page, from 1; instead of skip.", 0),
    number("pageSize", "The same as limit.", 1),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """The rows of an answer, and the headers that go with them."""

    rows: list[Any]
    headers: dict[str, str] = field(default_factory=dict)


def page_of(
    request: HttpRequest, rows: "QuerySet[Any]", query: Mapping[str, Any], *, always_linked: bool = False
) -> Listed:
    """One page of `rows`, which are in an order that ends with something unique; one query that reads one row more.

    `always_linked`: even a list of one page has a `Link` header, to its first page.
    """
    limit = limit_of(query)
    skip = min(query.get("skip", max(0, query.get("page", 1) - 1) * limit), FURTHEST)
    found = list(rows[skip : skip + limit + 1])
    links = []
    if len(found) > limit:
        links.append(link(request, skip + limit, limit, "next"))
    if links or always_linked:
        links.append(link(request, 0, limit, "first"))
    return Listed(found[:limit], {"Link": ", ".join(links)} if links else {})


def limit_of(query: Mapping[str, Any]) -> int:
    """How many rows are asked for, never more than a page holds."""
    return int(min(query.get("limit", query.get("pageSize", LARGEST_PAGE)), LARGEST_PAGE))


def link(request: HttpRequest, skip: int, limit: int, relation: str) -> str:
    """The same call at another place of its list."""
    own = {"limit", "skip", "page", "pagesize"}
    kept = [(name, value) for name, values in request.GET.lists() for value in values if name.lower() not in own]
    address = request.build_absolute_uri(f"{request.path}?{urlencode([*kept, ('limit', limit), ('skip', skip)])}")
    return f'<{address}>; rel="{relation}"'


def next_link(request: HttpRequest, address: str) -> dict[str, str]:
    """The header that names the next page of a list by cursor; none without an address."""
    return {"Link": f'<{request.build_absolute_uri(address)}>; rel="next"'} if address else {}
