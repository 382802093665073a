"""Fixtures of the connectors' tests."""

from pathlib import Path

import pytest

from tests.connectors.filing import Filing


@pytest.fixture
def filing(tmp_path: Path) -> Filing:
    return Filing(tmp_path / "files")
