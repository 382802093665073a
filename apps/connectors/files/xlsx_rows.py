"""Rows of one sheet of an XLSX workbook; the first row that is not empty names the fields."""

import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any
from xml.etree.ElementTree import ParseError

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from apps.connectors.base import Limits
from apps.connectors.files.rows import Row, bad_row
from apps.connectors.files.store import OpenFile
from apps.engine.ports import Classification, ConnectorError, Record

UNREADABLE = (zipfile.BadZipFile, InvalidFileException, ParseError, KeyError, ValueError, TypeError, OSError, EOFError)
"""What openpyxl raises for workbooks that are damaged, protected or no workbooks."""

MAX_SHARED_TEXT_FACTOR = 8
"""The texts of a workbook are held in memory: at most so many times the limit of one record."""

SHARED_TEXTS = "xl/sharedStrings.xml"


class XlsxRows:
    """Reads rows below header or mark; the file is the caller's. Values: text, number, bool, ISO date."""

    def __init__(self, file: OpenFile, sheet: str, limits: Limits, mark: Record | None) -> None:
        self._name = file.found.name
        self._file = file.seekable()
        try:
            self._check_size(limits)
            self._book = load_workbook(self._file, read_only=True, data_only=True)
        except ConnectorError:
            self._file.close()
            raise
        except UNREADABLE as error:
            self._file.close()
            raise self._unreadable(error) from error
        self._at = 0
        self._rows = self._numbered(sheet)
        self._names = self._header()
        while mark and self._at < mark["row"] and self._next_cells() is not None:
            pass

    def read(self, count: int) -> list[Row]:
        rows: list[Row] = []
        while len(rows) < count:
            cells = self._next_cells()
            if cells is None:
                break
            rows.append(self._record(cells))
        return rows

    def mark(self) -> Record:
        return {"row": self._at}

    def close(self) -> None:
        self._book.close()
        self._file.close()

    def _record(self, cells: list[Any]) -> Row:
        width = len(self._names)
        if len(cells) > width:
            raw = repr(cells).encode("utf-8", "replace")
            return bad_row(raw, f"row {self._at}", "field_count", f"{len(cells)} cells, the header has {width}")
        return dict(zip(self._names, cells + [None] * (width - len(cells)), strict=True))

    def _header(self) -> list[str]:
        cells = self._next_cells() or []
        names = ["" if cell is None else str(cell).strip() for cell in cells]
        names = [name or f"column_{at}" for at, name in enumerate(names, 1)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            text = f'{self._name}: the header names "{twice}" more than once. Give the columns different names.'
            raise ConnectorError("duplicate_columns", text, classification=Classification.DUPLICATE)
        return names

    def _next_cells(self) -> list[Any] | None:
        """The next row that holds anything, without empty cells at its end."""
        while True:
            try:
                self._at, values = next(self._rows)
            except StopIteration:
                return None
            except UNREADABLE as error:
                raise self._unreadable(error) from error
            cells = [_plain(value) for value in values]
            while cells and cells[-1] is None:
                cells.pop()
            if cells:
                return cells

    def _numbered(self, title: str) -> Iterator[tuple[int, tuple[Any, ...]]]:
        titles = self._book.sheetnames
        if title and title not in titles:
            there = ", ".join(f'"{name}"' for name in titles)
            text = f'{self._name} has no sheet "{title}". Its sheets are: {there}.'
            raise ConnectorError("sheet_missing", text, classification=Classification.MISSING)
        sheet = self._book[title or titles[0]]
        sheet.reset_dimensions()  # what the file says about its own size is often wrong
        return enumerate(sheet.iter_rows(values_only=True), 1)

    def _check_size(self, limits: Limits) -> None:
        with zipfile.ZipFile(self._file) as archive:
            for part in archive.infolist():
                too_far = part.file_size > limits.max_bytes
                too_far = too_far and part.file_size > limits.max_ratio * max(part.compress_size, 1)
                too_big = part.filename == SHARED_TEXTS and part.file_size > limits.max_bytes * MAX_SHARED_TEXT_FACTOR
                if too_far or too_big:
                    text = f"{self._name} unfolds too far ({part.filename}: {part.file_size} bytes) and was not read."
                    raise ConnectorError("unpacks_too_far", text, classification=Classification.TOO_LARGE)

    def _unreadable(self, error: Exception) -> ConnectorError:
        text = f"{self._name} cannot be read as an XLSX workbook: it is damaged, protected by a password or another "
        text += f"kind of file ({type(error).__name__}). Save it anew as .xlsx without a password."
        return ConnectorError("xlsx_unreadable", text, classification=Classification.PARSE)


def _plain(value: Any) -> Any:
    """A cell as JSON has it; dates and times in ISO 8601."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
