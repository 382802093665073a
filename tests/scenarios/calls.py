"""A flow that calls another, on a real target: the parent writes P, calls, writes N; the sub-flow writes C, F, D.

The record tells how it fares at F: `good` goes through, `refused` is refused by the target, `late` is written and then
fails. Handlers write PH and H.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from apps.errors.models import Error
from apps.errors.services import retry_errors
from apps.flows import planning
from apps.flows.models import Flow
from apps.runs.models import Run
from apps.runs.statuses import RunKind
from tests.scenarios.scene import Scene

MARKS = "CREATE TABLE marks (record integer NOT NULL, mark text NOT NULL CHECK (mark <> 'X'))"
HANDLINGS = {
    "R": ("rollback", ""),
    "CR/e": ("custom_with_rollback", "end"),
    "CR/x": ("custom_with_rollback", "error_end"),
    "CW/e": ("custom_without_rollback", "end"),
    "CW/x": ("custom_without_rollback", "error_end"),
    "CO": ("continue", ""),
}
FAILING = ("late", "refused")


def write_mark(key: str, mark: str, more: str = "") -> str:
    """A step that writes one mark for a record."""
    use = "import: {connection: target, operation: insert, table: marks}"
    return f"- key: {key}\n  {use}\n  mapping: {{record: record.id, mark: {mark!r}}}\n{more}"


def handled(cell: str, mark: str, more: str = "") -> str:
    """The fields that give a step its handling; a custom one writes a mark."""
    handling, ends = HANDLINGS[cell]
    text = f"  handling: {handling}\n"
    if ends:
        text += f"  ends: {ends}\n  handler:\n{indented(write_mark(mark.lower(), repr(mark)), 4)}{more}"
    return text


def indented(text: str, by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in text.splitlines())


FAILS = """  output_filter: "record.way != 'late' or record.nothing"\n"""
F = "'X' if record.way == 'refused' else 'F'"


def head_of(key: str, head: str = "") -> str:
    source = "- key: source\n  export: {connection: files, path: records.jsonl}\n  trace_key: '{{ record.id }}'\n"
    return f"flow: {key}\nintegration: calls\nenabled: true\n{head}steps:\n{indented(source, 2)}"


def child_of(cell: str, head: str = "") -> str:
    steps = write_mark("c", "'C'") + write_mark("f", F, FAILS + handled(cell, "H")) + write_mark("d", "'D'")
    return head_of("child", head) + indented(steps, 2)


def parent_of(cell: str, head: str = "") -> str:
    call = "- key: call-child\n  call: child\n" + handled(cell, "PH")
    return head_of("parent", head) + indented(write_mark("p", "'P'") + call + write_mark("n", "'N'"), 2)


@dataclass
class Calls:
    """The scene with its table of marks."""

    scene: Scene

    def prepare(self) -> None:
        planning._plans.clear()  # tests give their revisions the same numbers, but not the same sub-flows
        self.scene.place.execute(MARKS if self.scene.place.is_postgresql else MARKS + " STRICT")

    def apply(self, parent: str, child: str) -> Flow:
        self.scene.apply(child)
        return self.scene.apply(parent)

    def run(self, flow: Flow, *ways: str) -> Run:
        """Run over one record a way, numbered from 1."""
        lines = [orjson.dumps({"id": n, "way": way}) for n, way in enumerate(ways, 1)]
        self.scene.write("records.jsonl", b"\n".join(lines))
        self.scene.forget_checkpoint(flow)
        return self.scene.run(flow)

    def retry(self, errors: list[Error], **how: bool) -> list[Run]:
        """Retry errors and work on the runs to their end."""
        rows = Error.objects.of(self.scene.account).filter(pk__in=[error.pk for error in errors])
        before = set(self._retries().values_list("pk", flat=True))
        retry_errors(account=self.scene.account, member=None, errors=rows, **how)
        return [self.scene.work_to_the_end(run) for run in self._retries().exclude(pk__in=before)]

    def _retries(self) -> Any:
        return Run.objects.of(self.scene.account).filter(kind=RunKind.RETRY).order_by("pk")

    def marks(self, record: int) -> str:
        """What stands in the target for a record, in the order in which it was written."""
        order = "ctid" if self.scene.place.is_postgresql else "rowid"
        rows = self.scene.place.rows(f"SELECT mark FROM marks WHERE record = {record} ORDER BY {order}")
        return ",".join(mark for (mark,) in rows)
