"""The live topics of dashboards and lists of flows. Their keys name what is on the page: `dashboard:0.12-15`.

The part before the point is the integration (0: the whole account); behind it stand the ids of the rows on the page.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, time

from django.http import Http404, HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse

from apps.accounts.permissions import Act
from apps.console.access import Reach, may_do, reach_of
from apps.console.context import preferences_of
from apps.console.live import Told, nothing, topic
from apps.console.selectors.completed import FlowRow, flow_rows
from apps.console.selectors.pulse import pulse_of
from apps.console.selectors.running import runs_since, works_by_id
from apps.console.selectors.strip import Strip, open_counts, strip_of
from apps.console.selectors.tiles import tiles
from apps.console.sharing import shared
from apps.core.clock import wall_now
from apps.flows.models import Integration

MOST_ROWS = 500


def dashboard_topic(integration: Integration | None, flow_ids: Iterable[int]) -> str:
    return f"dashboard:{_key(integration, flow_ids)}"


def flows_topic(integration: Integration, flow_ids: Iterable[int]) -> str:
    """The same rows without the strip of numbers above them."""
    return f"flows:{_key(integration, flow_ids)}"


def tiles_topic(integration_ids: Iterable[int]) -> str:
    return f"tiles:{_key(None, integration_ids)}"


def running_topic(integration: Integration | None, newest_run: int, run_ids: Iterable[int]) -> str:
    """`newest_run`: what is younger has started since the page was read."""
    return f"running:{_key(integration, [newest_run, *run_ids])}"


def _key(integration: Integration | None, ids: Iterable[int]) -> str:
    return f"{integration.pk if integration else 0}.{'-'.join(map(str, ids))}"


def _parsed(request: HttpRequest, key: str) -> tuple[Reach, list[int]]:
    """Raises Http404 for a key that is malformed or names an integration out of reach."""
    reach, (place, _, ids) = reach_of(request), key.partition(".")
    numbers = [place, *filter(None, ids.split("-"))]
    if not all(number.isascii() and number.isdigit() and len(number) < 19 for number in numbers):
        raise Http404("This live topic is malformed.")
    integration_id, *rows = map(int, numbers)
    if not integration_id:
        return reach, rows[:MOST_ROWS]
    if reach.integration_ids is not None and integration_id not in reach.integration_ids:
        raise Http404("There is nothing here for you.")
    return reach.within(integration_id), rows[:MOST_ROWS]


def midnight_of(request: HttpRequest) -> datetime:
    """When the reader's day began."""
    zone = preferences_of(request).zone
    return datetime.combine(wall_now().astimezone(zone).date(), time(), zone)


@topic("dashboard", shared=True)
def dashboard_told(request: HttpRequest, key: str) -> Told:
    reach, flow_ids = _parsed(request, key)
    return Told(pulse_of(request).dashboard_version, lambda since: _row_cells(request, reach, flow_ids, True), nothing)


@topic("flows", shared=True)
def flows_told(request: HttpRequest, key: str) -> Told:
    reach, flow_ids = _parsed(request, key)
    return Told(pulse_of(request).dashboard_version, lambda since: _row_cells(request, reach, flow_ids, False), nothing)


def _row_cells(request: HttpRequest, reach: Reach, flow_ids: list[int], with_strip: bool) -> Iterator[str]:
    rows = flow_rows(reach, open_counts(reach), flow_ids)
    context = {
        "cells": [_cells(request, row) for row in rows],
        "strip": _strip(request, reach) if with_strip else None,
        "is_account": reach == reach_of(request),
        **_links(request, reach),
        "n_running": pulse_of(request).running,
    }
    yield render_to_string("dashboard/_live_rows.html", context, request)


def _cells(request: HttpRequest, row: FlowRow) -> str:
    """The cells of a row in which nothing changes are made once a minute; the script keeps ages up to date."""
    context = {"flow": row.flow, "opened": row.opened, "latest": row.latest, "prefs": preferences_of(request)}
    made = ("cells", row.flow.pk, row.opened, row.latest)
    return shared(request, made, lambda: render_to_string("dashboard/_live_cells.html", context), seconds=60)


def _strip(request: HttpRequest, reach: Reach) -> Strip:
    """The same above both tabs."""
    counts = ("strip", reach)
    return shared(request, counts, lambda: strip_of(reach, open_counts(reach, with_last=False), midnight_of(request)))


def _links(request: HttpRequest, reach: Reach) -> dict[str, str]:
    """Where the strip's numbers lead, as on the page: of one integration, or of all."""
    ids = () if reach == reach_of(request) else reach.integration_ids or ()
    rows = Integration.objects.of(reach.account_id).filter(pk__in=ids)
    slug = rows.values_list("slug", flat=True).first() if ids else None
    if slug is None:
        return {"errors_query": "", "completed_url": reverse("console:dashboard")}
    completed_url = reverse("console:integration-dashboard", args=[slug])
    return {"errors_query": f"?view=list&integration={slug}", "completed_url": completed_url}


@topic("running", shared=True)
def running_told(request: HttpRequest, key: str) -> Told:
    reach, numbers = _parsed(request, key)
    newest, run_ids = numbers[0] if numbers else 0, numbers[1:]

    def fragments(since: str) -> Iterator[str]:
        works = works_by_id(reach, run_ids)
        context = {
            "works": works,
            "n_new": runs_since(reach, newest),
            "may_cancel": {work.run.pk for work in works if may_do(request, Act.CANCEL_RUN, work.run.integration_id)},
            "strip": _strip(request, reach),
            "is_account": reach == reach_of(request),
            **_links(request, reach),
            "n_running": pulse_of(request).running,
        }
        yield render_to_string("dashboard/_live_runs.html", context, request)

    return Told(pulse_of(request).running_version, fragments, nothing)


@topic("tiles", shared=True)
def tiles_told(request: HttpRequest, key: str) -> Told:
    reach, integration_ids = _parsed(request, key)

    def fragments(since: str) -> Iterator[str]:
        yield render_to_string("integration/_live_tiles.html", {"tiles": tiles(reach, integration_ids)}, request)

    return Told(pulse_of(request).dashboard_version, fragments, nothing)
