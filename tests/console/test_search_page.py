"""The search at the top of every page: ids, records, flows and errors."""

from itertools import zip_longest
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from apps.accounts.models import Account
from apps.flows.models import Step
from tests.console.screens import html_of, keyed_error, text_of
from tests.factories import make_account, make_flow, make_run, step_of

ODD = [
    "\x00", "a\x00b", "%", "_", "\\", "'", '"', "\"'", "--", "*", "***", "a*", "AND", "OR NOT", "a NEAR b",
    "NEAR(a b, 2)", "text:a", "^a", "(", ")", "((", "a AND", "{a}", "-a", "+a", "\u202e", "\ud83d\ude00", "😀",
    "é", "e\u0301", "İ", "ß", "SS", "ΟΔΟΣ", "ﬁ", "x" * 5_000, "word " * 500, "\n\t", "key:", "key:\x00",
    "code:\x00", "run:\x00", 'key:"', 'key:""', "run:r-0", "run:r-99999999999999999999", "key:a code:b run:c d",
    "::", "<script>alert(1)</script>", "r-", "r-0", "e-x", "c-1", "f-1", "e-99999999999999999999", "%00",
    "\ufffd", "\ufeff", "１２", "²",
]  # fmt: skip


def search(page: Client, question: str) -> str:
    return html_of(page, f"/records/?q={quote(question, safe='')}")


def test_the_search_stands_above_every_page(page: Client, step: Step) -> None:
    assert 'action="/records/"' in html_of(page, "/errors/")


def test_nothing_asked_says_what_can_be_asked(page: Client) -> None:
    assert "What are you looking for?" in html_of(page, "/records/")


def test_nothing_found_says_so(page: Client, step: Step) -> None:
    assert "Nothing was found" in search(page, "nowhere")


@pytest.mark.parametrize("question", ["A-17", " A-17 "])
def test_a_trace_key_leads_to_its_record(page: Client, step: Step, question: str) -> None:
    keyed_error(make_run(step.flow), step, "A-17", message="Price is below zero")
    html = search(page, question)
    assert '<a class="mono name" href="/records/A-17/">A-17</a>' in html
    assert "1 error, 1 open, in 1 flow" in text_of(html)


def test_words_lead_to_errors_open_and_resolved_and_to_all_that_match(page: Client, step: Step) -> None:
    error = keyed_error(make_run(step.flow), step, "A-17", message="Price is below zero", state="resolved")
    keyed_error(make_run(step.flow), step, "B-1", message="No such customer")
    html = search(page, "PRICE zero")
    assert f"/errors/{error.pk}/" in html
    assert "No such customer" not in html
    assert 'href="/errors/?view=list&amp;state=all&amp;q=PRICE%20zero"' in html


def test_a_flow_is_found_by_name_or_key_whatever_the_case(page: Client, account: Account) -> None:
    flow = make_flow(account, name="Überführung nach Köln", key="trains")
    for question in ("KÖLN", "überf", "TRAIN"):
        assert f'href="/flows/{flow.pk}/"' in search(page, question)


def test_an_id_leads_to_its_page(page: Client, step: Step) -> None:
    error = keyed_error(make_run(step.flow), step, "A-17")
    for text, path in [
        (f"r-{error.run_id}", f"/runs/{error.run_id}/"),
        (f"E-{error.pk}", f"/flows/{step.flow_id}/steps/{step.pk}/errors/{error.pk}/"),
        (f"c-{error.cause_id}", f"/errors/causes/{error.cause_id}/"),
        (f" f-{step.flow_id} ", f"/flows/{step.flow_id}/"),
    ]:
        assert page.get("/records/", {"q": text}).headers["Location"] == path


def test_what_belongs_to_others_is_not_found(page: Client, step: Step) -> None:
    other = step_of(make_flow(make_account(), name="Secret flow"))
    error = keyed_error(make_run(other.flow), other, "A-17", message="Secret price")
    questions = ("secret", "A-17", f"r-{error.run_id}", f"e-{error.pk}", f"c-{error.cause_id}", f"f-{other.flow_id}")
    for question in questions:
        assert "Nothing was found" in search(page, question)


def test_an_id_that_is_not_there_is_told_as_such(page: Client, step: Step) -> None:
    assert "There is no run r-99 in production that you may see." in search(page, "r-99")
    assert "There is no root cause c-7 in production" in search(page, "c-7")
    assert "There is no" not in search(page, "x-99")


def percent(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


@pytest.mark.parametrize("path", ["/records/?", "/errors/?view=list&", "/errors/?view=causes&"])
def test_whatever_is_typed_every_search_answers(page: Client, step: Step, path: str) -> None:
    keyed_error(make_run(step.flow), step, "a", message="a b")
    answers = {200, 302} if path == "/records/?" else {200}  # an id that is there leads on
    for question in ODD:
        assert page.get(f"{path}q={percent(question)}").status_code in answers, question


NAMES = (
    "q", "key", "code", "source", "class", "run", "cause", "reason", "unit", "tag", "assignee", "assigned", "tab",
    "page", "integration", "flow", "step", "state", "range", "from", "to", "shown", "resolved_range", "resolved_from",
    "resolved_to",
)  # fmt: skip


def odd_values(name: str) -> tuple[str, ...]:
    times = ("0001-01-01T00:00", "9999-12-31T23:59") if name.endswith(("from", "to")) else ()
    return ("a\x00'%", "9" * 30, "\ud800", *times)


@pytest.mark.parametrize("names", [[name] for name in NAMES] + [list(NAMES)], ids=[*NAMES, "all at once"])
@pytest.mark.parametrize("path", ["/errors/?view=list", "/errors/?view=causes", "{step}/open/?", "{step}/resolved/?"])
def test_whatever_an_address_says_every_list_answers(page: Client, step: Step, path: str, names: list[str]) -> None:
    keyed_error(make_run(step.flow), step, "a", message="a b")
    place = path.format(step=f"/flows/{step.flow_id}/steps/{step.pk}/errors")
    for values in zip_longest(*map(odd_values, names), fillvalue="a"):
        said = "&".join(f"{name}={percent(value)}" for name, value in zip(names, values, strict=True))
        assert page.get(f"{place}&{said}").status_code == 200, said


def test_the_search_takes_ten_queries_whatever_is_found(
    page: Client, account: Account, step: Step, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        make_flow(account, name=f"A-17 {number}")
        keyed_error(make_run(step.flow), step, "A-17", collision_no=number)
    with django_assert_max_num_queries(10):
        search(page, "A-17")
