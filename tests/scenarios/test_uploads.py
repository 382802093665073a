"""Retry data edited in a file: read with its mistakes told, looked at, stored as versions, retried if asked."""

import json
from typing import Any

import orjson
import pytest

from apps.accounts.models import Member, Role
from apps.core import clock
from apps.errors import uploaded
from apps.errors.models import BulkItem, Error, RetryData, RetryVersion, Upload
from apps.errors.services import EditRefused, edit_retry_data, perform_act, resolve_errors
from apps.errors.services.acts import EVERY, _perform_chunk
from apps.errors.services.uploads import KEPT_FOR, keep_upload, preview_upload, store_upload
from apps.errors.uploaded import UploadRefused, read_entries
from tests.factories import make_account, make_member
from tests.fakes.running import World, books, make_world
from tests.scenarios.retry_world import retry, run_once, work_retries

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(account) -> World:
    """Four open errors of the records 1 to 4."""
    world = make_world(account)
    world.refuse(1, 2, 3, 4)
    run_once(world, [{"id": number, "price": 1.5, "big": 2**60} for number in range(1, 5)])
    world.refuse()
    return world


@pytest.fixture
def member(account) -> Member:
    return make_member(account)


def download(*changes: tuple[str, Any]) -> list[dict[str, Any]]:
    """The entries of a download, with the prices of some trace keys changed."""
    prices = dict(changes)
    found = []
    for data in RetryData.unscoped.select_related("error").order_by("error__key"):
        record = orjson.loads(bytes(data.record))
        if data.error.key in prices:
            record["price"] = prices[data.error.key]
        entry = {"error": str(data.error), "trace_key": data.error.key, "retry_data": record, "version": data.version}
        found.append(entry)
    return found


def keep(member: Member, entries: Any) -> Upload:
    content = entries if isinstance(entries, bytes) else orjson.dumps(entries)
    return keep_upload(account=member.account, member=member, name="errors.json", content=content)


def preview(member: Member, entries: Any) -> Any:
    return preview_upload(upload=keep(member, entries), errors=Error.objects.of(member.account))


def store(member: Member, entries: Any, **options: Any) -> dict[str, str]:
    """Stores a file; trace key -> what came of it."""
    upload = keep(member, entries)
    act = store_upload(upload=upload, member=member, errors=Error.objects.of(member.account), **options)
    return dict(BulkItem.unscoped.filter(act=act).values_list("error__key", "result"))


def price(key: str) -> Any:
    return orjson.loads(bytes(RetryData.unscoped.get(error__key=key).record))["price"]


def error(key: str) -> Error:
    found: Error = Error.unscoped.get(key=key)
    return found


# --- reading ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"error,state\ne-1,open\n", "download JSON"),
        (b'{"error": "e-1"}', "in square brackets"),
        (b"", "in square brackets"),
        (b"[{]", r"not JSON \(line 1, column 3\)"),
        (b'[{"error": 1}\n{"error": 2}]', r"line 2, column 1\): expected a comma"),
        (b'[{"error": 1}] and more', "something stands behind the array"),
        (b'[{"error": 1}', "expected a comma or a closing bracket"),
        (b'["\xff"]', "UTF-8"),
        (b"[" * 100_000, "nested too deep"),
        (b"[]", "no error in this file"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_what_to_do(member, content, words):
    with pytest.raises(UploadRefused, match=words):
        keep(member, content)
    assert not Upload.unscoped.exists()


def test_a_file_that_is_too_large_says_so(member, monkeypatch):
    monkeypatch.setattr(uploaded, "LARGEST_FILE", 10)
    with pytest.raises(UploadRefused, match="upload it in parts"):
        keep(member, b"[" + b" " * 20 + b"]")


def test_a_file_of_too_many_errors_says_so(member, monkeypatch):
    monkeypatch.setattr(uploaded, "MOST_ENTRIES", 2)
    with pytest.raises(UploadRefused, match="may hold 2 errors"):
        keep(member, [{"error": number} for number in range(1, 4)])


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (1, "it names no error"),
        ({"retry_data": {}}, "it names no error"),
        ({"error": "r-1"}, "r-1 is no error"),
        ({"error": "e-1", "retry_data": {}}, "its version is missing"),
        ({"error": "e-1", "version": True, "retry_data": {}}, "its version is missing"),
        ({"error": "e-1", "version": 1, "retry_data": [1]}, "must be a JSON object"),
        ({"error": "e-1", "version": 1}, "must be a JSON object"),
        ({"error": "e-1", "version": 1, "retry_data": {}}, ""),
        ({"error": 1, "version": 1, "retry_data": {}}, ""),
    ],
)
def test_an_entry_that_is_of_no_use_says_why(entry, problem):
    (found,) = read_entries(orjson.dumps([entry]))
    assert found.problem.startswith(problem) if not problem else problem in found.problem
    assert bool(found.problem) is bool(problem)


def test_an_error_that_stands_there_twice_is_of_no_use_the_second_time():
    entry = {"error": "e-1", "version": 1, "retry_data": {}}
    first, second = read_entries(b"\xef\xbb\xbf" + orjson.dumps([entry, entry]))
    assert (first.problem, second.problem) == ("", "this error stands there twice")


# --- looking ---------------------------------------------------------------------------------------------------------
def test_a_look_counts_what_would_become_of_each_and_writes_nothing(world, member):
    entries = download(("1", 2.5), ("2", 3.5))
    edit_retry_data(error=error("2"), member=member, text='{"id": 2, "price": 9}', expected_version=1)
    resolve_errors(account=member.account, member=member, errors=Error.objects.of(member.account).filter(key="4"))
    entries += [{"error": "e-999999", "version": 1, "retry_data": {}}, {"error": "nonsense"}]
    found = preview(member, entries)

    assert (found.changed, found.unchanged, found.unknown, found.invalid) == (1, 1, 1, 1)
    assert (found.edited_meanwhile, found.left_alone) == (1, 1)
    (row,) = [row for row in found.rows if row.result == "changed"]
    assert [(d.name, d.old, d.new) for d in row.differences] == [("price", 1.5, 2.5)]
    assert price("1") == 1.5
    assert RetryVersion.unscoped.filter(error__key="1").count() == 0


def test_a_record_that_only_somebody_else_changed_since_is_unchanged(world, member):
    entries = download()
    edit_retry_data(error=error("1"), member=member, text='{"id": 1, "price": 9}', expected_version=1)
    assert preview(member, entries).unchanged == 4
    assert store(member, entries) == {}
    assert price("1") == 9


def test_a_record_that_would_change_by_being_read_is_invalid(world, member):
    text = orjson.dumps(download()).replace(b'"price":1.5', b'"price":123456789012345678901234567890', 1)
    found = preview(member, text)
    assert (found.invalid, found.unchanged) == (1, 3)
    assert "would be rounded" in next(row.result for row in found.rows)


def test_errors_of_another_account_are_unknown(world):
    stranger = make_member(make_account())
    assert preview(stranger, download(("1", 2))).unknown == 4
    assert store(stranger, download(("1", 2))) == {}


# --- storing ---------------------------------------------------------------------------------------------------------
def test_what_was_changed_is_stored_as_a_version_of_its_own(world, member):
    assert store(member, download(("1", 2.5), ("3", 7))) == {"1": "changed", "3": "changed"}
    assert (price("1"), price("2"), price("3")) == (2.5, 1.5, 7)
    versions = RetryVersion.unscoped.filter(error__key="1").order_by("version").values_list("version", "member")
    assert list(versions) == [(1, None), (2, member.pk)]
    assert not Upload.unscoped.exists()
    assert books() == []


def test_those_that_changed_are_retried_if_asked(world, member):
    store(member, download(("1", 2.5)), retries=EVERY)
    work_retries(world)
    assert list(Error.unscoped.filter(reason="retried").values_list("key", flat=True)) == ["1"]
    assert world.database.rows["target"][1]["price"] == 2.5
    assert books() == []


def test_what_somebody_saved_since_the_look_is_left_as_it_is(world, member):
    upload = keep(member, download(("1", 2.5), ("2", 2.5)))
    edit_retry_data(error=error("1"), member=member, text='{"id": 1, "price": 9}', expected_version=1)
    retry(world, [error("2")])
    act = store_upload(upload=upload, member=member, errors=Error.objects.of(member.account))
    results = dict(BulkItem.unscoped.filter(act=act).values_list("error__key", "result"))
    assert results["1"] == "edited meanwhile"
    assert results["2"].startswith("retried by r-")
    assert price("1") == 9


def test_a_large_file_is_done_by_a_worker_and_can_be_cut_anywhere(world, member, monkeypatch):
    monkeypatch.setattr("apps.errors.services.acts.AT_ONCE", 0)
    monkeypatch.setattr("apps.errors.services.acts.CHUNK", 1)
    upload = keep(member, download(*((key, 2.5) for key in "1234")))
    act = store_upload(upload=upload, member=member, errors=Error.objects.of(member.account))
    _perform_chunk(act.account_id, act.pk)  # then the worker is killed
    keep(member, download())
    perform_act(act.account_id, act.pk)
    perform_act(act.account_id, act.pk)
    assert [price(key) for key in "1234"] == [2.5] * 4
    assert RetryVersion.unscoped.count() == 8


def test_a_second_click_changes_nothing(world, member, monkeypatch):
    monkeypatch.setattr("apps.errors.services.acts.AT_ONCE", 0)
    upload = keep(member, download(("1", 2.5)))
    acts = [store_upload(upload=upload, member=member, errors=Error.objects.of(member.account)) for _ in range(2)]
    for act in acts:
        perform_act(act.account_id, act.pk)
    assert RetryVersion.unscoped.filter(error__key="1").count() == 2


def test_a_monitor_stores_only_with_the_permission(world, account):
    monitor = make_member(account, role=Role.MONITOR)
    with pytest.raises(EditRefused, match="manager"):
        store(monitor, download(("1", 2.5)))
    assert price("1") == 1.5


def test_files_that_nobody_stored_go(world, account, member, noon):
    other = make_member(account)
    keep(other, download())
    keep(member, download())
    keep(member, json.dumps(download()).encode())
    assert Upload.unscoped.count() == 2
    with clock.frozen(noon + 2 * KEPT_FOR):
        keep(member, download())
    assert list(Upload.unscoped.values_list("member", flat=True)) == [member.pk]
