"""Each row of the case table has its test, and each test of the table names its row."""

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TABLES = sorted(path.name for path in HERE.glob("test_*_table*.py"))


def rows_and_names(name: str) -> tuple[list[str], list[str]]:
    """The rows that a file lists, and the rows that its tests name in their docstrings."""
    tree = ast.parse((HERE / name).read_text())
    lists = [n.value for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "ROWS"]
    tests = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]
    return list(ast.literal_eval(lists[0])), [(ast.get_docstring(test) or "").rstrip(".") for test in tests]


@pytest.mark.parametrize("name", TABLES)
def test_every_row_has_its_test_and_every_test_its_row(name):
    rows, named = rows_and_names(name)

    assert set(rows) - set(named) == set(), "rows without a test"
    assert set(named) - set(rows) == set(), "tests of no row"


def test_the_tables_have_all_their_rows():
    counts = {part: sum(len(rows_and_names(n)[0]) for n in TABLES if n.startswith(part)) for part in PARTS}
    assert counts == PARTS


PARTS = {"test_auto_resolve_table": 11, "test_retry_table": 19, "test_auto_retry_table": 8}
