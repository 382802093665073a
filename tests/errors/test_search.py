"""Search in messages and trace keys: the same answers on both databases."""

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core.text import storable
from apps.errors import querysets
from apps.errors.models import Error, ErrorText
from apps.errors.search import are_common, folded, remove_texts, words_of
from tests.factories import make_error, make_flow, step_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def errors(flow):
    step = step_of(flow)
    return {
        "price": make_error(step=step, message="Price '12,50' is not a number (field unit_price)", key="SKU-4711"),
        "airport": make_error(step=step, message="Airport KÖLN/BONN not found", key="EDDK"),
        "timeout": make_error(step=step, message="100% of 3 tries timed out", key="A_1"),
    }


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("number", ["price"]),
        ("NUMBER price", ["price"]),
        ("umbe", ["price"]),
        ("unit_price", ["price"]),
        ("sku-4711", ["price"]),
        ("4711", ["price"]),
        ("köln", ["airport"]),
        ("not", ["price", "airport"]),
        ("not airport", ["airport"]),
        ("of", ["timeout"]),
        ("a 1", ["price", "timeout"]),
        ("100%", ["timeout"]),
        ("nothing of the kind", []),
        ('" OR 1=1 --', []),
        ("%", []),
        ("***", []),
        ("\x00", []),
        ("", ["price", "airport", "timeout"]),
        ("   ", ["price", "airport", "timeout"]),
    ],
)
def test_every_word_must_occur_also_inside_a_word(errors, question, found):
    assert set(Error.unscoped.search(question)) == {errors[name] for name in found}


def test_a_search_goes_on_with_filters_order_and_limit(errors, flow):
    other = make_error(step=step_of(make_flow()), message="Price is not a number")
    everywhere = Error.unscoped.search("number").newest_first()
    assert list(everywhere) == [other, errors["price"]]
    assert list(Error.objects.of(flow.account).search("number").open()[:1]) == [errors["price"]]


def test_a_search_is_one_query_and_one_that_looks_how_common_the_words_are(errors, django_assert_num_queries):
    with django_assert_num_queries(2 if connection.vendor == "postgresql" else 1):
        list(Error.unscoped.search("not a number").newest_first()[:50])


def test_a_purged_error_is_not_found_and_leaves_nothing_in_the_index(errors):
    remove_texts([errors["price"].pk])
    assert not Error.unscoped.search("number").exists()
    assert Error.unscoped.search("airport").exists()
    assert ErrorText.unscoped.count() == 2
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO error_text_search (error_text_search) VALUES ('integrity-check')")


def test_text_is_folded_to_words_and_cut():
    assert folded("Straße_ÄÖ", "É-1\t\n(x)") == "strasse äö é 1 x"
    assert len(folded("x" * 100_000)) == 8_000


def test_a_long_question_is_cut_not_refused(errors):
    assert not Error.unscoped.search("number " * 5_000 + "x" * 50_000).filter(message="").exists()


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Cafe\u0301 du Nord", "CAFÉ"),  # composed and not
        ("Straße", "STRASSE"),
        ("STRASSE", "straße"),
        ("ΟΔΟΣΑ", "οδος"),  # a final sigma inside a word
        ("Ｆｕｌｌ １２", "full 12"),
        ("ﬁnal", "FINAL"),
        ("ſpace", "space"),
        ("27 \N{KELVIN SIGN}elvin", "kelvin"),
        ("snow 雪だるま", "雪だ"),
        ("snow 雪", "雪"),
        ("smile 😀 here", "smile here"),
        ('DON\'T "quote" me', 'don\'t "QUOTE"'),
        ("a AND b OR c NOT d NEAR(e f, 2) g*", "NEAR OR not"),
        ("path C:\\temp\\x_1% ^$ {}", "c:\\temp\\x_1%"),
        ("text: message", "text:message"),
        ("cut\x00here", "cut\x00here"),
        ("half \ud800 pair", "half \udfff pair"),
        ("word " * 2_000, "word " * 50),
    ],
)
def test_text_and_question_mean_the_same_however_they_are_written(flow, text, question):
    error = make_error(step=step_of(flow), message=storable(text)[0])
    make_error(step=step_of(flow), message="something else")
    assert list(Error.unscoped.search(question)) == [error]


@pytest.mark.parametrize(
    "question",
    [
        "AND",
        "OR",
        "NOT",
        "NEAR",
        "num*",
        "-price",
        "^price",
        "text:number",
        "price OR airport",
        "NEAR(price number, 5)",
    ],
)
def test_there_are_no_operators(errors, question):
    assert set(Error.unscoped.search(question)) <= {errors["price"], errors["airport"]}
    words = folded(question).split()
    for name, error in errors.items():
        holds_all = all(word in folded(error.message, error.key) for word in words)
        assert (error in Error.unscoped.search(question)) is holds_all, name


def test_the_key_of_a_long_message_is_found_too(flow):
    error = make_error(step=step_of(flow), message="x" * 9_990, key="SKU-4711")
    assert list(Error.unscoped.search("sku 4711")) == [error]


@given(text=st.text(max_size=60), question=st.text(max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_question_finds_exactly_the_texts_that_hold_its_words(flow, text, question):
    with transaction.atomic():
        error = make_error(step=step_of(flow), message=storable(text)[0] + " ", key="")
        words = words_of(question)
        expected = not question.strip() or (bool(words) and all(word in folded(text) for word in words))
        assert Error.unscoped.filter(pk=error.pk).search(question).exists() is expected
        transaction.set_rollback(True)


@pytest.mark.parametrize("question", ["price", "NUMBER price", "umbe", "of", "nothing of the kind", "a 1", "sku-4711"])
def test_common_words_are_found_the_other_way_too(errors, monkeypatch, question):
    found = {}
    for is_common in (True, False):
        monkeypatch.setattr(querysets, "are_common", lambda words, using, answer=is_common: answer)
        found[is_common] = set(Error.unscoped.search(question))
    assert found[True] == found[False]


def test_what_many_texts_hold_is_common(flow):
    for number in range(10):
        make_error(step=step_of(flow), message=f"Price {number} is wrong" + " twice" * (number < 2))
    assert are_common(["price", "wrong"]) is (connection.vendor == "postgresql")  # SQLite asks its index in any case
    assert not are_common(["twice"])
    assert not are_common(["price", "nowhere"])
