"""An import into a file: every write becomes a part, and the parts become the file when the run ends."""

import re
from hashlib import sha256

from apps.connectors.base import Limits
from apps.connectors.files.encode import UnwritableError, json_line
from apps.connectors.files.faults import file_fault
from apps.connectors.files.options import FileImportOptions
from apps.connectors.files.parts import Line, Staging
from apps.connectors.files.publish import RUN_PREFIX, Publication, publish
from apps.connectors.files.root import Root, checked_name
from apps.engine.expressions import ExpressionError
from apps.engine.ports import Batch, Classification, ConnectorError, Repeats, Scope, Written

RETRIES = {"retry", "auto_retry"}
"""Kinds of runs that send again some of the records of another run."""

_AWKWARD = re.compile(r'[:*?"<>|\\\x00-\x1f\x7f]+')
"""What file names on other systems cannot hold; a time has colons."""


class FileTarget:
    """Writes parts; `finish` publishes them. Safe to repeat: the same write again leaves every record there once."""

    transactional = False
    repeats = Repeats.SAFE

    def __init__(self, root: Root, options: FileImportOptions, limits: Limits) -> None:
        self._root = root
        self._options = options
        self._path = options.compiled_path()
        self._limits = limits
        self._staging: Staging | None = None
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
                self._staged(batch.scope).store(lines, self._fields(batch, written))
            except OSError as error:
                raise file_fault(error, "The page", "kept") from error
        return written

    def finish(self, scope: Scope | None = None) -> None:
        """Make the file out of what was kept. May be called again; a fresh process needs the scope to know its run."""
        if scope is None and self._publication is None:
            return
        try:
            publication = self._publication or (self._agreed(scope) if scope and self._has_parts(scope) else None)
            if publication is not None:
                publish(self._root, publication, self._options, self._limits)
        except OSError as error:
            raise file_fault(error, "The file of the run", "written") from error

    # --- one write ---------------------------------------------------------------------------------------------------
    def _lines(self, batch: Batch, written: Written) -> "list[Line]":
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
    def _staged(self, scope: Scope) -> Staging:
        folder = self._folder(scope)
        if self._staging is None or self._staging.folder != folder:
            self._staging, self._publication = Staging(self._root, folder), None
        return self._staging

    def _folder(self, scope: Scope) -> str:
        """Named by the run and by the step's options: steps that write the same file the same way share it."""
        identity = sha256(self._options.model_dump_json().encode()).hexdigest()[:16]
        run = re.sub(r"[^A-Za-z0-9]", "_", str(scope.run.get("id", "")))
        return f"{RUN_PREFIX}{run}-{identity}"

    def _has_parts(self, scope: Scope) -> bool:
        with self._root.directory(self._staged(scope).segments[:1], create=True):
            pass
        return bool(self._root.entries(self._staged(scope).segments))

    def _agreed(self, scope: Scope) -> Publication:
        """The file of this run: its name is settled by the first page, so that {{ now }} names one file, not many."""
        staging = self._staged(scope)
        if self._publication is None:
            said = {"name": self._name(scope), "append": self._is_append(scope)}
            agreed = staging.agree_on(said)
            self._publication = Publication(staging.folder, str(agreed["name"]), bool(agreed["append"]))
        return self._publication

    def _name(self, scope: Scope) -> str:
        try:
            name = self._path({}, scope)
        except ExpressionError as error:
            text = f"The name of the file, {self._options.path}, cannot be worked out: {error}"
            raise ConnectorError("name_failed", text, classification=Classification.VALUE) from None
        return "/".join(checked_name(_AWKWARD.sub("-", name)))

    def _is_append(self, scope: Scope) -> bool:
        """The records of a retry come after those that went through before, whatever the mode."""
        return self._options.mode == "append" or scope.run.get("kind") in RETRIES
