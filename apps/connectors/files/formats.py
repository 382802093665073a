"""Opens the rows of a file in the format that its step, its name or its content says."""

from apps.connectors.base import Limits
from apps.connectors.files.csv_rows import CsvLayout, CsvRows
from apps.connectors.files.detect import SAMPLE_BYTES, encoding_of, format_of, wide_encoding_of
from apps.connectors.files.json_lines import JsonLinesRows
from apps.connectors.files.json_rows import JsonRows
from apps.connectors.files.options import FileExportOptions
from apps.connectors.files.rows import Rows
from apps.connectors.files.store import OpenFile
from apps.connectors.files.streams import GZIP_MAGIC, WIDE_ENCODINGS, Packing, Stream, open_stream, read_sample
from apps.connectors.files.xlsx_rows import XlsxRows
from apps.engine.ports import Classification, ConnectorError, Record


def open_rows(file: OpenFile, options: FileExportOptions, limits: Limits, mark: Record | None) -> Rows:
    """The rows of an opened file from a mark on, or from its beginning. Raises ConnectorError."""
    is_gzip = _is_gzip(file, options)
    sample = read_sample(open_stream(file, Packing(file.found.name, is_gzip, limits)), SAMPLE_BYTES)
    kind = options.format if options.format != "auto" else format_of(file.found.name, sample)
    if kind == "xlsx":
        return _open_xlsx(file, options, limits, mark, is_gzip)
    encoding = _encoding(options, sample, kind)
    is_turned = encoding.startswith(WIDE_ENCODINGS) or (kind != "csv" and encoding != "utf-8")
    packing = Packing(file.found.name, is_gzip, limits, encoding if is_turned else "")

    def open_at(offset: int) -> Stream:
        return open_stream(file, packing, offset)

    if kind == "csv":
        return CsvRows(open_at, file.found.name, _layout(options, encoding), limits.max_bytes, mark)
    if kind == "jsonl":
        return JsonLinesRows(open_at, limits.max_bytes, mark)
    path = [part for part in options.record_path.split(".") if part]
    return JsonRows(open_at, file.found.name, path, limits.max_bytes, mark)


def _is_gzip(file: OpenFile, options: FileExportOptions) -> bool:
    has_magic = file.read_at(0, 2) == GZIP_MAGIC
    if options.compression == "gzip" and not has_magic and file.found.size:
        text = f"{file.found.name} is not packed with gzip, as the step says. Set its compression to auto."
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
    file: OpenFile, options: FileExportOptions, limits: Limits, mark: Record | None, is_gzip: bool
) -> XlsxRows:
    if is_gzip:
        name = file.found.name
        text = f"{name} is a workbook packed with gzip, which cannot be read. Store it as .xlsx: that is packed too."
        raise ConnectorError("xlsx_in_gzip", text, classification=Classification.VALUE)
    return XlsxRows(file, options.sheet, limits, mark)
