"""The help center: its topics, the state of the platform beside them, and the ways that lead there."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from apps.accounts.models import Account, Member, Role
from apps.console.help_topics import TOPICS, topic_for
from apps.console.selectors import platform
from apps.core.clock import wall_now
from apps.engine.ports import Classification, ErrorSource
from apps.flows.models import Connection, Step
from apps.runs.models import Machine
from tests.console.screens import html_of, signed_in, text_of
from tests.factories import make_cause, make_connection, make_error, make_member, make_run

GIGABYTE = 1000**3
TEMPLATES = Path(django_settings.BASE_DIR) / "templates" / "help" / "topics"


@pytest.fixture
def admin(account: Account) -> Client:
    return signed_in(make_member(account, role=Role.ADMINISTRATOR).user)


def test_the_guide_names_its_topics_in_the_order_in_which_to_check_them(page: Client) -> None:
    html = html_of(page, "/help/")
    places = [html.index(f'href="/help/{slug}/">{TOPICS[slug].title}') for slug in TOPICS]
    assert places == sorted(places)
    first = ["application-up", "credentials", "answer-structure", "mapping"]
    assert [slug for slug in TOPICS if slug in first] == first
    assert list(TOPICS).index("test-run") < list(TOPICS).index("hand-over")


def test_each_topic_has_a_text_and_each_text_a_topic(page: Client) -> None:
    assert {path.stem for path in TEMPLATES.glob("*.html")} == set(TOPICS)
    for slug, topic in TOPICS.items():
        html = html_of(page, f"/help/{slug}/")
        assert topic.summary in text_of(html).replace("&#x27;", "'")
    assert page.get("/help/telepathy/").status_code == 404


def test_quick_help_stands_at_the_foot_of_the_navigation_and_in_the_menu(client: Client, page: Client) -> None:
    html = html_of(page, "/errors/")
    assert html.count('href="/help/"') == 2
    assert client.get("/help/").headers["Location"].startswith("/login/")


@pytest.mark.parametrize("slug", ["queue", "workers", "database", "disk"])
def test_a_topic_of_the_platform_shows_what_is_true_now(page: Client, admin: Client, member: Member, slug: str) -> None:
    Machine.objects.create(name="w1:7", workers=2, seen_at=wall_now())
    on_postgresql = connection.vendor == "postgresql"
    told = {
        "queue": ["In the queue 0 runs", "The oldest nothing waits"],
        "workers": ["Workers 2 of 2 up", "w1:7 2 workers, seen"],
        "database": ["Database answers in", "Database size", "Database connections" if on_postgresql else "SQLite"],
        "disk": ["Free for data"],
    }[slug]
    words = text_of(html_of(admin, f"/help/{slug}/"))
    for text in told:
        assert text in words
    less = text_of(html_of(page, f"/help/{slug}/"))
    assert ("is shown from the role administrator on" in less) is (slug != "queue")
    assert "w1:7" not in less


def test_workers_that_are_silent_are_told(page: Client) -> None:
    assert "none up: no sign of life for 15 s" in text_of(html_of(page, "/help/"))


@pytest.mark.parametrize(
    ("free", "total", "look"),
    [(500, 1000, "ok"), (1.5, 1000, "warn"), (30, 1000, "ok"), (0.9, 8, "ok"), (0.5, 8, "warn"), (0.1, 8, "err")],
)
def test_little_room_on_the_disk_is_a_warning_and_none_an_alarm(free: float, total: float, look: str) -> None:
    disk: Any = SimpleNamespace(free=free * GIGABYTE, total=total * GIGABYTE)
    assert platform.look_of(disk) == look


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1_400, "1.4 kB"), (37e9, "37 GB"), (2.5e12, "2.5 TB")]
)
def test_sizes_are_told_with_their_unit(size: float, text: str) -> None:
    assert platform.bytes_text(size) == text


@pytest.mark.parametrize(
    ("source", "code", "error_class", "slug"),
    [
        ("application", "401", "connection", "credentials"),
        ("application", "28P01", "connection", "credentials"),
        ("connection", "refused", "connection", "application-up"),
        ("application", "503", "intermittent", "application-up"),
        ("application", "429", "rate_limit", "limits"),
        ("application", "413", "too_large", "limits"),
        ("application", "23505", "duplicate", "duplicates"),
        ("application", "404", "missing", "answer-structure"),
        ("mapping", "required", "missing", "mapping"),
        ("application", "json", "parse", "answer-structure"),
        ("application", "422", "value", "mapping"),
        ("internal", "worker_died", "none", "workers"),
        ("internal", "KeyError", "none", "connector"),
        ("internal", "books_differ", "none", "database"),
    ],
)
def test_an_error_leads_to_the_topic_that_fits_it(source: str, code: str, error_class: str, slug: str) -> None:
    assert topic_for(source, code, error_class).slug == slug


def test_every_source_and_class_has_a_topic() -> None:
    for source in ErrorSource:
        for error_class in [*Classification, "none"]:
            assert topic_for(source.value, "", error_class).slug in TOPICS


def test_an_error_its_cause_and_an_offline_connection_say_where_to_look(page: Client, step: Step) -> None:
    cause = make_cause(step, classification="duplicate", code="23505", pattern="There already")
    error = make_error(make_run(step.flow), step=step, cause=cause)
    link = 'Integration logic: <a href="/help/duplicates/"'
    for path in (f"/flows/{step.flow_id}/steps/{step.pk}/errors/{error.pk}/", f"/errors/causes/{cause.pk}/"):
        assert link in html_of(page, path)
    away = make_connection(step.account, state="offline")
    assert 'href="/help/application-up/"' in html_of(page, f"/connections/{away.pk}/")
    Connection.unscoped.update(state="online")
    assert 'href="/help/application-up/"' not in html_of(page, f"/connections/{away.pk}/")


def test_help_takes_eight_queries(admin: Client, django_assert_max_num_queries: Any) -> None:
    for path in ("/help/", "/help/workers/", "/help/database/", "/help/mapping/"):
        with django_assert_max_num_queries(8):
            html_of(admin, path)


def test_a_user_without_an_account_is_told_so(client: Client, mara: User) -> None:
    client.force_login(mara)
    assert "You are not a member of any account" in html_of(client, "/help/")
