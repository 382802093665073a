"""Filters of the lists of errors that numbers lead to: what an error is shown as, and when it was resolved."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.core import clock
from apps.errors.models import BulkAct, Error
from apps.flows.models import Step
from apps.runs.models import Run
from tests.console.scenes import add_to_bucket
from tests.console.screens import ended_run, html_of, keyed_error, text_of
from tests.factories import make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(step: Step) -> Run:
    return make_run(step.flow)


def url(step: Step, state: str = "open") -> str:
    return f"/flows/{step.flow_id}/steps/{step.pk}/errors/{state}/"


def keys_on(page: Client, path: str) -> set[str]:
    return {row.key for row in page.get(path).context["page"].rows}


# --- shown as --------------------------------------------------------------------------------------------------------
@pytest.fixture
def shades(step: Step, run: Run, noon: datetime) -> None:
    """Open errors of every shade, and a resolved one that had been in doubt."""
    keyed_error(run, step, "plain")
    keyed_error(run, step, "waits", next_attempt_at=noon + timedelta(seconds=30))
    keyed_error(run, step, "doubt", in_doubt=True)
    keyed_error(run, step, "again", retry_failed=True)
    keyed_error(run, step, "sent", in_doubt=True, state="resolved", reason="sent", resolved_at=noon)


@pytest.mark.parametrize(
    ("shown", "key"), [("auto_retrying", "waits"), ("in_doubt", "doubt"), ("retry_failed", "again")]
)
@pytest.mark.parametrize("path", ["{step}", "/errors/?view=list", "/errors/?state=all"])
def test_a_list_is_narrowed_to_what_errors_are_shown_as(
    page: Client, step: Step, shades: None, shown: str, key: str, path: str
) -> None:
    address = path.replace("{step}", url(step) + "?")
    assert keys_on(page, f"{address}&shown={shown}") == {key}


def test_an_error_that_waits_for_its_attempt_says_when(page: Client, step: Step, shades: None) -> None:
    text = text_of(html_of(page, url(step) + "?shown=auto_retrying"))
    assert "Shown as: auto-retrying" in text
    assert "Auto-retrying" in text
    assert "attempt 1 of 4 at 12:00:30" in text


def test_what_nothing_is_shown_as_finds_nothing_and_says_so(page: Client, step: Step, shades: None) -> None:
    assert "No open error matches these filters" in text_of(html_of(page, url(step) + "?shown=nonsense"))


def test_all_that_match_means_those_that_are_shown_so(page: Client, step: Step, shades: None) -> None:
    selection = page.get(url(step) + "?shown=in_doubt").context["selection"]
    page.post("/errors/resolve", {"all": "1", "query": selection.query, "upto": selection.upto})
    assert set(Error.unscoped.filter(reason="manual").values_list("key", flat=True)) == {"doubt"}


def test_the_count_on_the_dashboard_leads_to_those_that_it_counts(page: Client, step: Step, shades: None) -> None:
    for path in ("/dashboard/completed/", "/integrations/shop/dashboard/completed/"):
        html = html_of(page, path)
        found = re.search(r'id="strip-retrying"[^>]*><a href="([^"]+)"', html)
        assert found is not None
        assert keys_on(page, found[1].replace("&amp;", "&")) == {"waits"}


def test_a_live_strip_of_an_integration_keeps_its_addresses(page: Client, step: Step, shades: None) -> None:
    live = f"/live/?t=dashboard:{step.flow.integration_id}.{step.flow_id}&v="
    html = page.get(live).content.decode()
    assert 'href="/errors/?view=list&amp;integration=shop&amp;shown=auto_retrying"' in html


# --- mark as sent, where it applies -----------------------------------------------------------------------------------
def test_mark_as_sent_is_offered_where_errors_are_in_doubt_alone(page: Client, step: Step, shades: None) -> None:
    assert 'formaction="/errors/mark-sent"' in html_of(page, url(step))
    assert 'formaction="/errors/mark-sent"' not in html_of(page, url(step) + "?shown=retry_failed")
    assert 'formaction="/errors/mark-sent"' not in html_of(page, url(step, "resolved"))


def test_the_drawer_of_an_error_in_doubt_says_what_marking_means(page: Client, step: Step, shades: None) -> None:
    doubt, plain = (Error.unscoped.get(key=key) for key in ("doubt", "plain"))
    address = f"/flows/{step.flow_id}/steps/{step.pk}/errors/"
    html = html_of(page, f"{address}{doubt.pk}/")
    assert "the steps after this one are not run for it" in text_of(html)
    assert '<form method="post" action="/errors/mark-sent"' in html
    assert '<form method="post" action="/errors/mark-sent"' not in html_of(page, f"{address}{plain.pk}/")


def test_those_in_doubt_are_marked_the_others_named_and_it_is_undone(page: Client, step: Step, shades: None) -> None:
    ids = list(Error.unscoped.filter(key__in=("doubt", "plain")).values_list("pk", flat=True))
    answer = page.post("/errors/mark-sent", {"error": ids, "next": url(step)}, follow=True)
    assert "1 error marked as sent. Left alone: 1 is not in doubt. View Undo" in text_of(answer.content.decode())
    assert "Marked as sent" in text_of(html_of(page, url(step, "resolved")))
    page.post(f"/acts/{BulkAct.unscoped.get().pk}/undo")
    assert Error.unscoped.get(key="doubt").shown_state == "in_doubt"


def test_many_are_asked_about_with_what_it_means(page: Client, step: Step, shades: None, monkeypatch: Any) -> None:
    monkeypatch.setattr("apps.console.views.error_acts.ASKS_ABOVE", 1)
    selection = page.get(url(step)).context["selection"]
    form = {"all": "1", "query": selection.query, "upto": selection.upto}
    text = text_of(page.post("/errors/mark-sent", form).content.decode())
    assert "Mark as sent 1 error?" in text
    assert "the steps after this one are not run for these records" in text
    assert "3 : is not in doubt" in text


def test_the_page_of_a_root_cause_leads_to_marking_where_it_has_doubts(page: Client, step: Step, shades: None) -> None:
    doubt, plain = (Error.unscoped.get(key=key) for key in ("doubt", "plain"))
    assert "mark-sent" not in html_of(page, f"/errors/causes/{plain.cause_id}/")
    found = re.search(r'href="(/errors/mark-sent[^"]+)"', html_of(page, f"/errors/causes/{doubt.cause_id}/"))
    assert found is not None
    assert "Mark as sent 1 error?" in text_of(html_of(page, found[1].replace("&amp;", "&")))


# --- when it was resolved --------------------------------------------------------------------------------------------
@pytest.fixture
def resolved(step: Step, run: Run, noon: datetime) -> None:
    """Errors that occurred a week before noon and were resolved 10 minutes, 2 hours and 2 days before it."""
    for key, ago in (("fresh", timedelta(minutes=10)), ("older", timedelta(hours=2)), ("old", timedelta(days=2))):
        keyed_error(
            run, step, key, state="resolved", reason="succeeded", resolved_at=noon - ago,
            occurred_at=noon - timedelta(days=7),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("resolved_range=1h", {"fresh"}),
        ("resolved_range=24h", {"fresh", "older"}),
        ("resolved_from=2026-03-02T09:00&resolved_to=2026-03-02T11:00", {"older"}),
        ("range=24h", set()),
        ("range=30d&resolved_range=1h", {"fresh"}),
        ("resolved_range=odd", {"fresh", "older", "old"}),
    ],
)
def test_resolved_errors_are_narrowed_to_when_they_were_resolved(
    page: Client, step: Step, resolved: None, query: str, keys: set[str]
) -> None:
    assert keys_on(page, f"{url(step, 'resolved')}?{query}") == keys
    assert keys_on(page, f"/errors/?state=resolved&{query}") == keys


def test_the_range_has_a_menu_and_a_form_of_its_own(page: Client, step: Step, resolved: None) -> None:
    html = html_of(page, url(step, "resolved") + "?resolved_range=1h&range=30d")
    assert "Resolved: last hour" in text_of(html)
    assert "Occurred: last 30 days" in text_of(html)
    assert 'name="resolved_from"' in html
    assert '<input type="hidden" name="range" value="30d">' in html
    assert 'name="resolved_from"' not in html_of(page, url(step))


def test_a_time_that_cannot_be_read_is_told(page: Client, step: Step, resolved: None) -> None:
    assert "is no time such as" in text_of(html_of(page, url(step, "resolved") + "?resolved_from=yesterday"))


def test_the_open_tab_leaves_out_what_says_something_about_resolved_ones(
    page: Client, step: Step, resolved: None
) -> None:
    html = html_of(page, url(step, "resolved") + "?resolved_range=1h&reason=auto&key=fresh")
    assert f'href="{url(step)}?key=fresh"' in html


def test_the_auto_resolved_of_a_range_lead_to_exactly_those(
    page: Client, step: Step, resolved: None, noon: datetime
) -> None:
    ended_run(step.flow, noon - timedelta(hours=3))
    add_to_bucket(step.flow, noon - timedelta(minutes=10), auto_resolved=1)
    add_to_bucket(step.flow, noon - timedelta(hours=2), auto_resolved=1)
    with clock.frozen(noon):
        html = html_of(page, "/dashboard/completed/?range=24h")
        found = re.search(r'href="([^"]+)" aria-label="2 auto-resolved errors', html)
        assert found is not None
        assert keys_on(page, found[1].replace("&amp;", "&")) == {"fresh", "older"}
