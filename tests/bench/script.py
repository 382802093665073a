"""The anchor of V1: what a good engineer writes by hand for this one job, exact to the record, as fast as we know how.

Pages of 1,000 as one JSON parameter each; a server-side function inserts by chunks of 20 and falls back to single rows;
the next page is read and mapped in a thread while the server works on the present one. It keeps the bad records with
SQLSTATE and message in a list, and nothing else: no stored pages, no checkpoint, no errors to search, no counters.
"""

import queue
import threading
from pathlib import Path
from typing import Any

import orjson
import psycopg

PAGE = 1000
Prepared = tuple[list[dict[str, Any]], list[str]]
CHUNK = 20
INSERT = """
INSERT INTO {table} SELECT * FROM json_to_recordset({rows}) AS x
    (id bigint, email text, name text, amount numeric, currency text, ordered_on date, city text, note text)
    ON CONFLICT (id) DO UPDATE SET email = excluded.email, name = excluded.name, amount = excluded.amount,
    currency = excluded.currency, ordered_on = excluded.ordered_on, city = excluded.city, note = excluded.note;"""
FUNCTION = """
CREATE FUNCTION pg_temp.load(chunks text[]) RETURNS TABLE (place int, state text, words text)
LANGUAGE plpgsql AS $$
DECLARE
    part json;
    single json;
BEGIN
    FOR number IN 1 .. cardinality(chunks) LOOP
        BEGIN
            part := chunks[number];
            {insert_part}
        EXCEPTION WHEN OTHERS THEN
            place := (number - 1) * {chunk} - 1;
            FOR single IN SELECT value FROM json_array_elements(chunks[number]::json) LOOP
                place := place + 1;
                BEGIN
                    part := json_build_array(single);
                    {insert_part}
                EXCEPTION WHEN OTHERS THEN
                    state := SQLSTATE; words := SQLERRM;
                    RETURN NEXT;
                END;
            END LOOP;
        END;
    END LOOP;
END $$"""


def function_for(table: str) -> str:
    insert = INSERT.replace("{table}", table).replace("{rows}", "part")
    return FUNCTION.replace("{insert_part}", insert).replace("{chunk}", str(CHUNK))


def chunked(page: list[dict[str, Any]]) -> list[str]:
    return [orjson.dumps(page[start : start + CHUNK]).decode() for start in range(0, len(page), CHUNK)]


def mapped(line: bytes) -> dict[str, Any]:
    source = orjson.loads(line)
    order, customer = source["order"], source["customer"]
    return {
        "id": order["id"],
        "email": customer["email"].lower(),
        "name": customer["first"] + " " + customer["last"],
        "amount": order["amount"],
        "currency": order["currency"],
        "ordered_on": order["date"],
        "city": customer["address"]["city"],
        "note": source["note"].strip(),
    }


def read_pages(path: Path, pages: "queue.Queue[Prepared | None]") -> None:
    page: list[dict[str, Any]] = []
    with path.open("rb") as file:
        for line in file:
            page.append(mapped(line))
            if len(page) == PAGE:
                pages.put((page, chunked(page)))
                page = []
    if page:
        pages.put((page, chunked(page)))
    pages.put(None)


def load(path: Path, address: str, table: str) -> list[tuple[int, str, str]]:
    """Loads the file and returns (id, SQLSTATE, message) of every bad record."""
    pages: queue.Queue[Prepared | None] = queue.Queue(maxsize=2)
    threading.Thread(target=read_pages, args=(path, pages), daemon=True).start()
    bad: list[tuple[int, str, str]] = []
    with psycopg.connect(address) as connection:
        connection.execute(function_for(table).encode())
        connection.commit()
        while (prepared := pages.get()) is not None:
            page, chunks = prepared
            found = connection.execute("SELECT * FROM pg_temp.load(%s)", [chunks]).fetchall()
            bad += [(page[place]["id"], state, words) for place, state, words in found]
            connection.commit()
    return bad
