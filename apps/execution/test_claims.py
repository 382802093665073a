"""Who works on a test run: a fence and a lease, as with runs. A test whose worker died is begun again."""

import zlib
from typing import Any

import orjson
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from apps.core.clock import database_now
from apps.core.queue import enqueue
from apps.core.transactions import repeated
from apps.runs.models import TestRun, TestStatus
from apps.runs.test_run_models import UNDER_WAY
from apps.runs.test_runs import WORK_TEST

KEPT_S = 24 * 3600.0
MOST_TAKEN = 3
"""How often a test is begun whose worker dies."""
HINT_AGAIN_S = 10
AT_ONCE = 50


def lease_has_run_out() -> Q:
    return Q(status=TestStatus.RUNNING, lease_until__lte=database_now())


@repeated
def claim_test(test_id: int) -> TestRun | None:
    """Take a test that waits, or whose worker died. None: somebody else's, or ended."""
    test = TestRun.unscoped.filter(pk=test_id).first()
    if test is None or test.is_ended:
        return None
    free = Q(status=TestStatus.QUEUED) | lease_has_run_out()
    taken = TestRun.unscoped.filter(free, pk=test_id, fence=test.fence).update(
        status=TestStatus.RUNNING,
        lease_until=database_now(seconds=settings.LEASE_SECONDS),
        fence=F("fence") + 1,
        started_at=database_now(),
        change_no=F("change_no") + 1,
    )
    if not taken:
        return None
    test.fence += 1
    if test.fence > MOST_TAKEN:
        end_test(test, None, problem="The worker died each time that it worked on this test, so it is not begun again.")
        return None
    return test


def mine(test: TestRun) -> Any:
    return TestRun.unscoped.filter(pk=test.pk, fence=test.fence, status=TestStatus.RUNNING)


@repeated
def renew_test(test: TestRun) -> bool:
    """Go on holding a test. False: somebody else has it."""
    return bool(mine(test).update(lease_until=database_now(seconds=settings.LEASE_SECONDS)))


@repeated
def tell_stage(test: TestRun, stage: str) -> None:
    mine(test).update(stage=stage[:255], change_no=F("change_no") + 1)


@repeated
def end_test(test: TestRun, report: dict[str, Any] | None, *, problem: str = "") -> bool:
    """Write the report. False: somebody else works on the test."""
    packed = None if report is None else zlib.compress(orjson.dumps(report))
    return bool(
        mine(test).update(
            status=TestStatus.FAILED if problem else TestStatus.COMPLETED,
            report=packed, problem=problem, stage="", lease_until=None, ended_at=database_now(),
            change_no=F("change_no") + 1,
        )
    )  # fmt: skip


# --- the dispatcher's ------------------------------------------------------------------------------------------------
def hint_tests() -> int:
    """Hint again at tests whose hint was lost or whose worker died."""
    unhinted = Q(hinted_at__isnull=True) | Q(hinted_at__lt=database_now(seconds=-HINT_AGAIN_S))
    waiting = Q(status=TestStatus.QUEUED) | lease_has_run_out()
    hinted = 0
    tests = TestRun.unscoped.filter(UNDER_WAY & waiting & unhinted).order_by("pk")
    for key, at in tests.values_list("pk", "hinted_at")[:AT_ONCE]:
        with transaction.atomic():
            if TestRun.unscoped.filter(pk=key, hinted_at=at).update(hinted_at=database_now()):
                enqueue(WORK_TEST, key, queue="interactive")
                hinted += 1
    return hinted


def purge_tests() -> int:
    """Forget tests of yesterday, a few at a time. Returns how many."""
    old = TestRun.unscoped.filter(created_at__lt=database_now(seconds=-KEPT_S)).order_by("created_at")
    keys = list(old.values_list("pk", flat=True)[:AT_ONCE])
    if keys:
        TestRun.unscoped.filter(pk__in=keys).delete()
    return len(keys)
