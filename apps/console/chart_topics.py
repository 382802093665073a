"""The live topic of charts. Its key names what is on the page: `charts:0/range=24h&stream=f-12&tables=errors`.

The part before the stroke is the integration (0: the whole account).
"""

from collections.abc import Iterator

from django.http import Http404, HttpRequest, QueryDict
from django.template.loader import render_to_string

from apps.accounts.reach import Reach
from apps.console.access import reach_of
from apps.console.chart_board import Board
from apps.console.chart_range import chart_range
from apps.console.chart_streams import offers_in
from apps.console.context import preferences_of
from apps.console.live import Told, nothing, topic
from apps.console.selectors.pulse import pulse_of
from apps.core.clock import wall_now


def charts_topic(integration_id: int, board: Board) -> str:
    return f"charts:{integration_id}/{board.live_key}"


@topic("charts", shared=True)
def charts_told(request: HttpRequest, key: str) -> Told:
    """The numbers of all charts, their tables and the changes; every minute, and when work was done."""
    place, _, query = key.partition("/")
    reach = reach_at(request, place)
    now = wall_now()

    def fragments(since: str) -> Iterator[str]:
        asked = QueryDict(query, mutable=True)
        asked["tables"] = asked.get("tables", "").replace("+", ",")
        offers = offers_in(reach)
        span = chart_range(asked, preferences_of(request), now)
        board = Board(reach, asked, span, offers, offers.chosen(asked, offers.usual))
        yield render_to_string("analytics/_live.html", {"board": board, "prefs": span.prefs}, request)

    return Told(f"{pulse_of(request).running_version}-{int(now.timestamp()) // 60}", fragments, nothing)


def reach_at(request: HttpRequest, place: str) -> Reach:
    """Raises Http404 for an integration out of reach."""
    if not (place.isascii() and place.isdigit() and len(place) < 19):
        raise Http404("This live topic is malformed.")
    reach, integration = reach_of(request), int(place)
    if not integration:
        return reach
    if reach.integration_ids is not None and integration not in reach.integration_ids:
        raise Http404("There is nothing here for you.")
    return reach.within(integration)
