"""The protocol of a connector: one file, one class, registered by one line in `apps.connectors.registry`.

A connector declares its connection config and its step options as pydantic models: the settings form, the validation of
definitions (with places) and the list of secrets come from them. Options may hold expressions: annotate them with
`apps.engine.expressions.Expression` or `Template`, and compile them when the step is opened.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from apps.connectors.arrivals import Arrivals
from apps.connectors.shared import IN_PROCESS, Shared
from apps.engine.ports import Batch, Built, Lookup, Session, Source, Target, Window


class Options(BaseModel):
    """Base of all configs and options: unknown fields are refused, values are not changed after validation.

    Give every field a `title` (its label) and a `description` (its help, one sentence).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)


class ConnectionConfig(Options):
    """What a connection stores. Fields of type `SecretStr` are secrets: encrypted at rest, never shown again."""

    @classmethod
    def secret_fields(cls) -> frozenset[str]:
        return frozenset(name for name, info in cls.model_fields.items() if _is_secret(info.annotation))


class ReachedConfig(ConnectionConfig):
    """What a connection stores to an application that Flowmend reaches out to, and may find away."""

    offline_after: int = Field(
        3,
        ge=1,
        le=100,
        title="Offline after (failures)",
        description="Failures to connect in a row that take it offline: then work waits, and a probe brings it back.",
        json_schema_extra={"group": "Limits and time-outs"},
    )


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or SecretStr in getattr(annotation, "__args__", ())


@dataclass(frozen=True)
class Limits:
    """Bounds on what a connector does, in seconds, bytes and connections; from settings."""

    connect_s: float = 5.0
    statement_s: float = 30.0
    lock_s: float = 5.0
    read_s: float = 30.0
    total_s: float = 60.0
    max_bytes: int = 32 * 1024 * 1024
    max_ratio: int = 200


@dataclass(frozen=True)
class Surroundings:
    """What the operator allows a connector to touch, for one account."""

    account: int
    files_root: Path
    sqlite_root: Path
    allow_nets: tuple[str, ...] = ()
    own_databases: tuple[str, ...] = ()
    """Identities of Flowmend's own database (absolute SQLite path, or host:port/name): never a target."""
    limits: Limits = field(default_factory=Limits)
    shared: Shared = IN_PROCESS
    """Where the workers of a connection meet; one that reaches over processes and machines is for the host to give."""
    arrivals: Arrivals | None = None
    """What was sent to the export that is opened, where its connector listens."""
    any_recipient: bool = False
    """Whether e-mails may go to any domain."""


@dataclass(frozen=True)
class LedgerRows:
    """What stands in the ledger of a target: rows removed just now, rows kept, when the oldest of these was written."""

    removed: int
    kept: int
    oldest: datetime | None


@dataclass(frozen=True)
class Ping:
    """What the test button says: what was tried and what was found."""

    is_ok: bool
    tried: str
    found: str
    ms: int = 0


class Connector(ABC):
    """One opened connection of one worker thread. Not shared between threads; `close` is always called."""

    kind: ClassVar[str]
    label: ClassVar[str]
    maintainer: ClassVar[str] = "Flowmend"
    contact: ClassVar[str] = ""
    listens: ClassVar[bool] = False
    """Whether each export of this kind has an address that others send to."""
    Config: ClassVar[type[ConnectionConfig]]
    ExportOptions: ClassVar[type[Options] | None] = None
    LookupOptions: ClassVar[type[Options] | None] = None
    ImportOptions: ClassVar[type[Options] | None] = None
    export_example: ClassVar[Mapping[str, Any]] = {}
    """Options of an export with which the definition of a new flow can begin."""

    def __init__(self, config: ConnectionConfig, surroundings: Surroundings) -> None:
        self.config: Any = config
        self.surroundings = surroundings

    @abstractmethod
    def ping(self) -> Ping:
        """Try the connection; never raises for a foreign reason."""

    def open_export(self, options: Any, window: Window) -> Source:
        raise self._cannot("export")

    def open_lookup(self, options: Any) -> Lookup:
        raise self._cannot("look up")

    def open_import(self, options: Any) -> Target:
        raise self._cannot("import")

    def build(self, options: Any, batch: Batch) -> Built:
        """What an import would do with a batch, with every secret redacted. Nothing is sent, written or made."""
        return Built({index: {"body": body} for index, body in enumerate(batch.bodies)})

    def takes_back(self, options: Any) -> bool:
        """Whether a rollback undoes all that an import with these options did; only asked where there is a session."""
        return True

    def session(self) -> Session | None:
        """The transaction of this connection, or None where writes cannot be rolled back."""
        return None

    def trim_ledger(self, account: int, *, before_run: int, older_than: datetime) -> LedgerRows | None:
        """Remove the ledger rows of an account's runs below `before_run` that are older; None: there is no ledger.

        Raises ConnectorError and Outage.
        """
        return None

    @classmethod
    def is_transactional(cls) -> bool:
        return cls.session is not Connector.session

    @classmethod
    def default_trace_key(cls, options: Any) -> str | None:
        """The field that identifies a record of this export when its author names none, or None."""
        return None

    @classmethod
    def missing(cls) -> str:
        """What this kind needs and this installation lacks, and how to install it; empty: nothing."""
        return ""

    def close(self) -> None:  # noqa: B027 (most connectors have nothing to give back)
        """Give everything back. May be called twice."""

    def _cannot(self, verb: str) -> TypeError:
        return TypeError(f"The {self.label} connector cannot {verb}.")


def options_for(connector: type[Connector], step_kind: str) -> type[Options] | None:
    """The options model of a step kind ("export", "lookup", "import"), or None if the connector has no such step."""
    models: Mapping[str, type[Options] | None] = {
        "export": connector.ExportOptions,
        "lookup": connector.LookupOptions,
        "import": connector.ImportOptions,
    }
    return models.get(step_kind)
