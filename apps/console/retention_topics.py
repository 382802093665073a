"""The live topic of the retention: the purges and exports under way, how far they are."""

from collections.abc import Iterator

from django.http import Http404, HttpRequest
from django.template.loader import render_to_string

from apps.accounts.permissions import Act
from apps.console.access import account_of, may_do
from apps.console.context import preferences_of
from apps.console.live import Told, topic
from apps.retention.ahead import last_exports, last_purges
from apps.retention.stages import STAGE_WORDS

RETENTION = "retention"


@topic("retention")
def retention_told(request: HttpRequest, key: str) -> Told:
    if not may_do(request, Act.SET_RETENTION):
        raise Http404("There is nothing here for you.")
    account = account_of(request)
    purges, exports = last_purges(account), last_exports(account)
    context = {"purges": purges, "exports": exports, "stages": STAGE_WORDS, "prefs": preferences_of(request)}

    def fragments(since: str) -> Iterator[str]:
        yield render_to_string("retention/_live.html", context, request)

    gone = sum(purges[0].counts.values()) if purges else 0
    written = exports[0].size if exports else 0
    numbers = [gone, written, *(f"{work.pk}{'e' * bool(work.ended_at)}" for work in (*purges[:1], *exports[:1]))]
    return Told("-".join(map(str, numbers)), fragments)
