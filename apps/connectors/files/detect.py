"""Finds out what a file is from its name and its first 64 kB: format, encoding, and how a CSV file is written."""

import codecs
import csv
import re
from collections import Counter
from dataclasses import dataclass

from charset_normalizer import from_bytes

SAMPLE_BYTES = 64 * 1024
SAMPLE_ROWS = 200
DELIMITERS = (",", ";", "\t", "|")
FORMATS_BY_ENDING = {
    "csv": "csv",
    "tsv": "csv",
    "tab": "csv",
    "txt": "csv",
    "json": "json",
    "geojson": "json",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "xlsx": "xlsx",
    "xlsm": "xlsx",
}
DEFAULT_ENCODING = "cp1252"
CODE_PAGES = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r", "iso8859_2",
    "shift_jis", "cp932", "euc_jp", "euc_kr", "cp949", "gb18030", "big5",
]  # fmt: skip
WIDE_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_DATA = re.compile(r"\s*[-+]?[.,]?\d[\d.,]*%?\s*|\s*\d{4}-\d\d-\d\d.*")
"""A cell that is a number or a date, and so no name of a column."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written."""

    delimiter: str
    quote: str


def plain_name(name: str) -> str:
    """The name without the ending that says it is packed."""
    return name[:-3] if name.lower().endswith(".gz") else name


def format_of(name: str, sample: bytes) -> str:
    """csv, json, jsonl or xlsx: by content where that is sure, then by the ending of the name."""
    if sample.startswith(b"PK\x03\x04"):
        return "xlsx"
    by_name = FORMATS_BY_ENDING.get(plain_name(name).rpartition(".")[2].lower(), "")
    if by_name and by_name != "json":
        return by_name
    text = sample.removeprefix(codecs.BOM_UTF8).lstrip()
    if text[:1] in (b"{", b"["):
        return "jsonl" if _has_object_per_line(text) else "json"
    return by_name or "csv"


def _has_object_per_line(text: bytes) -> bool:
    """More than one line, and the first two begin and end like an object each."""
    lines = [line.strip() for line in text.split(b"\n", 2)[:2]]
    return len(lines) == 2 and lines[0].startswith(b"{") and lines[0].endswith(b"}") and lines[1].startswith(b"{")


def encoding_of(sample: bytes) -> str:
    """The encoding of a text: byte order mark, UTF-8, else the likeliest code page (`cp1252` where nothing is)."""
    if sample.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    return wide_encoding_of(sample) or ("utf-8" if _is_mostly_utf8(sample) else _code_page(sample))


def wide_encoding_of(sample: bytes) -> str:
    """UTF-16 or UTF-32, by byte order mark or by where the zeros stand; empty if it is neither."""
    for mark, encoding in WIDE_MARKS.items():
        if sample.startswith(mark):
            return encoding
    if _is_wide(sample[1::2], sample[::2]):
        return "utf-16-le"
    if _is_wide(sample[::2], sample[1::2]):
        return "utf-16-be"
    return ""


def _is_wide(zeros: bytes, letters: bytes) -> bool:
    return len(zeros) >= 8 and zeros.count(0) > 0.7 * len(zeros) and letters.count(0) < 0.05 * len(letters)


def _is_mostly_utf8(sample: bytes) -> bool:
    """One broken line must not turn a whole UTF-8 file into a code page: the lines with letters beyond ASCII vote."""
    for_it = against = 0
    for line in sample.rpartition(b"\n")[0].splitlines() or [sample]:
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
            for_it += 1
        except UnicodeDecodeError as error:
            is_cut = len(sample) >= SAMPLE_BYTES and b"\n" not in sample and error.start >= len(line) - 3
            for_it, against = (for_it + 1, against) if is_cut else (for_it, against + 1)
    return for_it >= against


def _code_page(sample: bytes) -> str:
    letters = b"\n".join(line for line in sample.splitlines() if not line.isascii())  # only these can tell
    best = from_bytes(letters, cp_isolation=CODE_PAGES, enable_fallback=False).best()
    if best is None:
        return DEFAULT_ENCODING
    # Western European text reads alike in its neighbours; only a clear other script moves away from the default.
    return DEFAULT_ENCODING if DEFAULT_ENCODING in best.could_be_from_charset else best.encoding


def dialect_of(text: str, delimiter: str = "", quote: str = "") -> Dialect:
    """The delimiter that cuts most rows of a text into equally many fields, and the quote; given ones are kept."""
    quote = quote or _quote_of(text)
    if delimiter:
        return Dialect(delimiter, quote)
    scores = {sign: _evenness(text, sign, quote) for sign in DELIMITERS}
    best = max(DELIMITERS, key=lambda sign: scores[sign])
    return Dialect(best, quote)


def _quote_of(text: str) -> str:
    if '"' in text:
        return '"'
    quoted = len(re.findall(r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|]|\r?$)", text, re.MULTILINE))
    return "'" if quoted > text.count("\n") / 2 and quoted else '"'


def _evenness(text: str, delimiter: str, quote: str) -> tuple[float, int]:
    """The share of rows that have the usual number of fields (none if that is one), and that number."""
    rows = csv.reader(text.splitlines(keepends=True)[: SAMPLE_ROWS * 2], delimiter=delimiter, quotechar=quote)
    widths: Counter[int] = Counter()
    try:
        for row in rows:
            widths[len(row)] += bool(row)
    except csv.Error:
        pass
    if not widths:
        return 0.0, 0
    usual, times = widths.most_common(1)[0]
    return (times / widths.total(), usual) if usual > 1 else (0.0, 0)


def is_header(row: list[str]) -> bool:
    """Whether the first row holds names: none of its cells is a number or a date, and not all are empty."""
    return any(cell.strip() for cell in row) and not any(_DATA.fullmatch(cell) for cell in row)
