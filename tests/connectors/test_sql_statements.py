"""Named parameters are found where they are parameters, and only one statement gets through."""

import time

import pytest

from apps.connectors.sql.statements import StatementError, parse_query, parse_statement, quote_table


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SELECT * FROM t WHERE a = :a AND b > :b_2", ["a", "b_2"]),
        ("SELECT :a, :a", ["a", "a"]),
        ("SELECT ':a', \":b\", x FROM t", []),
        ("SELECT 'it''s :a' || :b", ["b"]),
        ("SELECT E'it\\'s :a' || :b", ["b"]),
        ("SELECT date'2024-01-01', 'x :a'", []),
        ("SELECT a::date, :b::date FROM t", ["b"]),
        ("SELECT 1 -- :a\n, :b", ["b"]),
        ("SELECT 1 /* :a /* :b */ :c */, :d", ["d"]),
        ("SELECT $$:a$$, $x$ :b $$ $x$, :c", ["c"]),
        ("SELECT a[1:2], b FROM t WHERE c = :c;  -- end", ["c"]),
        ("(SELECT :a) UNION (SELECT 2)", ["a"]),
        ("-- first\nWITH x AS (SELECT 1) SELECT * FROM x", []),
    ],
)
def test_parameters_are_found_outside_of_texts_names_comments_and_casts(text: str, names: list[str]) -> None:
    assert list(parse_query(text).names) == names


def test_a_repeated_name_keeps_its_number() -> None:
    assert parse_query("SELECT :b, :a, :b").numbered() == ("SELECT $1, $2, $1", ["b", "a"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("   -- nothing\n", "is empty"),
        ("SELECT 1; DROP TABLE t", "nothing may follow the semicolon"),
        ("SELECT 1; 'x'", "nothing may follow the semicolon"),
        ("SELECT 1; :x", "nothing may follow the semicolon"),
        ("SELECT 'open", "not closed"),
        ('SELECT "open', "not closed"),
        ("SELECT /* open", "comment that is not closed"),
        ("SELECT $a$ open $b$", "not closed"),
        ("SELECT $1", "by name"),
        ("UPDATE t SET a = 1", "starts with UPDATE"),
        ("PRAGMA journal_mode", "starts with PRAGMA"),
        ("ATTACH 'x' AS y", "starts with ATTACH"),
        ("SELECT '\x00'", "NUL"),
        ("SELECT " + "1" * 100_000, "longer than 100,000"),
    ],
)
def test_what_is_not_one_reading_statement_is_refused_in_words(text: str, sentence: str) -> None:
    with pytest.raises(StatementError, match=sentence):
        parse_query(text)


@pytest.mark.parametrize("word", ["COMMIT", "BEGIN", "SET x = 1", "COPY t FROM PROGRAM 'id'", "DO $$ x $$", "VACUUM"])
def test_a_writing_statement_may_not_steer_the_connection(word: str) -> None:
    with pytest.raises(StatementError, match="here it may start with"):
        parse_statement(word)


@pytest.mark.parametrize("text", ["'" * 99_999, "/*" * 49_000, "SELECT 1" + ";" * 99_000 + "x", "$a$" * 33_001])
def test_hostile_texts_are_refused_in_one_pass(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(StatementError):
        parse_query(text)
    assert time.monotonic() - started < 1


def test_names_of_tables_are_quoted_part_by_part() -> None:
    assert quote_table('sales.or"ders') == '"sales"."or""ders"'
