"""The live topic of a list of retries: the rows of its first page, and that a newer retry has begun."""

from collections.abc import Iterator

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse

from apps.accounts.permissions import Act
from apps.console.access import may_do
from apps.console.addresses import FlowId
from apps.console.context import preferences_of
from apps.console.flow_topics import key_of
from apps.console.live import Told, topic
from apps.console.loaded import head_of, step_of
from apps.console.selectors.retry_runs import RETRIES_A_PAGE, retry_runs, with_results
from apps.flows.models import Flow, Step
from apps.runs.statuses import RunStatus


def retries_topic(flow: Flow, step: Step | None) -> str:
    return f"retries:{flow.pk}.{step.pk if step else 0}"


@topic("retries")
def retries_told(request: HttpRequest, key: str) -> Told:
    """The key is `<flow>.<step>`, with 0 for all steps."""
    flow_text, _, step_text = key.partition(".")
    flow_id = key_of(FlowId, flow_text)
    step = None if step_text == "0" else step_of(request, flow_id, key_of(FlowId, step_text))
    flow = step.flow if step else head_of(request, flow_id).flow
    found = retry_runs(flow, step).newest_first()
    changes = list(found.values_list("pk", "change_no", "status")[:RETRIES_A_PAGE])
    newest = str(changes[0][0]) if changes else "0"

    def fragments(since: str) -> Iterator[str]:
        runs = list(found.select_related("started_by__user", "canceled_by__user", "start_step")[:RETRIES_A_PAGE])
        name, args = ("step-retries", [flow.pk, step.pk]) if step else ("flow-retries", [flow.pk])
        facts = {
            "rows": with_results(runs),
            "prefs": preferences_of(request),
            "may_cancel": may_do(request, Act.CANCEL_RUN, flow.integration_id),
            "here_url": reverse(f"console:{name}", args=args),
            "has_new_retries": since.partition(":")[0] != newest,
        }
        yield render_to_string("error/_retries_live.html", facts, request)

    moved = sum(change for _, change, _ in changes)
    ended = sum(status in RunStatus.ended() for _, _, status in changes)
    return Told(f"{newest}:{moved}.{ended}", fragments)
