"""CSV that a spreadsheet opens as text: a cell that looks like a formula gets an apostrophe in front."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, tzinfo

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
MARK = "\ufeff"
"""The byte order mark at the start of a file, for Excel."""


class _Line:
    """What a csv writer writes to: keeps the line for the caller."""

    def write(self, text: str) -> str:
        return text


def csv_lines(rows: Iterable[Sequence[object]], zone: tzinfo = UTC) -> Iterator[str]:
    """A line for each row; moments are in ISO form with the offset of `zone`."""
    writer = csv.writer(_Line())
    for row in rows:
        yield writer.writerow([_cell(value, zone) for value in row])


def _cell(value: object, zone: tzinfo) -> object:
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat(timespec="seconds")
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value
