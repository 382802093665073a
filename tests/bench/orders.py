"""The records of V1: 100,000 orders as JSON Lines of about 390 bytes, one in a hundred bad, in four ways.

A bad one passes the mapping and is refused by the database: no value, a negative amount, no date, too long a code.
"""

from pathlib import Path
from typing import Any

import orjson

BAD_EVERY = 100
TABLE = """
CREATE TABLE {table} (
    id bigint PRIMARY KEY,
    email text NOT NULL,
    name text NOT NULL,
    amount numeric(12, 2) NOT NULL CHECK (amount >= 0),
    currency varchar(3) NOT NULL,
    ordered_on date NOT NULL,
    city text,
    note text
)"""
MAPPING = {
    "id": "record.order.id",
    "email": "lower(record.customer.email)",
    "name": "record.customer.first + ' ' + record.customer.last",
    "amount": "record.order.amount",
    "currency": "record.order.currency",
    "ordered_on": "record.order.date",
    "city": "record.customer.address.city",
    "note": "trim(record.note)",
}


def record(number: int) -> dict[str, Any]:
    order = {
        "id": number,
        "amount": (number * 37 % 100_000) / 100,
        "currency": "EUR",
        "date": f"2026-01-{number % 28 + 1:02}",
    }
    customer = {
        "email": f"Person.{number}@Example.org",
        "first": f"First{number % 911}",
        "last": f"Last{number % 1811}",
        "address": {
            "street": f"Long Street {number % 97}",
            "city": f"City {number % 53}",
            "zip": f"{number % 99999:05}",
        },
    }
    spoil(number, order)
    filler = {
        "source": "web shop",
        "tags": ["new", "gift", "priority"],
        "note": " handle with care, leave at the door ",
    }
    return {"order": order, "customer": customer, **filler}


def is_bad(number: int) -> bool:
    return number % BAD_EVERY == BAD_EVERY // 2


def spoil(number: int, order: dict[str, Any]) -> None:
    if is_bad(number):
        way = number // BAD_EVERY % 4
        order.update([("amount", None), ("amount", -1), ("date", "2026-02-30"), ("currency", "EURO")][way : way + 1])


def write_file(path: Path, count: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for number in range(count):
            file.write(orjson.dumps(record(number)) + b"\n")


def bad_numbers(count: int) -> list[int]:
    return [number for number in range(count) if is_bad(number)]
