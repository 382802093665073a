"""Who calls: a member by one of his tokens. Fetching an object checks what both may do.

What the member may not see is not there (404), what he may see but not act on is refused in words (403).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404

from apps.accounts.models import Account, Member, Token
from apps.accounts.permissions import ACTS, Act, may_as
from apps.accounts.reach import Reach
from apps.accounts.services import Actor
from apps.accounts.tokens import Scope
from apps.api.failures import NOT_FOUND
from apps.core.ids import Kind, parse_wire_id
from apps.flows.models import Connection, Flow, Integration, Step
from apps.runs.models import Run

ModelT = TypeVar("ModelT", bound=Model)
FLOW_FACTS = ("integration", "revision", "state")


@dataclass(frozen=True)
class Caller:
    """The member and token of a call. `environment` is what its query asks for; blank: both."""

    member: Member
    token: Token
    environment: str = ""

    @property
    def account(self) -> Account:
        return self.member.account

    @property
    def actor(self) -> Actor:
        return Actor.token(self.token)

    @property
    def is_full(self) -> bool:
        return Scope.FULL in self.token.scopes

    @property
    def scope_word(self) -> str:
        return "full" if self.is_full else "custom"

    @cached_property
    def roles(self) -> dict[int, str]:
        """Roles in single integrations, by id; asked only for a member without a role in the account."""
        return dict(self.member.roles.values_list("integration_id", "role"))

    @cached_property
    def reach(self) -> Reach:
        seen = None if self.member.role else frozenset(self.roles)
        return Reach(self.member.account_id, self.environment, seen)

    def within(self, environment: str) -> "Caller":
        """The same caller, in one environment only."""
        return replace(self, environment=environment)

    def has_scope(self, scope: Scope) -> bool:
        return self.is_full or scope in self.token.scopes

    def may(self, act: Act, integration_id: int | None = None) -> bool:
        role = self.member.role or ("" if integration_id is None else self.roles.get(integration_id, ""))
        return may_as(self.member, role, act)

    def require(self, act: Act, integration_id: int | None = None) -> None:
        """Raises PermissionDenied unless the member may do this (in this integration)."""
        if not self.may(act, integration_id):
            words = act.value.replace("_", " ")
            raise PermissionDenied(
                f"Your role does not allow you to {words} here: it takes the role {ACTS[act].label}."
            )

    def require_somewhere(self, act: Act) -> None:
        """Raises PermissionDenied unless the member may do this in the account or in one of its integrations."""
        if not any(self.may(act, integration) for integration in (None, *self.roles)):
            self.require(act)

    # --- fetching is asking for permission: each raises Http404 and PermissionDenied ----------------------------------
    def integration(self, wire_id: str, to: Act = Act.VIEW) -> Integration:
        rows = Integration.objects.of(self.account).filter(**self.reach.where(""))
        found = one(rows, parse_wire_id(wire_id, Kind.INTEGRATION))
        self.require(to, found.pk)
        return found

    def flow(self, wire_id: str, to: Act = Act.VIEW) -> Flow:
        """With its integration, revision and state."""
        return self.flow_by_key(parse_wire_id(wire_id, Kind.FLOW), to)

    def flow_by_key(self, key: int, to: Act = Act.VIEW) -> Flow:
        rows = Flow.objects.of(self.account).present().filter(**self.reach.where())
        found = one(rows.select_related(*FLOW_FACTS), key)
        self.require(to, found.integration_id)
        return found

    def step(self, wire_id: str, to: Act = Act.VIEW) -> Step:
        """A step, a removed one too (its errors stay), with its flow, integration, connection and state."""
        rows = Step.objects.of(self.account).filter(**self.reach.where("flow__integration"))
        found = one(rows.select_related("flow__integration", "connection", "state"), parse_wire_id(wire_id, Kind.STEP))
        self.require(to, found.flow.integration_id)
        return found

    def run(self, wire_id: str, to: Act = Act.VIEW) -> Run:
        """With its flow, integration, starter and canceler."""
        rows = Run.objects.of(self.account).filter(**self.reach.where_copied())
        facts = rows.select_related("flow__integration", "revision", "started_by__user", "canceled_by__user")
        found = one(facts, parse_wire_id(wire_id, Kind.RUN))
        self.require(to, found.integration_id)
        return found

    def connection(self, wire_id: str, to: Act = Act.VIEW) -> Connection:
        """Whoever has roles in single integrations only reads the connections that those use, and changes none."""
        found = one(self.connections(), parse_wire_id(wire_id, Kind.CONNECTION))
        if to is not Act.VIEW:
            self.require(to)
        return found

    def connections(self) -> "QuerySet[Connection]":
        """The ones that the caller sees."""
        rows: QuerySet[Connection] = Connection.objects.of(self.account).select_related("account")
        if self.environment:
            rows = rows.filter(environment=self.environment)
        if self.reach.integration_ids is not None:
            used = Step.objects.of(self.account).present().filter(flow__integration__in=self.reach.integration_ids)
            rows = rows.filter(pk__in=used.values("connection_id"))
        return rows


def one(rows: "QuerySet[ModelT]", key: Any) -> ModelT:
    """Raises Http404 where there is none."""
    found = rows.filter(pk=key).first()
    if found is None:
        raise Http404(NOT_FOUND)
    return found
