"""Opens the rows of a file in the format that its step, its name or its content says."""

import os

from apps.connectors.base import Limits
from apps.connectors.files.csv_rows import CsvLayout, CsvRows
from apps.connectors.files.detect import SAMPLE_BYTES, encoding_of, format_of, wide_encoding_of
from apps.connectors.files.json_lines import JsonLinesRows
from apps.connectors.files.json_rows import JsonRows
from apps.connectors.files.options import FileExportOptions
from apps.connectors.files.root import Found
from apps.connectors.files.rows import Rows
from apps.connectors.files.streams import GZIP_MAGIC, WIDE_ENCODINGS, Packing, Stream, open_stream, read_sample
from apps.connectors.files.xlsx_rows import XlsxRows
from apps.engine.ports import Classification, ConnectorError, Record


def open_rows(fd: int, found: Found, options: FileExportOptions, limits: Limits, mark: Record | None) -> Rows:
    """The rows of an opened file from a mark on, or from its beginning. Raises ConnectorError."""
    is_gzip = _is_gzip(fd, found, options)
    sample = read_sample(open_stream(fd, Packing(found.name, is_gzip, limits)), SAMPLE_BYTES)
    kind = options.format if options.format != "auto" else format_of(found.name, sample)
    if kind == "xlsx":
        return _open_xlsx(fd, found, options, limits, mark, is_gzip)
    encoding = _encoding(options, sample, kind)
    is_turned = encoding.startswith(WIDE_ENCODINGS) or (kind != "csv" and encoding != "utf-8")
    packing = Packing(found.name, is_gzip, limits, encoding if is_turned else "")

    def open_at(offset: int) -> Stream:
        return open_stream(fd, packing, offset)

    if kind == "csv":
        return CsvRows(open_at, found.name, _layout(options, encoding), limits.max_bytes, mark)
    if kind == "jsonl":
        return JsonLinesRows(open_at, limits.max_bytes, mark)
    path = [part for part in options.record_path.split(".") if part]
    return JsonRows(open_at, found.name, path, limits.max_bytes, mark)


def _is_gzip(fd: int, found: Found, options: FileExportOptions) -> bool:
    has_magic = os.pread(fd, 2, 0) == GZIP_MAGIC
    if options.compression == "gzip" and not has_magic and found.size:
        text = f"{found.name} is not packed with gzip, as the step says. Set its compression to auto."
        raise ConnectorError("not_gzip", text, classification=Classification.PARSE)
    return has_magic and options.compression != "none"


def _encoding(options: FileExportOptions, sample: bytes, kind: str) -> str:
    """The encoding the step names, else what the sample shows. JSON is UTF-8, or UTF-16 and UTF-32."""
    if options.encoding != "auto":
        return options.encoding
    if kind == "csv":
        return encoding_of(sample)
    return wide_encoding_of(sample) or "utf-8"


def _layout(options: FileExportOptions, encoding: str) -> CsvLayout:
    return CsvLayout(
        "" if options.delimiter == "auto" else options.delimiter,
        "" if options.quote == "auto" else options.quote,
        encoding,
        options.header,
        tuple(options.columns),
        options.empty_as_null,
    )


def _open_xlsx(
    fd: int, found: Found, options: FileExportOptions, limits: Limits, mark: Record | None, is_gzip: bool
) -> XlsxRows:
    if is_gzip:
        text = (
            f"{found.name} is a workbook packed with gzip, which cannot be read. Store it as .xlsx: that is packed too."
        )
        raise ConnectorError("xlsx_in_gzip", text, classification=Classification.VALUE)
    return XlsxRows(fd, found.name, options.sheet, limits, mark)
