"""SQL databases: PostgreSQL and SQLite."""

from apps.connectors.sql.connector import SqlConnector

__all__ = ["SqlConnector"]
