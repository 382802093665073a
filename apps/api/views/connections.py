"""Connections: which applications flows reach, and whether they answer."""

from typing import Any

from django.urls import path

from apps.accounts.permissions import Act
from apps.accounts.tokens import Scope
from apps.api.failures import conflict, invalid, problem
from apps.api.operations import ApiView, operation
from apps.api.paging import PAGING, Listed, page_of
from apps.api.queries import text
from apps.api.serializers.connections import ConnectionAnswer, ConnectionBody, PingAnswer
from apps.flows.models import Connection, Environment
from apps.flows.services import ConnectionRefused, delete_connection, set_connection
from apps.runs.trying import try_connection

ANSWERS, DOES_NOT = 200, 422


class ConnectionList(ApiView):
    @operation(query=(*PAGING, text("type", "Only this kind.", 32)), answer=ConnectionAnswer, many=True)
    def get(self, request: Any) -> Listed:
        """The connections that the caller sees, by name."""
        rows = self.caller.connections().order_by("name", "pk")
        if "type" in self.query:
            rows = rows.filter(kind=self.query["type"])
        return page_of(request, rows, self.query)

    @operation(body=ConnectionBody, answer=ConnectionAnswer, status=201, scope=Scope.EDIT)
    def post(self, request: Any) -> Connection:
        """A new connection."""
        self.caller.require(Act.EDIT_CONNECTIONS)
        body = self.body
        for name in ("name", "type"):
            if not body.get(name):
                raise invalid(f"A new connection needs {name}.", name)
        return set_connection(
            account=self.caller.account,
            name=body["name"],
            kind=body["type"],
            config=body.get("config", {}),
            secrets=body.get("secrets"),
            environment=body.get("environment", Environment.PRODUCTION),
            member=self.caller.member,
            is_new=True,
        )


class OneConnection(ApiView):
    @operation(answer=ConnectionAnswer)
    def get(self, request: Any, connection_id: str) -> Connection:
        """One connection, never with a secret."""
        return self.caller.connection(connection_id)

    @operation(body=ConnectionBody, answer=ConnectionAnswer, scope=Scope.EDIT)
    def put(self, request: Any, connection_id: str) -> Connection:
        """Replace the plain fields of a connection; secrets that are not named stay."""
        return self.change(connection_id, is_whole=True)

    @operation(body=ConnectionBody, answer=ConnectionAnswer, scope=Scope.EDIT)
    def patch(self, request: Any, connection_id: str) -> Connection:
        """Change some plain fields or secrets of a connection."""
        return self.change(connection_id, is_whole=False)

    @operation(scope=Scope.EDIT)
    def delete(self, request: Any, connection_id: str) -> None:
        """Delete a connection that no flow uses."""
        connection = self.caller.connection(connection_id, to=Act.DELETE)
        try:
            delete_connection(connection=connection, member=self.caller.member)
        except ConnectionRefused as refused:
            raise conflict("; ".join(map(str, refused.mistakes))) from refused

    def change(self, connection_id: str, *, is_whole: bool) -> Connection:
        connection = self.caller.connection(connection_id, to=Act.EDIT_CONNECTIONS)
        body = self.body
        refuse_other_identity(connection, body)
        config = body.get("config", {})
        return set_connection(
            account=self.caller.account,
            name=connection.name,
            kind=body.get("type", connection.kind),
            config=config if is_whole else {**connection.config, **config},
            secrets=body.get("secrets"),
            environment=connection.environment,
            member=self.caller.member,
        )


def refuse_other_identity(connection: Connection, body: dict[str, Any]) -> None:
    """Definitions name a connection by its name, in one environment."""
    for name in ("name", "environment"):
        if body.get(name, getattr(connection, name)) != getattr(connection, name):
            raise invalid(f"A connection keeps its {name}: definitions rely on it.", name, "invalid_operation")


class PingConnection(ApiView):
    @operation(answer=PingAnswer, scope=Scope.EDIT, is_kept=False)
    def post(self, request: Any, connection_id: str) -> dict[str, Any]:
        """Try a connection now, for at most ten seconds. What waits for it goes on if it is back."""
        connection = self.caller.connection(connection_id, to=Act.EDIT_CONNECTIONS)
        ping = try_connection(connection=connection, member=self.caller.member)
        found = {"message": ping.found, "tried": ping.tried, "ms": ping.ms}
        if ping.is_ok:
            return {"code": ANSWERS, **found}
        return {"code": DOES_NOT, **found, "errors": [problem("connection_failed", ping.found)]}


urls = [
    path("connections", ConnectionList.as_view(), name="connection-list"),
    path("connections/<str:connection_id>", OneConnection.as_view(), name="connection"),
    path("connections/<str:connection_id>/ping", PingConnection.as_view(), name="connection-ping"),
]
