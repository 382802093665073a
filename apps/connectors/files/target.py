"""An import into a file: every write becomes a part, and the parts become the file when the run ends."""

import re
from hashlib import sha256

from apps.connectors.base import Limits
from apps.connectors.files.encode import UnwritableError, json_line
from apps.connectors.files.faults import file_fault
from apps.connectors.files.options import FileImportOptions
from apps.connectors.files.parts import RUN_PREFIX, Line, Publication
from apps.connectors.files.root import checked_name
from apps.connectors.files.shelf import Shelf
from apps.engine.expressions import Compiled, ExpressionError
from apps.engine.ports import Batch, Classification, ConnectorError, Repeats, Scope, Written

RETRIES = {"retry", "auto_retry"}
"""Kinds of runs that send again some of the records of another run."""

_AWKWARD = re.compile(r'[:*?"<>|\\\x00-\x1f\x7f]+')
"""What file names on other systems cannot hold; a time has colons."""


class FileTarget:
    """Writes parts; `finish` publishes them. Safe to repeat: the same write again leaves every record there once."""

    transactional = False
    repeats = Repeats.SAFE

    def __init__(self, shelf: Shelf, options: FileImportOptions, limits: Limits) -> None:
        self._shelf = shelf
        self._options = options
        self._path = options.compiled_path()
        self._limits = limits
        self._folder = ""
        self._publication: Publication | None = None

    def write(self, batch: Batch) -> Written:
        """Keep the records of a page. A record that JSON cannot say fails alone."""
        if batch.stop():
            return Written(not_sent=dict.fromkeys(range(len(batch.bodies)), 0.0))
        written = Written()
        lines = list(self._lines(batch, written))
        if lines:
            try:
                self._publication = self._agreed(batch.scope)
                self._shelf.store(self._staged(batch.scope), lines, self._fields(batch, written))
            except OSError as error:
                raise file_fault(error, "The page", "kept") from error
        return written

    def finish(self, scope: Scope | None = None) -> None:
        """Make the file out of what was kept. May be called again; a fresh process needs the scope to know its run."""
        if scope is None and self._publication is None:
            return
        try:
            publication = self._publication or self._left_behind(scope)
            if publication is not None:
                self._shelf.publish(publication, self._options, self._limits)
        except OSError as error:
            raise file_fault(error, "The file of the run", "written") from error

    def _left_behind(self, scope: Scope | None) -> Publication | None:
        """What another worker of the run has kept."""
        if scope is None or not self._shelf.has_parts(self._staged(scope)):
            return None
        return self._agreed(scope)

    # --- one write ---------------------------------------------------------------------------------------------------
    def _lines(self, batch: Batch, written: Written) -> list[Line]:
        lines = []
        for index, body in enumerate(batch.bodies):
            try:
                text = json_line(body)
            except UnwritableError as error:
                written.failures[index] = error.failure()
            else:
                lines.append(Line(batch.ordinals[index], batch.keys(index), text))
        return lines

    def _fields(self, batch: Batch, written: Written) -> dict[str, None]:
        """The names that occur, in order; only a CSV file without named columns has to know them."""
        names: dict[str, None] = {}
        if self._publication and self._options.written_format(self._publication.name) == "csv":
            for index, body in enumerate(batch.bodies):
                if index not in written.failures:
                    names.update(dict.fromkeys(body))
        return names

    # --- where to ----------------------------------------------------------------------------------------------------
    def _staged(self, scope: Scope) -> str:
        """The folder of the parts, named by the run and by the step's options: steps that write the same file the same
        way share it."""
        identity = sha256(self._options.model_dump_json().encode()).hexdigest()[:16]
        run = re.sub(r"[^A-Za-z0-9]", "_", str(scope.run.get("id", "")))
        folder = f"{RUN_PREFIX}{run}-{identity}"
        if folder != self._folder:
            self._folder, self._publication = folder, None
        return folder

    def _agreed(self, scope: Scope) -> Publication:
        """The file of this run: its name is settled by the first page, so that {{ now }} names one file, not many."""
        folder = self._staged(scope)
        if self._publication is None:
            said = {"name": self._name(scope), "append": self._is_append(scope)}
            agreed = self._shelf.agree_on(folder, said)
            self._publication = Publication(folder, str(agreed["name"]), bool(agreed["append"]))
        return self._publication

    def _name(self, scope: Scope) -> str:
        return file_name(self._options, self._path, scope)

    def _is_append(self, scope: Scope) -> bool:
        """The records of a retry come after those that went through before, whatever the mode."""
        return self._options.mode == "append" or scope.run.get("kind") in RETRIES


def file_name(options: FileImportOptions, path: Compiled, scope: Scope) -> str:
    """Raises ConnectorError for a name that cannot be worked out."""
    try:
        name = path({}, scope)
    except ExpressionError as error:
        text = f"The name of the file, {options.path}, cannot be worked out: {error}"
        raise ConnectorError("name_failed", text, classification=Classification.VALUE) from None
    return "/".join(checked_name(_AWKWARD.sub("-", name)))
