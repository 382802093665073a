"""CSV files: what they look like is found out, and a broken row is one error in its place."""

import codecs
import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.connectors.base import Limits
from apps.engine.ports import BadRecord, ConnectorError
from tests.connectors.filing import Filing, resumed_rows, rows_or_fault


def places(bad: list[BadRecord]) -> list[tuple[str, str]]:
    return [(row.place, row.failure.code) for row in bad]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(filing: Filing, delimiter: str) -> None:
    lines = [["id", "name", "price"], ["1", "Anna, Berta", "1,50"], ["2", "Carla", "2,75"]]
    text = "\n".join(delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in line) for line in lines)
    filing.put("a.csv", text)
    assert filing.rows("a.csv") == [
        {"id": "1", "name": "Anna, Berta", "price": "1,50"},
        {"id": "2", "name": "Carla", "price": "2,75"},
    ]


def test_single_quotes_are_found_out_when_no_double_quote_occurs(filing: Filing) -> None:
    filing.put("a.csv", "name,town\n'Li, Wei','Ulm'\n'Ray','Bonn'\n")
    assert filing.rows("a.csv")[0] == {"name": "Li, Wei", "town": "Ulm"}


def test_what_the_step_says_about_the_dialect_counts(filing: Filing) -> None:
    filing.put("a.csv", "a,b;c,d\n'1;1','x';2,3\n")
    assert filing.rows("a.csv", delimiter=";", quote="'", header="yes", columns=["left", "right"]) == filing.rows(
        "a.csv", delimiter=";", quote="'", columns=["left", "right"]
    )


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1251", "shift_jis"]
)
def test_the_encoding_is_found_out(filing: Filing, encoding: str) -> None:
    samples = {"cp1251": "Москва и Новосибирск, большие города", "shift_jis": "東京都渋谷区にある日本語の住所です"}
    words = samples.get(encoding, "Köln, Málaga und Besançon: schöne Städte für die Größe")
    rows = "".join(f'{number},"{words}"\r\n' for number in range(40))
    filing.put("a.csv", ("id,town\r\n" + rows).encode(encoding))
    good, bad = filing.good_and_bad("a.csv")
    assert bad == []
    assert [row["town"] for row in good] == [words] * 40


def test_the_encoding_of_the_step_counts(filing: Filing) -> None:
    filing.put("a.csv", "town\nKöln\n".encode("cp850"))
    assert filing.rows("a.csv", encoding="cp850") == [{"town": "Köln"}]


def test_one_broken_byte_in_a_utf8_file_is_one_bad_row_that_names_line_and_byte(filing: Filing) -> None:
    lines = [f"{number},Köln".encode() for number in range(50)]
    lines[20] = b"20,K\xf6ln"
    filing.put("a.csv", b"id,town\n" + b"\n".join(lines))
    good, bad = filing.good_and_bad("a.csv")
    assert len(good) == 49
    assert places(bad) == [("line 22", "bad_bytes")]
    assert "byte 5 of the line (0xF6)" in bad[0].failure.message
    assert bad[0].raw == b"20,K\xf6ln\n"


def test_an_undecodable_byte_beyond_the_sample_is_a_bad_row(filing: Filing) -> None:
    lines = [f"{number},{'x' * 50}".encode() for number in range(3000)]
    lines[2900] = b"2900,\xff"
    filing.put("a.csv", b"id,text\n" + b"\n".join(lines))
    good, bad = filing.good_and_bad("a.csv", page_size=1000)
    assert (len(good), places(bad)) == (2999, [("line 2902", "bad_bytes")])


def test_a_nul_byte_spoils_only_its_own_row(filing: Filing) -> None:
    filing.put("a.csv", b"id,name\n1,a\n2,b\x00c\n3,d\n")
    good, bad = filing.good_and_bad("a.csv")
    assert [row["id"] for row in good] == ["1", "3"]
    assert places(bad) == [("line 3", "bad_bytes")]
    assert "NUL" in bad[0].failure.message


def test_too_few_and_too_many_fields_are_bad_rows_that_say_both_numbers(filing: Filing) -> None:
    filing.put("a.csv", "a,b,c\n1,2,3\n1,2\n1,2,3,4\n4,5,6\n")
    good, bad = filing.good_and_bad("a.csv")
    assert len(good) == 2
    assert [row.failure.message for row in bad] == [
        "line 3: 2 fields, the header has 3.",
        "line 4: 4 fields, the header has 3.",
    ]
    assert bad[1].raw == b"1,2,3,4\n"


def test_a_quote_that_is_never_closed_costs_one_row(filing: Filing) -> None:
    filing.put("a.csv", 'a,b\n1,x\n2,"y\n3,z\n4,w\n')
    good, bad = filing.good_and_bad("a.csv")
    assert [row["a"] for row in good] == ["1", "3", "4"]
    assert places(bad) == [("line 3", "broken_quotes")]
    assert "never closed" in bad[0].failure.message


def test_a_quote_closed_by_a_later_row_costs_one_row(filing: Filing) -> None:
    filing.put("a.csv", 'a,b\n1,"x\n2,plain\n3,"fine"\n4,"also, fine"\n')
    good, bad = filing.good_and_bad("a.csv")
    assert [row["a"] for row in good] == ["2", "3", "4"]
    assert places(bad) == [("line 2", "broken_quotes")]


def test_text_after_a_closing_quote_is_a_bad_row(filing: Filing) -> None:
    filing.put("a.csv", 'a,b\n1,"5" pipe"\n2,5" pipe\n')
    good, bad = filing.good_and_bad("a.csv")
    assert good == [{"a": "2", "b": '5" pipe'}]
    assert places(bad) == [("line 2", "broken_quotes")]


def test_an_open_quote_is_given_up_at_the_limit_and_the_rows_after_it_are_read(tmp_path) -> None:
    filing = Filing(tmp_path, limits=Limits(max_bytes=2_000_000))
    rows = "".join(f"{number},{'x' * 90}\n" for number in range(60_000))
    filing.put("a.csv", 'id,text\n0,"open\n' + rows)
    good, bad = filing.good_and_bad("a.csv", page_size=1000)
    assert (len(good), places(bad)) == (60_000, [("line 2", "broken_quotes")])
    assert "2000000 bytes" in bad[0].failure.message


def test_a_row_over_several_lines_is_one_record_and_its_neighbours_keep_their_line_numbers(filing: Filing) -> None:
    filing.put("a.csv", 'a,b\r\n1,"two\r\nlines"\r\n2\r\n')
    good, bad = filing.good_and_bad("a.csv")
    assert good == [{"a": "1", "b": "two\r\nlines"}]
    assert places(bad) == [("line 4", "field_count")]


def test_a_field_of_ten_megabytes_is_read(filing: Filing) -> None:
    filing.put("a.csv", "id,text\n1," + "x" * 10_000_000 + "\n2,y\n")
    good, bad = filing.good_and_bad("a.csv")
    assert ([len(row["text"]) for row in good], bad) == ([10_000_000, 1], [])


def test_a_row_above_the_limit_is_refused_alone(tmp_path) -> None:
    filing = Filing(tmp_path, limits=Limits(max_bytes=200_000))
    filing.put("a.csv", 'id,text\n1,a\n2,"' + "x" * 3_000_000 + '"\n3,c\n')
    good, bad = filing.good_and_bad("a.csv")
    assert [row["id"] for row in good] == ["1", "3"]
    assert places(bad) == [("line 3", "too_large")]
    assert len(bad[0].raw) < 100_000


def test_duplicate_names_in_the_header_are_refused_with_their_places(filing: Filing) -> None:
    filing.put("a.csv", "id,name,id\n1,a,2\n")
    with pytest.raises(ConnectorError) as caught:
        filing.rows("a.csv")
    assert caught.value.code == "duplicate_columns"
    assert '"id"' in caught.value.message
    assert "columns 1 and 3" in caught.value.message
    assert filing.rows("a.csv", columns=["id", "name", "other"]) == [{"id": "1", "name": "a", "other": "2"}]


@pytest.mark.parametrize("content", ["", "\n\n", "a,b\n", "\ufeff"])
def test_a_file_without_rows_has_no_records(filing: Filing, content: str) -> None:
    filing.put("a.csv", content)
    assert list(filing.pages("a.csv")) == []


def test_a_first_row_of_numbers_is_no_header(filing: Filing) -> None:
    filing.put("a.csv", "1,Anna,2024-01-05\n2,Berta,2024-01-06\n")
    assert filing.rows("a.csv")[0] == {"column_1": "1", "column_2": "Anna", "column_3": "2024-01-05"}
    assert filing.rows("a.csv", header="yes") == [{"1": "2", "Anna": "Berta", "2024-01-05": "2024-01-06"}]


def test_columns_without_a_name_are_numbered(filing: Filing) -> None:
    filing.put("a.csv", "id,,x\n1,2,3\n")
    assert filing.rows("a.csv") == [{"id": "1", "column_2": "2", "x": "3"}]


def test_empty_fields_become_null_on_request(filing: Filing) -> None:
    filing.put("a.csv", "a,b\n1,\n")
    assert filing.rows("a.csv", empty_as_null=True) == [{"a": "1", "b": None}]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_is_understood(filing: Filing, line_end: str) -> None:
    filing.put("a.csv", line_end.join(["a,b", "1,2", "", "3,4"]))
    assert filing.rows("a.csv") == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_reading_goes_on_exactly_after_any_page(filing: Filing, name: str) -> None:
    lines = ["a,b"] + [f'{n},"x{n}\ny"' if n % 3 else f"{n},plain" for n in range(50)]
    lines[10] = "broken,too,wide"
    filing.put(name, "\n".join(lines))
    whole = filing.rows(name, 7)
    assert len(whole) == 50
    assert all(found == whole for found in resumed_rows(filing, name, 7))


def test_a_utf16_file_is_resumed_by_its_own_offsets(filing: Filing) -> None:
    filing.put("a.csv", codecs.BOM_UTF16_BE + "".join(["a,b\n"] + [f"{n},Ü\n" for n in range(30)]).encode("utf-16-be"))
    whole = filing.rows("a.csv", 4)
    assert len(whole) == 30
    assert all(found == whole for found in resumed_rows(filing, "a.csv", 4))


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(cells, cells, cells), max_size=12), page_size=st.integers(1, 5), is_packed=st.booleans())
def test_any_rows_come_back_as_they_were_written(
    filing: Filing, rows: list[tuple[str, str, str]], page_size: int, is_packed: bool
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("a", "b", "c"), *rows])
    name = "any.csv.gz" if is_packed else "any.csv"
    filing.put(name, text.getvalue())
    options = {"delimiter": ",", "quote": '"', "encoding": "utf-8", "header": "yes"}
    expected = [dict(zip("abc", row, strict=True)) for row in rows]
    assert filing.rows(name, page_size, **options) == expected
    assert all(found == expected for found in resumed_rows(filing, name, page_size, **options))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400) | st.text('",;\n\r\0aé', max_size=80).map(str.encode))
def test_no_content_breaks_more_than_rows(filing: Filing, content: bytes) -> None:
    filing.put("any.csv", content)
    whole = rows_or_fault(filing, "any.csv", 3)
    if isinstance(whole, ConnectorError):
        assert whole.message.endswith(".")
    else:
        assert all(found == whole for found in resumed_rows(filing, "any.csv", 3))
