"""The page and the list of root causes: a corrected class that is taken back, and what is kept live."""

import re
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Member
from apps.core.clock import wall_now
from apps.errors.models import Cause, Error
from apps.errors.services import resolve_errors
from apps.flows.models import Step
from tests.console.screens import html_of, signed_in, text_of
from tests.console.test_causes import CAUSES, failing, post
from tests.factories import make_account, make_error, make_member


def test_a_corrected_class_is_taken_back(page: Client, step: Step) -> None:
    cause = failing(step, classification="missing")
    address = f"/errors/causes/{cause.pk}/"
    assert "Back to the class by rule" not in html_of(page, address)
    assert "Back to the class by rule: Missing" in post(page, address + "classify", **{"class": "value"})
    text = post(page, address + "unclassify")
    assert "The class is Missing again, as the rules say." in text
    assert "Missing (set by rule)" in text
    assert "is that of the rules already" in post(page, address + "unclassify")


def test_its_automatic_attempts_lead_to_the_errors_that_wait(page: Client, step: Step) -> None:
    cause = failing(step)
    Error.unscoped.filter(key=f"{cause.pk}-1").update(next_attempt_at=wall_now())
    html = html_of(page, f"/errors/causes/{cause.pk}/")
    address = f"/errors/?view=list&amp;cause={cause.pk}&amp;shown=auto_retrying"
    assert f'<a href="{address}">attempt 1 of 4' in html
    assert [row.key for row in page.get(address.replace("&amp;", "&")).context["page"].rows] == [f"{cause.pk}-1"]


# --- live ------------------------------------------------------------------------------------------------------------
def live_of(page: Client, path: str) -> str:
    """The address that a page asks for news of its own topic."""
    found = re.search(r'data-live="/live/\?t=shell,([^&]+)&amp;v=[^~]+~([^"]+)"', html_of(page, path))
    assert found is not None
    return f"/live/?t={found[1]}&v={found[2]}"


def resolve_one(cause: Cause, member: Member) -> None:
    """As the product does it, a moment later."""
    errors = Error.objects.of(cause.account_id).filter(cause=cause)[:1]
    chosen = Error.objects.of(cause.account_id).filter(pk__in=[error.pk for error in errors])
    resolve_errors(account=cause.account, member=member, errors=chosen)


def test_the_list_of_root_causes_is_kept_live(page: Client, step: Step, member: Member) -> None:
    cause = failing(step)
    live = live_of(page, CAUSES)
    assert page.get(live).status_code == 204
    resolve_one(cause, member)
    html = page.get(live).content.decode()
    assert f'id="cause-{cause.pk}-open" hx-swap-oob="true"' in html
    assert "2 of 3 in all" in text_of(html)
    assert f'id="cause-{cause.pk}-state" hx-swap-oob="true"' in html
    assert 'id="causes-open" hx-swap-oob="true">1<' in html
    assert "new root causes" not in html


def test_a_new_root_cause_is_told_and_not_pushed_in(page: Client, step: Step) -> None:
    failing(step)
    live, narrowed = live_of(page, CAUSES), live_of(page, f"{CAUSES}&q=airport")
    failing(step, 1, pattern="Another one")
    assert "There are new root causes. Show them" in text_of(page.get(live).content.decode())
    assert "new root causes" not in page.get(narrowed).content.decode()


def test_a_root_cause_is_kept_live(page: Client, step: Step, member: Member) -> None:
    cause = failing(step)
    live = live_of(page, f"/errors/causes/{cause.pk}/")
    assert page.get(live).status_code == 204
    resolve_one(cause, member)
    html = page.get(live).content.decode()
    assert 'id="cause-open" hx-swap-oob="true"' in html
    assert "2 of 3 in all" in text_of(html)
    assert "There are new errors" not in html


def test_new_errors_of_a_root_cause_are_told(page: Client, step: Step) -> None:
    cause = failing(step)
    live = live_of(page, f"/errors/causes/{cause.pk}/")
    make_error(cause=cause, key="later")
    assert "There are new errors. Show them" in text_of(page.get(live).content.decode())


@pytest.mark.parametrize("topic", ["causes:odd.0.1", "causes:open.x.1", "causes:open.0.1-x", "cause:x", "cause:999"])
def test_topics_that_name_nothing_are_not_there(page: Client, step: Step, topic: str) -> None:
    assert page.get(f"/live/?t={topic}&v=").status_code == 404


def test_root_causes_of_another_account_are_not_told(step: Step) -> None:
    cause = failing(step)
    stranger = signed_in(make_member(make_account()).user)
    assert stranger.get(f"/live/?t=cause:{cause.pk}&v=").status_code == 404
    assert f"cause-{cause.pk}" not in stranger.get(f"/live/?t=causes:open.0.{cause.pk}&v=").content.decode()


def test_asking_for_news_takes_few_queries(page: Client, step: Step, django_assert_max_num_queries: Any) -> None:
    cause = failing(step)
    for path in (CAUSES, f"/errors/causes/{cause.pk}/"):
        live = live_of(page, path)
        with django_assert_max_num_queries(8):
            assert page.get(live).status_code == 204
