"""The retry part of the case table: retry data that were edited. Each test names its row."""

import pytest

from apps.accounts.models import Role
from apps.errors.models import Error, RetryVersion
from apps.errors.services import EditConflict, EditRefused, edit_retry_data
from tests.factories import make_member
from tests.scenarios.retry_world import records, retry, run_once, shown, work_retries

pytestmark = pytest.mark.django_db

ROWS = ("Edited retry data",)


def test_an_edit_is_a_new_version_the_original_is_kept_and_the_retry_sends_it(world, account):
    """Edited retry data."""
    member = make_member(account)
    world.refuse(2)
    run_once(world, [{"id": 2, "city": "old"}])
    error = Error.unscoped.get()

    data = edit_retry_data(error=error, member=member, text='{"id": 2, "city": "new"}', expected_version=1)
    world.refuse()
    retry(world)
    work_retries(world)

    assert data.version == 2
    versions = RetryVersion.unscoped.order_by("version")
    assert [bytes(v.record) for v in versions] == [b'{"id":2,"city":"old"}', b'{"id":2,"city":"new"}']
    assert world.database.rows["target"][2]["city"] == "new"


def test_an_error_that_a_retry_took_meanwhile_is_not_edited(world, account):
    """Edited retry data."""
    world.refuse(2)
    run_once(world, records(2))
    seen_before = Error.unscoped.get()
    retry(world)

    with pytest.raises(EditRefused, match="has this error right now"):
        edit_retry_data(error=seen_before, member=make_member(account), text='{"id": 2}', expected_version=1)


def test_two_editors_cannot_overwrite_each_other(world, account):
    """Edited retry data."""
    member = make_member(account)
    world.refuse(2)
    run_once(world, records(2))
    error = Error.unscoped.get()
    edit_retry_data(error=error, member=member, text='{"id": 2}', expected_version=1)

    with pytest.raises(EditConflict, match="version 2"):
        edit_retry_data(error=error, member=member, text='{"id": 3}', expected_version=1)


@pytest.mark.parametrize(("text", "words"), [("{oops", "line 1, column 2"), ("[1]", "JSON object")])
def test_retry_data_must_be_a_json_object(world, account, text, words):
    """Edited retry data."""
    world.refuse(2)
    run_once(world, records(2))

    with pytest.raises(EditRefused, match=words):
        edit_retry_data(error=Error.unscoped.get(), member=make_member(account), text=text, expected_version=1)


def test_a_monitor_may_edit_only_with_the_permission(world, account):
    """Edited retry data."""
    world.refuse(2)
    run_once(world, records(2))
    monitor = make_member(account, role=Role.MONITOR)

    with pytest.raises(EditRefused, match="manager"):
        edit_retry_data(error=Error.unscoped.get(), member=monitor, text="{}", expected_version=1)
    monitor.may_edit_retry_data = True
    assert edit_retry_data(error=Error.unscoped.get(), member=monitor, text="{}", expected_version=1).version == 2


def test_an_edit_leaves_the_key_as_it_was(world, account):
    """Edited retry data."""
    world.refuse(1, 7)
    run_once(world, records(1))
    edit_retry_data(error=Error.unscoped.get(), member=make_member(account), text='{"id": 7}', expected_version=1)

    retry(world)
    work_retries(world)

    assert [(key, state) for key, state, _, _ in shown()] == [("1", "resolved"), ("1", "open")]
