"""What an import would write into a file, without a file: its name, and each record as it would stand there."""

from io import BytesIO

from apps.connectors.base import Limits
from apps.connectors.files.content import Content
from apps.connectors.files.encode import UnwritableError, json_line
from apps.connectors.files.options import FileImportOptions
from apps.connectors.files.parts import Line, Parts, part_of
from apps.connectors.files.target import file_name
from apps.engine.ports import Batch, Built

SHOWN_LINES = 20


class OnePart:
    """The folder of a run with one part, in memory."""

    def __init__(self, name: str, content: bytes) -> None:
        self._name = name
        self._content = content

    def names(self) -> list[str]:
        return [self._name]

    def first_line(self, name: str) -> bytes:
        return self._content.partition(b"\n")[0]

    def read(self, name: str) -> bytes:
        return self._content


def build_file(options: FileImportOptions, limits: Limits, batch: Batch) -> Built:
    """Raises ConnectorError for a name that cannot be worked out."""
    built = Built()
    name = file_name(options, options.compiled_path(), batch.scope)
    for index, body in enumerate(batch.bodies):
        try:
            line = Line(batch.ordinals[index], str(index), json_line(body))
        except UnwritableError as error:
            built.failures[index] = error.failure()
            continue
        lines = content_of(name, options, limits, line, list(body))
        built.requests[index] = {"file": name, "mode": options.mode, "lines": lines[:SHOWN_LINES]}
    return built


def content_of(name: str, options: FileImportOptions, limits: Limits, line: Line, fields: list[str]) -> list[str]:
    """The lines of a file that holds one record; what would be packed is shown unpacked."""
    part, pieces = part_of([line], fields)
    file = BytesIO()
    plain = options.model_copy(update={"compression": "none"})
    Content(name, Parts(OnePart(part, b"".join(pieces))), plain, limits).write_to(file)
    return file.getvalue().decode("utf-8", "replace").splitlines()
