"""The profile: how a user reads the console, and that every page and download follows it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from apps.accounts.models import Account, Member, Profile
from apps.core.clock import frozen
from apps.flows.models import Flow, Step
from tests.console.screens import ended_run, html_of, keyed_error, log_line, signed_in, text_of
from tests.factories import make_cause, make_user

NOW = datetime(2026, 11, 20, 14, 2, 41, tzinfo=UTC)
FIELDS = {
    "times": "absolute", "time_zone": "Asia/Tokyo", "date_order": "year", "default_range": "24h", "theme": "dark",
    "density": "comfortable", "shortcuts_on": "on",
}  # fmt: skip


@pytest.fixture
def profile(member: Member) -> Profile:
    """The member's, with settings that differ from the defaults where a page shows it."""
    found: Profile = Profile.objects.create(user=member.user, time_zone="Asia/Tokyo", date_order="month")
    return found


def test_what_is_chosen_is_kept_for_the_user_and_shown_on_the_next_page(page: Client, member: Member) -> None:
    answer = page.post("/profile/", FIELDS, follow=True)
    html = answer.content.decode()
    assert answer.redirect_chain == [("/profile/", 302)]
    assert "Your profile is saved." in html
    assert 'data-theme="dark" data-density="comfortable"' in html
    assert "Asia/Tokyo" in html
    kept = Profile.objects.get(user=member.user)
    assert {name: getattr(kept, name) for name in FIELDS} == {**FIELDS, "shortcuts_on": True}
    page.post("/profile/", {name: value for name, value in FIELDS.items() if name != "shortcuts_on"})
    assert 'data-shortcuts="off"' in html_of(page, "/errors/")


def test_a_time_zone_that_does_not_exist_is_refused_with_a_sentence(page: Client, member: Member) -> None:
    answer = page.post("/profile/", FIELDS | {"time_zone": "Europe/Atlantis"})
    assert answer.status_code == 422
    assert "“Europe/Atlantis” is no time zone: use a name such as Europe/Berlin." in answer.content.decode()
    assert not Profile.objects.filter(user=member.user).exists()


def test_the_profile_is_the_users_own_and_in_the_user_menu(client: Client, page: Client, account: Account) -> None:
    assert client.get("/profile/").headers["Location"].startswith("/login/")
    assert '<a href="/profile/">' in html_of(page, "/errors/")
    loner: User = make_user("loner")  # a member of no account has a profile too
    own = signed_in(loner)
    assert "Order of dates" in html_of(own, "/profile/")
    own.post("/profile/", FIELDS)
    assert Profile.objects.get().user == loner


def test_the_profile_page_takes_six_queries(page: Client, profile: Profile, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(6):
        html_of(page, "/profile/")


def test_without_a_choice_times_are_in_the_accounts_zone(page: Client, account: Account, step: Step) -> None:
    Account.objects.filter(pk=account.pk).update(time_zone="America/Lima")
    assert "America/Lima" in html_of(page, "/errors/")


@pytest.mark.parametrize(
    ("order", "this_year", "last_year"),
    [
        ("day", "20 Nov 22:00:41", "31 Dec 2025 23:00:00"),
        ("month", "Nov 20 22:00:41", "Dec 31, 2025 23:00:00"),
        ("year", "2026-11-20 22:00:41", "2025-12-31 23:00:00"),
    ],
)
def test_absolute_times_follow_zone_and_order_with_the_year_when_it_is_another(
    page: Client, profile: Profile, orders: Flow, order: str, this_year: str, last_year: str
) -> None:
    Profile.objects.update(date_order=order)
    ended_run(orders, datetime(2025, 12, 31, 14, 0, tzinfo=UTC))
    ended_run(orders, datetime(2026, 11, 20, 13, 0, 41, tzinfo=UTC))
    with frozen(NOW):
        html = html_of(page, f"/flows/{orders.pk}/history/")
    assert f'title="1 h ago">{this_year}</time>' in html
    assert f">{last_year}</time>" in html


def test_relative_times_stand_in_lists_and_tell_the_moment_in_the_title(
    page: Client, profile: Profile, step: Step
) -> None:
    Profile.objects.update(times="relative")
    run = ended_run(step.flow, datetime(2026, 11, 20, 13, 0, tzinfo=UTC))
    cause = make_cause(step, first_seen_at=run.started_at, last_seen_at=run.started_at)
    keyed_error(run, step, "A-17", cause=cause, occurred_at=run.started_at)
    moment = 'title="Nov 20 22:00:00 JST" data-age>1 h ago</time>'
    with frozen(NOW):
        for path in (
            f"/flows/{step.flow_id}/",
            f"/flows/{step.flow_id}/history/",
            f"/flows/{step.flow_id}/steps/{step.pk}/errors/open/",
            "/errors/",
            f"/errors/causes/{cause.pk}/",
            f"/runs/{run.pk}/",
            "/dashboard/completed/",
        ):
            assert moment in html_of(page, path), path


def test_downloads_tell_their_times_in_the_users_zone_with_its_offset(
    page: Client, profile: Profile, step: Step
) -> None:
    run = ended_run(step.flow, datetime(2026, 11, 20, 13, 0, tzinfo=UTC))
    keyed_error(run, step, "A-17", occurred_at=run.started_at)
    list_of_errors = page.get("/errors/?view=list&format=csv")
    assert "2026-11-20T22:00:00+09:00" in list_of_errors.getvalue().decode()
    assert "2026-11-20T22:00:00+09:00" in page.get("/dashboard/completed/?format=csv").content.decode()
    log_line(run, "Page 1 saved", at=run.started_at)
    log = page.get(f"/runs/{run.pk}/log/?format=text").getvalue().decode()
    assert log.startswith("2026-11-20T22:00:00.000+09:00 INFO")


def test_the_dashboard_begins_with_the_users_range(page: Client, profile: Profile, orders: Flow) -> None:
    assert "Started: last 7 days" in text_of(html_of(page, "/dashboard/completed/"))
    Profile.objects.update(default_range="30d")
    assert "Started: last 30 days" in text_of(html_of(page, "/dashboard/completed/"))
    assert "Started: last 24 hours" in text_of(html_of(page, "/dashboard/completed/?range=24h"))


def test_choosing_a_theme_changes_nothing_else(page: Client, member: Member) -> None:
    before = 'data-density="compact"'
    assert before in html_of(page, "/errors/")
    page.post("/theme/choose/", {"theme": "dark"})
    assert before in html_of(page, "/errors/")
