"""Search in the messages and trace keys of errors: trigrams on both databases, one meaning.

Every word of the question must occur, also inside a word of the text. Text and question are folded the same way:
without the difference of cases and of ways to compose a character, and a blank for everything that is neither letter
nor digit. What is left means the same to both databases: no operator, no wildcard, no case.
"""

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, F, Func
from django.db.models.sql.compiler import SQLCompiler

LONGEST_TEXT = 8_000  # characters of message and key that are searched
MOST_WORDS = 12
SAMPLE, COMMON = 500, 3
"""Texts that are looked at to tell whether words are common, and how many of them must hold the words then."""
_TRIGRAM = 3
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")

SqlAndParams = tuple[str, list[Any]]


def folded(*texts: str) -> str:
    """What is stored and searched for the given texts."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", " ".join(texts)).casefold())
    return _NOT_ALPHANUMERIC.sub(" ", plain).strip()[:LONGEST_TEXT]


def searched_text(message: str, key: str) -> str:
    """What an error is found by; the key comes first, so that no message is too long for it."""
    return f"{key} {message}"


def words_of(question: str) -> list[str]:
    return folded(question).split()[:MOST_WORDS]


def are_common(words: Sequence[str], *, using: str = "default") -> bool:
    """Whether so many texts hold all of the words that a list finds them sooner by reading its own rows in order.

    On 1 M errors the index needs 1.4 s for a word of every third text, and reading 100 rows finds a page of them; a
    rare word takes 2 ms by the index. One query, of texts spread evenly over the table; on SQLite never.
    """
    connection = connections[using]
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH ends AS (SELECT min(error_id) AS first, max(error_id) AS last FROM error_text) "  # noqa: S608
            f"SELECT count(*) FROM ends, generate_series(first, last, greatest((last - first) / {SAMPLE}, 1)) AS place "
            f"JOIN error_text ON error_id = place WHERE {_like(words)}",
            [f"%{word}%" for word in words],
        )
        found: int = cursor.fetchone()[0]
    return found >= COMMON


class _OfWords(Func, ABC):
    """A condition on the text of the row's error: that it holds all of the words."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(F("pk"), output_field=BooleanField())
        self.words = tuple(words)
        self.patterns = tuple(f"%{word}%" for word in words)

    def as_sql(  # type: ignore[override]
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any, ...]]:
        pk, params = compiler.compile(self.source_expressions[0])
        return self.condition(pk, tuple(params), connection.vendor)

    @abstractmethod
    def condition(self, pk: str, params: tuple[Any, ...], vendor: str) -> tuple[str, tuple[Any, ...]]:
        """The SQL and its parameters, for the error with this key (an expression with parameters of its own)."""


class TextHolds(_OfWords):
    """Whether an error's own text holds all of the words, read row by row in the order of the list.

    As one boolean the planner takes it to be true for every second row; with a LIKE of its own it expects next to none,
    and reads and sorts the whole list (28 s against 3 ms on 1 M).
    """

    def condition(self, pk: str, params: tuple[Any, ...], vendor: str) -> tuple[str, tuple[Any, ...]]:
        sql = f"(SELECT {_like(self.words)} FROM error_text texts WHERE texts.error_id = {pk})"  # noqa: S608
        return sql, (*self.patterns, *params)


class IsHit(_OfWords):
    """Whether an error is among those whose text holds all of the words, as the search index tells.

    On PostgreSQL the hits are one array: joined as rows, ORDER BY id LIMIT n walks the list backwards to find a rare
    word (4.7 s against 2 ms on 1 M).
    """

    def condition(self, pk: str, params: tuple[Any, ...], vendor: str) -> tuple[str, tuple[Any, ...]]:
        if vendor == "postgresql":
            hits = f"SELECT error_id FROM error_text WHERE {_like(self.words)}"  # noqa: S608
            return f"({pk} = ANY (ARRAY ({hits})))", (*params, *self.patterns)
        sql, values = _sqlite_hits(self.words)
        return f"({pk} IN {sql})", (*params, *values)


def _sqlite_hits(words: Sequence[str]) -> SqlAndParams:
    """Words of three letters and more by the trigram index, shorter ones by reading what those left."""
    long = [word for word in words if len(word) >= _TRIGRAM]
    short = [word for word in words if len(word) < _TRIGRAM]
    conditions, params = [], list[Any]()
    if long:
        conditions.append("error_id IN (SELECT rowid FROM error_text_search WHERE error_text_search MATCH %s)")
        params.append(" AND ".join(f'"{word}"' for word in long))
    if short:
        conditions.append(_like(short))
        params.extend(f"%{word}%" for word in short)
    return f"(SELECT error_id FROM error_text WHERE {' AND '.join(conditions)})", params  # noqa: S608


def _like(words: Sequence[str]) -> str:
    return " AND ".join(["text LIKE %s"] * len(words))


def write_texts(account_id: int, texts: Iterable[tuple[int, str]], *, using: str = "default") -> None:
    """Stores (error id, text) pairs for the search, folded; part of the caller's transaction, once per error."""
    rows = [(error_id, account_id, folded(text)) for error_id, text in texts]
    if not rows:
        return
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO error_text (error_id, account_id, text) VALUES (%s, %s, %s)", rows)
        if connection.vendor == "sqlite":
            cursor.executemany(
                "INSERT INTO error_text_search (rowid, text) VALUES (%s, %s)", [(row[0], row[2]) for row in rows]
            )


def remove_texts(error_ids: Sequence[int], *, using: str = "default") -> None:
    """Takes errors out of the search, before they are purged; part of the caller's transaction."""
    connection = connections[using]
    ids = [(error_id,) for error_id in error_ids]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.executemany(
                "INSERT INTO error_text_search (error_text_search, rowid, text) "
                "SELECT 'delete', error_id, text FROM error_text WHERE error_id = %s",
                ids,
            )
        cursor.executemany("DELETE FROM error_text WHERE error_id = %s", ids)
