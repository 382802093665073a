"""What a connection to a folder of files stores, and what its export and import steps may say."""

import codecs
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from apps.connectors.base import Options, ReachedConfig
from apps.connectors.files.detect import plain_name
from apps.connectors.files.root import split_name
from apps.engine.expressions import Compiled, compile_template, valid_template

PATH_NAMES = frozenset({"run", "now", "flow", "settings"})
"""What the name of a written file may depend on: not on a record, since all records of a run go into one file."""

_PLACEHOLDER = re.compile(r"\{\{.*?\}\}", re.DOTALL)
REFUSED_ENCODINGS = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}


def _relative(name: str) -> str:
    return "/".join(split_name(name)) if name else name


def _sign(sign: str) -> str:
    if sign == "auto" or (len(sign) == 1 and sign not in "\r\n\0"):
        return sign
    raise ValueError('This must be one character, or "auto".')


def _written_sign(sign: str) -> str:
    if len(sign) != 1 or sign in '\r\n\0"':
        raise ValueError("This must be one character that is no quote and no line end.")
    return sign


def _text_encoding(name: str) -> str:
    if name == "auto":
        return name
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        raise ValueError(f'"{name}" is no encoding. Common ones: utf-8, cp1252, utf-16.') from None
    if not getattr(found, "_is_text_encoding", True) or found.name in REFUSED_ENCODINGS:
        raise ValueError(f'"{name}" is no encoding of text files.')
    return found.name


def _distinct(names: list[str]) -> list[str]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f'"{twice}" is named more than once.')
    return names


def _relative_template(template: str) -> str:
    split_name(_PLACEHOLDER.sub("x", template))
    return template


RelativeName = Annotated[str, AfterValidator(_relative)]
Sign = Annotated[str, AfterValidator(_sign)]
TextEncoding = Annotated[str, AfterValidator(_text_encoding)]
NameTemplate = Annotated[str, AfterValidator(valid_template(PATH_NAMES)), AfterValidator(_relative_template)]
ColumnNames = Annotated[list[str], AfterValidator(_distinct)]


class FileConfig(ReachedConfig):
    """A folder below the account's own folder."""

    folder: RelativeName = Field(
        default="",
        title="Folder",
        description="Folder below your account's file folder; leave it empty for that folder itself.",
    )


FILE_EXAMPLE = {"path": "example.csv"}


class FileExportOptions(Options):
    """Which files to read, and how."""

    path: RelativeName = Field(
        min_length=1,
        title="File",
        description="Name of the file below the connection's folder; * and ? stand for letters (in/*.csv.gz).",
    )
    format: Literal["auto", "csv", "json", "jsonl", "xlsx"] = Field(
        default="auto", title="Format", description="How the file is written; auto goes by its content and its name."
    )
    compression: Literal["auto", "gzip", "none"] = Field(
        default="auto", title="Compression", description="Whether the file is packed; auto looks at its first bytes."
    )
    encoding: TextEncoding = Field(
        default="auto", title="Encoding", description="Encoding of the text (utf-8, cp1252, …); auto finds it out."
    )
    delimiter: Sign = Field(
        default="auto", title="Delimiter", description="What stands between the fields of a CSV file."
    )
    quote: Sign = Field(default="auto", title="Quote", description="What stands around fields of a CSV file.")
    header: Literal["auto", "yes", "no"] = Field(
        default="auto",
        title="Header",
        description="Whether the first row of a CSV file names the fields; auto: unless it holds numbers or dates.",
    )
    columns: ColumnNames = Field(
        default_factory=list,
        title="Column names",
        description="Names of the fields of a CSV file, instead of those in its header.",
    )
    empty_as_null: bool = Field(
        default=False, title="Empty as null", description="Give empty fields of a CSV file as null, not as empty text."
    )
    record_path: str = Field(
        default="",
        title="Record path",
        description="Where the list of records stands in a JSON file (data.items); empty: the file is the list.",
    )
    sheet: str = Field(default="", title="Sheet", description="Sheet of a workbook to read; empty: the first one.")
    move_to: RelativeName = Field(
        default="",
        title="Move when done",
        description="Folder below the connection's folder into which files go once all their records are through.",
    )
    new_files_only: bool = Field(
        default=False,
        title="New files only",
        description="Read a file once; it is read again only after its size or its time has changed.",
    )
    if_missing: Literal["fail", "empty"] = Field(
        default="fail",
        title="If there is no file",
        description="fail: the run fails; empty: the run has nothing to do (a folder into which files are dropped).",
    )
    min_age_s: int = Field(
        default=0,
        ge=0,
        le=86_400,
        title="Leave new files alone",
        description="Seconds since its last change before a file is read, so that it is not still being written.",
    )

    @model_validator(mode="after")
    def _moves_elsewhere(self) -> "FileExportOptions":
        if self.move_to and self.move_to == "/".join(self.path.split("/")[:-1]):
            raise ValueError("move_to: the files are read from this very folder; name another one.")
        return self


class FileImportOptions(Options):
    """Which file to write, and how."""

    path: NameTemplate = Field(
        min_length=1,
        title="File",
        description="Name of the file below the connection's folder; it may hold {{ run.id }} or {{ now }}.",
    )
    format: Literal["auto", "jsonl", "csv", "json"] = Field(
        default="auto", title="Format", description="How the file is written; auto goes by the ending of its name."
    )
    mode: Literal["replace", "append"] = Field(
        default="replace",
        title="If the file exists",
        description="replace: the run's records take its place; append: they come after what it holds.",
    )
    compression: Literal["auto", "gzip", "none"] = Field(
        default="auto", title="Compression", description="Whether the file is packed; auto: if its name ends in .gz."
    )
    columns: ColumnNames = Field(
        default_factory=list,
        title="Columns",
        description="Fields that a CSV file gets, in this order; empty: all fields that occur.",
    )
    delimiter: Annotated[str, AfterValidator(_written_sign)] = Field(
        default=",", title="Delimiter", description="What stands between the fields of a CSV file."
    )
    defuse_formulas: bool = Field(
        default=False,
        title="Defuse formulas",
        description="Put ' before texts in a CSV file that a spreadsheet would run as a formula.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "FileImportOptions":
        if self.mode == "append" and self.written_format() == "json":
            raise ValueError("mode: nothing can be appended to a JSON document; write jsonl or csv.")
        return self

    def compiled_path(self) -> Compiled:
        """The name of the file as a function of the scope."""
        return compile_template(self.path, PATH_NAMES)

    def written_format(self, name: str = "") -> str:
        """jsonl, csv or json, by the options, then by the name (or what the template ends in)."""
        if self.format != "auto":
            return self.format
        ending = plain_name(name or self.path).rpartition(".")[2].lower()
        return {"csv": "csv", "tsv": "csv", "txt": "csv", "json": "json"}.get(ending, "jsonl")
