"""The live topics of a flow's pages: the pipeline and the flow's state, the counts of a run, a step's open errors."""

from collections.abc import Iterator, Sequence

from django.http import HttpRequest
from django.template.loader import render_to_string

from apps.accounts.permissions import Act
from apps.console.access import may_do
from apps.console.addresses import FlowId, RunId
from apps.console.context import preferences_of
from apps.console.live import Told, topic
from apps.console.loaded import head_of, keep_run, run_of, step_of
from apps.console.selectors.flow_page import FlowHead, open_errors_of
from apps.console.selectors.retry_runs import with_results
from apps.console.selectors.run_page import run_view
from apps.flows.models import Step
from apps.runs.services import RETRY_KINDS


def flow_topic(flow_id: int) -> str:
    return f"flow:{flow_id}"


def run_topic(run_id: int) -> str:
    return f"run:{run_id}"


def step_topic(step: Step) -> str:
    return f"step:{step.flow_id}.{step.pk}"


@topic("flow", shared=True)
def flow_told(request: HttpRequest, key: str) -> Told:
    """The nodes of the pipeline, the state and the open count in the head, and that a newer run has begun."""
    head = head_of(request, key_of(FlowId, key))
    flow = head.flow
    state = getattr(flow, "state", None)
    last_run = str(state.last_run_id) if state else ""

    def fragments(since: str) -> Iterator[str]:
        facts = {
            "head": head,
            "flow": flow,
            "prefs": preferences_of(request),
            "last_run_id": last_run,
            "has_new_run": head_in(since) != last_run,
            "may_cancel": may_do(request, Act.CANCEL_RUN, flow.integration_id),
            "may_run": may_do(request, Act.RUN_FLOW, flow.integration_id),
        }
        yield render_to_string("flow/_live.html", facts, request)

    active = head.active_run
    if active is not None:
        keep_run(request, active)  # for the topic of the run, which is on the same page
    work = f"{active.pk}.{active.change_no}" if active else ""
    return Told(f"{last_run}:{head.last_status}-{work}-{open_version(head)}-{int(flow.enabled)}", fragments, head_in)


@topic("run", shared=True)
def run_told(request: HttpRequest, key: str) -> Told:
    """The cells of a run's console."""
    run = run_of(request, key_of(RunId, key))
    head = head_of(request, run.flow_id)
    errors = run.errors + run.unit_errors

    def fragments(since: str) -> Iterator[str]:
        facts = {
            "view": run_view(run, head),
            "run": run,
            "flow": head.flow,
            "prefs": preferences_of(request),
            "has_new_errors": head_in(since) != str(errors),
        }
        yield render_to_string("run/_live.html", facts)
        if run.kind in RETRY_KINDS:
            (row,) = with_results([run])
            yield render_to_string("run/_retried_sum.html", {"row": row, "oob": True})

    return Told(f"{errors}:{run.change_no}-{run.status}-{open_version(head)}", fragments, head_in)


@topic("step", shared=True)
def step_told(request: HttpRequest, key: str) -> Told:
    """A step's open count, and that there are new errors; the key is `<flow>.<step>`."""
    flow_id, _, step_id = key.partition(".")
    step = step_of(request, key_of(FlowId, flow_id), key_of(FlowId, step_id))
    newest = version_of([step])

    def fragments(since: str) -> Iterator[str]:
        has_new = newest_in(since) != newest_in(newest)
        yield render_to_string("error/_live.html", {"open_errors": open_errors_of(step), "has_new_errors": has_new})

    return Told(newest, fragments, newest_in)


def head_in(version: str) -> str:
    """The last run in a flow's version, the number of errors in a run's."""
    return version.partition(":")[0]


def newest_in(version: str) -> str:
    """The newest error in a step's version."""
    return version.rpartition(".")[2]


def key_of(kind: type[FlowId] | type[RunId], text: str) -> int:
    """The id in a topic's key; 0, which nothing has, for what is none."""
    try:
        return kind().to_python(text)
    except ValueError:
        return 0


def open_version(head: FlowHead) -> str:
    """Moves when an open count of the flow does, or a new error comes."""
    return version_of([node.step for node in (*head.nodes, *head.removed)])


def version_of(steps: Sequence[Step]) -> str:
    """Two numbers: the open errors, and the millisecond of the newest error."""
    states = [state for step in steps if (state := getattr(step, "state", None)) is not None]
    newest = max((round(state.last_error_at.timestamp() * 1000) for state in states if state.last_error_at), default=0)
    return f"{sum(state.open_errors for state in states)}.{newest}"
