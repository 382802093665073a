"""Lists by cursor."""

from datetime import timedelta

import pytest

from apps.core.pagination import BadCursorError, Cursor, keyset_page
from apps.flows.models import Integration
from tests.factories import make_integration

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(account):
    made = [make_integration(account) for _ in range(7)]
    return Integration.objects.of(account), [row.pk for row in reversed(made)]


def keys(page):
    return [row.pk for row in page.rows]


def test_pages_follow_each_other_without_gap_or_repeat(rows):
    queryset, newest_first = rows
    seen, cursor = [], ""
    while True:
        page = keyset_page(queryset, cursor=cursor, size=3)
        seen += keys(page)
        cursor = page.next_cursor
        if not cursor:
            break
    assert seen == newest_first


def test_the_way_back_shows_the_same_pages(rows):
    queryset, newest_first = rows
    first = keyset_page(queryset, size=3)
    second = keyset_page(queryset, cursor=first.next_cursor, size=3)
    back = keyset_page(queryset, cursor=second.previous_cursor, size=3)
    assert keys(back) == keys(first) == newest_first[:3]
    assert back.previous_cursor == first.previous_cursor == ""
    assert keys(keyset_page(queryset, cursor=back.next_cursor, size=3)) == keys(second)


def test_a_new_row_does_not_move_the_next_page(rows, account):
    queryset, newest_first = rows
    first = keyset_page(queryset, size=3)
    make_integration(account)
    assert keys(keyset_page(queryset, cursor=first.next_cursor, size=3)) == newest_first[3:6]


def test_equal_times_are_told_apart_by_the_key(rows, noon):
    queryset, newest_first = rows
    queryset.update(created_at=noon)
    queryset.filter(pk=newest_first[-1]).update(created_at=noon + timedelta(seconds=1))
    order = ("-created_at", "-id")
    first = keyset_page(queryset, size=4, order=order)
    second = keyset_page(queryset, cursor=first.next_cursor, size=4, order=order)
    assert keys(first) + keys(second) == [newest_first[-1], *newest_first[:-1]]


def test_a_page_is_one_query_and_counts_nothing(rows, django_assert_num_queries):
    queryset, _ = rows
    with django_assert_num_queries(1) as queries:
        keyset_page(queryset, size=3)
    assert "COUNT" not in queries[0]["sql"]


def test_an_empty_list_has_one_empty_page(account):
    page = keyset_page(Integration.objects.of(account))
    assert (page.rows, page.next_cursor, page.previous_cursor) == ([], "", "")


FOREIGN = [Cursor(("text",)).encode(), Cursor((1, 2)).encode(), Cursor((1.5,)).encode()[:-2]]


@pytest.mark.parametrize("cursor", ["x", "!!!", "é", "e30", "WzFd", "W10", "bnVsbA", "WzAsdHJ1ZV0", *FOREIGN])
def test_a_damaged_or_foreign_cursor_is_refused_with_a_sentence(rows, cursor):
    queryset, _ = rows
    with pytest.raises(BadCursorError, match="go back to the start of the list"):
        keyset_page(queryset, cursor=cursor)


def test_a_key_beyond_all_rows_ends_the_list_in_peace(rows):
    queryset, newest_first = rows
    assert keys(keyset_page(queryset, cursor=Cursor((10**30,)).encode())) in ([], newest_first)
