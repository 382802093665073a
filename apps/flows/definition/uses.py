"""What a step says of its connection, read against what the account has."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from apps.connectors.base import Connector, options_for
from apps.connectors.registry import CONNECTORS
from apps.engine.plan import StepKind
from apps.flows.definition.document import Document
from apps.flows.definition.mistakes import Mistake, Path, did_you_mean, place_of
from apps.flows.definition.models import LookupHead, LookupUse, Use
from apps.flows.definition.words import mistakes_in, shown

VERBS = {StepKind.EXPORT: "export", StepKind.LOOKUP: "look up", StepKind.IMPORT: "import"}

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Known:
    """What a definition may name: connectors, and what its account has.

    `connections` is environment -> name -> kind, `integrations` key -> environment, `flows` key -> key of the flow that
    it runs after ("" for none; no mapping at all: not checked), `step_kinds` gives the kinds of a flow's steps by their
    keys, the removed ones too. `callee` gives the definition of a flow that is called (None: there is no such flow),
    `callers` are the flows whose calls lead to the one that is read, outermost first.
    """

    connectors: Mapping[str, type[Connector]] = field(default_factory=lambda: CONNECTORS)
    connections: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    integrations: Mapping[str, str] = field(default_factory=dict)
    flows: Mapping[str, str] | None = None
    step_kinds: Callable[[str], Mapping[str, str]] = lambda flow: {}
    callee: Callable[[str], str | None] = lambda flow: None
    callers: tuple[str, ...] = ()


class UseReader:
    """Reads the parts of a document that name connections, and tells the mistakes in them."""

    def __init__(self, document: Document, known: Known) -> None:
        self.document = document
        self.known = known
        self.mistakes = list(document.mistakes)
        self.environment = "production"
        self.has_transactional_import = False
        self.names: tuple[str, ...] = ()

    # --- telling -----------------------------------------------------------------------------------------------------
    def tell(self, path: Path, message: str, hint: str = "") -> None:
        self.mistakes.append(Mistake(place_of(path), message, hint, self.document.line_of(path)))

    def model(self, model: type[ModelT], raw: Mapping[str, Any], path: Path, also: Iterable[str] = ()) -> ModelT | None:
        """The validated part, or None after its mistakes were told. `also` are fields that stand here beside it."""
        try:
            return model.model_validate(raw, context=self.names)
        except ValidationError as error:
            self.mistakes += mistakes_in(error, path, model, self.document.line_of, also)
            return None

    # --- connectors --------------------------------------------------------------------------------------------------
    def lookup(self, raw: Any, path: Path) -> LookupUse:
        own = LookupHead.model_fields
        use = self.use(StepKind.LOOKUP, without(raw, *own) if isinstance(raw, dict) else raw, path, also=own)
        if not isinstance(raw, dict):
            return LookupUse()
        head = self.model(LookupHead, {name: raw[name] for name in own if name in raw}, path)
        if head is None:
            return LookupUse()
        return LookupUse(use.connection, use.connector, use.options, head.into, head.required, head.many)

    def use(self, kind: StepKind, raw: Any, path: Path, also: Iterable[str] = ()) -> Use:
        """The connection and the connector's options; an empty one after mistakes were told."""
        if not isinstance(raw, dict):
            self.tell(
                path, f"A set of fields is needed here (connection and the connector's options), not {shown(raw)}."
            )
            return Use()
        name = self.connection_name(raw, path)
        connector = self.connector(kind, name, path) if name is not None else None
        options_model = options_for(connector, kind) if connector else None
        if name is None or connector is None or options_model is None:
            return Use()
        options = self.model(options_model, without(raw, "connection"), path, also=["connection", *also])
        if kind is StepKind.IMPORT:
            self.has_transactional_import = self.has_transactional_import or connector.is_transactional()
        return Use(name, connector, options)

    def connection_name(self, raw: Mapping[str, Any], path: Path) -> str | None:
        name = raw.get("connection")
        if isinstance(name, str):
            return name
        if "connection" in raw:
            self.tell((*path, "connection"), f"This must be the name of a connection, not {shown(name)}.")
        elif close := get_close_matches("connection", raw, n=1):
            self.tell((*path, close[0]), f"There is no field {close[0]} here.", "did you mean connection?")
        else:
            self.tell((*path, "connection"), "This field is needed.", "the name of a connection")
        return None

    def connector(self, kind: StepKind, name: str, path: Path) -> type[Connector] | None:
        """The connector behind a connection, if it has such steps."""
        connections = self.known.connections.get(self.environment, {})
        place = (*path, "connection")
        if name not in connections:
            hint = did_you_mean(name, connections) or f"make it first: manage.py connection set {name[:60]}"
            self.tell(place, f"There is no connection {name[:60]} in the environment {self.environment}.", hint)
            return None
        connector = self.known.connectors.get(connections[name])
        if connector is None:
            kinds = did_you_mean(connections[name], self.known.connectors)
            self.tell(
                place, f"The connection {name} is of the kind {connections[name]}, which is not installed.", kinds
            )
        elif options_for(connector, kind) is None:
            message = f"The connection {name} is of the kind {connector.kind}, and that cannot {VERBS[kind]}."
            self.tell(place, message)
            return None
        return connector


def without(raw: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name not in names}
