"""What must become of the demo's orders, by a plain reading of its files: one order after the other, no engine."""

import csv
import datetime as dt
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from apps.execution.demo.mail_server import CLOSED
from tests.scenarios.demo_reading import DEMO

ALLOWED = "example.org"


@dataclass
class Shop:
    """What the shop has, and what became of the orders: numbers by table, and by the reason why one failed."""

    stock: dict[str, int]
    price: dict[str, int]
    limit: dict[str, int]
    cards: set[str]
    orders: list[str] = field(default_factory=list)
    reserved: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    invoices: dict[str, int] = field(default_factory=dict)
    points: dict[str, int] = field(default_factory=dict)
    no_points: list[str] = field(default_factory=list)
    mailed: dict[str, str] = field(default_factory=dict)
    not_mailed: dict[str, str] = field(default_factory=dict)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def take(self, line: dict[str, str]) -> None:
        number, article = line["order"], line["article_number"]
        if reason := self.refusal(line):
            self.refused.append((number, reason))
            return
        quantity = int(line["quantity"])
        amount = quantity * self.price[article]
        if quantity > self.stock[article]:
            self.orders.append(number)
            self.waiting.append(number)
        elif amount == 0 or amount > self.limit[line["customer_number"]]:
            self.rejected[number] = "amount_is_above_zero" if amount == 0 else "amount_is_within_the_credit_limit"
        else:
            self.stock[article] -= quantity
            self.orders.append(number)
            self.reserved.append(number)
            self.invoices[number] = amount
            self.give_points(number, line["card"], amount)
            self.write_to(number, line["email"])

    def refusal(self, line: dict[str, str]) -> str:
        """Why an order is not even written; "" if it is. In the order of the steps."""
        try:
            dt.date.fromisoformat(line["ordered_on"])
            quantity = int(line["quantity"])
        except ValueError:
            return "read"
        if line["article_number"] not in self.stock:
            return "article"
        if line["customer_number"] not in self.limit:
            return "customer"
        return "order" if quantity <= 0 or line["order"] in self.orders else ""

    def give_points(self, number: str, card: str, amount: int) -> None:
        if card in self.cards:
            self.points[number] = amount // 1000
        elif card:
            self.no_points.append(number)

    def write_to(self, number: str, address: str) -> None:
        if not address:
            self.not_mailed[number] = "recipient_missing"
        elif "@" not in address or "," in address or not address.endswith(ALLOWED):
            self.not_mailed[number] = "address_refused"
        elif address in CLOSED:
            self.not_mailed[number] = "550"
        else:
            self.mailed[number] = address

    @property
    def handled(self) -> Counter[str]:
        """Failures that a handling answers, by step."""
        return Counter(reserve=len(self.waiting), invoice=len(self.rejected), points=len(self.no_points))

    @property
    def open_errors(self) -> Counter[str]:
        return Counter(step for _, step in self.refused) + Counter(confirmation=len(self.not_mailed))


def order_lines() -> list[dict[str, str]]:
    with (DEMO / "data" / "orders.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def opened_shop() -> Shop:
    """The shop as it is before the first order."""
    with sqlite3.connect(":memory:") as database:
        for name in ("warehouse.sqlite.sql", "shop.sql"):
            database.executescript((DEMO / name).read_text(encoding="utf-8"))

        def rows(sql: str) -> list[Any]:
            return database.execute(sql).fetchall()

        stock, price = rows("SELECT number, stock FROM article"), rows("SELECT number, price_cents FROM article")
        limit, cards = rows("SELECT number, limit_cents FROM customer"), rows("SELECT number FROM loyalty_card")
    return Shop(dict(stock), dict(price), dict(limit), {card for (card,) in cards})


def expected_orders() -> Shop:
    shop = opened_shop()
    for line in order_lines():
        shop.take(line)
    return shop
