"""The support bundle in the console: from the button to the download."""

from datetime import timedelta
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.accounts.models import Account, AuditEntry, Member, MemberRole, Role
from apps.core.clock import read_now
from apps.errors.models import Error
from apps.runs.models import Run
from apps.support.models import SendState, SupportBundle
from apps.support.services import make_bundle
from apps.support.subjects import about_run
from apps.support.tickets import filled_in
from tests.conftest import NOON
from tests.console.screens import (
    furnished_error,
    html_of,
    run_with_steps,
    signed_in,
    text_of,
)
from tests.factories import make_account, make_member

PAGE = "/settings/support-bundle/"
PICTURE = b"\x89PNG\r\n\x1a\nrest"
FIELDS = {"title": "Orders fail", "description": "Since noon", "priority": "high"}


@pytest.fixture
def run(orders: Any) -> Run:
    return run_with_steps(orders, NOON)


@pytest.fixture
def error(run: Run) -> Error:
    return furnished_error(run)


def made(page: Client, address: str, **fields: Any) -> SupportBundle:
    answer = page.post(f"{PAGE}?{address}", FIELDS | fields)
    assert answer.status_code == 302, text_of(answer.content.decode())
    return SupportBundle.unscoped.latest("pk")


def test_every_place_where_something_fails_has_the_button(page: Client, error: Error) -> None:
    flow = f"/flows/{error.flow_id}/"
    places = {
        f"{flow}steps/{error.step_id}/errors/{error.pk}/": f"error={error.pk}",
        f"/errors/causes/{error.cause_id}/": f"cause={error.cause_id}",
        f"/runs/{error.run_id}/": f"run={error.run_id}",
        flow: f"flow={error.flow_id}",
    }
    for place, named in places.items():
        assert f'href="{PAGE}?{named}"' in html_of(page, place)
        words = text_of(html_of(page, f"{PAGE}?{named}"))
        assert "The step Target fails: The altitude is no number" in words
        assert "Title *" in words


def test_the_page_lets_choose_a_flow_and_a_range(page: Client, error: Error, django_assert_num_queries: Any) -> None:
    html_of(page, PAGE)
    with django_assert_num_queries(5):  # session, member, counts around the page, flows, bundles
        html = html_of(page, PAGE)
    assert f'<option value="{error.flow_id}">Orders</option>' in html
    assert "Ticket about flow Orders" in text_of(html_of(page, f"{PAGE}?flow={error.flow_id}&range=7d"))


def test_a_ticket_leads_to_a_look_at_every_file_and_to_the_download(page: Client, error: Error) -> None:
    picture = SimpleUploadedFile("../../what a screen.png", PICTURE)
    bundle = made(page, f"error={error.pk}", screenshots=picture, is_blocker="on", deadline="2026-12-24")
    look = f"{PAGE}{bundle.pk}/"
    html = html_of(page, look)
    assert "Blocker: yes" in html
    assert "Solution or workaround until: 2026-12-24" in html
    assert "data:image/png;base64," in html_of(page, f"{look}?file=screenshots/1.png")
    assert "revision" in html_of(page, f"{look}?file=runs.json")
    answer = page.post(f"{look}download")
    assert answer["Content-Disposition"] == f'attachment; filename="support-bundle-error-{error.pk}.zip"'
    with ZipFile(BytesIO(answer.content)) as archive:
        assert "screenshots/1.png" in archive.namelist()
        assert not [name for name in archive.namelist() if ".." in name or name.startswith("/")]
    assert AuditEntry.unscoped.filter(act="support_bundle.download").count() == 1


def test_the_look_tells_what_was_hidden_where_and_how_often(
    page: Client, error: Error, django_assert_num_queries: Any
) -> None:
    error.retry_data.record = b'{"password": "abc", "token": "x"}'
    error.retry_data.save()
    bundle = made(page, f"error={error.pk}")
    with django_assert_num_queries(4):  # session, member, counts around the page, the bundle
        words = text_of(html_of(page, f"{PAGE}{bundle.pk}/"))
    assert f"password samples/{error}/record.json line 2 1" in words
    assert "redaction.txt" in words


def test_a_ticket_without_what_is_required_says_so_and_makes_nothing(page: Client, error: Error) -> None:
    answer = page.post(f"{PAGE}?error={error.pk}", {"title": "", "description": "", "priority": "odd"})
    assert answer.status_code == 422
    assert answer.content.decode().count("field-error") + answer.content.decode().count('class="error"') >= 3
    answer = page.post(f"{PAGE}?error={error.pk}", FIELDS | {"screenshots": SimpleUploadedFile("a.png", b"text")})
    assert answer.status_code == 422
    assert "is no picture" in answer.content.decode()
    assert not SupportBundle.unscoped.exists()


def test_the_first_observation_is_told_in_the_zone_of_the_member(page: Client, member: Member, error: Error) -> None:
    Account.objects.filter(pk=member.account_id).update(time_zone="Asia/Tokyo")
    bundle = made(page, f"error={error.pk}", first_observed="2026-03-02T21:00:00")
    assert bundle.ticket["first_observed"] == "2026-03-02T21:00:00+09:00"
    assert "First observed: 2026-03-02 12:00:00 UTC" in html_of(page, f"{PAGE}{bundle.pk}/")
    assert 'value="2026-03-02T21:00:00"' in html_of(page, f"{PAGE}{bundle.pk}/ticket/")


def test_a_ticket_can_be_edited_until_it_is_sent(page: Client, error: Error) -> None:
    bundle = made(page, f"error={error.pk}", screenshots=SimpleUploadedFile("a.png", PICTURE))
    page.post(f"{PAGE}{bundle.pk}/ticket/", FIELDS | {"title": "Other"})
    html = html_of(page, f"{PAGE}{bundle.pk}/")
    assert "Title: Other" in html
    assert "screenshots/1.png" in html
    page.post(f"{PAGE}{bundle.pk}/ticket/", FIELDS | {"drop_screenshots": "1"})
    assert "screenshots/1.png" not in html_of(page, f"{PAGE}{bundle.pk}/")


def test_it_is_sent_by_a_worker_or_the_button_says_why_not(page: Client, error: Error, settings: Any) -> None:
    bundle = made(page, f"run={error.run_id}")
    look = f"{PAGE}{bundle.pk}/"
    assert "the operator sets SUPPORT_EMAIL" in html_of(page, look)
    settings.SUPPORT_EMAIL = "help@example.org"
    assert "A worker sends it to help@example.org" in text_of(page.post(f"{look}send", follow=True).content.decode())
    assert 'title="A worker is sending it"' in html_of(page, look)
    SupportBundle.unscoped.update(state=SendState.SENT, content=None, recipient="help@example.org")
    assert "Its files are gone from here" in html_of(page, look)
    assert page.post(f"{look}download").status_code == 302


def test_a_bundle_is_its_makers_alone(page: Client, account: Account, error: Error) -> None:
    other = signed_in(make_member(account).user)
    stranger = signed_in(make_member(make_account()).user)
    bundle = made(page, f"error={error.pk}")
    for browser in (other, stranger):
        assert browser.get(f"{PAGE}{bundle.pk}/").status_code == 404
        assert browser.get(f"{PAGE}{bundle.pk}/ticket/").status_code == 404
        for act in ("download", "send", "discard"):
            assert browser.post(f"{PAGE}{bundle.pk}/{act}").status_code == 404
    assert stranger.get(f"{PAGE}?error={error.pk}").status_code == 404
    assert page.get(f"{PAGE}?error=nonsense").status_code == 404
    assert page.get(f"{PAGE}{2**63}/").status_code == 404


def test_what_a_member_does_not_see_any_more_he_cannot_gather_again(page: Client, member: Member, run: Run) -> None:
    subject = about_run(Run.unscoped.select_related("flow__integration__account").get(pk=run.pk))
    bundle = make_bundle(subject=subject, ticket=filled_in(subject), member=member)
    Member.objects.of(member.account_id).filter(pk=member.pk).update(role="")
    assert page.get(f"{PAGE}{bundle.pk}/ticket/").status_code == 404


def test_what_a_member_does_not_see_any_more_he_does_not_download(page: Client, member: Member, error: Error) -> None:
    bundle = made(page, f"error={error.pk}")
    Member.objects.of(member.account_id).filter(pk=member.pk).update(role="")
    role = MemberRole.unscoped.create(
        account=member.account, member=member, integration=error.flow.integration, role=Role.MONITOR
    )
    assert page.post(f"{PAGE}{bundle.pk}/download").status_code == 200
    role.delete()
    assert page.get(f"{PAGE}{bundle.pk}/").status_code == 404
    assert page.post(f"{PAGE}{bundle.pk}/download").status_code == 404


def test_a_bundle_is_over_after_a_day_though_nothing_took_it_away(page: Client, error: Error) -> None:
    bundle = made(page, f"error={error.pk}")
    SupportBundle.unscoped.update(made_at=read_now() - timedelta(days=1, minutes=1))
    assert page.post(f"{PAGE}{bundle.pk}/download").status_code == 404


def test_a_bundle_is_discarded(page: Client, error: Error) -> None:
    bundle = made(page, f"error={error.pk}")
    assert page.get(f"{PAGE}{bundle.pk}/discard").status_code == 405
    page.post(f"{PAGE}{bundle.pk}/discard")
    assert not SupportBundle.unscoped.exists()


def test_the_help_center_leads_to_a_ticket_the_support_address_and_a_chat(page: Client, settings: Any) -> None:
    words = text_of(html_of(page, "/help/"))
    assert "none is set ( SUPPORT_EMAIL )" in words
    assert "Chat" not in words
    settings.SUPPORT_EMAIL, settings.SUPPORT_CHAT_URL = "help@example.org", "https://chat.example.org/"
    for path in ("/help/", "/help/hand-over/", PAGE):
        html = html_of(page, path)
        assert "mailto:help@example.org" in html
        assert 'href="https://chat.example.org/"' in html
    assert 'href="/help/ticket/"' in html_of(page, "/help/")
    assert page.get("/help/ticket/").headers["Location"] == PAGE
