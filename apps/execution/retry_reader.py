"""Reads what a retry sends again: the retry data of the errors that its run has, in the order of the errors."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from apps.engine.loop import Fetched
from apps.engine.plan import END, Plan
from apps.engine.ports import BadRecord, Failure
from apps.engine.records import Item, Malformed, pack, unpack
from apps.errors.models import Error, RetryData, RetryItem
from apps.errors.states import ErrorUnit, ItemState, Passed
from apps.runs.models import Run


def is_unit_retry(run: Run) -> bool:
    """Whether a retry re-processes a page, run or window, and so exports again instead of reading retry data."""
    first = RetryItem.objects.of(run.account_id).filter(run=run).select_related("error").first()
    return first is not None and first.error.unit != ErrorUnit.RECORD


class RetryReader:
    """Pages of errors under retry. Errors that have nothing to send stand at the end of the way already."""

    is_resumable = True

    def __init__(self, run: Run, plan: Plan, *, first_ordinal: int, now: datetime) -> None:
        self.run = run
        self.plan = plan
        self.ordinal = first_ordinal
        self.now = now
        self._rows = RetryRows(run.account_id, plan, run.includes_rest)
        self.after = ((run.position or {}).get("source") or {}).get("seq", 0)

    def next(self) -> Fetched | None:
        waiting = RetryItem.objects.of(self.run.account_id).filter(run=self.run, state=ItemState.WAITING)
        attempts = list(waiting.filter(seq__gt=self.after).order_by("seq")[: self.plan.page_size])
        if not attempts:
            return None
        ids = [attempt.error_id for attempt in attempts]
        items, malformed = self._rows.of(ids, self.ordinal)
        self.after = attempts[-1].seq
        self.ordinal += len(attempts)
        position = {"seq": self.after}
        return Fetched(items, malformed, pack(items, malformed), position, None, "retry data", self.now)

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True, slots=True)
class RetryRows:
    """The rows that a retry of errors sends, by a plan; `includes_rest`: also the steps that went on then."""

    account_id: int
    plan: Plan
    includes_rest: bool = False

    def of(self, ids: list[int], first: int) -> tuple[list[Item], list[Malformed]]:
        """In the order of the ids, with ordinals from `first` on."""
        errors = Error.objects.of(self.account_id).select_related("cause").in_bulk(ids)
        data = RetryData.objects.of(self.account_id).select_related("from_step").in_bulk(ids)
        items: list[Item] = []
        malformed: list[Malformed] = []
        for ordinal, key in enumerate(ids, first):
            record = record_of(data[key])
            if record is None and data[key].record is not None:
                malformed.append(bad_row(ordinal, errors[key], data[key]))
            else:
                items.append(self._item(ordinal, errors[key], data[key], record))
        return items, malformed

    def _item(self, ordinal: int, error: Error, data: RetryData, record: dict[str, Any] | None) -> Item:
        item = Item(ordinal, record or {}, error.key, self._start(data, record))
        item.error, item.order, item.generation = error.pk, error.pass_order, data.generation
        item.root = (data.root_run_id, data.origin_ordinal or 0)
        item.origin = error.payload_hash if error.payload_hash is not None else item.record
        item.remember_hash(error.key_hash)
        if item.at != END and not self.includes_rest:  # what follows was done before
            item.alone = self.plan.nodes[item.at].policy.continue_on_error or bool((data.window or {}).get("alone"))
        return item

    def _start(self, data: RetryData, record: dict[str, Any] | None) -> int:
        if record is None:
            return END
        try:
            return self.plan.index_of(data.from_step.key)
        except KeyError:
            return END


def skip_passed(run: Run, items: Iterable[Item]) -> None:
    """Put records at the end of their way of which a newer pass went through, unless the retry is forced.

    To be asked when a page is about to be delivered: other runs of the flow may have had their turn since it was read.
    """
    sent = {item.error: item for item in items if item.error is not None and item.at != END}
    if not sent or run.is_forced:
        return
    passed = Error.objects.of(run.account_id).filter(pk__in=list(sent), passed_outcome=Passed.SUCCESS)
    for error in passed.values_list("pk", flat=True):
        sent[error].at = END


class PageReader:
    """The page of which nothing had stayed, once more: its records as they were, with their places and keys."""

    is_resumable = True

    def __init__(self, run: Run, plan: Plan, error: Error, *, now: datetime) -> None:
        self.run = run
        self.plan = plan
        self.error = error
        self.now = now
        self.is_read = bool(((run.position or {}).get("source") or {}).get("error"))

    def next(self) -> Fetched | None:
        data = RetryData.objects.of(self.run.account_id).get(pk=self.error.pk)
        if self.is_read or data.record is None:
            return None
        self.is_read = True
        items, _ = unpack(bytes(data.record))
        first = (self.run.pass_no or 0) << 32
        for ordinal, item in enumerate(items):
            item.order = first | item.ordinal if item.order is None else item.order
            item.root = item.root or (data.root_run_id, item.ordinal)
            item.ordinal = ordinal
        position = {"error": self.error.pk}
        return Fetched(items, [], pack(items, []), position, None, "retry data", self.now)

    def close(self) -> None:
        """Nothing is held open."""


def retried_page(run: Run) -> Error | None:
    """The error of a page that a retry sends again."""
    waiting = RetryItem.objects.of(run.account_id).filter(run=run, error__unit=ErrorUnit.PAGE)
    attempt = waiting.select_related("error").first()
    return attempt.error if attempt is not None else None


def record_of(data: RetryData) -> dict[str, Any] | None:
    """The record, None if there is none or the bytes are none."""
    if data.record is None:
        return None
    try:
        record = orjson.loads(bytes(data.record))
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def bad_row(ordinal: int, error: Error, data: RetryData) -> Malformed:
    """A row that was no record and still is none: it fails as it did."""
    failure = Failure(error.cause.source, error.cause.code, error.message, error.cause.classification)
    return Malformed(ordinal, BadRecord(bytes(data.record or b""), "", failure), error.pk)
