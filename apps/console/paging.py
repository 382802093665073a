"""The page of a list that is read whole."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest

from apps.console.filters import address_with


def page_of(request: HttpRequest, rows: Sequence[Any], size: int) -> dict[str, Any]:
    """The rows of the page that is asked for, and the ways to its neighbors."""
    text = request.GET.get("page", "")
    asked = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 1
    last = max(1, -(-len(rows) // size))
    page = max(1, min(asked, last))
    return {
        "rows": rows[(page - 1) * size : page * size],
        "matching": len(rows),
        "page": page,
        "last_page": last,
        "previous_url": address_with(request, page=str(page - 1)) if page > 1 else "",
        "next_url": address_with(request, page=str(page + 1)) if page < last else "",
    }
