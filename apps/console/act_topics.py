"""The live topic of an act on many errors: its progress, its results and its retry runs."""

from collections.abc import Iterator

from django.http import Http404, HttpRequest
from django.template.loader import render_to_string

from apps.console.access import member_of, reach_of
from apps.console.context import preferences_of
from apps.console.live import Told, topic
from apps.console.selectors.bulk_acts import act_view, may_see
from apps.errors.models import BulkAct


def act_topic(act_id: int) -> str:
    return f"act:{act_id}"


@topic("act")
def act_told(request: HttpRequest, key: str) -> Told:
    act_id = int(key) if key.isascii() and key.isdigit() and len(key) < 19 else 0
    act = BulkAct.objects.of(reach_of(request).account_id).filter(pk=act_id).first()
    if act is None or not may_see(member_of(request), act):
        raise Http404("There is no such act.")
    view = act_view(act)

    def fragments(since: str) -> Iterator[str]:
        yield render_to_string(
            "error/_act_live.html", {"act": act, "view": view, "prefs": preferences_of(request)}, request
        )

    runs = ".".join(str(run.change_no) for run in view.runs)
    return Told(f"{act.done}-{int(act.ended_at is not None)}-{runs}", fragments)
