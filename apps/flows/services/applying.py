"""Applying a definition: the whole of it in one transaction, or nothing."""

from dataclasses import dataclass, replace
from datetime import datetime
from difflib import unified_diff

from django.db import transaction

from apps.accounts.models import Account, Member
from apps.accounts.services import COMMAND, Actor, record_audit
from apps.connectors.registry import CONNECTORS
from apps.core.clock import database_now, read_now
from apps.engine.plan import Node, Plan
from apps.flows.definition import Definition, DefinitionError, Mistake, parse_definition
from apps.flows.definition.head import name_of
from apps.flows.definition.models import CallStep
from apps.flows.definition.warnings import warnings_of
from apps.flows.hooks import ensure_hook
from apps.flows.layout import all_steps
from apps.flows.models import Connection, Flow, Integration, Revision, Step
from apps.flows.planning import build_plan
from apps.flows.schedules import next_due
from apps.flows.selectors import known_to


class RevisionConflictError(Exception):
    """Somebody else applied a definition meanwhile; `diff` shows what the caller's text would change of it."""

    def __init__(self, flow: Flow, current: int, diff: str) -> None:
        super().__init__(
            f"Flow {flow.name} is at revision {current} by now: somebody else has applied a definition since you "
            "read it. Look at the difference and apply again."
        )
        self.current = current
        self.diff = diff


@dataclass(frozen=True, slots=True)
class AppliedRevision:
    """What applying did: `changes` in sentences (none: everything was like that), `diff` to the revision before.

    `warnings` tell what the definition may do that its author may not expect.
    """

    flow: Flow
    revision: Revision
    is_new_flow: bool
    is_new_revision: bool
    changes: tuple[str, ...]
    diff: str
    warnings: tuple[Mistake, ...] = ()


def actor_of(member: Member | None) -> Actor:
    return COMMAND if member is None else Actor.member(member)


@transaction.atomic
def apply_definition(
    *, account: Account, text: str, member: Member | None = None, expected_revision: int | None = None
) -> AppliedRevision:
    """Apply a definition: integration, flow, steps and, if the text changed, a new revision.

    `expected_revision` is the number that the caller has read (0: no flow yet). Raises DefinitionError with every
    mistake, RevisionConflictError when the flow is at another revision.
    """
    # one apply at a time: keys and numbers are counted up
    Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    definition = parse_definition(text, known=known_to(account))
    present = Flow.objects.of(account).filter(key=definition.head.flow).select_related("revision").first()
    before = present.revision if present else None
    if present is not None:
        refuse_other_revision(present, before, text, expected_revision)
    flow, changes = write_flow(account, definition, present)
    plan = build_plan(definition)
    changes += write_steps(flow, plan, definition.environment)
    give_address(flow, plan)
    callees = callees_of(account, definition)
    if before is not None and before.sha256 == definition.sha256 and before.callees == callees:
        applied = AppliedRevision(flow, before, False, False, tuple(changes), "")
    else:
        revision = write_revision(flow, definition, before, member, callees)
        diff = revision_diff(before, revision)
        applied = AppliedRevision(
            flow, revision, present is None, True, (f"revision {revision.number}", *changes), diff
        )
    applied = replace(applied, warnings=warnings_of(definition))
    audit(applied, before, member)
    if applied.is_new_revision and present is not None:
        renew_callers(account, flow, member)
    return applied


def renew_callers(account: Account, callee: Flow, member: Member | None) -> None:
    """The flows that call this one get a revision with its new steps: their next runs work by them."""
    flows = Flow.objects.of(account).filter(removed_at__isnull=True, revision__isnull=False).exclude(pk=callee.pk)
    for flow in flows.select_related("revision").order_by("pk"):
        before = flow.revision
        assert before is not None, "only flows with a revision are looked at"
        if callee.key not in before.callees:
            continue
        try:
            definition = parse_definition(before.definition, known=known_to(account))
        except DefinitionError as error:
            first = error.mistakes[0]
            message = f"The flow {flow.key} calls this one, and could not any more: {first.place}: {first.message}"
            raise DefinitionError([Mistake("", message, "change that flow first")]) from error
        write_steps(flow, build_plan(definition), definition.environment)
        revision = write_revision(flow, definition, before, member, callees_of(account, definition))
        change = f"its sub-flow {callee.key} has changed"
        audit(AppliedRevision(flow, revision, False, True, (change,), ""), before, member)


def callees_of(account: Account, definition: Definition) -> dict[str, int]:
    """Flow key -> revision of every flow that is called, at any depth."""
    keys = {step.call.definition.head.flow for step in all_steps(definition.steps) if isinstance(step, CallStep)}
    called = Flow.objects.of(account).filter(key__in=keys) if keys else Flow.objects.of(account).none()
    return dict(called.order_by("key").values_list("key", "revision"))


def refuse_other_revision(flow: Flow, before: Revision | None, text: str, expected: int | None) -> None:
    number = before.number if before else 0
    if expected is not None and expected != number:
        raise RevisionConflictError(
            flow, number, text_diff(before.definition if before else "", text, "current", "yours")
        )


def audit(applied: AppliedRevision, before: Revision | None, member: Member | None) -> None:
    if not applied.changes:
        return
    record_audit(
        account=applied.flow.account_id,
        actor=actor_of(member),
        act="flow.apply",
        target=applied.flow,
        before={"revision": before.number} if before else None,
        after={"revision": applied.revision.number, "changes": list(applied.changes)},
    )


# --- the flow --------------------------------------------------------------------------------------------------------
def write_flow(account: Account, definition: Definition, present: Flow | None) -> tuple[Flow, list[str]]:
    """The flow's row with the copies of its definition, and what changed in words."""
    integration, changes = write_integration(account, definition)
    flow = present or Flow(account=account, key=definition.head.flow)
    values = columns_of(account, definition, flow, integration)
    changed = [name for name, value in values.items() if getattr(flow, name) != value]
    due_before = flow.next_due_at
    for name in changed:
        setattr(flow, name, values[name])
    if {"enabled", "cron", "time_zone", "removed_at"} & set(changed) or (flow.cron and flow.next_due_at is None):
        flow.next_due_at = next_due_of(flow)
    if "auto_resolve" in changed and flow.auto_resolve:
        flow.auto_resolve_since = read_now()
    if changed or present is None or flow.next_due_at != due_before:
        flow.save()
    if present is None:
        return flow, [*changes, "new flow"]
    return flow, [*changes, *(f"{name.removesuffix('_id').replace('_', ' ')} changed" for name in changed)]


def columns_of(account: Account, definition: Definition, flow: Flow, integration: Integration) -> dict[str, object]:
    """The flow's columns as the definition wants them. Whether it is enabled stays as it is where nothing is said."""
    head = definition.head
    first = Flow.objects.of(account).filter(key=head.run_after).only("pk").first() if head.run_after else None
    return {
        "integration_id": integration.pk,
        "name": head.shown_name,
        "description": head.description,
        "enabled": flow.enabled if head.enabled is None else head.enabled,
        "auto_resolve": head.auto_resolve,
        "auto_retry": head.auto_retry,
        "overlap": head.overlap,
        "cron": head.schedule.cron if head.schedule else "",
        "time_zone": head.schedule.time_zone if head.schedule else "",
        "run_after_id": first.pk if first else None,
        "scope": definition.scope.value,
        "page_size": head.page_size,
        "parallel_pages": head.parallel_pages,
        "removed_at": None,
    }


def next_due_of(flow: Flow) -> datetime | None:
    """When an enabled flow with a schedule runs next, counted from now."""
    return next_due(flow.cron, flow.time_zone, read_now()) if flow.enabled and flow.cron else None


def write_integration(account: Account, definition: Definition) -> tuple[Integration, list[str]]:
    """The integration, made or renamed as the definition says."""
    part = definition.head.integration
    integration = Integration.objects.of(account).filter(slug=part.key).first()
    if integration is None:
        name = part.name or name_of(part.key)
        made = Integration(account=account, slug=part.key, name=name, environment=definition.environment)
        made.description = part.description or ""
        made.save(force_insert=True)
        return made, [f"new integration {part.key}"]
    wanted = {"name": part.name, "description": part.description}
    changed = {name: value for name, value in wanted.items() if value not in {None, getattr(integration, name)}}
    for name, value in changed.items():
        setattr(integration, name, value)
    if changed:
        integration.save(update_fields=list(changed))
    return integration, [f"{name} of integration {part.key} changed" for name in changed]


# --- steps and revisions ---------------------------------------------------------------------------------------------
def write_steps(flow: Flow, plan: Plan, environment: str) -> list[str]:
    """Bring the step rows to the plan: identity by key, removed ones kept, ones that come back revived."""
    rows = {step.key: step for step in Step.objects.of(flow.account_id).filter(flow=flow)}
    names = {node.connection for node in plan.nodes if node.connection}
    of_environment = Connection.objects.of(flow.account_id).filter(environment=environment, name__in=names)
    connections = dict(of_environment.values_list("name", "pk"))
    nodes = [node for node in plan.nodes if not node.is_inner]
    changes = [write_step(flow, node, rows.get(node.key), connections) for node in nodes]
    gone = set(rows) - {node.key for node in nodes}
    leaving = [step for key, step in rows.items() if key in gone and step.removed_at is None]
    Step.objects.of(flow.account_id).filter(pk__in=[step.pk for step in leaving]).update(removed_at=database_now())
    return [change for change in changes if change] + [f"step {step.key} removed" for step in leaving]


def give_address(flow: Flow, plan: Plan) -> None:
    """An export that others send to gets its address, once."""
    if CONNECTORS[plan.export.connector].listens:
        ensure_hook(Step.objects.of(flow.account_id).get(flow=flow, key=plan.export.key))


def write_step(flow: Flow, node: Node, row: Step | None, connections: dict[str, int]) -> str:
    """One step's row; what changed in words, "" for nothing."""
    values = {
        "kind": node.kind.value,
        "name": node.name,
        "path": node.path[:255],
        "position": node.index,
        "connection_id": connections.get(node.connection),
        "removed_at": None,
    }
    if row is None:
        Step(account_id=flow.account_id, flow=flow, key=node.key, **values).save(force_insert=True)
        return f"step {node.key} added"
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    if not changed:
        return ""
    for name in changed:
        setattr(row, name, values[name])
    row.save(update_fields=changed)
    return f"step {node.key} revived" if "removed_at" in changed else f"step {node.key} changed"


def write_revision(
    flow: Flow, definition: Definition, before: Revision | None, member: Member | None, callees: dict[str, int]
) -> Revision:
    revision = Revision(
        account_id=flow.account_id,
        flow=flow,
        number=before.number + 1 if before else 1,
        definition=definition.text,
        sha256=definition.sha256,
        callees=callees,
        member=member,
    )
    revision.save(force_insert=True)
    flow.revision = revision
    flow.save(update_fields=["revision"])
    return revision


def revision_diff(before: Revision | None, after: Revision) -> str:
    """What a revision changed of another (None: of nothing), as a unified diff."""
    old = (before.definition, f"revision {before.number}") if before else ("", "nothing")
    return text_diff(old[0], after.definition, old[1], f"revision {after.number}")


def text_diff(before: str, after: str, before_name: str, after_name: str) -> str:
    rows = unified_diff(before.splitlines(), after.splitlines(), before_name, after_name, lineterm="")
    return "\n".join(rows)
