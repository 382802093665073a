"""What the steps of an HTTP connection may say: export, lookup, import."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from apps.connectors.base import Options
from apps.connectors.http.config import HeaderName
from apps.connectors.http.documents import parse_path
from apps.connectors.http.requests import BodyFormat, check_path, check_tree
from apps.engine.expressions import Expression, Template, valid_template

EXPORT_NAMES = frozenset({"run", "now", "flow", "settings"})
"""What the requests of an export may depend on: there is no record yet."""
Paging = Literal["none", "page", "offset", "cursor", "next_url", "link_header"]


def _export_path(source: str) -> str:
    return check_path(source, EXPORT_NAMES)


def _export_tree(source: Any) -> Any:
    return check_tree(source, EXPORT_NAMES)


def _fields(path: str) -> str:
    parse_path(path)
    return path


def _plain_fields(path: str) -> str:
    if any(not isinstance(step, str) for step in parse_path(path)):
        raise ValueError("Only names of fields can stand here, no places in lists.")
    return path


def _status(number: int) -> int:
    if not 100 <= number <= 599:
        raise ValueError("A status is a number from 100 to 599.")
    return number


Path = Annotated[str, AfterValidator(check_path)]
ExportPath = Annotated[str, AfterValidator(_export_path)]
ExportText = Annotated[str, AfterValidator(valid_template(EXPORT_NAMES))]
Body = Annotated[Any, AfterValidator(check_tree)]
ExportBody = Annotated[Any, AfterValidator(_export_tree)]
FieldPath = Annotated[str, AfterValidator(_fields)]
PlainPath = Annotated[str, AfterValidator(_plain_fields)]
Status = Annotated[int, AfterValidator(_status)]


class HttpExportOptions(Options):
    """Records are read from the answers of one request after the other."""

    method: Literal["GET", "POST"] = Field("GET", title="Method", description="POST where a search is sent as a body.")
    path: ExportPath = Field("", title="Path", description="What is added to the connection's address.")
    query: dict[str, ExportText] = Field(
        {},
        title="Query",
        description="Parameters of the address, such as {{ run.since }}; those without a value are left out.",
    )
    headers: dict[HeaderName, ExportText] = Field({}, title="Headers", description="Headers of these requests.")
    body: ExportBody = Field(None, title="Body", description="JSON that is sent; texts in it may hold {{ }}.")
    record_path: FieldPath = Field(
        "", title="Record path", description="Where the list of records stands in an answer; empty: it is the list."
    )
    paging: Paging = Field("none", title="Paging", description="How the application divides what it gives.")
    page_param: str = Field("page", title="Page parameter", description="Paging by page: holds the number of the page.")
    first_page: int = Field(1, ge=0, title="First page", description="Paging by page: the number of the first one.")
    offset_param: str = Field("offset", title="Offset parameter", description="Paging by offset: records to pass over.")
    size_param: str = Field("", title="Size parameter", description="Holds how many records a page may have, if any.")
    size: int | None = Field(
        None, ge=1, le=100_000, title="Size", description="How many records to ask for; empty: the flow's page size."
    )
    cursor_path: FieldPath = Field("", title="Cursor path", description="Where an answer holds the next cursor.")
    cursor_param: str = Field("cursor", title="Cursor parameter", description="Holds the cursor of the next request.")
    next_path: FieldPath = Field("", title="Next path", description="Where an answer holds the next page's address.")
    more_path: FieldPath = Field(
        "", title="More path", description="Where an answer says whether there is more; false ends the export."
    )
    paging_in: Literal["query", "body"] = Field(
        "query", title="Place of the paging", description="Whether the parameters go into the address or the body."
    )
    last_page: Literal["empty", "short", "not_found"] = Field(
        "empty",
        title="Last page",
        description="Paging by page or offset ends at an empty page, a page below the size, or an answer 404.",
    )
    incremental: Literal["none", "field", "window"] = Field(
        "none",
        title="Incremental",
        description="The next run begins at the highest value of a field, or where this run's window ended.",
    )
    incremental_field: FieldPath = Field(
        "", title="Incremental field", description="The field of a record whose highest value is the checkpoint."
    )
    overlap_s: float = Field(
        0, ge=0, title="Overlap", description="How far run.since goes back: seconds, or units of a number."
    )
    ordered: bool = Field(
        False, title="Ordered", description="The application gives records by that field, lowest first."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.paging == "cursor" and not self.cursor_path:
            raise ValueError('Paging by cursor needs "cursor_path": where an answer holds the next one.')
        if self.paging == "next_url" and not self.next_path:
            raise ValueError('Paging by the next address needs "next_path": where an answer holds it.')
        if (self.body is not None or self.paging_in == "body") and self.method != "POST":
            raise ValueError("A body can only be sent by POST.")
        if self.paging_in == "body" and not isinstance(self.body, dict | None):
            raise ValueError("Paging in the body needs a body that is an object.")
        if self.last_page == "short" and self.paging in ("page", "offset") and not self.size_param and not self.size:
            raise ValueError('A short page can only be known with "size" or "size_param".')
        if (self.incremental == "field") != bool(self.incremental_field):
            raise ValueError('"incremental: field" and "incremental_field" belong together.')
        if self.ordered and self.incremental != "field":
            raise ValueError('"ordered" belongs to an export that is incremental by a field.')
        return self


class HttpLookupOptions(Options):
    """Records that belong to a record: one request for each, or one for many keys."""

    method: Literal["GET", "POST"] = Field("GET", title="Method", description="POST where a search is sent as a body.")
    path: Path = Field("", title="Path", description="What is added to the connection's address.")
    query: dict[str, Template] = Field(
        {}, title="Query", description="Parameters of the address; those without a value are left out."
    )
    headers: dict[HeaderName, Template] = Field({}, title="Headers", description="Headers of these requests.")
    body: Body = Field(None, title="Body", description="JSON that is sent; texts in it may hold {{ }}.")
    record_path: FieldPath = Field(
        "", title="Record path", description="Where what was found stands in an answer; empty: it is the answer."
    )
    not_found: Literal["empty", "error"] = Field(
        "empty", title="Answer 404", description="empty: nothing was found; error: the record fails."
    )
    key: Expression | None = Field(
        None, title="Key", description="With a key, one request asks for many records: what identifies each."
    )
    keys_param: str = Field(
        "", title="Keys parameter", description="Holds the keys: a parameter, or a field of the body."
    )
    keys_in: Literal["query", "body"] = Field(
        "query", title="Place of the keys", description="In the address, joined by commas, or as a list in the body."
    )
    separator: str = Field(",", min_length=1, max_length=5, title="Separator", description="What joins the keys.")
    match_field: FieldPath = Field("", title="Match field", description="The field of what was found that is the key.")
    keys_per_request: int = Field(
        100, ge=1, le=10_000, title="Keys per request", description="How many keys one request asks for at most."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.body is not None and self.method != "POST":
            raise ValueError("A body can only be sent by POST.")
        if self.key is None and (self.keys_param or self.match_field):
            raise ValueError('"keys_param" and "match_field" belong to a lookup with "key".')
        if self.key is not None and not (self.keys_param and self.match_field):
            raise ValueError('A lookup with "key" needs "keys_param" and "match_field".')
        if self.keys_in == "body" and (self.method != "POST" or not isinstance(self.body, dict | None)):
            raise ValueError("Keys in the body need POST, and a body that is an object.")
        return self


class HttpImportOptions(Options):
    """Records are sent, one in each request or many together."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"] = Field(
        "POST", title="Method", description="How the application is told what to do with a record."
    )
    path: Path = Field("", title="Path", description="What is added to the connection's address.")
    query: dict[str, Template] = Field(
        {}, title="Query", description="Parameters of the address; those without a value are left out."
    )
    headers: dict[HeaderName, Template] = Field({}, title="Headers", description="Headers of these requests.")
    body: Body = Field(
        None, title="Body", description="JSON that is sent for a record; empty: the record as it was mapped."
    )
    body_format: BodyFormat = Field("json", title="Format of the body", description="How the body is written.")
    batch_size: int = Field(1, ge=1, le=10_000, title="Records per request", description="More than 1: a list is sent.")
    records_field: PlainPath = Field(
        "", title="Records field", description="The field that holds the list of records; empty: the body is the list."
    )
    envelope: Body = Field(
        None, title="Envelope", description="JSON around the list of records; texts in it may hold {{ }}."
    )
    idempotency_header: HeaderName | Literal[""] = Field(
        "",
        title="Idempotency header",
        description="By this header (often Idempotency-Key) the application knows a repeated request again.",
    )
    key_field: PlainPath = Field(
        "",
        title="Key field",
        description="The field of a record's body by which it is known again when it is repeated.",
    )
    repeats: Literal["auto", "safe", "keyed", "unsafe"] = Field(
        "auto",
        title="Repeats",
        description="What a repeated request does; auto: PUT, PATCH, DELETE are safe, POST only with a key.",
    )
    on_unknown: Literal["in_doubt", "retry"] = Field(
        "in_doubt", title="Lost answers", description="Where a repeat is not safe: ask a person first, or send again."
    )
    accept_statuses: tuple[Status, ...] = Field(
        (), title="Accepted statuses", description="Statuses besides 2xx that mean success, such as 404 for a DELETE."
    )
    results_path: FieldPath | None = Field(
        None, title="Results path", description="Where the answer to a list holds what became of each record."
    )
    match_sent: FieldPath = Field(
        "", title="Match: sent field", description="The field of a sent record by which its result is found."
    )
    match_result: FieldPath = Field(
        "", title="Match: result field", description="The field of a result with that value; empty: in the same order."
    )
    status_path: FieldPath = Field(
        "", title="Status path", description="Where a result holds a status such as 201 or 422."
    )
    success_path: FieldPath = Field(
        "", title="Success path", description="Where an answer or result says whether it went well."
    )
    success_values: tuple[str | int | bool, ...] = Field(
        (), title="Success values", description="What stands there when it went well; empty: anything that is true."
    )
    error_path: FieldPath = Field(
        "", title="Error path", description="Where an answer or result holds an error; nothing there: it went well."
    )
    code_path: FieldPath = Field("", title="Code path", description="Where an answer or result holds the error's code.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.batch_size == 1 and (self.records_field or self.envelope is not None or self.results_path is not None):
            raise ValueError('"records_field", "envelope" and "results_path" belong to several records per request.')
        if self.batch_size > 1 and self.body_format != "json":
            raise ValueError("Several records per request are sent as JSON.")
        if self.envelope is not None and not (isinstance(self.envelope, dict) and self.records_field):
            raise ValueError('An envelope is an object and needs "records_field": where the records go in it.')
        if bool(self.match_sent) != bool(self.match_result):
            raise ValueError('"match_sent" and "match_result" belong together.')
        if self.success_values and not self.success_path:
            raise ValueError('"success_values" needs "success_path".')
        if self.repeats == "keyed" and not (self.idempotency_header or self.key_field):
            raise ValueError('"repeats: keyed" needs "idempotency_header" or "key_field".')
        return self
