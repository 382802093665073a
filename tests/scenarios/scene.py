"""A whole product in a test: an account with files and a target, flows applied from YAML, runs worked on to their end.

Nothing is faked here but time: definitions, connectors, engine and journal are the product's own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.accounts.models import Account
from apps.core.clock import frozen, read_now
from apps.errors.models import Error, RetryData
from apps.execution.probing import probe
from apps.execution.worker import work_slice
from apps.flows.models import Checkpoint, Connection, ConnectionState, Flow
from apps.flows.services import apply_definition, set_connection
from apps.runs.models import Run, RunLog
from apps.runs.services import start_run
from tests.fakes.databases import SqlPlace

AMOUNT = "amount integer NOT NULL CHECK (amount BETWEEN 0 AND 2147483647)"
ORDERS = f"CREATE TABLE orders (id bigint PRIMARY KEY, {AMOUNT}, note text)"
STRICT_ORDERS = ORDERS.replace("bigint", "INTEGER") + " STRICT"
JOURNAL = f"CREATE TABLE journal (id bigint, {AMOUNT})"
STRICT_JOURNAL = JOURNAL.replace("bigint", "INTEGER") + " STRICT"
UPSERT = "{connection: target, operation: upsert, table: orders, keys: [id]}"
DEFINITION = """
flow: {key}
integration: {{key: trial, name: Trial}}
enabled: true
page_size: {page_size}
steps:
  - key: source
    export: {export}
    trace_key: "{{{{ record.id }}}}"
  - key: load
    import: {load}
    mapping: {{id: record.id, amount: record.amount, note: "default(record.note, None)"}}
"""
JARGON = ("Traceback", "psycopg", "Error:", "orjson", "Errno", "apps.", "assert", "NoneType", "<class", "0x7f")
"""What no sentence for a user holds."""


@dataclass
class Scene:
    """An account, its folder of files and its target."""

    account: Account
    place: SqlPlace

    # --- arranging -------------------------------------------------------------------------------------------------
    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.place.execute(ORDERS if self.place.is_postgresql else STRICT_ORDERS)
        self.place.execute(JOURNAL if self.place.is_postgresql else STRICT_JOURNAL)
        self.connect("files", "file")
        self.connect("target", "sql", **self.place.config)

    def connect(self, name: str, kind: str, /, *, secrets: dict[str, str | None] | None = None, **config: Any) -> None:
        set_connection(account=self.account, name=name, kind=kind, config=config, secrets=secrets)

    @property
    def folder(self) -> Path:
        return Path(settings.FILES_ROOT) / str(self.account.pk)

    def write(self, name: str, content: bytes | str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def apply(self, text: str) -> Flow:
        return apply_definition(account=self.account, member=None, text=text).flow

    def flow_of(
        self, export: str, *, load: str = UPSERT, page_size: int = 4, key: str = "orders", change: Any = str
    ) -> Flow:
        """A flow "source -> load"; `change` turns its text into another one."""
        return self.apply(change(DEFINITION.format(key=key, export=export, load=load, page_size=page_size)))

    def flow_of_file(self, name: str, options: str = "", **facts: Any) -> Flow:
        return self.flow_of(f"{{connection: files, path: {name}{options}}}", **facts)

    # --- acting ----------------------------------------------------------------------------------------------------
    def run(self, flow: Flow, **facts: Any) -> Run:
        """Start a run and work on it until it ends or waits."""
        return self.work(start_run(flow=flow, **facts))

    def work(self, run: Run, at: datetime | None = None) -> Run:
        with frozen(at or read_now()):
            while work_slice(run.pk):
                run.refresh_from_db()
                if run.is_ended or run.not_before is not None:
                    break
        run.refresh_from_db()
        return run

    def work_to_the_end(self, run: Run, *, waits: int = 30) -> Run:
        """Work on a run, each time that it waits a little after its due time."""
        for _ in range(waits):
            run.refresh_from_db()
            if run.is_ended:
                return run
            self.probe_connections()
            run.refresh_from_db()
            due = max(filter(None, [run.not_before, run.lease_until, read_now()]))
            self.work(run, due + timedelta(seconds=1))
        raise AssertionError(f"{run} is {run.status} after {waits} waits: {run.wait_reason}")

    def probe_connections(self) -> None:
        """Try the connections that are offline, as the dispatcher does from time to time."""
        for connection in Connection.objects.of(self.account).filter(state=ConnectionState.OFFLINE):
            probe(connection.pk)

    # --- looking ---------------------------------------------------------------------------------------------------
    def errors(self, run: Run) -> list[Error]:
        return list(Error.objects.of(self.account).filter(run=run).select_related("cause").order_by("id"))

    def only_error(self, run: Run) -> Error:
        (error,) = self.errors(run)
        return error

    def messages(self, run: Run) -> list[str]:
        return [error.message for error in self.errors(run)]

    def retry_data(self, error: Error) -> bytes:
        return bytes(RetryData.objects.of(self.account).get(pk=error.pk).record or b"")

    def log(self, run: Run) -> str:
        return "\n".join(RunLog.objects.of(self.account).filter(run=run).order_by("id").values_list("text", flat=True))

    def loaded(self, table: str = "orders") -> list[int]:
        """The ids in the target, sorted, repeats included."""
        return [row[0] for row in self.place.rows(f"SELECT id FROM {table} ORDER BY id")]

    def forget_checkpoint(self, flow: Flow) -> None:
        Checkpoint.objects.of(self.account).filter(flow=flow).delete()

    def checkpoint(self, flow: Flow) -> Any:
        row = Checkpoint.objects.of(self.account).filter(flow=flow).first()
        return row.value if row is not None else None


def in_words(messages: Iterable[str]) -> bool:
    """Whether a user may read these: sentences, no jargon and no trace of a stack."""
    return not [text for text in messages if not text.strip() or any(word in text for word in JARGON)]
