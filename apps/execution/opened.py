"""The connections of a plan, opened for one worker: one connector per connection, one lookup or target per step."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from apps.connectors.arrivals import Arrivals
from apps.connectors.base import Connector, Limits, Surroundings
from apps.engine.plan import Node, Plan, StepKind
from apps.engine.ports import Batch, Built, ConnectorError, ErrorSource, Lookup, Scope, Session, Source, Target, Window
from apps.flows.connections import open_connector, surroundings_for
from apps.flows.models import Connection, Flow
from apps.flows.secrets import read_secrets


class OpenedSteps:
    """Opens what a step needs when it first needs it; `close` gives everything back."""

    def __init__(
        self,
        flow: Flow,
        plan: Plan,
        arrivals: Arrivals | None = None,
        *,
        environment: str = "",
        limits: Limits | None = None,
    ) -> None:
        self.plan = plan
        self.surroundings: Surroundings = replace(surroundings_for(flow.account), arrivals=arrivals)
        if limits is not None:
            self.surroundings = replace(self.surroundings, limits=limits)
        rows = Connection.objects.of(flow.account_id).filter(environment=environment or flow.integration.environment)
        self._rows: dict[str, Connection] = {row.name: row for row in rows}
        self._connectors: dict[str, Connector] = {}
        self._handles: dict[int, Any] = {}
        self._stack = ExitStack()

    def source(self, window: Window) -> Source:
        """The export on a connector of its own: it is read in another thread."""
        export = self.plan.export
        connector = self._open(export.connection)
        return connector.open_export(export.options, window)

    def lookup(self, node: Node) -> Lookup:
        if node.index not in self._handles:
            self._handles[node.index] = self._connector(node.connection).open_lookup(node.options)
        return self._handles[node.index]

    def target(self, node: Node) -> Target:
        if node.index not in self._handles:
            self._handles[node.index] = self._connector(node.connection).open_import(node.options)
        return self._handles[node.index]

    def build(self, node: Node, batch: Batch) -> Built:
        """What the import would do with a batch. Nothing is sent."""
        return self._connector(node.connection).build(node.options, batch)

    def takes_back(self, node: Node) -> bool:
        """Whether a rollback undoes all that the import did."""
        return self._connector(node.connection).takes_back(node.options)

    def secrets(self) -> set[str]:
        """The secrets of the connections that the plan names; to be redacted."""
        named = {node.connection for node in self.plan.nodes} & self._rows.keys()
        return {value for name in named for value in read_secrets(self._rows[name]).values()}

    def session(self, connection: str) -> Session:
        session = self._connector(connection).session()
        assert session is not None, f"connection {connection} has no transactions"
        return session

    def finish(self, scope: Scope) -> None:
        """Tell the targets that collect until the end (files) that the run has come to it; may be repeated.

        The scope tells a worker that wrote no page of the run itself which run it is.
        """
        for target in self._finishing():
            target.finish(scope)

    def _finishing(self) -> Iterator[Any]:
        for node in self.plan.nodes:
            if node.kind is StepKind.IMPORT and not node.is_transactional:
                target = self.target(node)
                if hasattr(target, "finish"):
                    yield target

    def _connector(self, name: str) -> Connector:
        if name not in self._connectors:
            self._connectors[name] = self._open(name)
        return self._connectors[name]

    def _open(self, name: str) -> Connector:
        row = self._rows.get(name)
        if row is None:
            text = f"There is no connection {name} in this environment any more. Create it, or change the definition."
            raise ConnectorError("connection_missing", text, source=ErrorSource.CONNECTION)
        connector = open_connector(row, self.surroundings)
        self._stack.callback(connector.close)
        return connector

    def close(self) -> None:
        self._stack.close()
