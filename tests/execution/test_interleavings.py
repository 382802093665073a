"""Runs, deaths, retries, resolves, edits, cancels and switches in any order: the books are right, nothing is lost.

A small world of three trace keys; within a run they may come twice, with the same payload or another one. What must
hold is asked of the rows alone, and of a model that only knows which pass of a record came last and how it ended.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounts.models import Role
from apps.core import clock
from apps.errors.models import Error, RetryData, RetryItem
from apps.errors.services import EditRefused, edit_retry_data, reopen_errors, resolve_errors, retry_errors
from apps.execution.dispatcher import end_schedules, start_retries
from apps.execution.retry_reader import RetryReader
from apps.flows.models import Flow
from apps.runs.models import Run
from apps.runs.services import RunRefused, cancel_run
from tests.conftest import NOON
from tests.factories import make_account, make_member
from tests.fakes.running import Running, World, books, make_world
from tests.scenarios.retry_world import retry_runs, take_retry

KEYS = (1, 2, 3)
FAILURES = {"value": "This is not a number.", "busy": "The server is busy (503)."}
LEASE_OVER = timedelta(minutes=2)

ids = st.lists(st.sampled_from(KEYS), min_size=1, max_size=4)
bad = st.frozensets(st.sampled_from(KEYS))
which = st.integers(0, 5)
act = st.one_of(
    st.tuples(st.just("run"), ids, bad, st.sampled_from(["ends", "dies", "is canceled"]), st.booleans()),
    st.tuples(st.just("retry"), which, st.booleans()),
    st.tuples(st.just("overtaken"), which, bad, ids, bad),
    st.tuples(st.just("switch")),
    st.tuples(st.just("work"), which, bad, st.booleans()),
    st.tuples(st.just("resolve"), which),
    st.tuples(st.just("reopen"), which),
    st.tuples(st.just("edit"), which),
    st.tuples(st.just("cancel"), which),
    st.tuples(st.just("wait"), st.sampled_from([40, 100, 500])),
    st.tuples(st.just("late page"), ids, bad),
)


@dataclass
class Model:
    """The world, its clock, and what became of each key last."""

    world: World
    now: datetime = NOON
    last: dict[str, tuple[int, bool, int]] = field(default_factory=dict)
    """Trace key -> place and outcome of the newest pass, and the number of the newest error when it was booked."""
    reopened: set[int] = field(default_factory=set)
    is_resolving: bool = True
    unjudged: set[int] = field(default_factory=set)
    """Errors that were there while auto-resolve was off."""
    payloads: int = 0

    # --- acts --------------------------------------------------------------------------------------------------------
    def run(self, numbers: list[int], bad: frozenset[int], end: str, collides: bool) -> None:
        self.deliver(self.world.begin(), numbers, bad, end, collides=collides)

    def late_page(self, numbers: list[int], bad: frozenset[int]) -> None:
        """A run that began earlier commits its page after a newer run has ended."""
        older = self.world.begin()
        self.deliver(self.world.begin(), numbers, frozenset())
        self.deliver(older, numbers, bad)

    def deliver(
        self, running: Running, numbers: list[int], bad: frozenset[int], end: str = "ends", *, collides: bool = False
    ) -> None:
        self.refuse(bad)
        self.payloads += 1
        records = [{"id": number, "n": [self.payloads, place * collides]} for place, number in enumerate(numbers)]
        page = running.store(records)
        result = running.deliver(page)
        if end == "dies":
            running = self.world.take(self.after_the_lease(running.run))
            page = running.journal.next_page()
            result = running.deliver(page)
        if end == "is canceled":
            cancel_run(run=running.run, member=None)
        if running.journal.commit(page, result):
            running.finish()
        newest = max(Error.unscoped.values_list("pk", flat=True), default=0)
        for ordinal, number in enumerate(numbers):
            order = (running.reloaded().pass_no or 0) << 32 | ordinal
            if order > self.last.get(str(number), (0,))[0]:
                self.last[str(number)] = (order, number not in bad, newest)
                if not self.is_resolving:
                    self.unjudged.update(Error.unscoped.values_list("pk", flat=True))

    def retry(self, number: int, is_forced: bool) -> None:
        includes_resolved = number % 2 == 0
        retry_errors(
            account=self.account, member=None, errors=self.chosen(number), includes_resolved=includes_resolved,
            is_forced=is_forced,
        )  # fmt: skip

    def work(self, number: int, bad: frozenset[int], dies: bool) -> None:
        self.work_retry(number, bad, dies=dies)

    def overtaken(self, number: int, bad: frozenset[int], numbers: list[int], bad_now: frozenset[int]) -> None:
        """A run puts a page through between the delivery of a retry and its page commit."""
        self.work_retry(number, bad, meanwhile=lambda: self.deliver(self.world.begin(), numbers, bad_now))

    def work_retry(
        self, number: int, bad: frozenset[int], *, dies: bool = False, meanwhile: Callable[[], None] | None = None
    ) -> None:
        waiting = [run for run in retry_runs(self.world) if not run.is_ended]
        if not waiting:
            return
        self.refuse(bad)
        run = waiting[number % len(waiting)]
        running = take_retry(self.world, run)
        if running.journal.cancel():
            return
        reader = RetryReader(running.run, self.world.plan, first_ordinal=running.journal.next_ordinal, now=self.now)
        while (fetched := reader.next()) is not None:
            page = running.journal.store(fetched, claim=True)
            result = running.deliver(page)
            if dies:
                dies = False
                running = take_retry(self.world, self.after_the_lease(run))
                page = running.journal.next_page()
                result = running.deliver(page)
            if meanwhile is not None:
                meanwhile()
                meanwhile = None
                self.refuse(bad)
            if not running.journal.commit(page, result):
                return
        running.finish()

    def switch(self) -> None:
        """Auto-resolve goes off, or on again."""
        self.is_resolving = not self.is_resolving
        Flow.unscoped.update(auto_resolve=self.is_resolving)
        end_schedules()

    def resolve(self, number: int) -> None:
        resolve_errors(account=self.account, member=None, errors=self.chosen(number))

    def reopen(self, number: int) -> None:
        self.reopened.update(self.chosen(number).values_list("pk", flat=True))
        reopen_errors(account=self.account, member=None, errors=self.chosen(number))

    def edit(self, number: int) -> None:
        error = self.chosen(number).first()
        if error is None:
            return
        data = RetryData.unscoped.get(error=error)
        try:
            member = make_member(self.account, role=Role.MANAGER)
            text = f'{{"id": {error.key}, "n": 0}}'
            edit_retry_data(error=error, member=member, text=text, expected_version=data.version)
        except EditRefused:
            assert error.retry_run_id is not None

    def cancel(self, number: int) -> None:
        runs = retry_runs(self.world)
        if runs:
            try:
                cancel_run(run=runs[number % len(runs)], member=None)
            except RunRefused:
                assert runs[number % len(runs)].is_ended

    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        with clock.frozen(self.now):
            start_retries()

    # --- parts of them -----------------------------------------------------------------------------------------------
    @property
    def account(self) -> Any:
        return self.world.flow.account

    def refuse(self, bad: frozenset[int]) -> None:
        def fails(table: str, body: dict[str, Any]) -> str | None:
            if body["id"] not in bad:
                return None
            return FAILURES["busy" if body["id"] == 2 else "value"]

        self.world.database.fails = fails

    def after_the_lease(self, run: Run) -> Run:
        """The worker died with its page delivered and not booked."""
        past = self.now - LEASE_OVER
        Run.unscoped.filter(pk=run.pk).update(lease_until=past)
        return Run.unscoped.get(pk=run.pk)

    def chosen(self, number: int) -> Any:
        """One error, or all of them."""
        rows = list(Error.objects.of(self.account).order_by("pk").values_list("pk", flat=True))
        if number and rows:
            rows = [rows[-1 - number % len(rows)]]
        return Error.objects.of(self.account).filter(pk__in=rows)

    # --- what must hold ----------------------------------------------------------------------------------------------
    def check(self) -> None:
        assert books() == []
        if not self.is_resolving:
            self.unjudged.update(Error.unscoped.values_list("pk", flat=True))
        self.check_states()
        for key, (order, is_well, newest) in self.last.items():
            self.check_key(key, order, is_well, newest)

    def check_states(self) -> None:
        ended = {run.pk for run in Run.unscoped.all() if run.is_ended}
        for error in Error.objects.of(self.account):
            assert (error.state == "resolved") == bool(error.reason), "who is resolved has a reason, who is open none"
            assert error.retry_run_id not in ended, "an ended retry has nothing any more"
            assert not (error.next_attempt_at and error.state == "resolved")
            assert not (error.next_attempt_at and not self.is_resolving), "nothing is tried again while it is off"
        taken = set(RetryItem.unscoped.filter(state="waiting").values_list("error", "run"))
        assert taken == set(Error.unscoped.filter(retry_run__isnull=False).values_list("pk", "retry_run"))

    def check_key(self, key: str, order: int, is_well: bool, newest: int) -> None:
        errors = list(Error.objects.of(self.account).filter(key=key).order_by("pk"))
        standing = [e for e in errors if e.state == "open" and e.retry_run_id is None]
        for one, two in combinations(standing, 2):
            collide = one.pass_order >> 32 == two.pass_order >> 32 and one.payload_hash != two.payload_hash
            assert collide or {one.pk, two.pk} <= self.unjudged, "one open error a key"
        if is_well:
            told = {*self.reopened, *self.unjudged}
            older = [e for e in standing if e.pass_order < order >> 32 << 32 and e.pk <= newest and e.pk not in told]
            assert not older, "a newer pass went through"
        else:
            assert [e for e in errors if e.pass_order == order], "a record that failed last has its error"


@pytest.mark.django_db
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(acts=st.lists(act, max_size=14))
def test_whatever_happens_in_whatever_order_the_books_are_right_and_no_failure_is_lost(acts):
    with transaction.atomic():
        world = make_world(make_account(), overlap="allow")
        world.plan = replace(world.plan, page_size=2)  # of retries: the first page may speak for the rest
        model = Model(world)
        for name, *values in acts:
            with clock.frozen(model.now):
                step: Callable[..., None] = getattr(model, name.replace(" ", "_"))
                step(*values)
                model.check()
            model.now += timedelta(seconds=1)
        transaction.set_rollback(True)
