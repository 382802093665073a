"""Resolved errors that are deleted: gone with all that is stored about them, and every count stays right."""

import pytest

from apps.errors.models import BulkItem, Comment, Error, ErrorTag, RetryData, RetryItem, RetryVersion, Tag
from apps.errors.services import delete_errors, edit_retry_data, resolve_errors
from apps.errors.services.notes import comment_on_error, tag_errors
from apps.runs.models import RunLog, StepRun
from tests.factories import make_member, step_of
from tests.fakes.running import World, books
from tests.scenarios.retry_world import attempt, flaky, records, retry, run_once, work_retries

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(account):
    return make_member(account)


def delete(world: World, member, **which) -> dict[str, str]:
    """Trace key -> what came of it."""
    account = world.flow.account
    before = dict(Error.objects.of(account).values_list("pk", "key"))
    act = delete_errors(account=account, member=member, errors=Error.objects.of(account).filter(**which))
    return {before[error]: words for error, words in BulkItem.unscoped.filter(act=act).values_list("error", "result")}


def test_only_resolved_errors_are_deleted_and_the_books_balance(world, member):
    world.refuse(1, 2, 3)
    run_once(world, records(1, 2, 3, 4))
    one, two, three = (Error.unscoped.get(key=key) for key in "123")
    edit_retry_data(error=one, member=member, text='{"id": 1, "note": "x"}', expected_version=1)
    comment_on_error(error=one, member=member, text="Asked the customer.")
    tag = Tag.unscoped.create(account=world.flow.account, name="waiting")
    tag_errors(account=world.flow.account, member=member, errors=Error.objects.of(one.account_id), add=[tag])
    retry(world, [three])
    resolve_errors(account=world.flow.account, member=member, errors=Error.objects.of(one.account_id).filter(key="1"))

    assert delete(world, member) == {"1": "deleted", "2": "is open", "3": "is open"}
    assert set(Error.unscoped.values_list("key", flat=True)) == {"2", "3"}
    for kept in (RetryData, RetryVersion, Comment, ErrorTag):
        assert not kept.unscoped.filter(error_id=one.pk).exists()
    assert sorted(RunLog.unscoped.filter(error_id__isnull=False).values_list("key", flat=True)) == ["2", "3"]
    assert not Error.objects.of(one.account_id).search("refused").filter(pk=one.pk).exists()
    counts = StepRun.unscoped.get(step=step_of(world.flow), run=one.run_id)
    assert (counts.errors, counts.user_resolved, counts.removed_errors) == (3, 0, 1)
    assert books() == []
    assert delete(world, member, key="2") == {"2": "is open"}
    assert two.pk in Error.unscoped.values_list("pk", flat=True)


def test_what_a_run_resolved_by_itself_is_deleted_too(world, member):
    world.refuse(1)
    run_once(world, records(1))
    world.refuse()
    run_once(world, records(1))
    assert delete(world, member) == {"1": "deleted"}
    assert books() == []
    run_once(world, records(1))  # nothing is left that the next pass of the record would look for
    assert books() == []


def test_attempts_stay_and_runs_that_failed_on_the_error_still_add_up(world, member, noon):
    flaky(world, 1)
    run_once(world, records(1))
    for seconds in (31, 91):
        attempt(world, noon, seconds)
    resolve_errors(account=world.flow.account, member=member, errors=Error.objects.of(world.flow.account_id))
    assert delete(world, member) == {"1": "deleted"}
    assert RetryItem.unscoped.count() == 2
    assert books() == []


def test_an_error_whose_retry_failed_is_deleted_and_the_new_one_stays(world, member):
    world.refuse(1)
    run_once(world, records(1))
    retry(world)
    work_retries(world)
    delete(world, member)
    assert Error.unscoped.get().retry_failed
    assert books() == []
