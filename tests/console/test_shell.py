"""What stands around every page."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Member, Profile
from apps.console import context
from apps.console.context import NavCount, Preferences, Shell, profile_of
from apps.core.clock import wall_now
from tests.factories import make_account, make_member


def test_a_user_without_a_profile_reads_with_the_defaults(mara: Any) -> None:
    assert profile_of(mara) == Preferences()


def test_the_profile_decides_how_pages_look(client: Client, mara: Any) -> None:
    Profile.objects.create(user=mara, theme="dark", density="compact", shortcuts_on=False)
    client.force_login(mara)
    html = client.get("/").content.decode()
    assert 'data-theme="dark" data-density="compact"' in html
    assert 'data-shortcuts="off"' in html


def test_a_blank_time_zone_means_that_of_the_installation(mara: Any, settings: Any) -> None:
    Profile.objects.create(user=mara, time_zone="")
    assert profile_of(mara).time_zone == settings.TIME_ZONE


def test_a_chosen_theme_is_kept_in_the_profile_and_shown_on_return(client: Client, mara: Any) -> None:
    client.force_login(mara)
    answer = client.post("/theme/choose/", {"theme": "dark", "next": "/?x=1"})
    assert answer.url == "/?x=1"
    assert 'data-theme="dark"' in client.get("/").content.decode()


def test_a_script_that_stores_the_theme_gets_an_empty_answer(client: Client, mara: Any) -> None:
    client.force_login(mara)
    answer = client.post("/theme/choose/", {"theme": "light"}, headers={"X-Requested-With": "fetch"})
    assert answer.status_code == 204


@pytest.mark.parametrize(("address", "field"), [("/theme/choose/", "theme"), ("/environment/choose/", "environment")])
def test_a_choice_that_does_not_exist_is_refused(client: Client, mara: Any, address: str, field: str) -> None:
    client.force_login(mara)
    assert client.post(address, {field: "neon"}).status_code == 400


@pytest.mark.parametrize("address", ["/theme/choose/", "/environment/choose/", "/account/choose/"])
def test_choosing_never_happens_by_a_link_nor_without_signing_in(client: Client, mara: Any, address: str) -> None:
    assert client.post(address).url.startswith("/login/")
    client.force_login(mara)
    assert client.get(address).status_code == 405


def test_a_choice_never_leads_to_another_site(client: Client, mara: Any) -> None:
    client.force_login(mara)
    assert client.post("/theme/choose/", {"theme": "dark", "next": "//evil.example/"}).url == "/"


def test_a_user_of_several_accounts_chooses_the_one_on_screen(client: Client, mara: Any) -> None:
    first, second = make_account("Alpha", owner=mara), make_account("Beta")
    make_member(second, user=mara)
    client.force_login(mara)
    html = client.get("/profile/").content.decode()
    pressed = f'name="account" value="{first.pk}" aria-pressed="true"'
    assert pressed in html
    assert f'name="account" value="{second.pk}" aria-pressed="false"' in html
    assert client.post("/account/choose/", {"account": second.pk}).url == "/"
    html = client.get("/connections/").content.decode()
    assert pressed not in html
    assert "Beta" in html


def test_who_has_one_account_is_offered_no_other_and_gets_none(client: Client, mara: Any) -> None:
    own, foreign, left = make_account(owner=mara), make_account(), make_account()
    make_member(left, user=mara)
    Member.objects.of(left).filter(user=mara).update(disabled_at=wall_now())
    client.force_login(mara)
    assert "/account/choose/" not in client.get("/profile/").content.decode()
    for asked in (foreign.pk, left.pk, 2**70, "", "x"):
        assert client.post("/account/choose/", {"account": asked}).status_code == 404
    assert client.get("/profile/").context["memberships"][0][0].account_id == own.pk


def test_the_sandbox_is_told_in_title_and_markup(client: Client, mara: Any) -> None:
    client.force_login(mara)
    assert 'data-environment="production"' in client.get("/").content.decode()
    client.post("/environment/choose/", {"environment": "sandbox"})
    html = client.get("/").content.decode()
    assert "Flowmend sandbox</title>" in html
    assert 'data-environment="sandbox"' in html


def test_the_navigation_has_no_dead_links(client: Client, mara: Any) -> None:
    make_account(owner=mara)
    client.force_login(mara)
    places = client.get("/profile/").context["places"]
    assert [place.href for place in places] == [
        reverse(place.url_name) for place in context.PLACES if context.address_of(place.url_name)
    ]


def test_a_place_shows_up_with_its_count_as_soon_as_its_page_exists(
    client: Client, mara: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "address_of", {"console:error-list": "/errors/"}.get)
    counts = {"errors": NavCount("256", bad=True, hint="open")}
    monkeypatch.setattr(context, "shell_of", lambda request: Shell(counts, {"Workers": "3 of 3 up"}))
    client.force_login(mara)
    html = client.get("/").content.decode()
    assert '<a href="/errors/" title="Errors" data-key="g e">' in html
    assert '<span class="n bad" id="nav-errors">256<span class="vh"> open</span></span>' in html
    assert '<dt>Workers</dt><dd id="fact-workers">3 of 3 up</dd>' in html


def test_the_design_page_is_there_only_while_developing(client: Client, mara: Any, settings: Any) -> None:
    client.force_login(mara)
    assert client.get("/design/").status_code == 404
    settings.DEBUG = True
    assert client.get("/design/").status_code == 200


def test_messages_are_shown_as_toasts(client: Client, mara: Any, settings: Any) -> None:
    settings.DEBUG = True
    client.force_login(mara)
    html = client.get("/design/?toast").content.decode()
    assert html.count('class="toast"') == 2
    assert "12 errors sent for retry." in html
