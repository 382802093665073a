"""What the readers of the formats have in common."""

from typing import Protocol

from apps.engine.ports import BadRecord, Classification, ErrorSource, Failure, Record

Row = Record | BadRecord


class Rows(Protocol):
    """The rows of one opened file in order."""

    def read(self, count: int) -> list[Row]:
        """Up to `count` rows; none only at the end of the file. Raises ConnectorError where reading cannot go on."""

    def mark(self) -> Record:
        """Where the next row begins, as JSON: reading can begin there again."""

    def close(self) -> None: ...


def bad_row(raw: bytes, place: str, code: str, what: str, classification: str = Classification.PARSE) -> BadRecord:
    """A row that is no record; `what` goes on after the place: "line 17: 9 fields, the header has 14"."""
    return BadRecord(raw, place, Failure(ErrorSource.APPLICATION, code, f"{place}: {what}.", classification))


def too_large(raw: bytes, place: str, size: int, limit: int) -> BadRecord:
    """A row longer than the limit, both in bytes."""
    what = f"the record is longer than {limit} bytes ({size} bytes); only its beginning was kept"
    return bad_row(raw, place, "too_large", what, Classification.TOO_LARGE)
