"""Databases that are reached through SQLAlchemy's dialects: MySQL, MariaDB, SQL Server, Oracle."""
