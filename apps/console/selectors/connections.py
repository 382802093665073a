"""Connections: which there are, who uses them, what they hold (never a secret), how their last tests went."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from apps.accounts.models import AuditEntry
from apps.accounts.permissions import ACTS, Act
from apps.accounts.selectors import person
from apps.connectors.base import ConnectionConfig, Connector, options_for
from apps.connectors.redaction import redact
from apps.connectors.registry import CONNECTORS
from apps.console.access import Reach, may_do, reach_of
from apps.console.config_shapes import Choice, Shape, shape_of
from apps.console.connection_forms import LIMITS, group_of
from apps.console.selectors.connection_health import LAST_TESTS, latencies
from apps.console.selectors.pulse import connections_in
from apps.core.crypto import SecretUnreadableError
from apps.core.ids import LARGEST_KEY
from apps.flows.models import Connection, ConnectionState, Flow, Ledger, Step
from apps.flows.secrets import secret_names, secrets_end_at

STEP_KINDS = ("export", "lookup", "import")


def get_connection(request: HttpRequest, connection_id: int, to: Act = Act.VIEW) -> Connection:
    """Raises Http404 for one that this member does not see, PermissionDenied for an act above his role.

    Whoever has roles in single integrations only reads the connections that those use and changes none.
    """
    if not 0 < connection_id <= LARGEST_KEY:
        raise Http404("There is nothing here for you.")
    found = connections_in(reach_of(request)).filter(pk=connection_id).select_related("account").first()
    if found is None:
        raise Http404("There is nothing here for you.")
    if to is not Act.VIEW:
        require(request, to)
    return found


def require(request: HttpRequest, act: Act) -> None:
    """Raises PermissionDenied unless the member may do this in the whole account."""
    if not may_do(request, act):
        words = act.value.replace("_", " ")
        raise PermissionDenied(f"Your role does not allow you to {words}: it takes the role {ACTS[act].label}.")


@dataclass(frozen=True)
class ConnectionRow:
    connection: Connection
    label: str  # of its kind
    flows: tuple[Flow, ...]  # that have a step on it, by name
    p50_ms: int | None  # of its last tests
    secrets_end_at: datetime | None  # where they say so

    @property
    def has_enabled(self) -> bool:
        return any(flow.enabled for flow in self.flows)


def connection_rows(reach: Reach) -> list[ConnectionRow]:
    """What is offline first, then by name; three queries."""
    flows = _flows_by_connection(reach)
    connections = list(connections_in(reach).order_by("name", "pk"))
    times = latencies(reach.account_id, [found.pk for found in connections])
    rows = [
        ConnectionRow(
            found,
            label_of(found.kind),
            tuple(flows.get(found.pk, ())),
            times.get(found.pk),
            secrets_end_at(found),
        )
        for found in connections
    ]
    return sorted(rows, key=lambda row: row.connection.state != ConnectionState.OFFLINE)


def _flows_by_connection(reach: Reach) -> dict[int, list[Flow]]:
    rows = (
        Step.objects.of(reach.account_id)
        .present()
        .filter(connection__isnull=False, flow__removed_at__isnull=True, **reach.where("flow__integration"))
    )
    found: dict[int, dict[int, Flow]] = {}
    for step in rows.select_related("flow").order_by("flow__name", "flow_id"):
        found.setdefault(step.connection_id or 0, {})[step.flow_id] = step.flow
    return {key: list(flows.values()) for key, flows in found.items()}


def label_of(kind: str) -> str:
    return CONNECTORS[kind].label if kind in CONNECTORS else kind


@dataclass(frozen=True)
class Kind:
    """A kind of connection that can be made; `missing` says how to install what it lacks."""

    name: str
    label: str
    about: str
    can: tuple[str, ...]
    missing: str
    maintainer: str
    contact: str


def kinds() -> list[Kind]:
    """By label."""
    found = (kind_of(name, connector) for name, connector in CONNECTORS.items())
    return sorted(found, key=lambda kind: kind.label.casefold())


def kind_of(name: str, connector: type[Connector]) -> Kind:
    about = (connector.Config.__doc__ or "").strip().split("\n\n")[0]
    can = tuple(step for step in STEP_KINDS if options_for(connector, step) is not None)
    return Kind(
        name,
        connector.label,
        " ".join(about.split()),
        can,
        connector.missing(),
        connector.maintainer,
        connector.contact,
    )


def steps_on(connection: Connection, reach: Reach) -> list[Step]:
    """The steps that use it now, by flow and order, each with its flow, integration and open errors; one query."""
    rows = (
        Step.objects.of(reach.account_id)
        .present()
        .filter(connection=connection, flow__removed_at__isnull=True, **reach.where("flow__integration"))
    )
    return list(rows.select_related("flow__integration", "state").order_by("flow__name", "flow_id", "position", "id"))


def ledger_of(connection: Connection) -> Ledger | None:
    """What is known of the ledger in its database, if a flow writes there; one query."""
    return Ledger.objects.of(connection.account_id).filter(connection=connection, trimmed_at__isnull=False).first()


@dataclass(frozen=True)
class Test:
    """One press of the test button; `ms` is how long the application took."""

    at: datetime
    by: str
    is_ok: bool
    tried: str
    found: str
    ms: int


def last_tests(connection: Connection) -> list[Test]:
    """Newest first, from the audit log; one query."""
    rows = AuditEntry.objects.of(connection.account_id).filter(
        object_kind="connection", object_id=connection.pk, act="connection.test"
    )
    return [_test(entry) for entry in rows.select_related("member__user").order_by("-id")[:LAST_TESTS]]


def _test(entry: AuditEntry) -> Test:
    after = entry.after or {}
    by = person(entry.member) if entry.member_id else "command line"
    return Test(
        entry.at, by, bool(after.get("ok")), after.get("tried", ""), after.get("found", ""), after.get("ms") or 0
    )


@dataclass(frozen=True)
class Setting:
    """One field of the config in words; `is_set` tells whether it was filled in."""

    label: str
    text: str
    group: str
    is_set: bool = True


@dataclass(frozen=True)
class Settings:
    """What a connection holds. Of secrets only whether they are set; `problem` if no key opens them."""

    filled: tuple[Setting, ...]
    others: tuple[Setting, ...]
    limits: tuple[Setting, ...]
    problem: str = ""


def settings_of(connection: Connection) -> Settings:
    connector = CONNECTORS.get(connection.kind)
    if connector is None:
        return Settings((), (), (), f"The connector {connection.kind} is not installed.")
    problem = ""
    try:
        names = set(secret_names(connection))
    except SecretUnreadableError as error:
        names, problem = set(), str(error)
    plain = _plain_settings(connector.Config, redact(connection.config))
    secret = _secret_settings(connector.Config, names)
    others = [found for found in plain if found.group != LIMITS]
    return Settings(
        filled=tuple(found for found in [*others, *secret] if found.is_set),
        others=tuple(found for found in [*others, *secret] if not found.is_set and found.text),
        limits=tuple(found for found in plain if found.group == LIMITS),
        problem=problem,
    )


def _plain_settings(model: type[ConnectionConfig], config: Mapping[str, Any]) -> list[Setting]:
    found = []
    for name, info in model.model_fields.items():
        if name in model.secret_fields():
            continue
        is_set = name in config
        value = config[name] if is_set else info.get_default(call_default_factory=True)
        text = _in_words(shape_of(info, is_secret=False), value)
        found.append(Setting(info.title or name, text, group_of(name, info), is_set))
    return found


def _in_words(shape: Shape, value: Any) -> str:
    shown = shape.shown(value)
    if isinstance(shape, Choice):
        return shape.label(shown) if shown else ""
    if isinstance(shown, bool):
        return "yes" if shown else "no"
    return str(shown)


def _secret_settings(model: type[ConnectionConfig], names: set[str]) -> list[Setting]:
    fields = ((name, info) for name, info in model.model_fields.items() if name in model.secret_fields())
    return [
        Setting(info.title or name, "set" if name in names else "not set", "", name in names) for name, info in fields
    ]


def secrets_set(connection: Connection) -> frozenset[str]:
    """The names of the secrets that are stored; none if no key opens them."""
    try:
        return frozenset(secret_names(connection))
    except SecretUnreadableError:
        return frozenset()
