"""Tags, assignment and comments; and that they go over to the error that takes an older one's place."""

import pytest

from apps.accounts.models import Role
from apps.errors.models import Assignment, Comment, Error, ErrorTag, Tag
from apps.errors.services import perform_act
from apps.errors.services.causes import assign_cause
from apps.errors.services.notes import (
    NoteRefused,
    assign_errors,
    comment_on_cause,
    comment_on_error,
    define_tag,
    remove_tag,
    rename_tag,
    tag_errors,
)
from tests.factories import make_account, make_member
from tests.fakes.running import World, books, make_world
from tests.scenarios.retry_world import retry, run_once, work_retries

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(account) -> World:
    world = make_world(account)
    world.refuse(1, 2)
    return world


@pytest.fixture
def member(account):
    return make_member(account)


def everything(world: World):
    return Error.objects.of(world.flow.account)


def note(world: World, member, name: str = "later") -> Tag:
    """Tag, assign and comment on all errors that there are."""
    account = world.flow.account
    tag = define_tag(account=account, member=member, name=name)
    tag_errors(account=account, member=member, errors=everything(world), add=[tag])
    assign_errors(account=account, member=member, errors=everything(world), assignee=member)
    comment_on_error(error=everything(world).latest("pk"), member=member, text="Asked the airport.")
    return tag


def test_same_key_fails_again_at_the_step_later_run_tags_assignee_and_comments_move_to_the_new_one(world, member):
    run_once(world, [{"id": 1}])
    tag = note(world, member)
    run_once(world, [{"id": 1}])

    old, new = Error.unscoped.order_by("pk")
    assert (old.reason, old.has_notes, old.assignee_id) == ("superseded", False, None)
    assert (new.state, new.has_notes, new.assignee_id) == ("open", True, member.pk)
    assert list(ErrorTag.unscoped.values_list("error_id", "tag_id")) == [(new.pk, tag.pk)]
    assert Comment.unscoped.get().error_id == new.pk
    assert books() == []


def test_a_retry_that_fails_hands_the_notes_to_the_new_error(world, member):
    run_once(world, [{"id": 1}])
    note(world, member)
    retry(world)
    work_retries(world)

    old, new = Error.unscoped.order_by("pk")
    assert (old.reason, old.has_notes) == ("retry_failed", False)
    assert (new.has_notes, new.assignee_id, Comment.unscoped.get().error_id) == (True, member.pk, new.pk)
    assert books() == []


def test_within_a_page_the_notes_go_to_the_error_that_stays_open(world, member):
    run_once(world, [{"id": 1}])
    note(world, member)
    run_once(world, [{"id": 1}, {"id": 1}])

    stays = Error.unscoped.get(state="open")
    assert (stays.has_notes, stays.assignee_id, ErrorTag.unscoped.get().error_id) == (True, member.pk, stays.pk)


def test_two_errors_with_the_same_tag_hand_it_over_once(world, member):
    run_once(world, [{"id": 1, "x": 1}, {"id": 1, "x": 2}])
    note(world, member)
    assert Error.unscoped.filter(state="open").count() == 2
    run_once(world, [{"id": 1, "x": 3}])
    stays = Error.unscoped.get(state="open")
    assert ErrorTag.unscoped.get().error_id == stays.pk


def test_an_error_that_succeeds_keeps_its_notes(world, member):
    run_once(world, [{"id": 1}])
    note(world, member)
    world.refuse()
    run_once(world, [{"id": 1}])
    error = Error.unscoped.get()
    assert (error.reason, error.has_notes, error.assignee_id) == ("succeeded", True, member.pk)


def test_errors_without_notes_cost_nothing_more(world, django_assert_num_queries):
    run_once(world, [{"id": 1}])
    running = world.begin()
    page = running.store([{"id": 1}])
    result = running.deliver(page)
    with django_assert_num_queries(1000, exact=False) as captured:
        running.journal.commit(page, result)
    assert not [q for q in captured.captured_queries if "error_tag" in q["sql"] or '"comment"' in q["sql"]]


def test_tags_are_put_on_and_taken_off_and_the_mark_follows(world, member, account):
    run_once(world, [{"id": 1}, {"id": 2}])
    tag = note(world, member)
    assert set(Error.unscoped.values_list("has_notes", flat=True)) == {True}
    tag_errors(account=account, member=member, errors=everything(world), add=[tag])
    assert ErrorTag.unscoped.count() == 2, "once each"
    tag_errors(account=account, member=member, errors=everything(world), remove=[tag])
    assert list(Error.unscoped.order_by("pk").values_list("has_notes", flat=True)) == [False, True]


def test_managers_define_tags_and_everyone_applies_them(world, account, member):
    run_once(world, [{"id": 1}])
    monitor = make_member(account, role=Role.MONITOR)
    with pytest.raises(NoteRefused, match="defined by managers"):
        define_tag(account=account, member=monitor, name="mine")
    tag = define_tag(account=account, member=member, name="  to   check ")
    assert (tag.name, define_tag(account=account, member=member, name="TO CHECK").pk) == ("to check", tag.pk)
    tag_errors(account=account, member=monitor, errors=everything(world), add=[tag])
    assert ErrorTag.unscoped.count() == 1
    remove_tag(tag=tag, member=member)
    assert (Tag.unscoped.count(), ErrorTag.unscoped.count(), Error.unscoped.get().has_notes) == (0, 0, False)


@pytest.mark.parametrize("name", ["", " ", "x" * 65])
def test_the_name_of_a_tag_has_bounds(account, member, name):
    with pytest.raises(NoteRefused, match="1 to 64"):
        define_tag(account=account, member=member, name=name)


def test_errors_are_assigned_to_active_members_of_the_account_or_to_nobody(world, account, member):
    run_once(world, [{"id": 1}])
    assign_errors(account=account, member=member, errors=everything(world), assignee=member)
    assert Error.unscoped.get().assignee_id == member.pk
    assign_errors(account=account, member=member, errors=everything(world), assignee=None)
    assert Error.unscoped.get().assignee_id is None
    with pytest.raises(NoteRefused, match="active members"):
        assign_errors(account=account, member=member, errors=everything(world), assignee=make_member(make_account()))
    other = make_account()
    tag = define_tag(account=other, member=make_member(other), name="theirs")
    with pytest.raises(NoteRefused, match="another account"):
        tag_errors(account=account, member=member, errors=everything(world), add=[tag])


def test_comments_stand_on_errors_and_on_causes(world, member):
    run_once(world, [{"id": 1}])
    error = Error.unscoped.select_related("cause").get()
    comment_on_error(error=error, member=member, text=" Asked. ")
    comment_on_cause(cause=error.cause, member=member, text="All of them.")
    assert list(Comment.unscoped.order_by("pk").values_list("error_id", "cause_id", "text")) == [
        (error.pk, None, "Asked."),
        (None, error.cause_id, "All of them."),
    ]
    with pytest.raises(NoteRefused, match="1 to 10,000"):
        comment_on_error(error=error, member=member, text="  ")


# --- what a digest will tell -----------------------------------------------------------------------------------------
def waiting() -> list[tuple[str, int, int | None]]:
    """(trace key, assignee, by whom) of what waits to be mailed."""
    rows = Assignment.unscoped.filter(mailed_at__isnull=True, error__isnull=False).order_by("pk")
    return list(rows.values_list("error__key", "assignee_id", "assigned_by_id"))


@pytest.fixture
def ana(account):
    return make_member(account, role=Role.MONITOR)


def test_who_is_given_an_error_is_to_be_told_once(world, account, member, ana):
    run_once(world, [{"id": 1}, {"id": 2}])
    for _ in range(2):
        assign_errors(account=account, member=member, errors=everything(world), assignee=ana)
    assert waiting() == [("1", ana.pk, member.pk), ("2", ana.pk, member.pk)]
    Assignment.unscoped.update(mailed_at="2026-03-02T12:00Z")
    assign_errors(account=account, member=member, errors=everything(world), assignee=ana)
    assert waiting() == [], "it was hers already"


def test_who_takes_an_error_himself_is_not_told(world, account, member):
    run_once(world, [{"id": 1}])
    assign_errors(account=account, member=member, errors=everything(world), assignee=member)
    assert waiting() == []


@pytest.mark.parametrize("is_taken_away", [True, False])
def test_what_somebody_else_got_meanwhile_is_not_told_any_more(world, account, member, ana, is_taken_away):
    run_once(world, [{"id": 1}])
    bob = make_member(account)
    assign_errors(account=account, member=member, errors=everything(world), assignee=ana)
    assign_errors(account=account, member=member, errors=everything(world), assignee=None if is_taken_away else bob)
    assert waiting() == ([] if is_taken_away else [("1", bob.pk, member.pk)])


def test_an_error_that_takes_the_place_of_another_one_is_told_in_its_stead(world, account, member, ana):
    run_once(world, [{"id": 1}])
    assign_errors(account=account, member=member, errors=everything(world), assignee=ana)
    run_once(world, [{"id": 1}])
    assert Assignment.unscoped.get().error_id == Error.unscoped.get(state="open").pk


def test_who_is_given_a_root_cause_is_to_be_told_once(world, member, ana):
    run_once(world, [{"id": 1}])
    cause = Error.unscoped.select_related("cause").get().cause
    assign_cause(cause=cause, member=member, assignee=ana)
    assert list(Assignment.unscoped.values_list("cause_id", "assignee_id")) == [(cause.pk, ana.pk)]
    assign_cause(cause=cause, member=member, assignee=member)
    assert Assignment.unscoped.count() == 0


# --- names of tags ---------------------------------------------------------------------------------------------------
def test_a_tag_is_renamed_and_stays_where_it_is(world, account, member):
    run_once(world, [{"id": 1}])
    tag = note(world, member)
    other = define_tag(account=account, member=member, name="other")
    rename_tag(tag=tag, member=member, name=" Later  on ")
    assert (Tag.unscoped.get(pk=tag.pk).name, ErrorTag.unscoped.get().tag_id) == ("Later on", tag.pk)
    rename_tag(tag=tag, member=member, name="later on")
    with pytest.raises(NoteRefused, match="There is a tag OTHER already"):
        rename_tag(tag=tag, member=member, name="OTHER")
    with pytest.raises(NoteRefused, match="defined by managers"):
        rename_tag(tag=other, member=make_member(account, role=Role.MONITOR), name="x")


def test_a_tag_on_many_errors_is_gone_at_once_and_taken_off_by_a_worker(world, account, member, monkeypatch):
    run_once(world, [{"id": 1}, {"id": 2}])
    tag = note(world, member)
    monkeypatch.setattr("apps.errors.services.acts.AT_ONCE", 1)
    act = remove_tag(tag=tag, member=member)
    assert (Tag.unscoped.count(), act.count, act.ended_at) == (0, 2, None)
    perform_act(account.pk, act.pk)
    assert ErrorTag.unscoped.count() == 0
    assert list(Error.unscoped.order_by("pk").values_list("has_notes", flat=True)) == [False, True]


def test_a_tag_that_is_gone_is_put_on_nothing(world, account, member):
    run_once(world, [{"id": 1}])
    tag = define_tag(account=account, member=member, name="gone")
    Tag.unscoped.filter(pk=tag.pk).delete()
    tag_errors(account=account, member=member, errors=everything(world), add=[tag])
    assert ErrorTag.unscoped.count() == 0
