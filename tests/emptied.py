"""Emptying the tables after a test that commits: PostgreSQL makes every file of a table anew to truncate it.

Of some eighty tables that takes a second or two, of the twenty that have rows a few milliseconds to delete them. What
migrating leaves is left too, as it is in `flush`, which makes it again.
"""

from typing import Any

from django.db import connection, transaction
from django.test.testcases import TransactionTestCase

MADE_BY_MIGRATING = {"django_content_type", "auth_permission"}


def empty_by_deleting() -> None:
    """Let all tests that commit be cleaned up so, if our database is PostgreSQL."""
    if connection.vendor == "postgresql":
        TransactionTestCase._fixture_teardown = _delete_all  # type: ignore[method-assign]


def _delete_all(_: Any) -> None:
    tables = [_quoted(table) for table in _tables()]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE")  # waits for who still writes
        cursor.execute("SET LOCAL session_replication_role = replica")  # in any order: no foreign key is looked at
        cursor.execute(" UNION ALL ".join(f"(SELECT '{table}' FROM {table} LIMIT 1)" for table in tables))
        for (table,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {table}")


def _tables() -> list[str]:
    names: list[str] = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return [name for name in names if name not in MADE_BY_MIGRATING]


def _quoted(table: str) -> str:
    return str(connection.ops.quote_name(table))
