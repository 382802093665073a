"""The head of a flow's pages: its steps in order with their live counts, and the run that is under way."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.connectors.registry import CONNECTORS
from apps.console.schedule_text import schedule_text
from apps.console.selectors.step_facts import StepFacts, facts_of
from apps.flows.models import Flow, Overlap, Step, StepKind
from apps.runs.models import FlowState, Run
from apps.runs.statuses import RunKind, RunStatus

NO_FACTS = StepFacts()
CONNECTOR_WORDS = {"sql": "SQL", "http": "HTTP", "email": "e-mail", "sftp": "SFTP", "s3": "S3"}
ON_ERROR = "/on error"
"""How the path of a step in a handler ends."""
OWN_RUNS = (RunKind.FLOW, RunKind.TEST)


@dataclass(frozen=True)
class Node:
    """One step as the pipeline shows it; `open_errors` is live, `is_at_work`: a page may be in it right now."""

    step: Step
    facts: StepFacts
    open_errors: int
    is_at_work: bool = False

    @property
    def app(self) -> str:
        return self.step.connection.kind if self.step.connection else self.step.kind

    @property
    def type_text(self) -> str:
        """`Warehouse, SQL import`; without a connection just `Map`."""
        kind = self.step.get_kind_display()
        connection = self.step.connection
        if connection is None:
            return kind
        return f"{connection.name}, {CONNECTOR_WORDS.get(connection.kind, connection.kind)} {kind.lower()}"

    @property
    def sends(self) -> str:
        """When an import sends what cannot be undone; "" for one whose writes can be, and for other steps."""
        connector = CONNECTORS.get(self.app) if self.step.kind == StepKind.IMPORT else None
        if connector is None or connector.is_transactional():
            return ""
        return "sends now" if self.facts.sends_now else "sends after the commit"


@dataclass(frozen=True)
class Stage:
    """One place of the pipeline: a step, the steps of its handler, and those of the flow that it calls."""

    node: Node
    handler: Sequence[Node] = ()
    callee: Flow | None = None
    inner: Sequence[Step] = ()


@dataclass(frozen=True)
class FlowHead:
    """What stands above every tab of a flow. `removed` are steps that are gone but whose errors and counts stay."""

    flow: Flow
    nodes: Sequence[Node]
    removed: Sequence[Node]
    active_run: Run | None
    last_status: str
    called: Sequence[Step] = ()

    @property
    def stages(self) -> list[Stage]:
        """The pipeline: handlers below their steps, called flows inside theirs."""
        return [self._stage(node) for node in self.nodes if not node.facts.handles]

    def _stage(self, node: Node) -> Stage:
        handler = [other for other in self.nodes if other.facts.handles == node.step.key]
        inner = [step for step in self.called if step.flow.key == node.facts.callee]
        return Stage(node, handler, inner[0].flow if inner else None, inner)

    @property
    def is_described(self) -> bool:
        """Whether the definition says in words what the flow or a step is for."""
        return bool(self.flow.description or any(node.facts.description for node in self.nodes))

    @property
    def open_errors(self) -> int:
        return sum(node.open_errors for node in (*self.nodes, *self.removed))

    @property
    def schedule(self) -> str:
        return schedule_text(self.flow)

    @property
    def next_due_at(self) -> datetime | None:
        return self.flow.next_due_at if self.flow.enabled and self.flow.cron else None

    @property
    def why_not_run(self) -> str:
        """Why the flow cannot be run now, for the title of a disabled button; "" if it can."""
        if self.flow.revision_id is None:
            return "This flow has no definition yet. Apply one first."
        if not self.flow.enabled:
            return "This flow is disabled. Enable it first."
        if self.flow.overlap == Overlap.SKIP and self.active_run is not None:
            return "A run is under way, and this flow's overlap policy is to skip the new one."
        return ""

    @property
    def takes_requests(self) -> bool:
        """Whether requests that are sent to the flow's own address become its records."""
        connectors = (CONNECTORS.get(node.app) for node in self.nodes if node.step.kind == StepKind.EXPORT)
        return any(connector is not None and connector.listens for connector in connectors)

    def node_of(self, step_id: int) -> Node | None:
        return next((node for node in (*self.nodes, *self.removed) if node.step.pk == step_id), None)

    @property
    def with_errors(self) -> list[Node]:
        return [node for node in (*self.nodes, *self.removed) if node.open_errors]


def flow_head(flow: Flow) -> FlowHead:
    """One query for the steps, one more if a run is under way (the flow's state says so), and one if it calls flows."""
    state: FlowState | None = getattr(flow, "state", None)
    is_active = state is not None and state.running + state.queued > 0
    active = active_run(flow) if is_active else None
    steps = Step.objects.of(flow.account_id).filter(flow=flow).select_related("connection", "state")
    nodes = nodes_of(steps.order_by("position", "id"), active, facts_of(flow.revision))
    present = [node for node in nodes if node.step.removed_at is None]
    removed = [node for node in nodes if node.step.removed_at is not None]
    return FlowHead(flow, present, removed, active, state.last_status if state else "", called_steps(flow))


def called_steps(flow: Flow) -> list[Step]:
    """The steps of the flows that this one calls: not their exports, which a call leaves out, nor their handlers."""
    if flow.revision is None or not flow.revision.callees:
        return []
    steps = Step.objects.of(flow.account_id).present().filter(flow__key__in=flow.revision.callees)
    usual = steps.exclude(kind=StepKind.EXPORT).exclude(path__endswith=ON_ERROR)
    return list(usual.select_related("flow"))


def active_run(flow: Flow) -> Run | None:
    """The run that is under way: the oldest one that is running, else the oldest that is queued."""
    rows = Run.objects.of(flow.account_id).for_flow(flow).active().filter(kind__in=OWN_RUNS)
    runs = list(rows.select_related("started_by__user").order_by("id")[:10])
    running = [run for run in runs if run.status == RunStatus.RUNNING]
    return next(iter([*running, *runs]), None)


def latest_run(flow: Flow) -> Run | None:
    rows = Run.objects.of(flow.account_id).for_flow(flow).filter(kind__in=OWN_RUNS)
    return rows.select_related("started_by__user", "canceled_by__user").newest_first().first()


def nodes_of(steps: Iterable[Step], run: Run | None, facts: Mapping[str, StepFacts]) -> list[Node]:
    """The steps of a flow, which have their connection and state at hand."""
    return [
        Node(step, facts.get(step.key, NO_FACTS), open_errors_of(step), run is not None and is_at_work(run, step))
        for step in steps
    ]


def open_errors_of(step: Step) -> int:
    state = getattr(step, "state", None)
    return state.open_errors if state is not None else 0


def is_at_work(run: Run, step: Step) -> bool:
    """Pages go through all steps together, so every step of a run that is not waiting may have one in work."""
    if run.status != RunStatus.RUNNING or run.wait_reason:
        return False
    if step.kind == StepKind.EXPORT:
        return not run.done_exporting
    return run.pages_fetched > run.pages_done
