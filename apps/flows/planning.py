"""From a definition to the engine's plan: every expression compiled once, the steps laid out flat."""

from dataclasses import replace
from datetime import UTC, datetime

from apps.engine.plan import MAX_RECORDS, Plan
from apps.engine.ports import Scope
from apps.flows.compiling import trace_key_of, workflow_retry_of
from apps.flows.definition import Definition, parse_definition
from apps.flows.definition.models import ExportStep
from apps.flows.layout import facts_of, lay_out
from apps.flows.models import Revision
from apps.flows.selectors import known_to

KEPT_PLANS = 64


_plans: dict[tuple[int, str], Plan] = {}


def plan_for(revision: Revision) -> Plan:
    """The plan of a revision, compiled once per process. Raises DefinitionError if it cannot be run any more.

    That happens when a connection that it names is gone or has changed its kind.
    """
    name = (revision.pk, revision.sha256)
    plan = _plans.get(name)
    if plan is None:
        plan = build_plan(read_revision(revision))
        while len(_plans) >= KEPT_PLANS:
            _plans.pop(next(iter(_plans)), None)
        _plans[name] = plan
    return plan


def read_revision(revision: Revision) -> Definition:
    """The definition of a revision. Other flows may have changed since it was applied: they are not looked at.

    The flows that it calls are read as they were when it was applied.
    """
    pinned = Revision.objects.of(revision.account_id).filter(pk__in=revision.callees.values())
    texts = dict(pinned.values_list("flow__key", "definition")) if revision.callees else {}
    known = replace(known_to(revision.account_id), flows=None, callee=texts.get)
    return parse_definition(revision.definition, known=known)


def build_plan(definition: Definition) -> Plan:
    """Compile a definition."""
    head, flow = definition.head, facts_of(definition)
    export = definition.steps[0]
    assert isinstance(export, ExportStep), "a definition begins with its export"
    return Plan(
        nodes=lay_out(definition),
        scope=definition.scope,
        page_size=head.page_size,
        parallel_pages=head.parallel_pages,
        max_records=head.max_records or MAX_RECORDS,
        flow=flow,
        settings=head.settings,
        key_of=trace_key_of(export, Scope(datetime.now(UTC), flow=flow, settings=head.settings)),
        workflow_retry=workflow_retry_of(head.workflow_retry),
    )
