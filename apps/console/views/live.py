"""The one address that keeps pages live: 204 while nothing has changed, else the cells that have."""

from time import perf_counter

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from apps.console import chart_topics, connection_topics, dashboard_topics, shell_topic  # noqa: F401 - they register
from apps.console.live import news
from apps.console.pace import PACE
from apps.console.reader import find_reader


@require_GET
@never_cache
def live(request: HttpRequest) -> HttpResponse:
    """Answers 401 to whoever is signed out or has no account, 404 for a topic that is not there for this member.

    `Live-Wait` says in how many seconds at the earliest the page may ask again.
    """
    began = perf_counter()
    if find_reader(request) is None:
        return HttpResponse("Sign in again to go on with live updates.", status=401)
    answer = _told(request)
    answer.headers["Live-Wait"] = f"{PACE.book(perf_counter() - began):.1f}"
    return answer


def _told(request: HttpRequest) -> HttpResponse:
    topics = [topic for topic in request.GET.get("t", "").split(",") if topic]
    asked = request.GET.get("v", "")
    version, fragments = news(request, topics, asked)
    if version == asked:
        return HttpResponse(status=204)
    return HttpResponse("\n".join(fragments), headers={"Live-Version": version})
