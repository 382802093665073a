"""Where the parts of a run are kept until they become its file."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from apps.connectors.base import Limits
from apps.connectors.files.options import FileImportOptions
from apps.connectors.files.parts import Line, Publication, Staging
from apps.connectors.files.publish import publish
from apps.connectors.files.root import HIDDEN, Root


class Shelf(Protocol):
    """`folder` names the run's place on it. Raises ConnectorError and Outage, the local one OSError."""

    def agree_on(self, folder: str, target: dict[str, object]) -> dict[str, object]:
        """What the run writes to: the first worker says it, all others get to know it."""

    def store(self, folder: str, lines: Sequence[Line], fields: Iterable[str]) -> None:
        """Keep the lines, whole or not at all; the same lines again replace what was kept."""

    def has_parts(self, folder: str) -> bool: ...

    def publish(self, publication: Publication, options: FileImportOptions, limits: Limits) -> None:
        """Make the file out of the parts. Does nothing when that was done before."""


class LocalShelf:
    """On this machine, in the hidden folder below the root."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def agree_on(self, folder: str, target: dict[str, object]) -> dict[str, object]:
        return Staging(self._root, folder).agree_on(target)

    def store(self, folder: str, lines: Sequence[Line], fields: Iterable[str]) -> None:
        Staging(self._root, folder).store(lines, fields)

    def has_parts(self, folder: str) -> bool:
        with self._root.directory([HIDDEN], create=True):
            pass
        return bool(self._root.entries([HIDDEN, folder]))

    def publish(self, publication: Publication, options: FileImportOptions, limits: Limits) -> None:
        publish(self._root, publication, options, limits)
