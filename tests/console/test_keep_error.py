"""An error that is kept beyond the retention: the button in its details, who may press it, and what it says."""

from django.test import Client

from apps.accounts.models import Account, AuditEntry, Role
from apps.core import clock
from apps.errors.models import Error
from tests.console.screens import html_of, signed_in, text_of
from tests.factories import make_member, make_user
from tests.fakes.running import World


def place_of(error: Error) -> str:
    return f"/flows/{error.flow_id}/steps/{error.step_id}/errors/{error.pk}/"


def test_a_manager_keeps_an_error_and_lets_it_go_again(page: Client, world: World) -> None:
    error = Error.unscoped.order_by("pk")[0]
    shown = html_of(page, place_of(error))
    assert "Keep it longer" in shown
    told = page.post(place_of(error) + "keep", {"keep": "1"}, follow=True).content.decode()
    assert f"Error {error} is kept" in told
    assert "no purge takes it" in text_of(told)
    error.refresh_from_db()
    assert error.keep
    page.post(place_of(error) + "keep", {"keep": "1"})
    page.post(place_of(error) + "keep", {"keep": "0"})
    error.refresh_from_db()
    assert not error.keep
    acts = AuditEntry.unscoped.filter(act="error.keep").order_by("pk")
    assert list(acts.values_list("after__keep", flat=True)) == [True, False]


def test_its_details_say_until_when_it_is_kept(page: Client, world: World, noon: object) -> None:
    error = Error.unscoped.order_by("pk")[0]
    Error.unscoped.filter(pk=error.pk).update(occurred_at=clock.read_now())
    assert "Kept until 1 Apr 12:00" in text_of(html_of(page, place_of(error)))


def test_a_monitor_sees_why_he_may_not(world: World, account: Account) -> None:
    client = signed_in(make_member(account, role=Role.MONITOR).user)
    error = Error.unscoped.order_by("pk")[0]
    assert "Needs the role manager" in html_of(client, place_of(error))
    assert client.post(place_of(error) + "keep", {"keep": "1"}).status_code == 403
    stranger = signed_in(make_member(user=make_user("eve")).user)
    assert stranger.post(place_of(error) + "keep", {"keep": "1"}).status_code == 404
    assert not Error.unscoped.filter(keep=True).exists()
