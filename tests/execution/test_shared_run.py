"""Two workers on the pages of one run: who may take which page, what is booked, and who ends the run."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest
from django.db import OperationalError, connection
from django_q.models import OrmQ

from apps.core import clock
from apps.core.queue import enqueue
from apps.engine.loop import Fetched, Paused
from apps.engine.plan import OnError, Policy
from apps.engine.ports import ConnectorError, Outage
from apps.engine.records import Page
from apps.engine.result import PageResult
from apps.engine.side_by_side import Nothing, work_beside
from apps.errors.models import Error
from apps.execution.claims import Claim, Heartbeat, HelperHeartbeat, claim_run, release_run
from apps.execution.helping import HelperSlice, help_slice
from apps.execution.owned_run import Fenced
from apps.execution.shared_run import HelperJournal, SharedRunJournal
from apps.execution.worker import Slice
from apps.flows.definition import DefinitionError
from apps.flows.definition.mistakes import Mistake
from apps.flows.models import Checkpoint, Connection, Step
from apps.runs.models import FlowState, Machine
from apps.runs.models import Page as PageRow
from apps.runs.services import cancel_run, start_run
from tests.factories import make_account, make_connection
from tests.fakes.running import Running, World, books, make_world
from tests.fakes.world import chain, table_step
from tests.scenarios.retry_world import records, retry, retry_runs, run_once, take_retry

pytestmark = pytest.mark.django_db
LATER = timedelta(minutes=5)


@pytest.fixture
def world(account, noon) -> World:
    make_connection(account, name="db")
    return shared(account)


def shared(account: Any, policy: Policy | None = None) -> World:
    return make_world(account, plan=replace(chain(table_step(1, "target", policy)), parallel_pages=2))


@dataclass
class Pair:
    """The owner of a run, and a helper."""

    owner: Running
    helper: Running

    def store(self, *pages: list[dict[str, Any]]) -> None:
        for number, page in enumerate(pages):
            self.owner.journal.store(self.owner.fetched(page, checkpoint=number), claim=False)

    @property
    def checkpoint(self) -> Any:
        row = Checkpoint.unscoped.filter(flow=self.owner.flow).first()
        return row and row.value["at"]

    def end(self) -> Any:
        """What the owner does when nothing more is stored."""
        self.owner.journal.end_export()
        assert self.owner.journal.take_page() is Nothing.LEFT
        return self.owner.finish()


def begin(world: World, **facts: Any) -> Pair:
    owner = world.begin(**facts)
    return Pair(as_owner(world, owner), helper_of(world, owner.run))


def as_owner(world: World, running: Running) -> Running:
    steps = {step.key: step for step in Step.unscoped.filter(flow=world.flow)}
    running.journal = SharedRunJournal(running.claim, running.run, world.plan, steps)
    return running


def helper_of(world: World, run: Any, name: str = "helper") -> Running:
    claim = Claim(run.pk, name, 0)
    steps = {step.key: step for step in Step.unscoped.filter(flow=world.flow)}
    return Running(world.flow, world.plan, world.opened, run, claim, HelperJournal(claim, run, world.plan, steps))


def take(worker: Running) -> tuple[Page, PageResult]:
    """A page in the hands of a worker, delivered and not booked."""
    page = worker.journal.take_page()
    assert isinstance(page, Page)
    return page, worker.deliver(page)


# --- what is booked --------------------------------------------------------------------------------------------------
def test_each_takes_the_next_page_and_books_its_own(world):
    pair = begin(world)
    pair.store(records(1, 2), records(3), records(4))
    first, second = take(pair.owner), take(pair.helper)
    pair.helper.journal.commit(*second)
    third = take(pair.helper)
    pair.owner.journal.commit(*first)
    pair.helper.journal.commit(*third)

    run = pair.end()

    assert [first[0].seq, second[0].seq, third[0].seq] == [0, 1, 2]
    assert (run.status, run.success, run.pages_done) == ("completed", 4, 3)
    assert books() == []


def test_the_checkpoint_waits_for_the_page_that_closes_the_gap_and_moves_over_all_behind_it(world):
    pair = begin(world)
    pair.store(records(1), records(2), records(3))
    first, second = take(pair.owner), take(pair.helper)

    pair.helper.journal.commit(*second)
    assert pair.checkpoint is None

    pair.owner.journal.commit(*first)
    assert pair.checkpoint == 1


def test_no_more_pages_are_at_work_than_the_flow_allows(world):
    pair = begin(world)
    pair.store(records(1), records(2), records(3))
    take(pair.owner), take(pair.helper)

    with pytest.raises(Paused):
        helper_of(world, pair.owner.run, "third").journal.take_page()
    assert pair.owner.journal.take_page() is Nothing.NOW


def test_the_owner_stores_no_more_than_its_workers_soon_take(world):
    pair = begin(world)
    pair.store(records(1), records(2), records(3))
    assert pair.owner.journal.wants_more()

    pair.store(records(4))

    assert not pair.owner.journal.wants_more()


# --- old owners ------------------------------------------------------------------------------------------------------
def test_a_page_whose_worker_is_silent_is_taken_by_another_and_the_old_one_writes_nothing(world, noon):
    pair = begin(world)
    pair.store(records(1))
    page, result = take(pair.helper)
    with clock.frozen(noon + LATER):
        other = take(helper_of(world, pair.owner.run, "other"))
        node, item = world.plan.nodes[1], page.items[0]

        with pytest.raises(Fenced):
            pair.helper.journal.announce(page, node, [item])
        with pytest.raises(Fenced):
            pair.helper.journal.commit(page, result)

        assert other[0].seq == 0
        assert pair.owner.reloaded().pages_done == 0


def test_a_page_that_another_worker_took_meanwhile_is_not_halved(world, noon):
    pair = begin(world)
    pair.store(records(1, 2))
    PageRow.unscoped.update(deliveries=3)
    row, _ = pair.helper.journal._look()
    with clock.frozen(noon + LATER):
        other = helper_of(world, pair.owner.run, "other")
        page, result = take(other)
        before = list(PageRow.unscoped.order_by("pk").values())
        with pytest.raises(Fenced):
            pair.helper.journal._halve(row)

        assert list(PageRow.unscoped.order_by("pk").values()) == before
        other.journal.commit(page, result)


def test_a_helper_that_lost_its_page_hears_of_it_with_its_next_beat(world, noon):
    pair = begin(world)
    pair.store(records(1))
    take(pair.helper)
    beat = HelperHeartbeat(pair.helper.claim)
    beat.holds = pair.helper.journal.in_hand
    assert beat._renew_held()
    with clock.frozen(noon + LATER):
        take(helper_of(world, pair.owner.run, "other"))

        assert not beat._renew_held()


def test_a_new_owner_leaves_a_living_helper_its_page_and_that_is_booked(world, noon):
    pair = begin(world)
    pair.store(records(1), records(2))
    with clock.frozen(noon + timedelta(seconds=20)):
        page, result = take(pair.helper)
    with clock.frozen(noon + timedelta(seconds=40)):  # the lease of the run is over, that of the page is not
        owner = as_owner(world, world.take(pair.owner.run))
        own = take(owner)
        assert own[0].seq == 1
        pair.helper.journal.commit(page, result)
        owner.journal.commit(*own)
        owner.journal.end_export()

        assert owner.journal.take_page() is Nothing.LEFT
        assert owner.finish().success == 2
    assert books() == []


@pytest.mark.parametrize("who", ["owner", "helper"])
def test_a_page_in_the_hands_of_a_worker_whose_database_failed_is_free_at_once(world, monkeypatch, who):
    pair = begin(world)
    pair.store(records(1))
    if who == "owner":
        take(pair.owner)
        release_run(pair.owner.claim)
        pair.owner = as_owner(world, world.take(pair.owner.run))
    else:
        monkeypatch.setattr("apps.execution.helping.worker_name", lambda: "helper")
        monkeypatch.setattr("apps.execution.helping.HelperSlice.work", lambda self: take(pair.helper) and fail())
        help_slice(pair.owner.run.pk)

    assert take(pair.owner)[0].seq == 0


def fail() -> None:
    raise OperationalError("database is locked")


def test_the_heartbeat_of_an_owner_renews_no_page_but_those_in_its_hands(world, noon):
    """Its worker may have lost one of that run before, which nobody would ever take then."""
    pair = begin(world)
    pair.store(records(1))
    take(pair.owner)
    later = as_owner(world, pair.owner)
    beat = Heartbeat(later.claim)
    beat.holds = later.journal.in_hand
    with clock.frozen(noon + timedelta(seconds=20)):
        assert beat._renew()
        assert beat._renew_held()

    with clock.frozen(noon + timedelta(seconds=40)):
        assert take(later)[0].seq == 0


# --- ends ------------------------------------------------------------------------------------------------------------
def test_a_canceled_run_ends_when_the_last_page_at_work_is_booked(world):
    pair = begin(world)
    pair.store(records(1), records(2), records(3))
    first, second = take(pair.owner), take(pair.helper)
    cancel_run(run=pair.owner.run, member=None)

    pair.owner.journal.commit(*first)
    assert pair.owner.journal.take_page() is Nothing.NOW
    pair.helper.journal.commit(*second)
    with pytest.raises(Paused):
        pair.owner.journal.take_page()

    run = pair.owner.reloaded()
    assert (run.status, run.success, run.pages_done, pair.checkpoint) == ("canceled", 2, 2, 1)
    assert not PageRow.unscoped.exclude(state="done").exists()
    assert books() == []


def test_a_page_whose_worker_died_is_delivered_before_a_canceled_run_ends(world, noon):
    """It may stand in the target."""
    pair = begin(world)
    pair.store(records(1), records(2))
    take(pair.helper)
    cancel_run(run=pair.owner.run, member=None)
    with clock.frozen(noon + LATER):
        owner = as_owner(world, world.take(pair.owner.run))
        assert not owner.journal.cancel()
        owner.journal.commit(*take(owner))
        with pytest.raises(Paused):
            owner.journal.take_page()

    assert (owner.reloaded().status, owner.run.success) == ("canceled", 1)
    assert books() == []


def test_a_canceled_run_whose_connection_is_offline_ends_when_the_page_of_a_helper_is_booked(world, noon):
    pair = begin(world)
    pair.store(records(1), records(2))
    page, result = take(pair.helper)
    pair.owner.journal.wait_for_others()
    Connection.unscoped.update(state="offline", offline_since=noon)
    cancel_run(run=pair.owner.run, member=None)
    owner = as_owner(world, world.take(pair.owner.run))
    assert not owner.journal.cancel()
    assert owner.journal.wait_for_connection()

    pair.helper.journal.commit(page, result)
    owner = as_owner(world, world.take(pair.owner.run))

    assert owner.journal.cancel()
    run = owner.reloaded()
    assert (run.status, run.success) == ("canceled", 1)
    assert books() == []


def test_a_page_that_stops_the_run_lets_those_at_work_be_booked_first(account, noon):
    make_connection(account, name="db")
    world = shared(account, Policy(on_error=OnError.FAIL))
    world.refuse(3)
    pair = begin(world)
    pair.store(records(1, 2), records(3), records(4))
    first, second = take(pair.owner), take(pair.helper)

    pair.helper.journal.commit(*second)
    assert pair.owner.reloaded().status == "running"
    pair.owner.journal.commit(*first)
    with pytest.raises(Paused):
        pair.owner.journal.take_page()

    run = pair.owner.reloaded()
    assert (run.status, run.success, run.failed) == ("failed", 2, 1)
    window = Error.unscoped.select_related("retry_data").get(unit="window")
    assert window.message == "The run was stopped, as the step's policy says, by: refused"
    assert window.retry_data.window["position"] == {"row": 3}
    assert books() == []


def test_a_page_that_waits_before_others_that_are_through_ends_as_errors_of_its_records(world, noon):
    """Else the next run, or the retry of the window, would send again what is through."""
    pair = begin(world)
    pair.store(records(1, 2), records(3))
    world.database.is_down = True
    pair.owner.journal.commit(*take(pair.owner))
    world.database.is_down = False
    pair.helper.journal.commit(*take(pair.helper))
    cancel_run(run=pair.owner.run, member=None)
    with pytest.raises(Paused):
        pair.owner.journal.take_page()

    run = pair.owner.reloaded()
    assert (run.status, run.success, run.failed, pair.checkpoint) == ("canceled", 1, 2, 1)
    assert {error.cause.code for error in Error.unscoped.select_related("cause")} == {"not_sent"}
    assert books() == []


def test_a_run_whose_definition_cannot_be_run_any_more_fails_when_the_page_of_a_helper_is_booked(world, monkeypatch):
    def refuse(revision):
        raise DefinitionError([Mistake("", "There is no such connection.")])

    monkeypatch.setattr("apps.execution.worker.plan_for", refuse)
    pair = begin(world)
    pair.store(records(1), records(2))
    page, result = take(pair.helper)
    owner = Slice(pair.owner.claim, Heartbeat(pair.owner.claim))
    assert not owner.work()
    assert pair.owner.reloaded().status == "running"

    pair.helper.journal.commit(page, result)
    claim = claim_run(pair.owner.run.pk)
    Slice(claim, Heartbeat(claim)).work()

    run = pair.owner.reloaded()
    assert (run.status, run.success) == ("failed", 1)
    assert Error.unscoped.get().cause.code == "definition_outdated"
    assert books() == []


def test_a_run_that_cannot_be_set_up_does_not_wait_for_a_helper_that_died(world, noon):
    pair = begin(world)
    pair.store(records(1))
    take(pair.helper)
    with clock.frozen(noon + LATER):
        owner = as_owner(world, world.take(pair.owner.run))
        owner.journal.fail_export(ConnectorError("gone", "The file is gone."))

    assert owner.reloaded().status == "failed"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", ["fail_export", "wait_for_source"])
def test_no_helper_takes_a_page_between_the_look_at_others_and_the_end(monkeypatch, end):
    account = make_account()
    make_connection(account, name="db")
    owner = begin(shared(account)).owner
    looked = []
    monkeypatch.setattr(owner.journal, "_left_to_others", lambda: looked.append(connection.in_atomic_block))

    getattr(owner.journal, end)(Outage("x", "Could not connect."))

    assert looked == [True]


@dataclass
class Ends:
    """An export that breaks after some pages."""

    pages: Iterator[Fetched]
    is_resumable: bool = True

    def next(self) -> Fetched:
        page = next(self.pages, None)
        if page is None:
            raise ConnectorError("gone", "The file is gone.")
        return page


def test_what_stops_the_export_is_answered_behind_the_pages_that_came_before(world):
    pair = begin(world)
    owner = pair.owner
    pages = (owner.fetched(records(number)) for number in range(3))

    has_more = work_beside(owner.delivery(), Ends(pages), owner.journal, lambda: False, lambda: None)

    run = owner.reloaded()
    assert (has_more, run.status, run.success) == (False, "failed", 3)
    assert Error.unscoped.get().message == "The file is gone."


def test_an_owner_whose_slice_is_over_stores_one_page_at_most(world):
    owner = begin(world).owner
    pages = (owner.fetched(records(number)) for number in range(9))

    assert work_beside(owner.delivery(), Ends(pages), owner.journal, lambda: True, lambda: None)

    assert (owner.reloaded().pages_fetched, owner.run.pages_done) == (1, 1)


# --- waits and turns -------------------------------------------------------------------------------------------------
def test_a_page_that_has_to_wait_holds_up_no_other_and_then_the_run_waits_for_it(world, noon):
    pair = begin(world)
    pair.store(records(1), records(2))
    world.database.is_down = True
    pair.helper.journal.commit(*take(pair.helper))
    world.database.is_down = False
    assert pair.owner.reloaded().wait_reason == "waiting: connection db: Could not connect."

    pair.owner.journal.commit(*take(pair.owner))
    with pytest.raises(Paused):
        pair.owner.journal.take_page()

    run = pair.owner.reloaded()
    assert (run.pages_done, run.not_before) == (1, noon + timedelta(seconds=5))


def test_what_keeps_two_pages_from_going_on_at_once_is_one_failure_of_the_connection(world, noon):
    pair = begin(world)
    pair.store(records(1), records(2))
    world.database.is_down = True
    failures = []
    for after_s in (0, 10):
        with clock.frozen(noon + timedelta(seconds=after_s)):
            both = take(pair.owner), take(pair.helper)
            pair.owner.journal.commit(*both[0])
            pair.helper.journal.commit(*both[1])
        failures.append(Connection.unscoped.get(name="db").failures)

    assert failures == [1, 2]


def test_a_retry_gets_its_turn_when_no_page_of_the_run_is_at_work(account, noon):
    make_connection(account, name="db")
    world = shared(account)
    world.refuse(9)
    run_once(world, records(9))
    pair = begin(world)
    pair.store(records(1), records(2), records(3))
    first, second = take(pair.owner), take(pair.helper)
    retry(world)
    (waiting,) = retry_runs(world)
    other = take_retry(world, waiting)
    with pytest.raises(Paused):
        other.journal.store(other.fetched(records(9)), claim=True)

    pair.owner.journal.commit(*first)
    assert pair.owner.journal.take_page() is Nothing.NOW, "no further page begins while the retry waits"
    assert turn(world) == f"r-{pair.owner.run.pk}"
    pair.helper.journal.commit(*second)

    assert turn(world) == f"r-{waiting.pk}"
    with pytest.raises(Paused):
        pair.helper.journal.take_page()


def turn(world: World) -> str:
    return FlowState.unscoped.get(flow=world.flow).delivery_owner


# --- helpers ---------------------------------------------------------------------------------------------------------
def hints() -> list[str]:
    return [row.task["func"].rsplit(".", 1)[1] for row in OrmQ.objects.order_by("pk")]


def test_helpers_are_called_where_pages_wait_and_nobody_else_waits_for_a_worker(world):
    pair = begin(world)
    OrmQ.objects.all().delete()
    pair.store(records(1), records(2))
    take(pair.owner)

    assert hints() == ["help_run"]


def test_no_helper_is_called_while_another_run_waits_for_a_worker(world, account):
    pair = begin(world)
    start_run(flow=make_world(account).flow)
    OrmQ.objects.all().delete()
    pair.store(records(1), records(2))
    take(pair.owner)

    assert hints() == []


def test_a_helper_leaves_a_run_alone_while_another_one_waits_for_a_worker(world, account, monkeypatch):
    pair = begin(world)
    start_run(flow=make_world(account).flow)
    monkeypatch.setattr("apps.execution.helping.HelperSlice.work", lambda self: pytest.fail("it came"))

    help_slice(pair.owner.run.pk)


def test_a_helper_leaves_a_run_alone_that_waits_for_its_owner(world, noon, monkeypatch):
    pair = begin(world)
    monkeypatch.setattr("apps.execution.helping.HelperSlice.work", lambda self: pytest.fail("it came"))
    with clock.frozen(noon + LATER):
        help_slice(pair.owner.run.pk)


@pytest.fixture
def wide(account, noon) -> Pair:
    """The owner of a run of whose pages up to five may be at work, with more of them than that."""
    make_connection(account, name="db")
    pair = begin(make_world(account, plan=replace(chain(table_step(1, "target")), parallel_pages=5)))
    OrmQ.objects.all().delete()
    pair.store(*(records(number) for number in range(10)))
    return pair


def call(pair: Pair) -> int:
    """The hints in the queue when the owner looks for a page once more, and it is time to call."""
    pair.owner.journal._called_at = min(pair.owner.journal._called_at, 1.0)
    take(pair.owner)
    return len(hints())


def test_no_more_helpers_are_called_than_workers_are_free(wide, noon):
    Machine.objects.create(name="m", workers=4, seen_at=noon)
    take(wide.helper)

    assert call(wide) == 2


def test_no_helper_is_called_while_a_hint_waits_for_a_worker(wide):
    assert [call(wide), call(wide)] == [1, 1]


def test_helpers_that_do_not_come_are_called_after_a_longer_and_longer_while_though_others_are_there(wide):
    take(wide.helper)
    pauses = []
    for _ in range(3):
        call(wide)
        pauses.append(wide.owner.journal._call_again_s)
        OrmQ.objects.all().delete()

    assert pauses == [1, 2, 4]


@pytest.mark.parametrize(
    ("for_s", "waits", "leaves"), [(59, True, False), (61, False, False), (61, True, True), (601, False, True)]
)
def test_a_helper_leaves_for_what_waits_in_the_queue_when_its_slice_is_over(world, for_s, waits, leaves):
    pair = begin(world)
    OrmQ.objects.all().delete()
    if waits:
        enqueue("apps.execution.tasks.perform_act", 1, 1)
    helper = HelperSlice(pair.helper.claim, HelperHeartbeat(pair.helper.claim), started=monotonic() - for_s)

    assert helper._must_leave() is leaves
