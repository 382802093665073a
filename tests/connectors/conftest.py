"""Fixtures of the connectors' tests."""

from pathlib import Path

import pytest

from tests.connectors.filing import Filing
from tests.fakes.databases import mariadb_target, postgresql_target, sql_target, sqlite_target

__all__ = ["mariadb_target", "postgresql_target", "sql_target", "sqlite_target"]


@pytest.fixture
def filing(tmp_path: Path) -> Filing:
    return Filing(tmp_path / "files")
