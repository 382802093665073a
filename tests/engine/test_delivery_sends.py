"""Sends that cannot be undone, inside a scope: held until it commits, or made now and told when it rolls back."""

from dataclasses import replace

import pytest

from apps.engine.expressions import compile_mapping
from apps.engine.plan import END, Handling, Joint, ScopeKind, StepKind
from apps.engine.ports import Batch, Failure, Outage, Written
from apps.engine.records import Frame, Page, Trip, pack, unpack
from tests.engine.test_delivery import opened_with, records
from tests.fakes.world import NOW, FakeDatabase, FakeTable, chain, counts, deliver, node, page_of, table_step, visits


class Mailer(FakeTable):
    """Answers with a number; refuses and goes away as told."""

    def __init__(self) -> None:
        super().__init__(FakeDatabase(), "mail", transactional=False)
        self.refuses: set[int] = set()
        self.is_away = False

    def write(self, batch: Batch) -> Written:
        if self.is_away:
            raise Outage("connection_refused", "Could not connect.")
        written = Written()
        for index, body in enumerate(batch.bodies):
            self.sent.append(body["id"])
            if body["id"] in self.refuses:
                written.failures[index] = Failure("application", "550", "no such mailbox", "value")
            else:
                written.answers[index] = {"number": 100 + body["id"]}
        return written


def mail(index: int, **facts):
    return node(index, "mail", StepKind.IMPORT, connection="smtp", **facts)


def now_world(*, fails: int | None = None, scope=ScopeKind.RECORD, **facts):
    """A row is written, a mail is sent now for its number, a second row is written with it."""
    database = FakeDatabase(fails=lambda table, body: "no" if table == "second" and body["id"] == fails else None)
    answer = compile_mapping({"number": "answer.number"}, names=frozenset({"record", "answer"}))
    plan = chain(
        table_step(1, "first"), mail(2, sends_now=True, response_mapping=answer, **facts), table_step(3, "second"),
        scope=scope,
    )  # fmt: skip
    opened = opened_with(database, "first", "second")
    opened.targets["mail"] = Mailer()
    return plan, opened, database


def test_a_send_whose_answer_is_read_is_made_now_and_once():
    plan, opened, database = now_world(fails=1)

    result = deliver(plan, opened, page_of(records(3)))

    assert sorted(opened.targets["mail"].sent) == [0, 1, 2]
    assert {n: row["number"] for n, row in database.rows["second"].items()} == {0: 100, 2: 102}
    assert sorted(database.rows["first"]) == [0, 2]
    assert counts(result) == (2, 0, 1, 0)


def test_a_record_whose_scope_rolled_back_tells_what_was_sent_and_stands():
    plan, opened, _ = now_world(fails=1)

    result = deliver(plan, opened, page_of(records(3)))

    (failed,) = result.failures()
    (sent,) = failed.effects["uncompensated"]
    assert (sent["step"], sent["request"]["id"], sent["answer"]) == ("mail", 1, {"number": 101})
    assert failed.effects["rolled_back"] == ["first"]


def test_a_page_that_is_one_scope_tells_every_send_that_stands():
    plan, opened, database = now_world(fails=1, scope=ScopeKind.PAGE)

    result = deliver(plan, opened, page_of(records(3)))

    assert database.rows == {}
    assert counts(result) == (0, 0, 0, 3)
    assert result.culprit.item.ordinal == 1
    assert [one["record"] for one in result.culprit.effects["uncompensated"]] == [1, 2, 3]


def test_a_send_that_failed_now_is_not_made_again_in_a_replay():
    plan, opened, database = now_world(fails=0)
    opened.targets["mail"].refuses = {1}

    result = deliver(plan, opened, page_of(records(3)))

    assert sorted(opened.targets["mail"].sent) == [0, 1, 2]
    assert sorted(database.rows["first"]) == [2]
    assert counts(result) == (1, 0, 2, 0)


def test_what_was_sent_before_a_wait_is_not_sent_again_after_it():
    plan, opened, database = now_world()
    seconds = opened.targets["second"]
    opened.targets["second"] = Gone()

    result = deliver(plan, opened, page_of(records(2)))
    assert len(result.rest) == 2
    assert database.rows == {}

    opened.targets["second"] = seconds
    again = deliver(plan, opened, Page(0, 1, NOW, unpack(pack(result.rest, []))[0]))
    assert sorted(opened.targets["mail"].sent) == [0, 1]
    assert counts(again) == (2, 0, 0, 0)
    assert {row["number"] for row in database.rows["second"].values()} == {100, 101}


class Gone:
    transactional, repeats = True, "safe"

    def write(self, batch: Batch) -> Written:
        raise Outage("connection_refused", "Could not connect.")


def test_a_send_of_which_nobody_reads_the_answer_waits_for_the_scope_and_is_dropped_with_it():
    database = FakeDatabase(fails=lambda table, body: "no" if table == "load" and body["id"] == 1 else None)
    plan = chain(mail(1), table_step(2, "load"), scope=ScopeKind.RECORD)
    opened = opened_with(database, "load")
    opened.targets["mail"] = Mailer()

    result = deliver(plan, opened, page_of(records(3)))

    assert opened.targets["mail"].sent == [0, 2]
    (failed,) = result.failures()
    assert failed.effects == {"dropped": ["mail"]}
    assert visits(result, 1) == (2, 0, 0, 1)


@pytest.mark.parametrize(("raises_again", "outcome"), [(False, (3, 0, 0, 0)), (True, (2, 0, 1, 0))])
def test_a_held_send_that_fails_has_its_handler_run_after_the_commit(raises_again, outcome):
    database = FakeDatabase()
    handled = mail(1, handling=Handling.CUSTOM_WITHOUT_ROLLBACK, handler=2)
    note = table_step(2, "note", handles=1, exit=3)
    end = node(3, "mail/end", Joint.END, next=END, handles=1, own=1, raises_again=raises_again)
    plan = chain(replace(handled, next=4), note, end, table_step(4, "load"), scope=ScopeKind.RECORD)
    opened = opened_with(database, "note", "load")
    opened.targets["mail"] = Mailer()
    opened.targets["mail"].refuses = {1}

    result = deliver(plan, opened, page_of(records(3)))

    assert sorted(database.rows["load"]) == [0, 1, 2]
    assert sorted(database.rows["note"]) == [1]
    assert counts(result) == outcome
    (entry,) = result.failures()
    assert (entry.is_handled, entry.node) == (not raises_again, 1)
    assert database.is_idle


def test_a_held_send_whose_handling_is_continue_is_answered():
    plan = chain(mail(1, handling=Handling.CONTINUE), table_step(2, "load"), scope=ScopeKind.RECORD)
    opened = opened_with(FakeDatabase(), "load")
    opened.targets["mail"] = Mailer()
    opened.targets["mail"].refuses = {1}

    result = deliver(plan, opened, page_of(records(3)))

    assert counts(result) == (3, 0, 0, 0)
    assert [entry.is_handled for entry in result.failures()] == [True]


def test_a_record_that_killed_its_worker_inside_a_sub_flow_is_an_error_of_the_call():
    call = node(1, "call", StepKind.CALL, body=2, next=4)
    inner = table_step(2, "call/load", own=1, exit=3, handling=Handling.CONTINUE)
    back = node(3, "call/return", Joint.RETURN, next=END, own=1)
    plan = chain(call, inner, back, table_step(4, "after"), scope=ScopeKind.NONE)
    page = page_of(records(1))
    (item,) = page.items
    item.at, item.trip = 2, Trip((Frame(1, {"id": 0}),), None, (1, {"id": 0}))
    page.is_deadly = True

    result = deliver(plan, opened_with(FakeDatabase(), "call/load", "after"), page)

    (failed,) = result.failures()
    assert (failed.node, failed.inner, failed.start, failed.record) == (1, 2, 1, {"id": 0})
    assert (failed.is_handled, counts(result)) == (False, (0, 0, 1, 0))
