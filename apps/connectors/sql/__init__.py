"""SQL databases: PostgreSQL and SQLite."""
