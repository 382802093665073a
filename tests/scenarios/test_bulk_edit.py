"""One change on the retry data of many errors: seen before, done in chunks, each version kept, retried if asked."""

from typing import Any

import orjson
import pytest

from apps.accounts.models import Role
from apps.engine.ports import BadRecord, Failure
from apps.errors.changes import Change, ChangeRefused
from apps.errors.models import BulkAct, BulkItem, Error, RetryData, RetryVersion
from apps.errors.services import EditRefused, edit_retry_data, perform_act, resolve_errors
from apps.errors.services.acts import EVERY, _perform_chunk
from apps.errors.services.bulk_edit import edit_errors, edits_like, preview_edit
from tests.factories import make_member
from tests.fakes.running import World, books, make_world
from tests.scenarios.retry_world import retry, retry_runs, run_once, work_retries

pytestmark = pytest.mark.django_db
UPPER = Change("expression", "airport", expression="upper(record.airport)")


@pytest.fixture
def world(account) -> World:
    world = make_world(account)
    world.refuse(*range(100))
    return world


@pytest.fixture
def member(account):
    return make_member(account)


def fail(world: World, *airports: Any) -> None:
    run_once(world, [{"id": number, "airport": airport} for number, airport in enumerate(airports)])


def edit(world: World, member: Any, *changes: Change, **options: Any) -> BulkAct:
    account = world.flow.account
    return edit_errors(account=account, member=member, errors=Error.objects.of(account), changes=changes, **options)


def airports() -> list[Any]:
    rows = RetryData.unscoped.order_by("pk").values_list("record", flat=True)
    return [orjson.loads(bytes(row)).get("airport") for row in rows]


def results(act: BulkAct) -> list[str]:
    return list(BulkItem.unscoped.filter(act=act).order_by("error_id").values_list("result", flat=True))


def test_a_preview_shows_the_first_20_with_their_differences_and_counts_all_and_writes_nothing(world):
    fail(world, *["den"] * 25, "KDEN", None)
    account = world.flow.account
    preview = preview_edit(account=account, errors=Error.objects.of(account), changes=[UPPER])

    assert (preview.changed, preview.unchanged, preview.invalid, preview.looked_at) == (25, 1, 1, 27)
    assert len(preview.rows) == 20
    first, second = preview.rows[:2]
    assert first.result.startswith("invalid: ")
    assert [(d.name, d.old, d.new) for d in second.differences] == [("airport", "den", "DEN")]
    assert RetryVersion.unscoped.count() == 0
    assert airports()[0] == "den"


def test_all_are_changed_and_the_originals_are_kept(world, member):
    fail(world, "den", "KDEN", None)
    act = edit(world, member, UPPER)

    assert airports() == ["DEN", "KDEN", None]
    assert results(act)[:2] == ["changed", "unchanged"]
    assert results(act)[2].startswith("invalid: ")
    data = RetryData.unscoped.order_by("pk")[0]
    assert (data.version, data.generation) == (2, 2)
    versions = RetryVersion.unscoped.order_by("version")
    assert [(v.version, v.member_id, orjson.loads(bytes(v.record))["airport"]) for v in versions] == [
        (1, None, "den"),
        (2, member.pk, "DEN"),
    ]
    assert books() == []


def test_a_second_edit_adds_a_version_and_keeps_the_original_once(world, member):
    fail(world, "den")
    edit(world, member, UPPER)
    edit(world, member, Change("set", "airport", "JFK"))
    assert list(RetryVersion.unscoped.order_by("version").values_list("version", flat=True)) == [1, 2, 3]
    assert airports() == ["JFK"]


@pytest.mark.parametrize(("retries", "tried"), [(0, 0), (1, 1), (10, 10), (EVERY, 12)])
def test_the_changed_ones_are_retried_one_ten_or_all(world, member, retries, tried):
    fail(world, *["den"] * 12, "KDEN")
    world.refuse()
    act = edit(world, member, UPPER, retries=retries)
    work_retries(world)

    assert Error.unscoped.filter(reason="retried").count() == tried
    assert sum(row["airport"] == "DEN" for row in world.database.rows.get("target", {}).values()) == tried
    assert (BulkAct.unscoped.filter(act="retry").count() == 1) is bool(tried)
    assert ("retry_act" in act.options) is bool(tried)
    assert books() == []


def test_an_edit_of_many_is_done_by_a_worker_and_can_be_cut_anywhere(world, member, monkeypatch):
    monkeypatch.setattr("apps.errors.services.acts.AT_ONCE", 0)
    monkeypatch.setattr("apps.errors.services.acts.CHUNK", 3)
    fail(world, *["den"] * 8)
    act = edit(world, member, UPPER, retries=EVERY)
    account = world.flow.account
    _perform_chunk(account.pk, act.pk)  # then the worker is killed
    assert airports().count("DEN") == 3
    perform_act(account.pk, act.pk)
    perform_act(account.pk, act.pk)

    assert airports() == ["DEN"] * 8
    assert set(RetryData.unscoped.values_list("version", flat=True)) == {2}
    assert RetryVersion.unscoped.count() == 16
    assert BulkAct.unscoped.filter(act="retry").count() == 1
    assert books() == []


def test_an_edit_that_somebody_saved_since_the_click_is_left_as_it_is(world, member, monkeypatch):
    monkeypatch.setattr("apps.errors.services.acts.AT_ONCE", 0)
    fail(world, "den", "jfk")
    act = edit(world, member, UPPER)
    first = Error.unscoped.order_by("pk")[0]
    edit_retry_data(error=first, member=member, text='{"id": 0, "airport": "mine"}', expected_version=1)
    perform_act(act.account_id, act.pk)
    assert results(act) == ["edited meanwhile", "changed"]
    assert airports() == ["mine", "JFK"]


def test_what_is_under_a_retry_resolved_or_no_record_is_left_alone_with_the_reason(world, member):
    fail(world, "den", "den")
    run_once(world, [BadRecord(b"{oops", "line 1", Failure("application", "not_json", "This is not JSON.", "parse"))])
    one, two, _ = Error.unscoped.order_by("pk")
    retry(world, [one])
    (run,) = retry_runs(world)
    resolve_errors(account=world.flow.account, member=member, errors=Error.objects.of(one.account_id).filter(pk=two.pk))

    act = edit(world, member, UPPER)
    assert results(act)[:2] == [f"retried by {run}", "is resolved"]
    assert results(act)[2].startswith("invalid: This is not JSON")
    assert airports_of(one) == "den"


def airports_of(error: Error) -> Any:
    return orjson.loads(bytes(RetryData.unscoped.get(pk=error.pk).record))["airport"]


def test_a_record_that_would_change_by_being_read_is_left_alone(world, member):
    fail(world, "den")
    RetryData.unscoped.update(record=b'{"id": 0, "airport": "den", "big": 123456789012345678901234567890}')
    act = edit(world, member, UPPER)
    assert results(act)[0].startswith("invalid: ")


def test_the_same_change_as_in_one_edit_is_made_where_the_same_value_stands(world, member):
    fail(world, None, "KDEN", None)
    changes = edits_like({"id": 0, "airport": None}, '{"id": 0, "airport": "KJFK"}')
    act = edit(world, member, *changes)
    assert airports() == ["KJFK", "KDEN", "KJFK"]
    assert results(act) == ["changed", "unchanged", "changed"]


def test_a_change_that_cannot_be_is_refused_before_anything_is_done(world, member):
    fail(world, "den")
    with pytest.raises(ChangeRefused, match="cannot be used"):
        edit(world, member, Change("expression", "airport", expression="record.("))
    with pytest.raises(ChangeRefused, match="no change"):
        edit(world, member)
    assert BulkAct.unscoped.count() == 0


def test_a_monitor_edits_many_only_with_the_permission(world, account):
    fail(world, "den")
    monitor = make_member(account, role=Role.MONITOR)
    with pytest.raises(EditRefused, match="manager"):
        edit(world, monitor, UPPER)
    monitor.may_edit_retry_data = True
    assert results(edit(world, monitor, UPPER)) == ["changed"]
