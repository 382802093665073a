"""The live topics of dashboards and lists of flows. Their keys name what is on the page: `dashboard:0.12-15`.

The part before the point is the integration (0: the whole account); behind it stand the ids of the rows on the page.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, time

from django.http import Http404, HttpRequest
from django.template.loader import render_to_string

from apps.accounts.permissions import Act
from apps.console.access import Reach, may_do, reach_of
from apps.console.context import preferences_of
from apps.console.live import Told, topic
from apps.console.selectors.completed import flows_in, latest_of
from apps.console.selectors.pulse import pulse_of
from apps.console.selectors.running import runs_since, works_by_id
from apps.console.selectors.strip import NOTHING_OPEN, open_counts, strip_of
from apps.console.selectors.tiles import tiles
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


@topic("dashboard")
def dashboard_told(request: HttpRequest, key: str) -> Told:
    reach, flow_ids = _parsed(request, key)
    return Told(pulse_of(request).dashboard_version, lambda since: _row_cells(request, reach, flow_ids, True))


@topic("flows")
def flows_told(request: HttpRequest, key: str) -> Told:
    reach, flow_ids = _parsed(request, key)
    return Told(pulse_of(request).dashboard_version, lambda since: _row_cells(request, reach, flow_ids, False))


def _row_cells(request: HttpRequest, reach: Reach, flow_ids: list[int], with_strip: bool) -> Iterator[str]:
    opened = open_counts(reach)
    flows = flows_in(reach).filter(pk__in=flow_ids)
    context = {
        "rows": [(flow, opened.get(flow.pk, NOTHING_OPEN), latest_of(flow)) for flow in flows],
        "strip": strip_of(reach, opened, midnight_of(request)) if with_strip else None,
        "is_account": reach == reach_of(request),
        "errors_query": _errors_query(request, reach),
        "n_running": pulse_of(request).running,
    }
    yield render_to_string("dashboard/_live_rows.html", context, request)


def _errors_query(request: HttpRequest, reach: Reach) -> str:
    """The list of errors that the strip's numbers lead to, as on the page: of one integration, or "" for all."""
    if reach == reach_of(request):
        return ""
    rows = Integration.objects.of(reach.account_id).filter(pk__in=reach.integration_ids or ())
    return "".join(f"?view=list&integration={slug}" for slug in rows.values_list("slug", flat=True))


@topic("running")
def running_told(request: HttpRequest, key: str) -> Told:
    reach, numbers = _parsed(request, key)
    newest, run_ids = numbers[0] if numbers else 0, numbers[1:]

    def fragments(since: str) -> Iterator[str]:
        works = works_by_id(reach, run_ids)
        context = {
            "works": works,
            "n_new": runs_since(reach, newest),
            "may_cancel": {work.run.pk for work in works if may_do(request, Act.CANCEL_RUN, work.run.integration_id)},
            "strip": strip_of(reach, open_counts(reach, with_last=False), midnight_of(request)),
            "is_account": reach == reach_of(request),
            "errors_query": _errors_query(request, reach),
            "n_running": pulse_of(request).running,
        }
        yield render_to_string("dashboard/_live_runs.html", context, request)

    return Told(pulse_of(request).running_version, fragments)


@topic("tiles")
def tiles_told(request: HttpRequest, key: str) -> Told:
    reach, integration_ids = _parsed(request, key)

    def fragments(since: str) -> Iterator[str]:
        yield render_to_string("integration/_live_tiles.html", {"tiles": tiles(reach, integration_ids)}, request)

    return Told(pulse_of(request).dashboard_version, fragments)
