"""Who takes what: the subscriptions of an environment with the flows that each covers."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from apps.accounts.models import MemberRole
from apps.flows.models import Flow, Integration, Step
from apps.notifications.models import Subscription
from apps.notifications.querysets import of_active_takers

Scope = tuple[str, int]
"""What a subscription covers: ("account", 0), ("integration", id) or ("flow", id)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A flow as messages name it."""

    flow: int
    name: str
    integration: int
    integration_name: str
    slug: str


@dataclass(frozen=True, slots=True)
class Taker:
    """A member or a channel; the other one is 0. `visible`: the only integrations that the member sees."""

    member: int = 0
    channel: int = 0
    visible: frozenset[int] | None = None


@dataclass(frozen=True)
class Environs:
    """The flows of an environment and who has subscribed to them; three queries."""

    places: Mapping[int, Place]
    by_scope: Mapping[Scope, frozenset[int]]
    visible: Mapping[int, frozenset[int]]
    subscriptions: tuple[Subscription, ...]

    def taker_of(self, subscription: Subscription) -> Taker:
        member = subscription.member_id or 0
        if not member or (subscription.member is not None and subscription.member.role):
            return Taker(member, subscription.channel_id or 0)
        return Taker(member, 0, self.visible.get(member, frozenset()))

    def flows_of(self, scope: Scope, visible: frozenset[int] | None) -> frozenset[int]:
        """The flows below a scope that the taker sees."""
        flows = self.by_scope.get(scope, frozenset())
        if visible is None:
            return flows
        return frozenset(flow for flow in flows if self.places[flow].integration in visible)


def scope_of(subscription: Subscription) -> Scope:
    if subscription.flow_id:
        return ("flow", subscription.flow_id)
    return ("integration", subscription.integration_id) if subscription.integration_id else ("account", 0)


def environs_of(account: int, environment: str) -> Environs:
    places = places_in(account, environment)
    wanted = of_active_takers(Subscription.objects.of(account).filter(environment=environment))
    subscriptions = tuple(wanted.select_related("member").order_by("pk"))
    return Environs(places, scopes_of(places.values()), visible_to(account, subscriptions), subscriptions)


def places_in(account: int, environment: str) -> dict[int, Place]:
    flows = Flow.objects.of(account).filter(integration__environment=environment).order_by("integration__name", "name")
    columns = ("pk", "name", "integration_id", "integration__name", "integration__slug")
    return {row[0]: Place(*row) for row in flows.values_list(*columns)}


def scopes_of(places: Iterable[Place]) -> dict[Scope, frozenset[int]]:
    found: dict[Scope, set[int]] = defaultdict(set)
    for place in places:
        for scope in (("account", 0), ("integration", place.integration), ("flow", place.flow)):
            found[scope].add(place.flow)
    return {scope: frozenset(flows) for scope, flows in found.items()}


def visible_to(account: int, subscriptions: Iterable[Subscription]) -> dict[int, frozenset[int]]:
    """Member id -> the integrations that a member without a role in the account sees."""
    limited = {s.member_id for s in subscriptions if s.member is not None and not s.member.role}
    if not limited:
        return {}
    found: dict[int, set[int]] = defaultdict(set)
    for member, integration in MemberRole.objects.of(account).values_list("member_id", "integration_id"):
        found[member].add(integration)
    return {member: frozenset(found[member]) for member in limited if member is not None}


def scopes_of_connection(account: int, connection: int) -> set[Scope]:
    """The whole account, and the integrations and flows that use the connection."""
    steps = Step.objects.of(account).filter(connection_id=connection, removed_at__isnull=True)
    used = steps.filter(flow__removed_at__isnull=True).values_list("flow_id", "flow__integration_id").distinct()
    scopes: set[Scope] = {("account", 0)}
    for flow, integration in used:
        scopes |= {("flow", flow), ("integration", integration)}
    return scopes


def name_of(integration: Integration | None, flow: Flow | None) -> str:
    """What a scope is called."""
    if flow is not None:
        return flow.name
    return integration.name if integration is not None else "the account"
