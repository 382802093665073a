"""What people fill in: the SQL connection and the options of its export, lookup and import steps."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from apps.connectors.base import Options, ReachedConfig
from apps.connectors.sql.statements import StatementError, parse_query, parse_statement
from apps.engine.expressions import Expression

Operation = Literal["insert", "update", "upsert", "delete", "statement"]
HOST = re.compile(r"[A-Za-z0-9_.:\-]{1,255}")
PARAMETER = re.compile(r"[A-Za-z_]\w{0,62}", re.ASCII)
NEEDS_KEYS = frozenset({"update", "upsert", "delete"})


def check_name(name: str) -> str:
    if not name.strip() or "\x00" in name or len(name) > 130:
        raise ValueError("A name of a table or column is 1 to 130 characters long.")
    return name


def check_parameter(name: str) -> str:
    if not PARAMETER.fullmatch(name):
        raise ValueError(f"A parameter's name consists of letters, digits and _: {name!r} does not.")
    return name


def check_query(text: str) -> str:
    parse_query(text)
    return text


def check_statement(text: str) -> str:
    parse_statement(text)
    return text


Name = Annotated[str, AfterValidator(check_name)]
Query = Annotated[str, AfterValidator(check_query)]
WritingStatement = Annotated[str, AfterValidator(check_statement)]
Parameters = dict[Annotated[str, AfterValidator(check_parameter)], Expression]


USUAL_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "mssql": 1433, "oracle": 1521}
LABELS = {
    "postgresql": "PostgreSQL",
    "mysql": "MySQL",
    "mariadb": "MariaDB",
    "mssql": "SQL Server",
    "oracle": "Oracle",
}


class SqlConfig(ReachedConfig):
    """A database server or a SQLite file."""

    database: Literal["postgresql", "sqlite", "mysql", "mariadb", "mssql", "oracle"] = Field(
        title="Database", description="Which kind of database this is."
    )
    host: str = Field("", title="Host", description="Name or address of the database server.")
    port: int = Field(
        0, ge=0, le=65535, title="Port", description="The port on which the server listens; 0: the usual one."
    )
    name: str = Field(
        "", max_length=63, title="Database name", description="The database on the server, or the service."
    )
    user: str = Field("", max_length=63, title="User", description="The user or role to sign in as.")
    password: SecretStr | None = Field(None, title="Password", description="The password of that user.")
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "prefer", title="TLS", description="Whether the connection is encrypted and the server verified."
    )
    search_path: str = Field(
        "", max_length=255, title="Schema", description="PostgreSQL: schemas where tables are looked for, by commas."
    )
    file: str = Field("", max_length=1000, title="File", description="SQLite: the file below the databases folder.")
    statement_timeout_s: float | None = Field(
        None,
        gt=0,
        le=3600,
        title="Statement time-out (seconds)",
        description="The longest that one statement may take.",
    )
    lock_timeout_s: float | None = Field(
        None, gt=0, le=600, title="Lock time-out (seconds)", description="The longest wait for somebody else's lock."
    )
    synchronous_commit: bool = Field(
        True,
        title="Wait for the disk",
        description="On: a commit is on disk when it is answered. Off: faster, a power cut may lose the last moment.",
    )

    @model_validator(mode="before")
    @classmethod
    def _usual_port(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("port") in (None, 0, "0", ""):
            return {**given, "port": USUAL_PORTS.get(str(given.get("database")), 0)}
        return given

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if self.database == "sqlite":
            if not self.file:
                raise ValueError('A SQLite connection needs "file": the path below the databases folder.')
            return self
        missing = [field for field in ("host", "name", "user") if not getattr(self, field)]
        if missing:
            raise ValueError(f"A {LABELS[self.database]} connection needs {', '.join(missing)}.")
        if not HOST.fullmatch(self.host):
            raise ValueError(f"The host {self.host!r} is not one host name or address.")
        return self


class ExportOptions(Options):
    """Rows of a query become records."""

    query: Query = Field(title="Query", description="A SELECT; values are bound by name (:name).")
    parameters: Parameters = Field({}, title="Parameters", description="An expression for each :name of the query.")
    unique: tuple[Name, ...] = Field(
        (), title="Unique columns", description="Columns of the result that identify a row: the export can be resumed."
    )
    watermark: Name | None = Field(
        None, title="Watermark column", description="Only rows at or after the last exported value are exported."
    )
    overlap: float = Field(
        0, ge=0, title="Overlap", description="How far back the next run looks again: seconds, or units of a number."
    )

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        check_parameters(self.query, self.parameters)
        if len(set(self.unique)) != len(self.unique):
            raise ValueError("The unique columns name a column twice.")
        if self.overlap and not self.watermark:
            raise ValueError("An overlap needs a watermark column.")
        return self


class LookupOptions(Options):
    """Rows that belong to a record: of a table by equal columns, or of a query."""

    table: Name | None = Field(None, title="Table", description="The table to look in (or write a query).")
    match: dict[Name, Expression] = Field(
        {}, title="Match", description="Columns of the table and the expression that each must equal."
    )
    columns: tuple[Name, ...] = Field((), title="Columns", description="Which columns to fetch; all if none is named.")
    query: Query | None = Field(None, title="Query", description="A SELECT; values are bound by name (:name).")
    parameters: Parameters = Field({}, title="Parameters", description="An expression for each :name of the query.")
    lock: bool = Field(False, title="Lock the rows", description="Keep others from changing them until the commit.")

    @model_validator(mode="after")
    def _check_way(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError('A lookup needs either "table" with "match", or "query".')
        if self.table is not None and not self.match:
            raise ValueError('A lookup in a table needs "match": the columns that must be equal.')
        if self.query is not None:
            if self.match or self.columns:
                raise ValueError('"match" and "columns" belong to a lookup in a table, not to a query.')
            check_parameters(self.query, self.parameters)
        return self


class ImportOptions(Options):
    """Records become rows."""

    operation: Operation = Field(title="Operation", description="What is done with each record.")
    table: Name | None = Field(None, title="Table", description="The table, or schema.table.")
    keys: tuple[Name, ...] = Field(
        (), title="Keys", description="Columns that identify the row (update, delete) or stand under a unique index."
    )
    columns: tuple[Name, ...] = Field(
        (), title="Columns", description="Only these fields of a record are written; all if none is named."
    )
    statement: WritingStatement | None = Field(
        None, title="Statement", description="Run for each record; values are bound by name (:name)."
    )
    parameters: Parameters = Field(
        {}, title="Parameters", description="Expressions for :names; the others are fields of the record."
    )
    ignore_missing: bool = Field(
        False, title="Ignore missing rows", description="An update or delete that finds no row is no error."
    )
    ledger: bool | None = Field(
        None,
        title="Ledger",
        description="Note each delivery in the target so that nothing is written twice; on where it is needed.",
    )

    @model_validator(mode="after")
    def _check_operation(self) -> Self:
        if self.operation == "statement":
            if self.statement is None or self.table or self.keys or self.columns:
                raise ValueError('The operation statement needs "statement", and no table, keys or columns.')
            return self
        if self.table is None or self.statement is not None or self.parameters:
            raise ValueError(f'The operation {self.operation} needs "table", and no statement or parameters.')
        if self.operation in NEEDS_KEYS and not self.keys:
            raise ValueError(f'The operation {self.operation} needs "keys": the columns that identify a row.')
        if self.columns and (left_out := [key for key in self.keys if key not in self.columns]):
            raise ValueError(f"The keys must be among the columns: {', '.join(left_out)} is not.")
        return self


def check_parameters(query: str, parameters: dict[str, Expression]) -> None:
    """Every :name has its expression, every expression its :name."""
    try:
        names = set(parse_query(query).names)
    except StatementError:
        return  # already reported in its place
    if missing := sorted(names - parameters.keys()):
        raise ValueError(f"The query uses :{missing[0]}, but parameters has no expression for it.")
    if unused := sorted(parameters.keys() - names):
        raise ValueError(f"The parameter {unused[0]} is not used by the query (write :{unused[0]}).")
