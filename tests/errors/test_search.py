"""Search in messages and trace keys: the same answers on both databases."""

import pytest
from django.db import connection

from apps.errors.models import Error, ErrorText
from apps.errors.search import folded, remove_texts
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


def test_a_search_is_one_query(errors, django_assert_num_queries):
    with django_assert_num_queries(1):
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
    assert folded("Straße_ÄÖ", "É-1\t\n(x)") == "straße äö é 1 x"
    assert len(folded("x" * 100_000)) == 8_000


def test_a_long_question_is_cut_not_refused(errors):
    assert not Error.unscoped.search("number " * 5_000 + "x" * 50_000).filter(message="").exists()
