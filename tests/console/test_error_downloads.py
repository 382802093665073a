"""Downloads of the lists of errors: what matches and nothing else, as CSV and JSON, sent while it is read."""

import csv
import io
import json
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Member
from apps.accounts.selectors import person
from apps.errors.models import ErrorTag, Tag
from apps.flows.models import Step
from tests.console.screens import html_of, keyed_error, signed_in
from tests.factories import make_account, make_cause, make_member, make_retry_data, make_run

pytestmark = pytest.mark.django_db


def open_url(step: Step, query: str) -> str:
    return f"/flows/{step.flow_id}/steps/{step.pk}/errors/open/{query}"


def content(page: Client, path: str) -> str:
    answer = page.get(path)
    assert answer.streaming
    return b"".join(answer.streaming_content).decode()  # type: ignore[arg-type]


def csv_of(page: Client, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content(page, path).removeprefix("\ufeff"))))


def test_a_csv_has_a_row_per_error_with_all_its_facts(page: Client, step: Step, noon: datetime) -> None:
    cause = make_cause(step, classification="value", code="23514", source="application")
    error = keyed_error(make_run(step.flow), step, "A-17", cause=cause, message="Price, below zero")
    (row,) = csv_of(page, open_url(step, "?format=csv"))
    assert row["error"] == str(error)
    assert (row["trace key"], row["message"], row["class"], row["code"]) == (
        "A-17",
        "Price, below zero",
        "value",
        "23514",
    )
    assert (row["flow"], row["step"], row["occurred at"]) == ("Orders", "Target", "2026-03-02T12:00:00+00:00")


@pytest.mark.parametrize("message", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\tx"])
def test_no_cell_is_a_formula(page: Client, step: Step, message: str) -> None:
    keyed_error(make_run(step.flow), step, message[:20], message=message)
    (row,) = csv_of(page, open_url(step, "?format=csv"))
    assert (row["message"], row["trace key"]) == (f"'{message}", f"'{message[:20]}")


def test_assignee_and_tags_have_columns_of_their_own(page: Client, step: Step, member: Member) -> None:
    error = keyed_error(make_run(step.flow), step, "A", assignee=member, has_notes=True)
    keyed_error(make_run(step.flow), step, "B", has_notes=True)
    for name in ("Shop asked", "=1+1"):
        tag = Tag.unscoped.create(account=step.account, name=name)
        ErrorTag.unscoped.create(account=step.account, error=error, tag=tag)
    rows = {row["trace key"]: row for row in csv_of(page, open_url(step, "?format=csv"))}
    assert (rows["A"]["assignee"], rows["A"]["tags"]) == (person(member), "'=1+1, Shop asked")
    assert (rows["B"]["assignee"], rows["B"]["tags"]) == ("", "")
    told = {row["trace_key"]: row for row in json.loads(content(page, open_url(step, "?format=json")))}
    assert (told["A"]["assignee"], told["A"]["tags"]) == (person(member), ["=1+1", "Shop asked"])
    assert (told["B"]["assignee"], told["B"]["tags"]) == ("", [])


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_only_what_matches_the_filters_is_in_it(page: Client, step: Step, kind: str) -> None:
    for key in ("A", "B"):
        keyed_error(make_run(step.flow), step, key, message=f"Message of {key}")
    text = content(page, open_url(step, f"?format={kind}&key=A"))
    assert "Message of A" in text
    assert "Message of B" not in text


def test_json_has_the_retry_data_as_it_is_stored(page: Client, step: Step) -> None:
    broken, whole = (keyed_error(make_run(step.flow), step, key) for key in ("A", "B"))
    make_retry_data(broken, b"{oops\xff")
    make_retry_data(whole, b'{"price":1.10}', version=3)
    text = content(page, open_url(step, "?format=json"))
    rows = {row["trace_key"]: row for row in json.loads(text)}
    assert rows["A"]["retry_data"] == "{oops\\xff"
    assert (rows["B"]["retry_data"], rows["B"]["version"]) == ({"price": 1.1}, 3)
    assert '{"price":1.10}' in text


def test_an_empty_list_is_an_empty_download(page: Client, step: Step) -> None:
    assert json.loads(content(page, open_url(step, "?format=json"))) == []
    assert csv_of(page, open_url(step, "?format=csv")) == []


@pytest.mark.parametrize(
    "path",
    ["/errors/?view=list&format=csv", "/errors/?view=list&state=all&format=csv", "/flows/{flow}/errors/?format=csv"],
)
def test_the_lists_over_all_steps_are_downloaded_too(page: Client, step: Step, path: str) -> None:
    keyed_error(make_run(step.flow), step, "A")
    assert [row["trace key"] for row in csv_of(page, path.format(flow=step.flow_id))] == ["A"]


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_download_takes_few_queries_whatever_its_size(
    page: Client, step: Step, member: Member, django_assert_max_num_queries: Any, kind: str
) -> None:
    tag = Tag.unscoped.create(account=step.account, name="Shop asked")
    for number in range(30):
        error = keyed_error(make_run(step.flow), step, f"A-{number}", assignee=member, has_notes=True)
        ErrorTag.unscoped.create(account=step.account, error=error, tag=tag)
        make_retry_data(error)
    with django_assert_max_num_queries(8):
        content(page, open_url(step, f"?format={kind}"))


def test_the_foot_of_a_list_links_to_its_downloads_with_the_filters(page: Client, step: Step) -> None:
    keyed_error(make_run(step.flow), step, "A")
    html = html_of(page, open_url(step, "?key=A"))
    assert "errors/open/?key=A&amp;format=csv" in html
    assert "errors/open/?key=A&amp;format=json" in html


def test_errors_of_another_account_are_not_downloaded(step: Step) -> None:
    keyed_error(make_run(step.flow), step, "A")
    stranger = signed_in(make_member(make_account()).user)
    assert stranger.get(open_url(step, "?format=csv")).status_code == 404
    assert csv_of(stranger, "/errors/?view=list&format=csv") == []
