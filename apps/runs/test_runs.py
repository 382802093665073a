"""Starting test runs and reading their reports."""

import zlib
from collections.abc import Sequence
from typing import Any

import orjson
from django.db import transaction

from apps.accounts.models import Member
from apps.accounts.services import Actor, record_audit
from apps.core.clock import database_now
from apps.core.queue import enqueue
from apps.flows.models import Flow
from apps.runs.models import TestRun
from apps.runs.test_run_models import UNDER_WAY

WORK_TEST = "apps.execution.tasks.work_test"
MOST_RECORDS = 100
MOST_BYTES = 1024 * 1024
MOST_AT_ONCE = 5


class TestRefused(Exception):  # noqa: N818 (an answer, not a fault)
    """A test that cannot begin; the message tells why."""

    __test__ = False


def read_records(text: str) -> list[dict[str, Any]]:
    """The records in a pasted text: a JSON object, a list of them, or one a line. Raises TestRefused."""
    if len(text.encode("utf-8", "replace")) > MOST_BYTES:
        raise TestRefused("The records are larger than 1 MB. Paste fewer of them.")
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        found = read_lines(text, error)
    records = found if isinstance(found, list) else [found]
    if not records:
        raise TestRefused("There is no record in the list. Paste at least one.")
    if len(records) > MOST_RECORDS:
        raise TestRefused(f"These are {len(records):,} records; a test takes at most {MOST_RECORDS}. Paste fewer.")
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise TestRefused(f"Record {number} is no JSON object. Each record must be one.")
    return records


def read_lines(text: str, error: orjson.JSONDecodeError) -> list[Any]:
    """JSON Lines, where each line is a whole value."""
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        return [orjson.loads(line) for line in lines]
    except orjson.JSONDecodeError:
        place = f"line {error.lineno}, column {error.colno}"
        raise TestRefused(f"The records are not valid JSON: {error.msg} at {place}. Correct it there.") from None


@transaction.atomic
def start_test(
    *,
    flow: Flow,
    member: Member,
    text: str,
    revision: int,
    size: int = 20,
    records: Sequence[dict[str, Any]] | None = None,
    cause: int | None = None,
    errors: Sequence[int] = (),
) -> TestRun:
    """Queue a test of a definition that has no mistakes. Raises TestRefused while too many are under way."""
    under_way = TestRun.objects.of(flow.account_id).filter(UNDER_WAY).count()
    if under_way >= MOST_AT_ONCE:
        raise TestRefused(f"{under_way} test runs of this account are under way. Wait until one of them has ended.")
    packed = None if records is None else zlib.compress(orjson.dumps(list(records)))
    test = TestRun(
        account_id=flow.account_id, flow=flow, member=member, text=text, revision=revision, size=size, records=packed,
        cause=cause, errors=list(errors),
    )  # fmt: skip
    test.save(force_insert=True)
    record_audit(
        account=flow.account_id, actor=Actor.member(member), act="flow.test", target=flow, after=facts_of(test)
    )
    TestRun.objects.of(test.account_id).filter(pk=test.pk).update(hinted_at=database_now())
    enqueue(WORK_TEST, test.pk, queue="interactive")
    return test


def facts_of(test: TestRun) -> dict[str, Any]:
    facts: dict[str, Any] = {"test": test.pk, "revision": test.revision}
    return facts | ({"cause": test.cause, "errors": len(test.errors)} if test.cause else {"records": test.size})


def pasted_records(test: TestRun) -> list[dict[str, Any]] | None:
    found: list[dict[str, Any]] | None = None if test.records is None else orjson.loads(zlib.decompress(test.records))
    return found


def report_of(test: TestRun) -> dict[str, Any]:
    """What came of a test; empty while it is under way, or where nothing did."""
    found: dict[str, Any] = {} if test.report is None else orjson.loads(zlib.decompress(test.report))
    return found
