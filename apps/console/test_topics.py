"""The live topic of a test run: its progress, and in the end its whole report."""

from collections.abc import Iterator

from django.http import Http404, HttpRequest
from django.template.loader import render_to_string

from apps.accounts.permissions import Act
from apps.console.access import get_flow, reach_of
from apps.console.context import preferences_of
from apps.console.live import Told, topic
from apps.console.selectors.test_runs import TestView
from apps.core.ids import LARGEST_KEY
from apps.flows.models import Flow
from apps.runs.models import TestRun


def test_topic(test: TestRun) -> str:
    return f"test:{test.flow_id}-{test.pk}"


test_topic.__test__ = False  # type: ignore[attr-defined]


def get_test(request: HttpRequest, flow: Flow, test_id: int) -> TestRun:
    """A test run of a flow that this member may edit. Raises Http404 for one that is not there, or not any more."""
    tests = TestRun.objects.of(reach_of(request).account_id).filter(flow=flow).select_related("member__user")
    found: TestRun | None = tests.filter(pk=test_id).first() if 0 < test_id <= LARGEST_KEY else None
    if found is None:
        raise Http404("There is no such test run. Test runs are kept for a day.")
    return found


@topic("test")
def test_told(request: HttpRequest, key: str) -> Told:
    flow_id, _, test_id = key.partition("-")
    if not (flow_id.isascii() and flow_id.isdigit() and test_id.isascii() and test_id.isdigit() and len(key) < 40):
        raise Http404("There is no such test run.")
    flow = get_flow(request, int(flow_id), to=Act.EDIT_FLOWS)
    test = get_test(request, flow, int(test_id))

    def fragments(since: str) -> Iterator[str]:
        context = {
            "view": TestView(test, flow),
            "test": test,
            "flow": flow,
            "prefs": preferences_of(request),
            "oob": True,
        }
        yield render_to_string("flow/_test_body.html", context, request)

    return Told(str(test.change_no), fragments)
