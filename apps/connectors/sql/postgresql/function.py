"""The SQL texts that write a page: set-based statements over JSON, and the temporary function around them.

The function takes a page as JSON texts of about twenty records each. Each chunk is one statement in a subtransaction of
its own; a chunk that fails is done again row by row, so that only the failing rows come back, with the server's words.
Measured: 20 rows a chunk was the best between 10 and 100 at 1 % bad records.
"""

from collections.abc import Mapping, Sequence

from apps.connectors.sql.face import Column, Job
from apps.connectors.sql.statements import quote_name, quote_names, quote_table

NUMBER = '"fm_number_"'
SHORT_LOCK_MS = 250
"""Once somebody else's lock was waited for as long as allowed, the other rows of the page wait only so long."""

FUNCTION = """
CREATE OR REPLACE FUNCTION pg_temp.{name} (fm_chunks text[], fm_starts integer[])
RETURNS TABLE (fm_at integer, fm_code text, fm_message text, fm_detail text, fm_column text)
LANGUAGE plpgsql AS {tag}
#variable_conflict use_column
DECLARE fm_page json; fm_row json; fm_hits bigint; fm_it record;
BEGIN
  FOR fm_k IN 1 .. cardinality(fm_chunks) LOOP
    BEGIN
      fm_page := fm_chunks[fm_k];
      {statement}
      {check_chunk}
    EXCEPTION WHEN query_canceled THEN RAISE;
    WHEN OTHERS THEN
      IF SQLSTATE = '55P03' THEN PERFORM set_config('lock_timeout', '{short_lock}', true); END IF;
      fm_at := fm_starts[fm_k] - 1;
      FOR fm_row IN SELECT e.value FROM json_array_elements(fm_chunks[fm_k]::json) AS e LOOP
        fm_at := fm_at + 1;
        BEGIN
          fm_page := json_build_array(fm_row);
          {statement}
          {check_row}
        EXCEPTION WHEN query_canceled THEN RAISE;
        WHEN OTHERS THEN
          GET STACKED DIAGNOSTICS fm_code = RETURNED_SQLSTATE, fm_message = MESSAGE_TEXT,
            fm_detail = PG_EXCEPTION_DETAIL, fm_column = COLUMN_NAME;
          IF fm_code = '55P03' THEN PERFORM set_config('lock_timeout', '{short_lock}', true); END IF;
          RETURN NEXT;
        END;
      END LOOP;
    END;
  END LOOP;
END {tag}"""
CHECK_CHUNK = "IF fm_hits < json_array_length(fm_page) THEN RAISE EXCEPTION 'a row is missing'; END IF;"
CHECK_ROW = """
          IF fm_hits = 0 THEN
            fm_code := '02000'; fm_message := ''; fm_detail := ''; fm_column := '';
            RETURN NEXT;
          END IF;"""


def function_text(name: str, job: Job, columns: Sequence[Column]) -> str:
    """The temporary function that does a job for records with these columns (or parameters)."""
    checks_hits = job.operation in {"update", "delete"} and not job.ignore_missing
    statement = looped(job, columns) if job.statement else counted(page_statement(job, columns, "fm_page"), checks_hits)
    return FUNCTION.format(
        name=quote_name(name),
        tag=free_tag(statement),
        statement=statement,
        check_chunk=CHECK_CHUNK if checks_hits else "",
        check_row=CHECK_ROW if checks_hits else "",
        short_lock=SHORT_LOCK_MS,
    )


def free_tag(text: str) -> str:
    """A dollar quote that does not occur in the text."""
    number = 0
    while f"$fm{number}$" in text:
        number += 1
    return f"$fm{number}$"


def counted(statement: str, checks_hits: bool) -> str:
    if not checks_hits:
        return statement + ";"
    return (
        f"WITH fm_done AS ({statement} RETURNING {NUMBER}) SELECT count(DISTINCT {NUMBER}) INTO fm_hits FROM fm_done;"  # noqa: S608
    )


def looped(job: Job, columns: Sequence[Column]) -> str:
    """The author's own statement, once for each record of the chunk, its parameters bound."""
    assert job.statement is not None
    sql, order = job.statement.numbered()
    tag = free_tag(sql).replace("$fm", "$fmx")
    while tag in sql:
        tag = tag.replace("x", "xx", 1)
    using = "USING " + ", ".join(f"fm_it.{quote_name(name)}" for name in order) if order else ""
    return f"FOR fm_it IN SELECT * FROM {source('fm_page', columns)} LOOP EXECUTE {tag}{sql}{tag} {using}; END LOOP;"  # noqa: S608


def source(page: str, columns: Sequence[Column], *, numbered: bool = False) -> str:
    """The records of a JSON text as rows of the target's own types."""
    types = ", ".join(f"{quote_name(c.name)} {'text' if c.type == 'bytea' else c.type}" for c in columns)
    rows = f"json_to_recordset({page}) AS ({types or 'fm_none text'})"
    if not numbered:
        return rows.replace(" AS (", " AS fm_x(", 1)
    return f"ROWS FROM ({rows}) WITH ORDINALITY AS fm_x({quote_names([c.name for c in columns])}, {NUMBER})"


def picked(column: Column) -> str:
    """The value of a column; bytes travel as base64, or as hexadecimal digits after \\x."""
    name = f"fm_x.{quote_name(column.name)}"
    if column.type != "bytea":
        return name
    return f"CASE WHEN left({name}, 2) = '\\x' THEN {name}::bytea ELSE decode({name}, 'base64') END"


def page_statement(job: Job, columns: Sequence[Column], page: str) -> str:
    """One statement that writes all records of the JSON text `page`."""
    assert job.table is not None
    table = quote_table(job.table.name)
    if job.operation in {"insert", "upsert"}:
        picks = ", ".join(picked(column) for column in columns)
        names = quote_names([column.name for column in columns])
        insert = f"INSERT INTO {table} ({names}) SELECT {picks} FROM {source(page, columns)}"  # noqa: S608
        return insert + (conflict(job, columns) if job.operation == "upsert" else "")
    rows = source(page, columns, numbered=True)
    by_name = {column.name: column for column in columns}
    where = " AND ".join(f"fm_t.{quote_name(key)} = {picked(by_name[key])}" for key in job.keys)
    if job.operation == "delete":
        return f"DELETE FROM {table} AS fm_t USING {rows} WHERE {where}"  # noqa: S608
    return f"UPDATE {table} AS fm_t SET {changes(job, by_name)} FROM {rows} WHERE {where}"  # noqa: S608


def changes(job: Job, columns: Mapping[str, Column]) -> str:
    """What an update sets. A record of nothing but keys sets the first key to itself: that tells if it is there."""
    names = [name for name in columns if name not in job.keys] or [job.keys[0]]
    return ", ".join(f"{quote_name(name)} = {picked(columns[name])}" for name in names)


def conflict(job: Job, columns: Sequence[Column]) -> str:
    others = [column.name for column in columns if column.name not in job.keys]
    keys = quote_names(job.keys)
    if not others:
        return f" ON CONFLICT ({keys}) DO NOTHING"
    sets = ", ".join(f"{quote_name(name)} = EXCLUDED.{quote_name(name)}" for name in others)
    return f" ON CONFLICT ({keys}) DO UPDATE SET {sets}"
