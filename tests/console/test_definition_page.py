"""A flow's definition to read, its revisions, and what changed between two."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account, Member, Role
from apps.console import text_diff
from apps.flows.models import Flow, Revision
from tests.console.screens import DEFINITION, html_of, signed_in, text_of
from tests.factories import make_member


@pytest.fixture
def page(account: Account) -> Client:
    """A monitor: who may edit finds the editor here (`test_editor_page`)."""
    return signed_in(make_member(account, role=Role.MONITOR).user)


def revise(flow: Flow, text: str, member: Member | None = None) -> Revision:
    """One more revision, which becomes the current one."""
    number = Revision.unscoped.filter(flow=flow).count() + 1
    revision: Revision = Revision.unscoped.create(
        account_id=flow.account_id, flow=flow, number=number, definition=text, sha256="", member=member
    )
    Flow.unscoped.filter(pk=flow.pk).update(revision=revision)
    return revision


def path_of(flow: Flow, query: str = "") -> str:
    return f"/flows/{flow.pk}/definition/{query}"


def test_the_current_text_is_shown_line_by_line(page: Client, orders: Flow) -> None:
    html = html_of(page, path_of(orders))
    assert "Revision 1, current" in html
    assert '<span class="ln" data-n="1">flow: orders\n</span>' in html


def test_an_earlier_revision_can_be_read(page: Client, orders: Flow) -> None:
    revise(orders, "flow: orders\npage_size: 10\n")
    html = html_of(page, path_of(orders, "?revision=1"))
    assert "On error" not in html
    assert "attempts: 4" in html
    assert "page_size: 10" not in html


def test_revisions_tell_who_applied_them(page: Client, account: Account, orders: Flow) -> None:
    member = make_member(account)
    revise(orders, "flow: orders\n", member)
    text = text_of(html_of(page, path_of(orders)))
    assert member.user.username in text
    assert "command line" in text


def test_two_revisions_are_compared_line_by_line(page: Client, orders: Flow) -> None:
    revise(orders, DEFINITION.replace("attempts: 4", "attempts: 5"))
    html = html_of(page, path_of(orders, "?from=1&to=2"))
    assert "1 line added, 1 removed" in text_of(html)
    assert 'class="ln del" data-n="7"><span class="sg">-</span>    on_error: {policy: retry, attempts: 4' in html
    assert 'class="ln add" data-n="7"><span class="sg">+</span>    on_error: {policy: retry, attempts: 5' in html


def test_equal_texts_are_said_to_be_equal(page: Client, orders: Flow) -> None:
    revise(orders, DEFINITION)
    assert "The two revisions have the same text." in html_of(page, path_of(orders, "?from=1&to=2"))


def test_texts_too_long_for_a_page_are_not_compared(
    page: Client, orders: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_diff, "MOST_COMPARED", 3)
    revise(orders, "flow: orders\n")
    assert "too long to be compared" in html_of(page, path_of(orders, "?from=1&to=2"))


@pytest.mark.parametrize("query", ["?revision=9", "?from=1&to=9", "?from=0&to=1"])
def test_a_revision_that_never_was_is_not_there(page: Client, orders: Flow, query: str) -> None:
    html_of(page, path_of(orders, query), status=404)


def test_a_number_that_is_none_shows_the_current_text(page: Client, orders: Flow) -> None:
    assert "Revision 1, current" in html_of(page, path_of(orders, "?revision=x"))


def test_a_flow_without_a_definition_says_how_to_apply_one(page: Client, orders: Flow) -> None:
    Flow.unscoped.filter(pk=orders.pk).update(revision=None)
    Revision.unscoped.filter(flow=orders).delete()
    assert "manage.py flow apply FILE" in html_of(page, path_of(orders))


def test_a_definition_is_never_markup(page: Client, orders: Flow) -> None:
    revise(orders, "name: <script>alert(1)</script>\n")
    for query in ("", "?from=1&to=2"):
        html = html_of(page, path_of(orders, query))
        assert "<script>alert" not in html
        assert "name: &lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_the_page_takes_eleven_queries(page: Client, orders: Flow, django_assert_max_num_queries: Any) -> None:
    for number in range(12):
        revise(orders, f"flow: orders\npage_size: {number + 1}\n")
    with django_assert_max_num_queries(11):
        html_of(page, path_of(orders, "?from=1&to=5"))
