"""Rows of a JSON document: the objects of a list somewhere in it, read one by one."""

from collections.abc import Callable

import orjson

from apps.connectors.files.json_lines import exact_or_bad, json_fault, object_or_bad
from apps.connectors.files.json_scan import Cut, DocumentEndError, DocumentFaultError, Scanner
from apps.connectors.files.lines import PAGE_BYTES
from apps.connectors.files.rows import Row, bad_row, too_large
from apps.connectors.files.streams import Stream
from apps.engine.ports import Classification, ConnectorError, Record

SHOWN_FIELDS = 10


class JsonRows:
    """Reads the list at `path` (field names, outermost first); an object there is the only record.

    `open_at(offset)` opens the stream (bytes); `mark` is what `mark()` gave out before.
    """

    def __init__(
        self, open_at: Callable[[int], Stream], name: str, path: list[str], max_bytes: int, mark: Record | None
    ) -> None:
        self._name = name
        self._path = path
        self._max_bytes = max_bytes
        self._count = mark["row"] if mark else 0
        self._is_done = bool(mark and mark["done"])
        self._is_list = self._is_first = True
        self._fault: ConnectorError | None = None
        self._scanner = Scanner(open_at(mark["offset"] if mark else 0), mark["offset"] if mark else 0, max_bytes)
        if mark:
            self._is_first = self._count == 0
        else:
            self._guarded(self._enter)

    def read(self, count: int) -> list[Row]:
        rows: list[Row] = []
        size = 0
        while len(rows) < count and size <= PAGE_BYTES and self._fault is None:
            cut = self._guarded(self._next)
            if cut is None:
                break
            size += len(cut.raw)
            rows.append(self._row(cut))
        if not rows and self._fault is not None:
            raise self._fault
        return rows

    def mark(self) -> Record:
        return {"offset": self._scanner.offset, "row": self._count, "done": self._is_done}

    def close(self) -> None:
        pass

    def _row(self, cut: Cut) -> Row:
        place = f"record {self._count}"
        if cut.is_cut:
            return too_large(cut.raw, place, cut.size, self._max_bytes)
        try:
            row = object_or_bad(orjson.loads(cut.raw), cut.raw, place)
        except ValueError as error:
            return bad_row(cut.raw, place, "json_malformed", json_fault(error))
        return exact_or_bad(row, cut.raw, place) if isinstance(row, dict) else row

    def _guarded(self, step: Callable[[], Cut | None]) -> Cut | None:
        """Take a step; a fault of the document itself is kept until the rows before it are handed on."""
        try:
            return step()
        except DocumentEndError:
            what = f"ends in the middle, after record {self._count}. Have it written again, then start the run again"
            self._fault = self._error("json_truncated", what)
        except DocumentFaultError as fault:
            what = f"is not valid JSON at byte {fault.offset + 1}, after record {self._count}: {fault.what}"
            self._fault = self._error("json_malformed", what)
        except ConnectorError as error:
            self._fault = error
        return None

    def _next(self) -> Cut | None:
        """The next element; None once the list is closed."""
        if self._is_done:
            return None
        if self._is_list:
            if self._is_closed():
                self._scanner.close(len(self._path))
                self._is_done = True
                return None
            cut = self._scanner.value()
        else:
            cut = self._scanner.value()
            self._scanner.close(len(self._path))
            self._is_done = True
        self._is_first = False
        self._count += 1
        return cut

    def _is_closed(self) -> bool:
        if not self._is_first:
            return self._scanner.take(b",]") == b"]"
        if self._scanner.peek() != b"]":
            return False
        self._scanner.take(b"]")
        return True

    # --- the way to the list -----------------------------------------------------------------------------------------
    def _enter(self) -> None:
        if not self._scanner.peek():
            self._is_done = True  # an empty file has no records
            return
        for depth, field in enumerate(self._path):
            self._scanner.take(b"{")
            self._find(field, self._path[:depth])
        if self._scanner.peek() == b"[":
            self._scanner.take(b"[")
        elif self._scanner.peek() == b"{":
            self._is_list = False
        else:
            where = f'"{".".join(self._path)}"' if self._path else "the document"
            raise self._error("record_path_missing", f"has neither a list nor an object at {where}")

    def _find(self, field: str, above: list[str]) -> None:
        """Go to the value of a field of the object just entered."""
        scanner, seen = self._scanner, []
        while scanner.peek() != b"}":
            name = self._field_name(scanner.string())
            scanner.take(b":")
            if name == field:
                return
            seen.append(name)
            scanner.value()
            if scanner.peek() == b",":
                scanner.take(b",")
        there = ", ".join(f'"{name}"' for name in seen[:SHOWN_FIELDS]) or "none"
        where = f' in "{".".join(above)}"' if above else ""
        raise self._error("record_path_missing", f'has no field "{field}"{where}. The fields there are: {there}')

    def _field_name(self, raw: bytes) -> str:
        try:
            return str(orjson.loads(raw))
        except ValueError:
            raise DocumentFaultError(self._scanner.offset, "a field name cannot be read") from None

    def _error(self, code: str, what: str) -> ConnectorError:
        parse = Classification.MISSING if code == "record_path_missing" else Classification.PARSE
        return ConnectorError(code, f"{self._name} {what}.", classification=parse)
