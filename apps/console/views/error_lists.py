"""What every list of errors has: its rows, its filters, and the addresses around them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest

from apps.accounts.permissions import Act
from apps.console.access import may_do_somewhere, member_of
from apps.console.filters import Filter, address_with, choice_filter, hidden_fields
from apps.console.saved_views import view_menu
from apps.console.selection import Selection, list_query, top_of
from apps.console.selectors.error_filters import CLASSES, REASONS, RESOLVED, SHOWN, ErrorFilter, filter_of
from apps.console.selectors.errors import (
    MOST_COUNTED,
    Choice,
    Choices,
    ErrorPage,
    choices_of,
    cursor_at,
    error_page,
    name_people,
)
from apps.console.selectors.notes import Notable
from apps.console.spans import span_filter
from apps.console.views.note_filters import note_filters
from apps.console.views.reading import cursor_of, reader_of
from apps.core.pagination import BadCursorError
from apps.errors.models import Error
from apps.errors.querysets import CauseQuerySet, ErrorQuerySet

STATES = {"open": "open", "resolved": "resolved", "retrying": "retrying", "all": "open and resolved"}


def list_context(
    request: HttpRequest,
    rows: ErrorQuerySet,
    causes: CauseQuerySet,
    state: str,
    *,
    path: str,
    error: Error | None = None,
    place: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Rows, filters and places of a list of errors, and of the root causes where it is. A damaged cursor shows no rows
    and says so.

    With an `error` the list is the page that it is on, or begins with it where the address names no page. `place` is
    the flow and the step that the list is of, where its address does not say it as a filter.
    """
    zone, now = reader_of(request)
    member = member_of(request)
    wanted = filter_of(member, request.GET, zone, now)
    shown = read_page(request, rows, causes, wanted, state, error)
    query = list_query(request, state, wanted, **(place or {}))
    choices = Choices() if wanted.text("cause") else choices_of(causes)  # of one cause there is but one of each
    notable = Notable(wanted.account, shown.rows, viewer=member)
    name_people(shown.rows, notable.members)
    return {
        "notable": notable,
        "me": member,
        "may_edit": may_do_somewhere(request, Act.EDIT_RETRY_DATA),
        "views": view_menu(request, notable.views, state=state, **(place or {})),
        "selection": Selection(query=query, upto=shown.top),
        "all_number": number_text(shown.page),
        "has_edit_links": error is None and state in ("open", "all"),
        "page": shown.page,
        "damaged": shown.damaged,
        "state": state,
        "state_text": STATES[state],
        "wanted": wanted,
        "most_counted": MOST_COUNTED,
        "span": span_filter(request, "Occurred", wanted.span),
        "resolved_span": span_filter(request, "Resolved", wanted.resolved, prefix=RESOLVED),
        "has_doubts": any(row.shown_state == "in_doubt" for row in shown.rows),
        "filters": [
            *filters_of(request, wanted, choices, state, is_narrow=error is not None),
            *note_filters(request, notable, is_narrow=error is not None),
        ],
        "path": path,
        **addresses_around(request, shown),
    }


@dataclass(frozen=True)
class Shown:
    """The page of a list that an address names, and where the list began; without a page `damaged` says why."""

    page: ErrorPage | None = None
    top: str = ""
    damaged: str = ""

    @property
    def rows(self) -> Sequence[Error]:
        return self.page.rows if self.page is not None else ()


def read_page(
    request: HttpRequest,
    rows: ErrorQuerySet,
    causes: CauseQuerySet,
    wanted: ErrorFilter,
    state: str,
    error: Error | None,
) -> Shown:
    cursor = cursor_of(request)
    is_counted = wanted.is_on or (state != "open" and error is None)
    try:
        page = error_page(rows, wanted, state, cursor=cursor, is_counted=is_counted, causes=causes)
        if error is not None and not cursor:
            page = page_with(error, page, rows, wanted, state)
        return Shown(page, request.GET.get("top", "")[:40] or top_of(rows, wanted, page, state))
    except BadCursorError as problem:
        return Shown(damaged=str(problem))


def page_with(error: Error, page: ErrorPage, rows: ErrorQuerySet, wanted: ErrorFilter, state: str) -> ErrorPage:
    """The page that an error is on; the one given while no page has it, as when a retry does."""
    if error.pk in {row.pk for row in page.rows}:
        return page
    around = error_page(rows, wanted, state, cursor=cursor_at(error, state), is_counted=False)
    is_there = error.pk in {row.pk for row in around.rows}
    return replace(around, matches=page.matches, is_more=page.is_more) if is_there else page


def addresses_around(request: HttpRequest, shown: Shown) -> dict[str, Any]:
    """The pages beside this one, its downloads, and its filters as a form carries them."""
    newer, older = (shown.page.newer, shown.page.older) if shown.page is not None else ("", "")
    return {
        "csv_url": address_with(request, format="csv"),
        "json_url": address_with(request, format="json"),
        "hidden_fields": hidden_fields(request, "q"),
        "query": f"?{request.GET.urlencode()}" if request.GET else "",
        "newer_url": address_with(request, page=newer, top=shown.top) if newer else "",
        "older_url": address_with(request, page=older, top=shown.top) if older else "",
    }


def number_text(page: ErrorPage | None) -> str:
    """How many errors match, as the bulk bar says it; "" where nobody counted."""
    if page is None or page.matches is None:
        return ""
    return f"more than {page.matches:,}" if page.is_more else f"{page.matches:,}"


def filters_of(
    request: HttpRequest, wanted: ErrorFilter, choices: Choices, state: str, *, is_narrow: bool
) -> list[Filter]:
    """Class, source and code as menus, and what came with the address of a count: run, cause, key, reason, unit.

    A narrow list, beside a drawer, leaves out the menu of codes while none is chosen.
    """
    found = [
        choice_filter(request, "class", "Class", options(choices.classes, wanted.text("class"), CLASSES)),
        choice_filter(request, "source", "Source", options(choices.sources, wanted.text("source"))),
    ]
    if not is_narrow or wanted.text("code"):
        found.append(choice_filter(request, "code", "Code", options(choices.codes, wanted.text("code"))))
    if state in ("open", "all") and (not is_narrow or wanted.text("shown")):
        found.append(choice_filter(request, "shown", "Shown as", [("", "any"), *SHOWN.items()]))
    if state == "resolved" and (not is_narrow or wanted.text("reason")):
        found.append(choice_filter(request, "reason", "Why", [("", "any"), *REASONS.items()]))
    given = [("run", "Run"), ("key", "Trace key"), ("cause", "Root cause"), ("unit", "Unit")]
    given += [("reason", "Why")] if state == "all" else []
    found += [
        choice_filter(request, name, label, [("", "any"), (wanted.text(name), shown(name, wanted.text(name)))])
        for name, label in given
        if wanted.text(name)
    ]
    return found


def shown(name: str, value: str) -> str:
    """A filter's value as people read it."""
    if name == "cause":
        return "this one"
    if name == "reason":
        return REASONS.get(value, value)
    if name == "unit":
        return "records" if value == "record" else "pages, runs, windows"
    return f"r-{value}" if name == "run" and value.isdigit() else value


def options(choices: Any, chosen: str, words: dict[str, str] | None = None) -> list[tuple[str, str]]:
    """(value, label) with the open errors that have the value; one that is chosen is among them in any case."""
    found = list[Choice](choices)
    if chosen and chosen not in {choice.value for choice in found}:
        found.append(Choice(chosen, 0))
    labels = words or {}
    return [("", "any"), *((c.value, f"{labels.get(c.value, c.value)} ({c.open_errors:,} open)") for c in found)]
