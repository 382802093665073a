"""What PostgreSQL's catalog says about tables and parameters."""

from collections.abc import Sequence

from psycopg.pq import ExecStatus

from apps.connectors.sql.face import Column, Table
from apps.connectors.sql.postgresql.link import Link
from apps.connectors.sql.statements import quote_table
from apps.engine.classification import classify
from apps.engine.ports import ConnectorError, ErrorSource, Outage

COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), t.typname,
       t.typcategory = 'A' OR t.typtype = 'c' OR b.typcategory IS NOT DISTINCT FROM 'A'
           OR coalesce(b.typname, t.typname) IN ('json', 'jsonb')
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = nullif(t.typbasetype, 0)
WHERE a.attrelid = to_regclass($1)::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""
UNIQUE_KEYS = """
SELECT array(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = i.indrelid
             AND a.attnum = ANY ((string_to_array(i.indkey::text, ' ')::int2[])[1:i.indnkeyatts]))
FROM pg_index i WHERE i.indrelid = to_regclass($1)::oid
AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL"""
SAVEPOINT, BACK, RELEASE = "SAVEPOINT fm_look", "ROLLBACK TO SAVEPOINT fm_look", "RELEASE SAVEPOINT fm_look"


def read_table(link: Link, name: str) -> Table:
    """Describe a table. Raises ConnectorError when the role sees none of that name."""
    quoted = quote_table(name)
    rows = link.execute(COLUMNS, [quoted]).fetchall()
    if not rows:
        message = f"There is no table {name} in the database {link.config.name}, or {link.config.user} may not see it."
        raise ConnectorError("42P01", message, classification=classify(ErrorSource.APPLICATION, "42P01", message))
    columns = {row[0]: Column(row[0], row[1], bool(row[3])) for row in rows}
    keys = link.execute(UNIQUE_KEYS, [quoted]).fetchall()
    return Table(name, columns, frozenset(frozenset(row[0]) for row in keys))


def parameter_types(link: Link, sql: str, source: str) -> list[str]:
    """The types that PostgreSQL infers for `$1`, `$2`, … of a statement; an open transaction stays usable."""
    is_open = link.has_transaction()
    if is_open:
        link.execute(SAVEPOINT)
    oids = _described(link, sql, source)
    if is_open:
        link.execute(RELEASE)
    return _type_names(link, oids)


def _described(link: Link, sql: str, source: str) -> list[int]:
    connection = link.connection()
    result = connection.pgconn.prepare(b"", sql.encode())
    if result.status == ExecStatus.COMMAND_OK:
        described = connection.pgconn.describe_prepared(b"")
        return [described.param_type(n) for n in range(described.nparams)]
    state = (result.error_field(67) or b"").decode()
    message = " ".join(result.get_error_message().split())
    if link.is_lost() or not state:
        raise Outage("lost", f"The connection to PostgreSQL at {link.place} was lost: {message}")
    if link.has_transaction():
        link.execute(BACK)
    raise ConnectorError(state, message, classification=classify(source, state, message), source=source)


def _type_names(link: Link, oids: Sequence[int]) -> list[str]:
    if not oids:
        return []
    array = "{" + ",".join(map(str, oids)) + "}"
    sql = "SELECT format_type(o, NULL) FROM unnest($1::oid[]) WITH ORDINALITY AS t(o, n) ORDER BY n"
    return [row[0] for row in link.execute(sql, [array]).fetchall()]
