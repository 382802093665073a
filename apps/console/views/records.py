"""The search at the top of every page, and the journey of one record: all that happened to its trace key."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode

from apps.accounts.permissions import Act
from apps.console.access import get_error, may_do, member_page, reach_of
from apps.console.addresses import ErrorId, FlowId
from apps.console.context import Crumb
from apps.console.filters import Filter, address_with, choice_filter
from apps.console.live import live_address
from apps.console.selectors.error_filters import LONGEST_QUESTION
from apps.console.selectors.found import Found, address_of_id, found_for, kind_of_id
from apps.console.views.reading import cursor_of
from apps.core.pagination import BadCursorError
from apps.engine.records import key_hash
from apps.errors.journey import Journey, Record, find_record, journey_of
from apps.errors.models import KEY_SHOWN

LONGEST_KEY = 4_000  # characters of a trace key in an address


@member_page
def search(request: HttpRequest) -> HttpResponseBase:
    """`q=`: an id leads to its page, else what is found; `key=` or `error=`: the journey of that record."""
    if request.GET.get("error"):
        return show_journey(request, hash_of_error(request, request.GET["error"]))
    if request.GET.get("key"):
        return record_journey(request, request.GET["key"])
    question = request.GET.get("q", "").strip()[:LONGEST_QUESTION]
    reach = reach_of(request)
    address = address_of_id(reach, question)
    if address:
        return redirect(address)
    found = found_for(reach, question) if question else Found(None, [], [])
    context = {
        "crumbs": [Crumb("Search")],
        "question": question,
        "looks_like_id": kind_of_id(question),
        "found": found,
        "live_url": live_address(request, "shell"),
    }
    return render(request, "record/search.html", context)


@member_page
def record_journey(request: HttpRequest, key: str) -> HttpResponse:
    """All that happened to a trace key, over all flows or in `flow=`."""
    hashed = key_hash(key[:LONGEST_KEY])
    if hashed is None:
        raise Http404("There is nothing here for you.")
    return show_journey(request, hashed)


def hash_of_error(request: HttpRequest, text: str) -> int:
    """For keys that an address cannot hold, or that are longer than what is stored of them. Raises Http404."""
    try:
        error = get_error(request, ErrorId().to_python(text))
    except ValueError as problem:
        raise Http404("There is nothing here for you.") from problem
    if error.key_hash is None:
        raise Http404("This error has no trace key, so it belongs to no record.")
    return int(error.key_hash)


def show_journey(request: HttpRequest, hashed: int) -> HttpResponse:
    reach, flow = reach_of(request), flow_in(request)
    record = find_record(reach, hashed, flow)
    if record is None:
        raise Http404("There is nothing here for you.")
    journey, damaged = Journey([], "", ""), ""
    try:
        journey = journey_of(reach, hashed, flow, cursor=cursor_of(request))
    except BadCursorError as problem:
        damaged = str(problem)
    context = {
        "crumbs": [Crumb("Records", reverse("console:search")), Crumb(record.key)],
        "nav": "errors",
        "record": record,
        "errors_url": errors_url(record, flow),
        "journey": journey,
        "damaged": damaged,
        "start_url": address_with(request),
        "newer_url": address_with(request, page=journey.newer) if journey.newer else "",
        "older_url": address_with(request, page=journey.older) if journey.older else "",
        "flow_filter": flow_filter(request, record),
        "live_url": live_address(request, "shell"),
    }
    return render(request, "record/journey.html", context | retry_context(request, record))


def errors_url(record: Record, flow: int | None) -> str:
    """The list of the record's open errors; blank for a key that is known in part only."""
    if len(record.key) >= KEY_SHOWN:
        return ""
    place = {"flow": str(flow)} if flow else {}
    return f"{reverse('console:error-list')}?{urlencode({'view': 'list', 'key': record.key, **place})}"


def flow_in(request: HttpRequest) -> int | None:
    """The flow that the address narrows the journey to. Raises Http404 for what is no flow."""
    text = request.GET.get("flow", "")
    try:
        return FlowId().to_python(text) if text else None
    except ValueError as problem:
        raise Http404("There is nothing here for you.") from problem


def flow_filter(request: HttpRequest, record: Record) -> Filter | None:
    """A menu of the flows that know the key; None where there is but one."""
    if len(record.flows) == 1:
        return None
    options = [(str(part.flow), f"{part.name} ({part.errors:,})") for part in record.flows]
    return choice_filter(request, "flow", "Flow", [("", "all"), *options])


def retry_context(request: HttpRequest, record: Record) -> dict[str, Any]:
    """The open errors that the button retries, and why it is off."""
    if not record.open:
        return {"retry_off": ""}
    allowed = [error for error in record.open if may_do(request, Act.RETRY_ERRORS, error.flow.integration_id)]
    if not allowed:
        return {"retry_off": "Needs the role monitor"}
    if not any(error.flow.enabled for error in allowed):
        return {"retry_off": "The flow is disabled: start it first"}
    return {"retry_off": ""}
