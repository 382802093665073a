"""Scopes and handlings: the 36 combinations of a parent and its sub-flow, and what a scope has to hold together."""

import psycopg
import pytest

from apps.errors.models import RetryData
from apps.errors.states import ErrorState, Reason
from apps.runs.models import RunLog, StepRun
from apps.runs.statuses import RunStatus
from tests.fakes.databases import SERVER
from tests.scenarios.calls import (
    FAILING,
    HANDLINGS,
    Calls,
    F,
    child_of,
    handled,
    head_of,
    indented,
    parent_of,
    write_mark,
)
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.django_db

TABLE = """
R    | ERR       | PH        | ERR       | P,PH      | ERR         | P,N
CR/e | H,N       | H,N       | H,N       | P,H,N     | P,H,N       | P,H,N
CR/x | ERR       | PH        | ERR       | P,H,PH    | ERR         | P,H,N
CW/e | P,C,H,N   | P,C,H,N   | P,C,H,N   | P,C,H,N   | P,C,H,N     | P,C,H,N
CW/x | ERR       | PH        | ERR       | P,C,H,PH  | ERR         | P,C,H,N
CO   | P,C,D,N   | P,C,D,N   | P,C,D,N   | P,C,D,N   | P,C,D,N     | P,C,D,N
"""
STRICT = {("CR/x", "CW/e"): "P,PH", ("CR/x", "CO"): "P,N", ("CW/x", "CW/e"): "P,PH", ("CW/x", "CO"): "P,N"}
"""The cells that differ when a sub-flow that raises its error again keeps nothing."""


def cells() -> list[tuple[str, str, str]]:
    """(handling of the sub-flow's step, of the parent's call, what persists)."""
    rows = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()]
    return [(sub, parent, kept) for sub, *row in rows for parent, kept in zip(HANDLINGS, row, strict=True)]


@pytest.fixture(autouse=True)
def nothing_stays_open(scene: Scene):
    """After every test no transaction stands open in the target."""
    yield
    if scene.place.is_postgresql:
        with psycopg.connect(**SERVER) as admin:
            idle = "SELECT query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%%' AND query LIKE %s"
            assert admin.execute(idle, [f"%{scene.place.schema}%"]).fetchall() == []
    else:
        scene.place.execute("BEGIN IMMEDIATE")
        scene.place.execute("ROLLBACK")


@pytest.mark.parametrize("keeps", [True, False], ids=["keeps", "strict"])
@pytest.mark.parametrize(("sub", "parent", "kept"), cells())
def test_what_persists_when_a_step_of_a_sub_flow_fails(calls, sub, parent, kept, keeps):
    if not keeps:
        kept = STRICT.get((sub, parent), kept)
    head = "" if keeps else "rethrow_keeps_changes: false\n"
    flow = calls.apply(parent_of(parent), child_of(sub, head))

    run = calls.run(flow, "good", *FAILING)

    persisted = "" if kept == "ERR" else kept
    assert {n: calls.marks(n) for n in (1, 2, 3)} == {1: "P,C,F,D,N", 2: persisted, 3: persisted}
    assert run.status == RunStatus.COMPLETED
    errors = calls.scene.errors(run)
    assert sorted((e.ordinal, e.step.key) for e in errors) == [(1, "call-child"), (2, "call-child")]
    assert {e.source_step_path for e in errors} == {"Parent \u203a Call child \u203a Child \u203a F"}
    assert {e.cause.source for e in errors} == {"output_filter", "application"}
    is_open = kept == "ERR"
    assert {e.state for e in errors} == {ErrorState.OPEN if is_open else ErrorState.RESOLVED}
    assert {e.reason for e in errors} == {"" if is_open else Reason.HANDLED}
    assert (run.success, run.failed) == ((1, 2) if is_open else (3, 0))
    assert paths_run(calls, run) == paths(sub, parent)
    if is_open:
        data = RetryData.objects.of(run.account_id).filter(error__in=errors).select_related("from_step")
        assert {row.from_step.key for row in data} == {"p"}


def paths(sub: str, parent: str) -> list[str]:
    """The lines that the handlings of a failing record leave in the log, in order."""
    said = {"R": [], "CO": ["Went on"]}.get(sub, ["the handler's log"])
    leaves = sub == "R" or sub.endswith("/x")
    return said + ({"R": [], "CO": ["Went on"]}.get(parent, ["the handler's log"]) if leaves else [])


def paths_run(calls: Calls, run) -> list[str]:
    """What the handlings said of the record that was refused; an open error's own line is its message."""
    lines = RunLog.objects.of(run.account_id).filter(run=run, text__icontains="check").order_by("id")
    texts = lines.exclude(text__in=calls.scene.messages(run)).values_list("text", flat=True)
    return ["Went on" if text.startswith("Went on") else "the handler's log" for text in texts]


def test_the_books_of_a_call_balance(calls):
    flow = calls.apply(parent_of("CO"), child_of("CR/x"))
    run = calls.run(flow, "good", *FAILING)
    rows = {r.step.key: r for r in StepRun.unscoped.filter(run=run).select_related("step")}
    assert set(rows) == {"source", "p", "call-child", "n"}
    call = rows["call-child"]
    assert (call.came_in, call.success, call.errors, call.rolled_back) == (3, 1, 2, 0)


def test_a_record_that_a_handler_answered_is_retried_from_the_first_write_that_was_undone(calls):
    text = head_of("parent") + indented(write_mark("p", "'P'") + write_mark("f", F, handled("CR/e", "PH")), 2)
    error = calls.scene.only_error(calls.run(calls.scene.apply(text), "refused"))
    assert (error.reason, calls.marks(1)) == (Reason.HANDLED, "PH")
    assert RetryData.objects.of(error.account_id).get(error=error).from_step.key == "p"

    calls.scene.apply(text.replace(F, "'F'"))
    calls.retry([error], includes_resolved=True)
    assert calls.marks(1) == "PH,P,F"


# --- scope page ------------------------------------------------------------------------------------------------------
PAGE = "scope: page\npage_size: 3\n"


def test_scope_page_keeps_nothing_of_a_page_in_which_a_record_fails(calls):
    flow = calls.apply(parent_of("R", PAGE), child_of("R"))
    run = calls.run(flow, "good", "good", "good", "good", "refused", "good")

    assert [calls.marks(n) for n in range(1, 7)] == ["P,C,F,D,N"] * 3 + [""] * 3
    assert (run.success, run.failed, run.rolled_back, run.errors, run.unit_errors) == (3, 0, 3, 0, 1)
    error = calls.scene.only_error(run)
    assert (error.unit, error.state, error.step.key, error.key) == ("page", "open", "call-child", "")
    assert 'the record "5" failed' in error.message
    assert error.source_step_path == "Parent \u203a Call child \u203a Child \u203a F"


def test_a_page_that_was_rolled_back_is_sent_again_by_its_retry(calls):
    flow = calls.apply(parent_of("R", PAGE), child_of("R"))
    run = calls.run(flow, "good", "refused", "good")
    error = calls.scene.only_error(run)

    (again,) = calls.retry([error])
    error.refresh_from_db()
    assert (error.state, error.reason) == ("resolved", Reason.RETRY_FAILED)
    assert again.rolled_back == 3
    second = calls.scene.only_error(again)
    assert (second.unit, second.state, second.previous_error_id) == ("page", "open", error.pk)

    calls.apply(parent_of("R", PAGE), child_of("R").replace(F, "'F'"))
    (third,) = calls.retry([second])
    assert (third.success, third.outcome) == (3, "completed")
    second.refresh_from_db()
    assert (second.state, second.reason) == ("resolved", Reason.RETRIED)
    assert [calls.marks(n) for n in (1, 2, 3)] == ["P,C,F,D,N"] * 3


def test_what_a_handling_answers_leaves_the_page_alone(calls):
    flow = calls.apply(parent_of("R", PAGE), child_of("CW/e"))
    run = calls.run(flow, "good", "refused", "late")
    assert [calls.marks(n) for n in (1, 2, 3)] == ["P,C,F,D,N", "P,C,H,N", "P,C,H,N"]
    assert (run.success, run.rolled_back, run.unit_errors) == (3, 0, 0)


def test_a_rolled_back_page_keeps_its_answered_errors_and_its_log(calls):
    parent = parent_of("R", PAGE).replace("'N'", "'X' if record.id == 3 else 'N'")
    flow = calls.apply(parent, child_of("CW/e"))
    run = calls.run(flow, "good", "refused", "good")
    assert [calls.marks(n) for n in (1, 2, 3)] == [""] * 3
    errors = {e.unit: e for e in calls.scene.errors(run)}
    assert (errors["record"].reason, errors["record"].step.key) == (Reason.HANDLED, "call-child")
    assert (errors["page"].state, errors["page"].step.key) == ("open", "n")
    assert "the handler's log" in paths_run(calls, run)


# --- a page of many --------------------------------------------------------------------------------------------------
KINDS = {
    0: "good",
    1: "refused",  # by the target, at F
    2: "late",  # written at F, and then failed
    3: "n refused",  # by the target, at N: after the sub-flow has come to its end
    4: "p refused",  # by the target, at P: nothing was written yet
}


def mixed_parent(cell: str) -> str:
    text = parent_of(cell).replace("\"'P'\"", "\"'X' if record.way == 'p refused' else 'P'\"")
    return text.replace("\"'N'\"", "\"'X' if record.way == 'n refused' else 'N'\"")


@pytest.mark.parametrize(
    ("sub", "parent", "at_f"),
    [("R", "R", ""), ("CW/x", "CW/e", "P,C,H,PH"), ("CR/e", "R", "H,N"), ("CO", "CO", "P,C,D,N")],
)
def test_many_records_of_a_page_fail_in_many_ways_and_each_ends_as_it_would_alone(calls, sub, parent, at_f):
    ways = [KINDS[n % 5] for n in range(100)]
    flow = calls.apply(mixed_parent(parent), child_of(sub))
    run = calls.run(flow, *ways)

    expected = {"good": "P,C,F,D,N", "refused": at_f, "late": at_f, "n refused": "", "p refused": ""}
    assert [calls.marks(n + 1) for n in range(100)] == [expected[way] for way in ways]
    still_open = [e for e in calls.scene.errors(run) if e.state == ErrorState.OPEN]
    failing = {"n refused": "n", "p refused": "p"} | ({} if at_f else {"refused": "call-child", "late": "call-child"})
    assert {(ways[e.ordinal], e.step.key) for e in still_open} == set(failing.items())
    assert len(still_open) == 20 * len(failing) == run.failed
    data = RetryData.objects.of(run.account_id).filter(error__in=still_open).select_related("from_step")
    assert {row.from_step.key for row in data} == {"p"}


def test_a_lookup_sees_what_its_scope_has_written_and_is_asked_once(calls):
    look = "- key: look\n  lookup: {connection: target, query: 'SELECT count(*) AS n FROM marks WHERE record = :id', "
    look += "parameters: {id: record.id}, into: found}\n"
    steps = write_mark("p", "'P'") + look + write_mark("n", "'X' if record.way == 'refused' else text(record.found.n)")
    flow = calls.scene.apply(head_of("parent") + indented(steps, 2))
    calls.run(flow, "good", "refused", "good")
    assert [calls.marks(n) for n in (1, 2, 3)] == ["P,1", "", "P,1"]


def test_the_step_policy_fail_stops_the_run_after_what_a_handling_kept(calls):
    """Keep what was done and stop: custom without rollback that ends, and the policy fail."""
    child = child_of("CW/e").replace("    handling:", "    on_error: fail\n    handling:")
    flow = calls.apply(parent_of("R", "page_size: 2\n"), child)
    run = calls.run(flow, "good", "refused", "good")
    assert run.status == RunStatus.FAILED
    assert [calls.marks(n) for n in (1, 2, 3)] == ["P,C,F,D,N", "P,C,H,N", ""]
