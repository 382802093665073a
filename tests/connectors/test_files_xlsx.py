"""Workbooks: one sheet, its first row names the fields."""

import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from apps.connectors.base import Limits
from apps.engine.ports import BadRecord, ConnectorError
from tests.connectors.filing import Filing, resumed_rows


def put_sheet(filing: Filing, rows: list[list[Any]], name: str = "a.xlsx", **sheets: list[list[Any]]) -> Path:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    for title, others in sheets.items():
        sheet = book.create_sheet(title)
        for row in others:
            sheet.append(row)
    path = filing.base / name
    book.save(path)
    return path


def test_cells_keep_their_kind_and_dates_become_iso_text(filing: Filing) -> None:
    put_sheet(
        filing,
        [["id", "day", "at", "ok", "price", "note"], [1, date(2024, 5, 1), datetime(2024, 5, 1, 8, 30), True, 1.5]],
    )
    assert filing.rows("a.xlsx") == [
        {"id": 1, "day": "2024-05-01T00:00:00", "at": "2024-05-01T08:30:00", "ok": True, "price": 1.5, "note": None}
    ]


def test_empty_rows_are_passed_over_and_rows_that_are_too_wide_are_bad(filing: Filing) -> None:
    put_sheet(filing, [[], ["a", None], [None, None], [1, 2], [1, 2, 3], [4]])
    rows = filing.rows("a.xlsx", columns=[])
    assert isinstance(rows[0], BadRecord)
    assert rows[0].failure.message == "row 4: 2 cells, the header has 1."
    assert rows[-1] == {"a": 4}


def test_the_sheet_is_chosen_by_its_title_and_a_wrong_one_names_the_others(filing: Filing) -> None:
    put_sheet(filing, [["a"], [1]], orders=[["b"], [2]])
    assert filing.rows("a.xlsx", sheet="orders") == [{"b": 2}]
    with pytest.raises(ConnectorError, match=r'no sheet "order"\. Its sheets are: "Sheet", "orders"'):
        filing.rows("a.xlsx", sheet="order")


def test_reading_a_workbook_goes_on_exactly_after_any_page(filing: Filing) -> None:
    put_sheet(filing, [["id"], *([number] if number % 5 else [] for number in range(1, 40))])
    whole = filing.rows("a.xlsx", 6)
    assert len(whole) == 32
    assert all(found == whole for found in resumed_rows(filing, "a.xlsx", 6))


def test_an_empty_sheet_has_no_records(filing: Filing) -> None:
    put_sheet(filing, [])
    assert filing.rows("a.xlsx") == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\xd0\xcf\x11\xe0 protected", b"a,b\n1,2\n"])
def test_what_is_no_workbook_says_so(filing: Filing, content: bytes) -> None:
    filing.put("a.xlsx", content)
    with pytest.raises(ConnectorError) as caught:
        filing.rows("a.xlsx")
    assert caught.value.code == "xlsx_unreadable"


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "[Content_Types].xml"])
def test_a_workbook_with_a_broken_part_says_so(filing: Filing, part: str) -> None:
    path = put_sheet(filing, [["id"], *([number] for number in range(50))])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[part] = parts[part][: len(parts[part]) // 2]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(ConnectorError) as caught:
        filing.rows("a.xlsx")
    assert caught.value.code == "xlsx_unreadable"


def test_a_workbook_that_unfolds_too_far_is_not_read(tmp_path: Path) -> None:
    filing = Filing(tmp_path, limits=Limits(max_bytes=100_000))
    path = put_sheet(filing, [["id"], [1]])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/zeros", b"\0" * 30_000_000)
    with pytest.raises(ConnectorError, match="unfolds too far"):
        filing.rows("a.xlsx")


def test_duplicate_names_in_a_sheet_are_refused(filing: Filing) -> None:
    put_sheet(filing, [["id", "id"], [1, 2]])
    with pytest.raises(ConnectorError, match='"id" more than once'):
        filing.rows("a.xlsx")
