"""Cloning an integration: its flows under other keys, in the same environment or in the other one.

Nothing runs by itself afterwards: every flow is disabled, and no secret, checkpoint, run or error comes along.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from apps.accounts.models import Account, Member
from apps.accounts.services import record_audit
from apps.connectors.redaction import redact
from apps.connectors.registry import CONNECTORS
from apps.flows.definition import DefinitionError
from apps.flows.definition.document import read_document
from apps.flows.definition.mistakes import Path
from apps.flows.definition.rewriting import REMOVED, dumped, rewrite, value_at, with_value
from apps.flows.models import Connection, ConnectionState, Flow, Integration, Step
from apps.flows.naming import LONGEST_KEY, free_name
from apps.flows.services.applying import actor_of, apply_definition
from apps.flows.services.grouping import create_integration

LONGEST_NAME = 120
USES = frozenset({"export", "lookup", "import"})
"""The parts of a definition that name a connection."""


class CloneRefused(Exception):  # noqa: N818 (an answer, not a fault)
    """An integration that cannot be cloned like this; the message tells why."""


@dataclass(frozen=True)
class Binding:
    """A connection that the flows use, and those of its kind in the target environment; `present` has its name."""

    connection: Connection
    steps: int
    offered: Sequence[Connection]

    @property
    def label(self) -> str:
        connector = CONNECTORS.get(self.connection.kind)
        return connector.label if connector else self.connection.kind

    @property
    def present(self) -> Connection | None:
        return next((one for one in self.offered if one.name == self.connection.name), None)


@dataclass(frozen=True)
class Cloned:
    """`bare` are the connections that were made without credentials."""

    integration: Integration
    flows: Sequence[Flow]
    bare: Sequence[Connection]


def flows_to_clone(integration: Integration) -> list[Flow]:
    """Its flows that have a definition, with it, by name."""
    rows = Flow.objects.of(integration.account_id).present().filter(integration=integration, revision__isnull=False)
    return list(rows.select_related("revision").order_by("name", "pk"))


def bindings(integration: Integration, environment: str) -> list[Binding]:
    """What has to be bound anew, by name."""
    flows = flows_to_clone(integration)
    names = {name for flow in flows for _, name in uses_in(raw_of(flow))}
    own = Connection.objects.of(integration.account_id).filter(environment=integration.environment, name__in=names)
    theirs = list(Connection.objects.of(integration.account_id).filter(environment=environment).order_by("name"))
    steps = Step.objects.of(integration.account_id).filter(flow__in=flows, removed_at__isnull=True)
    counts = list(steps.values_list("connection_id", flat=True))
    return [
        Binding(one, counts.count(one.pk), [other for other in theirs if other.kind == one.kind])
        for one in own.order_by("name")
    ]


@transaction.atomic
def clone_integration(
    *,
    integration: Integration,
    environment: str,
    key: str,
    name: str,
    connections: Mapping[int, Connection | None],
    member: Member | None = None,
) -> Cloned:
    """Make the integration again with all its flows, disabled. `connections`: id -> the one to use instead; None makes
    one of the same kind and address without credentials.

    Raises IntegrationRefused for a key that is taken, CloneRefused with the reason why a flow cannot be cloned.
    """
    account = Account.objects.select_for_update(no_key=True).get(pk=integration.account_id)
    made = create_integration(
        account=account, environment=environment, key=key, name=name, description=integration.description,
        owner=integration.owner, member=member,
    )  # fmt: skip
    bound, bare = bound_names(integration, environment, connections, member)
    flows = flows_to_clone(integration)
    keys = new_keys(account, flows, environment if environment != integration.environment else "copy")
    cloned = []
    for flow in in_order(flows):
        text = cloned_text(flow, made, keys, bound)
        try:
            cloned.append(apply_definition(account=account, text=text, member=member).flow)
        except DefinitionError as error:
            first = error.mistakes[0]
            raise CloneRefused(f"The flow {flow.name} cannot be cloned: {first.place}: {first.message}") from error
    record_audit(
        account=account, actor=actor_of(member), act="integration.clone", target=made,
        after={"from": integration.slug, "environment": environment, "flows": sorted(keys.values())},
    )  # fmt: skip
    return Cloned(made, cloned, bare)


# --- connections -----------------------------------------------------------------------------------------------------
def bound_names(
    integration: Integration, environment: str, connections: Mapping[int, Connection | None], member: Member | None
) -> tuple[dict[str, str], list[Connection]]:
    """Name -> name of the connection instead, and those that were made for it."""
    found, bare = {}, []
    for binding in bindings(integration, environment):
        chosen = connections.get(binding.connection.pk)
        if chosen is not None and chosen not in binding.offered:
            raise CloneRefused(f"{chosen.name} cannot stand for {binding.connection.name}: choose one of its kind.")
        if chosen is None:
            chosen = bare_connection(binding.connection, environment, member)
            bare.append(chosen)
        found[binding.connection.name] = chosen.name
    return found, bare


def bare_connection(connection: Connection, environment: str, member: Member | None) -> Connection:
    """One of the same kind and address, without any credentials: they are given where it is used."""
    taken = Connection.objects.of(connection.account_id).filter(environment=environment)
    name = free_name(connection.name[: LONGEST_NAME - 6], set(taken.values_list("name", flat=True)))
    config = redact(connection.config)
    made = Connection(
        account_id=connection.account_id, environment=environment, name=name, kind=connection.kind, config=config,
        state=ConnectionState.NEVER, offline_after=connection.offline_after,
        max_concurrency=connection.max_concurrency, max_rate=connection.max_rate,
    )  # fmt: skip
    made.save(force_insert=True)
    record_audit(
        account=connection.account_id, actor=actor_of(member), act="connection.set", target=made,
        after={"kind": made.kind, "config": config, "secrets": []},
    )  # fmt: skip
    return made


# --- definitions -----------------------------------------------------------------------------------------------------
def raw_of(flow: Flow) -> Any:
    assert flow.revision is not None, "only flows with a definition are cloned"
    return read_document(flow.revision.definition).value


def uses_in(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """(path, name) of every connection that a definition names, in handlers and branches too."""
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        if name in USES and isinstance(part, Mapping) and isinstance(part.get("connection"), str):
            yield (*path, name, "connection"), part["connection"]
        yield from uses_in(part, (*path, name))


def calls_in(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """(path, key) of every flow that a definition calls."""
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        if name == "call" and isinstance(part, Mapping) and isinstance(part.get("flow"), str):
            yield (*path, name, "flow"), part["flow"]
        yield from calls_in(part, (*path, name))


def in_order(flows: Sequence[Flow]) -> list[Flow]:
    """A flow comes behind those that it calls or runs after."""
    waiting = {flow.key: flow for flow in flows}
    needs = {flow.key: needed_by(flow) & waiting.keys() for flow in flows}
    ordered: list[Flow] = []
    while waiting:
        ready = [key for key in waiting if not needs[key] & waiting.keys()] or list(waiting)[:1]
        ordered += [waiting.pop(key) for key in ready]
    return ordered


def needed_by(flow: Flow) -> set[str]:
    raw = raw_of(flow)
    return {key for _, key in calls_in(raw)} | {str(raw.get("run_after"))}


def cloned_text(flow: Flow, made: Integration, keys: Mapping[str, str], bound: Mapping[str, str]) -> str:
    """The definition with other keys and connections, disabled. It runs after no flow that stays behind."""
    assert flow.revision is not None, "only flows with a definition are cloned"
    raw = raw_of(flow)
    changes: dict[Path, Any] = {("flow",): keys[flow.key], ("integration",): made.slug, ("enabled",): False}
    if value_at(raw, ("name",)) is REMOVED:
        changes["name",] = flow.name
    if raw.get("run_after"):
        changes["run_after",] = keys.get(raw["run_after"], REMOVED)
    changes |= {path: bound[name] for path, name in uses_in(raw) if name in bound and bound[name] != name}
    changes |= {path: keys[key] for path, key in calls_in(raw) if key in keys}
    return rewritten(flow.revision.definition, changes)


def rewritten(text: str, changes: Mapping[Path, Any]) -> str:
    """With the text's comments and order where it can be; one with unusual notations is written anew."""
    try:
        return rewrite(text, changes)
    except DefinitionError:
        value = read_document(text).value
        for path, new in changes.items():
            value = with_value(value, path, new)
        return dumped(value)


# --- keys ------------------------------------------------------------------------------------------------------------
def new_keys(account: Account, flows: Sequence[Flow], ending: str) -> dict[str, str]:
    """Key -> a free key for the clone."""
    taken = set(Flow.objects.of(account).values_list("key", flat=True))
    found = {}
    for flow in flows:
        found[flow.key] = free_name(f"{flow.key[: LONGEST_KEY - len(ending) - 6]}-{ending}", taken)
        taken.add(found[flow.key])
    return found
