"""The content of a run's file: its parts one after the other in the wanted format, after what is to be kept."""

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import orjson

from apps.connectors.base import Limits
from apps.connectors.files.encode import csv_cells
from apps.connectors.files.options import FileImportOptions
from apps.connectors.files.parts import Parts
from apps.connectors.files.store import OpenFile
from apps.connectors.files.streams import GZIP_MAGIC, Packing, Stream, open_stream

Sink = BinaryIO | gzip.GzipFile


@dataclass(frozen=True, slots=True)
class Content:
    """What goes into the file `name`; `old` is the file in place if it is to be kept, and stays the caller's."""

    name: str
    parts: Parts
    options: FileImportOptions
    limits: Limits
    old: OpenFile | None = None

    def write_to(self, file: BinaryIO) -> None:
        """Raises ConnectorError, and what the file raises."""
        if self._is_gzip:
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                self._write(packed)
        else:
            self._write(file)

    @property
    def _is_gzip(self) -> bool:
        named = self.name.lower().endswith(".gz")
        return self.options.compression == "gzip" or (self.options.compression == "auto" and named)

    def _write(self, out: Sink) -> None:
        kind = self.options.written_format(self.name)
        if kind == "csv":
            self._write_csv(out)
        elif kind == "json":
            self._write_json(out)
        else:
            self._copy_old(out)
            for lines in self.parts.lines():
                out.writelines(lines)

    def _write_json(self, out: Sink) -> None:
        before = b"[\n"
        for lines in self.parts.lines():
            out.write(before + b",\n".join(line[:-1] for line in lines))
            before = b",\n"
        out.write(b"\n]\n" if before == b",\n" else b"[]\n")

    def _write_csv(self, out: Sink) -> None:
        options = self.options
        wanted = options.columns or self.parts.fields()
        text = io.TextIOWrapper(out, "utf-8", newline="", write_through=False)
        writer = csv.writer(text, delimiter=options.delimiter, lineterminator="\r\n")
        old = self._old_rows()
        header = next(old, [])
        columns = header + [name for name in wanted if name not in header]
        writer.writerow(columns)
        for row in old:
            writer.writerow(row + [""] * (len(columns) - len(row)))
        for lines in self.parts.lines():
            records = map(orjson.loads, lines)
            writer.writerows(csv_cells(record, columns, defuse=options.defuse_formulas) for record in records)
        text.flush()
        text.detach()

    def _old_rows(self) -> Iterator[list[str]]:
        """The rows, header first, of the file that is to be kept."""
        file = io.BufferedReader(_Unpacked(self._old_stream()), 1 << 20)
        with io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
            yield from (row for row in csv.reader(text, delimiter=self.options.delimiter) if row)

    def _copy_old(self, out: Sink) -> None:
        """Copy the file that is to be kept, and end its last line."""
        old, last = self._old_stream(), b"\n"
        while old is not None and (block := old.read()):
            out.write(block)
            last = block[-1:]
        if last != b"\n":
            out.write(b"\n")

    def _old_stream(self) -> Stream | None:
        if self.old is None:
            return None
        is_gzip = self.old.read_at(0, 2) == GZIP_MAGIC
        return open_stream(self.old, Packing(self.name, is_gzip, self.limits))


class _Unpacked(io.RawIOBase):
    """A stream as Python's own readers want it."""

    def __init__(self, stream: Stream | None) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        block = self._stream.read(len(buffer)) if self._stream else b""
        buffer[: len(block)] = block
        return len(block)
