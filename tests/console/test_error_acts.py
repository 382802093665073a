"""Acts on errors from the lists: retry, resolve, reopen, their confirmation, their progress and their undo."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account, Member, MemberRole, Role
from apps.core import clock
from apps.errors.models import BulkAct, BulkItem, Error, RetryItem
from apps.errors.services import perform_act
from apps.flows.models import Flow
from apps.runs.models import Run
from tests.console.screens import html_of, signed_in, text_of
from tests.factories import make_account, make_flow, make_member, step_of
from tests.fakes.running import World, books, make_world
from tests.scenarios.retry_world import retry_runs, run_once, work_retries

pytestmark = pytest.mark.django_db


def keys(*names: str) -> list[int]:
    return list(Error.unscoped.filter(key__in=names).order_by("pk").values_list("pk", flat=True))


def open_url(world: World) -> str:
    return f"/flows/{world.flow.pk}/steps/{step_of(world.flow).pk}/errors/open/"


def form_of(page: Client, path: str) -> dict[str, str]:
    """The hidden fields of the bulk form on a list."""
    context = page.get(path).context
    return {"query": context["selection"].query, "upto": context["selection"].upto}


def states() -> dict[str, str]:
    return {error.key: error.shown_state for error in Error.unscoped.order_by("pk")}


def text_after(page: Client, path: str, **fields: Any) -> str:
    answer = page.post(path, fields, follow=True)
    assert answer.status_code == 200
    return text_of(answer.content.decode())


# --- the lists -------------------------------------------------------------------------------------------------------
def test_a_list_of_errors_has_a_box_per_row_and_a_form_for_the_ticked(page: Client, world: World) -> None:
    html = html_of(page, open_url(world))
    assert html.count('form="bulk" name="error"') == 3
    assert 'formaction="/errors/resolve"' in html
    assert "All 3 that match" in text_of(html)
    assert html.count("Edit and retry</a>") == 3


def test_all_that_match_says_how_many_the_filter_leaves(page: Client, world: World) -> None:
    assert "All 1 that match" in text_of(html_of(page, open_url(world) + "?key=2"))


@pytest.mark.parametrize("path", ["/errors/?view=list", "/errors/?state=all", "/flows/{flow}/errors/?unit=record"])
def test_the_lists_over_all_steps_have_the_same_form(page: Client, world: World, path: str) -> None:
    html = html_of(page, path.format(flow=world.flow.pk))
    assert html.count('form="bulk" name="error"') == 3
    assert "All 3 that match" in text_of(html)


# --- acts ------------------------------------------------------------------------------------------------------------
def test_resolve_acts_on_the_ticked_and_offers_undo(page: Client, world: World, member: Member) -> None:
    text = text_after(page, "/errors/resolve", error=keys("1", "2"), next=open_url(world))
    assert "2 errors resolved. View Undo" in text
    assert states() == {"1": "resolved", "2": "resolved", "3": "open"}
    assert set(Error.unscoped.exclude(key="3").values_list("resolved_by", flat=True)) == {member.pk}
    assert books() == []


def test_undo_reopens_what_was_resolved(page: Client, world: World) -> None:
    page.post("/errors/resolve", {"error": keys("1", "2")})
    act = BulkAct.unscoped.get()
    text = text_after(page, f"/acts/{act.pk}/undo", next=open_url(world))
    assert "2 errors reopened." in text
    assert set(states().values()) == {"open"}
    assert books() == []


def test_retry_sends_the_ticked_and_says_so(page: Client, world: World, member: Member) -> None:
    text = text_after(page, "/errors/retry", error=keys("1", "2"), next=open_url(world))
    assert "2 errors sent for retry. View Undo" in text
    assert states() == {"1": "retrying", "2": "retrying", "3": "open"}
    world.refuse()
    (run,) = work_retries(world)
    assert (run.started_by_id, run.success) == (member.pk, 2)
    assert books() == []


def test_undo_of_a_retry_cancels_it(page: Client, world: World) -> None:
    page.post("/errors/retry", {"error": keys("1", "2")})
    text = text_after(page, f"/acts/{BulkAct.unscoped.get().pk}/undo", next=open_url(world))
    assert "The retry is canceled" in text
    work_retries(world)
    assert set(states().values()) == {"open"}
    assert books() == []


def test_a_retry_that_has_ended_offers_no_undo(page: Client, world: World) -> None:
    page.post("/errors/retry", {"error": keys("1")})
    work_retries(world)
    act = BulkAct.unscoped.get()
    assert "Cancel this retry" not in html_of(page, f"/acts/{act.pk}/")
    assert "cannot be undone any more" in text_after(page, f"/acts/{act.pk}/undo")


def test_what_was_left_alone_is_told_with_the_reason(page: Client, world: World) -> None:
    page.post("/errors/retry", {"error": keys("1")})
    text = text_after(page, "/errors/retry", error=keys("1", "2"), next=open_url(world))
    assert "1 error sent for retry. Left alone: 1 retried already." in text
    text = text_after(page, "/errors/retry", error=keys("1"), next=open_url(world))
    assert "Nothing was sent for retry: 1 retried already." in text


def test_reopen_opens_resolved_errors_again(page: Client, world: World) -> None:
    page.post("/errors/resolve", {"error": keys("1")})
    html = html_of(page, open_url(world).replace("open", "resolved"))
    assert 'formaction="/errors/reopen"' in html
    assert "1 error reopened." in text_after(page, "/errors/reopen", error=keys("1"), query="state=resolved")
    assert states()["1"] == "open"


# --- all that match --------------------------------------------------------------------------------------------------
def test_all_that_match_means_the_filter_of_the_list(page: Client, world: World) -> None:
    form = form_of(page, open_url(world) + "?key=2")
    page.post("/errors/resolve", {"all": "1", **form})
    assert states() == {"1": "open", "2": "resolved", "3": "open"}


def test_all_that_match_leaves_out_errors_that_came_after_the_list_was_read(page: Client, world: World) -> None:
    form = form_of(page, open_url(world))
    world.refuse(9)
    run_once(world, [{"id": 9}])
    page.post("/errors/resolve", {"all": "1", **form})
    assert states() == {"1": "resolved", "2": "resolved", "3": "resolved", "9": "open"}


def test_all_of_the_resolved_leaves_out_those_that_were_resolved_after_the_list_was_read(
    page: Client, world: World, noon: datetime
) -> None:
    page.post("/errors/resolve", {"error": keys("1")})
    form = form_of(page, open_url(world).replace("open", "resolved"))
    with clock.frozen(noon + timedelta(seconds=5)):
        page.post("/errors/resolve", {"error": keys("2")})
    page.post("/errors/reopen", {"all": "1", **form})
    assert states() == {"1": "open", "2": "resolved", "3": "open"}


def test_all_that_match_stays_inside_its_step(page: Client, account: Account, world: World) -> None:
    other = make_world(account)
    other.refuse(7)
    run_once(other, [{"id": 7}])
    page.post("/errors/resolve", {"all": "1", **form_of(page, open_url(world))})
    assert states()["7"] == "open"


def test_a_relative_range_is_frozen_when_the_list_is_read(page: Client, world: World, noon: datetime) -> None:
    Error.unscoped.filter(key="1").update(occurred_at=noon - timedelta(minutes=59))
    form = form_of(page, open_url(world) + "?range=1h")
    with clock.frozen(noon + timedelta(minutes=5)):
        page.post("/errors/resolve", {"all": "1", **form})
    assert set(states().values()) == {"resolved"}


@pytest.mark.parametrize("upto", ["", "x", "-1", "99999999999999999999"])
def test_a_form_without_its_place_in_the_list_does_nothing(page: Client, world: World, upto: str) -> None:
    assert page.post("/errors/resolve", {"all": "1", "query": "state=open", "upto": upto}).status_code == 404
    assert set(states().values()) == {"open"}


# --- asking first ----------------------------------------------------------------------------------------------------
def test_more_than_a_hundred_are_asked_about_with_number_flow_effect_and_plan(
    page: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.console.views.error_acts.ASKS_ABOVE", 2)
    page.post("/errors/retry", {"error": keys("3")})
    fields = {"all": "1", "query": "state=all", "upto": str(keys("3")[0]), "next": open_url(world)}
    answer = page.post("/errors/retry", fields)
    text = text_of(answer.content.decode())
    assert "Retry 2 errors?" in text
    assert "Orders: 2 errors" in text
    assert "1 : retried already" in text
    assert "sent again from the step at which it failed" in text
    assert RetryItem.unscoped.count() == 1
    page.post("/errors/retry", {**fields, "confirmed": "1"})
    assert RetryItem.unscoped.count() == 3


def test_a_retry_of_resolved_errors_is_always_asked_about(page: Client, world: World) -> None:
    page.post("/errors/resolve", {"error": keys("1", "2")})
    world.refuse()
    run_once(world, [{"id": 1}])
    fields = {"error": keys("1", "2"), "query": "state=resolved"}
    text = text_of(page.post("/errors/retry", fields).content.decode())
    assert "Retry 2 errors?" in text
    assert "A newer pass of 1 of these records went through since." in text
    page.post("/errors/retry", {**fields, "confirmed": "1"})
    assert {states()["1"], states()["2"]} == {"retrying"}
    work_retries(world)
    assert states() == {"1": "resolved", "2": "resolved", "3": "open"}
    assert books() == []


def test_an_address_shows_the_plan_and_does_nothing(page: Client, world: World) -> None:
    text = text_of(html_of(page, f"/errors/retry?error={keys('1')[0]}"))
    assert "Retry 1 error? " in text
    assert "Nothing has been done yet" in text
    assert set(states().values()) == {"open"}


def test_the_plan_of_a_disabled_flow_says_why_and_has_no_button(page: Client, world: World) -> None:
    Flow.unscoped.update(enabled=False)
    html = html_of(page, f"/errors/retry?error={keys('1')[0]}")
    assert "1 : its flow is disabled" in text_of(html)
    assert 'disabled title="No error of this selection can be taken"' in html


def test_the_original_revision_is_used_on_request(page: Client, world: World) -> None:
    original = Run.unscoped.get().revision_id
    world.flow.revision = type(world.flow.revision).unscoped.create(
        account=world.flow.account, flow=world.flow, number=2, definition="", sha256="x"
    )
    world.flow.save()
    page.post("/errors/retry", {"error": keys("1"), "confirmed": "1", "original": "1"})
    page.post("/errors/retry", {"error": keys("2")})
    assert [run.revision_id for run in retry_runs(world)] == [original, world.flow.revision_id]


def test_a_retry_does_the_rest_and_sends_older_data_on_request_only(page: Client, world: World) -> None:
    page.post("/errors/retry", {"error": keys("1"), "confirmed": "1", "rest": "1", "force": "1"})
    page.post("/errors/retry", {"error": keys("2")})
    assert [(run.includes_rest, run.is_forced) for run in retry_runs(world)] == [(True, True), (False, False)]


def test_a_next_address_of_somebody_else_is_not_followed(page: Client, world: World) -> None:
    html = html_of(page, f"/errors/resolve?error={keys('1')[0]}&next=https://elsewhere.example/")
    assert 'href="https://elsewhere' not in html
    assert 'name="next" value="/errors/"' in html
    answer = page.post("/errors/resolve", {"error": keys("1"), "next": "//elsewhere.example/"})
    assert answer["Location"] == "/errors/"


# --- large acts ------------------------------------------------------------------------------------------------------
def test_a_large_act_leads_to_a_page_with_its_progress(
    page: Client, world: World, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.errors.services.acts.AT_ONCE", 1)
    answer = page.post("/errors/retry", {"error": keys("1", "2", "3")})
    act = BulkAct.unscoped.get()
    assert answer["Location"] == f"/acts/{act.pk}/"
    assert "0 of 3 errors are done. The rest goes on in the background" in text_of(html_of(page, f"/acts/{act.pk}/"))
    perform_act(account.pk, act.pk)
    html = html_of(page, f"/acts/{act.pk}/")
    assert "3 of 3 errors are done" in text_of(html)
    assert "3 sent for retry" in text_of(html)
    assert f'href="/runs/{retry_runs(world)[0].pk}/"' in html


def test_the_page_of_an_act_is_kept_live(page: Client, world: World, account: Account) -> None:
    page.post("/errors/retry", {"error": keys("1")})
    act = BulkAct.unscoped.get()
    live = f"/live/?t=act:{act.pk}&v="
    version = page.get(live)["Live-Version"]
    assert page.get(live + version).status_code == 204
    world.refuse()
    work_retries(world)
    answer = page.get(live + version)
    assert 'id="act-runs" hx-swap-oob="true"' in answer.content.decode()


def test_an_act_and_its_page_take_few_queries(page: Client, world: World, django_assert_max_num_queries: Any) -> None:
    page.post("/errors/retry", {"error": keys("1", "2")})
    with django_assert_max_num_queries(12):
        html_of(page, f"/acts/{BulkAct.unscoped.get().pk}/")
    with django_assert_max_num_queries(15):
        html_of(page, open_url(world))
    with django_assert_max_num_queries(12):
        html_of(page, f"/errors/retry?error={keys('3')[0]}")


# --- who may ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("act", ["retry", "resolve", "reopen"])
def test_errors_of_another_account_are_not_there(world: World, act: str) -> None:
    stranger = signed_in(make_member(make_account()).user)
    assert stranger.post(f"/errors/{act}", {"error": keys("1")}).status_code == 404
    assert stranger.get(f"/errors/{act}?error={keys('1')[0]}").status_code == 404
    form = {"all": "1", "query": f"state=open&flow={world.flow.pk}", "upto": str(keys("3")[0])}
    stranger.post(f"/errors/{act}", form)
    assert set(states().values()) == {"open"}
    assert BulkItem.unscoped.count() == 0


def test_an_act_of_another_account_is_not_there(page: Client, world: World) -> None:
    page.post("/errors/resolve", {"error": keys("1")})
    act = BulkAct.unscoped.get()
    stranger = signed_in(make_member(make_account()).user)
    assert stranger.get(f"/acts/{act.pk}/").status_code == 404
    assert stranger.post(f"/acts/{act.pk}/undo").status_code == 404
    assert stranger.get(f"/live/?t=act:{act.pk}&v=").status_code == 404


def test_a_member_of_one_integration_acts_on_its_errors_alone(account: Account, world: World) -> None:
    other = make_world(account)
    other.refuse(7)
    run_once(other, [{"id": 7}])
    member = make_member(account, role=Role.MONITOR)
    Member.unscoped.filter(pk=member.pk).update(role="")
    MemberRole.unscoped.create(account=account, member=member, integration=world.flow.integration, role=Role.MONITOR)
    mine = signed_in(member.user)
    assert mine.post("/errors/resolve", {"error": keys("7")}).status_code == 404
    mine.post("/errors/resolve", {"error": keys("1", "7")})
    assert (states()["1"], states()["7"]) == ("resolved", "open")


def test_a_form_that_names_no_error_is_not_found(page: Client, world: World) -> None:
    assert page.post("/errors/retry", {}).status_code == 404
    assert page.post("/errors/retry", {"error": "x"}).status_code == 404


def test_signed_out_nothing_is_done(world: World) -> None:
    assert Client().post("/errors/retry", {"error": keys("1")}).status_code == 302
    assert set(states().values()) == {"open"}


def test_a_removed_flow_says_so_in_the_plan(page: Client, account: Account, world: World) -> None:
    make_flow(account)
    Flow.unscoped.filter(pk=world.flow.pk).update(removed_at=clock.wall_now())
    assert "1 : its flow is disabled" in text_of(html_of(page, f"/errors/retry?error={keys('1')[0]}"))
