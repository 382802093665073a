"""Calls of sub-flows: what goes in and comes back, what a failure inside is told with, revisions, retries."""

import json

import pytest

from apps.errors.states import Reason
from apps.flows.definition import DefinitionError
from apps.flows.models import Revision
from apps.runs.models import StepRun
from apps.runs.statuses import RunOutcome
from tests.scenarios.calls import Calls, child_of, head_of, indented, parent_of, write_mark
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.django_db


@pytest.fixture
def calls(sqlite_scene: Scene) -> Calls:
    made = Calls(sqlite_scene)
    made.prepare()
    return made


def flow_of(key: str, *steps: str, head: str = "") -> str:
    return head_of(key, head) + indented("".join(steps), 2)


def test_parameters_go_in_and_the_result_comes_back(calls):
    child = flow_of(
        "child",
        "- key: double\n  map: {twice: record.n * 2, from_settings: settings.word}\n",
        head="settings: {word: hello}\n",
    )
    parent = flow_of(
        "parent",
        "- key: call-child\n  call:\n    flow: child\n    parameters: {n: record.id + 10}\n"
        "    result: {twice: answer.twice, word: answer.from_settings}\n",
        write_mark("p", "record.way + text(record.twice) + record.word"),
    )
    run = calls.run(calls.apply(parent, child), "a", "b")
    assert [calls.marks(n) for n in (1, 2)] == ["a22hello", "b24hello"]
    assert run.outcome == RunOutcome.COMPLETED


def test_without_result_the_caller_goes_on_with_its_own_record(calls):
    child = flow_of("child", "- key: shape\n  map: {nothing: 1}\n")
    flow = calls.apply(flow_of("parent", "- key: call-child\n  call: child\n", write_mark("p", "record.way")), child)
    calls.run(flow, "kept")
    assert calls.marks(1) == "kept"


def test_a_record_that_a_sub_flow_filters_out_is_ignored_by_the_call_and_goes_on(calls):
    child = flow_of("child", "- key: only\n  filter: record.way == 'in'\n", write_mark("c", "'C'"))
    flow = calls.apply(flow_of("parent", "- key: call-child\n  call: child\n", write_mark("n", "'N'")), child)
    run = calls.run(flow, "in", "out")
    assert [calls.marks(n) for n in (1, 2)] == ["C,N", "N"]
    row = StepRun.unscoped.get(run=run, step__key="call-child")
    assert (row.came_in, row.success, row.ignored) == (2, 1, 1)


def test_calls_inside_calls_tell_the_whole_path(calls):
    calls.scene.apply(flow_of("inner", write_mark("f", "'X'")))
    calls.scene.apply(flow_of("middle", "- key: deeper\n  call: inner\n"))
    flow = calls.scene.apply(flow_of("outer", write_mark("p", "'P'"), "- key: go\n  call: middle\n"))
    error = calls.scene.only_error(calls.run(flow, "a"))
    assert error.source_step_path == "Outer \u203a Go \u203a Middle \u203a Deeper \u203a Inner \u203a F"
    assert (error.step.key, calls.marks(1)) == ("go", "")


def test_a_handler_reads_the_error_and_its_record(calls):
    note = write_mark("note", "error.step + '|' + error.type + '|' + error.path + '|' + record.error.code")
    call = "- key: f\n  import: {connection: target, operation: insert, table: marks}\n"
    call += "  mapping: {record: record.id, mark: \"'X'\"}\n  handling: custom_without_rollback\n  ends: end\n"
    flow = calls.scene.apply(flow_of("parent", call + "  handler:\n" + indented(note, 4)))
    run = calls.run(flow, "a")
    step, kind, path, code = calls.marks(1).split("|")
    assert (step, kind, path) == ("F", "value", "F")
    assert code
    assert "CHECK constraint failed" in calls.scene.log(run)
    assert calls.scene.only_error(run).reason == Reason.HANDLED


def test_the_log_step_of_a_handler_can_be_left_out(calls):
    child = child_of("CW/e").replace("    handling:", "    handler_log: false\n    handling:")
    run = calls.run(calls.apply(parent_of("R"), child), "refused")
    assert "CHECK constraint failed" not in calls.scene.log(run)


def test_a_retry_of_an_error_inside_a_call_repeats_the_call(calls):
    flow = calls.apply(parent_of("R", "scope: none\n"), child_of("R"))
    run = calls.run(flow, "refused")
    error = calls.scene.only_error(run)
    assert error.retry_data.from_step.key == "call-child"
    assert calls.marks(1) == "P,C"

    calls.apply(parent_of("R", "scope: none\n"), child_of("R").replace("'X' if", "'F' if"))
    (again,) = calls.retry([error])
    assert calls.marks(1) == "P,C,C,F,D,N"
    assert again.outcome == RunOutcome.COMPLETED


def test_a_retry_of_what_a_handler_failed_with_starts_where_the_undone_writes_began(calls):
    """The handler undid P and then failed itself: P is written by the retry."""
    handler = write_mark("h", "'X'")
    fails = "- key: f\n  filter: record.nothing\n  handling: custom_with_rollback\n  ends: end\n  handler:\n"
    flow = calls.scene.apply(flow_of("parent", write_mark("p", "'P'"), fails + indented(handler, 4)))
    run = calls.run(flow, "a")
    errors = {e.step.key: e for e in calls.scene.errors(run)}
    assert (errors["f"].reason, errors["h"].state) == (Reason.HANDLED, "open")
    assert errors["h"].retry_data.from_step.key == "p"
    assert json.loads(calls.scene.retry_data(errors["h"])) == {"id": 1, "way": "a"}


def test_what_was_done_with_a_record_is_told_with_its_error(calls):
    flow = calls.apply(parent_of("CW/e"), child_of("R"))
    (error,) = calls.scene.errors(calls.run(flow, "refused"))
    assert error.effects["rolled_back"] == ["Parent \u203a Call child \u203a Child \u203a C"]
    assert error.effects["committed"] == ["P", "call-child/on error"]


# --- revisions -------------------------------------------------------------------------------------------------------
def test_a_changed_sub_flow_gives_its_callers_a_revision(calls):
    flow = calls.apply(parent_of("R"), child_of("R"))
    applied = calls.scene.apply(child_of("R").replace("'D'", "'E'"))
    flow.refresh_from_db()
    assert flow.revision.number == 2
    assert flow.revision.callees == {"child": applied.revision_id}
    calls.run(flow, "good")
    assert calls.marks(1) == "P,C,F,E,N"


def test_a_run_works_by_the_sub_flow_as_it_was_when_the_run_began(calls):
    from apps.flows.planning import build_plan, read_revision

    flow = calls.apply(parent_of("R"), child_of("R"))
    before = Revision.unscoped.get(pk=flow.revision_id)
    calls.scene.apply(flow_of("child", write_mark("c", "'C'")))
    keys = [node.key for node in build_plan(read_revision(before)).nodes]
    assert "call-child/d" in keys


def test_a_sub_flow_is_not_changed_so_that_its_callers_could_not_run(calls):
    calls.scene.apply(flow_of("more", write_mark("c", "'C'")))
    calls.scene.apply(flow_of("f0", write_mark("c", "'C'")))
    for number in range(1, 6):
        calls.scene.apply(flow_of(f"f{number}", f"- key: a\n  call: f{number - 1}\n"))
    with pytest.raises(DefinitionError, match="The flow f5 calls this one, and could not any more"):
        calls.scene.apply(flow_of("f0", "- key: b\n  call: more\n"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (flow_of("parent", "- key: a\n  call: parent\n"), "in a circle: parent calls parent"),
        (flow_of("parent", "- key: a\n  call: nobody\n"), "There is no flow nobody to call."),
        (flow_of("parent", "- key: a\n  call: {flow: child, parameter: {}}\n"), "did you mean parameters?"),
        (flow_of("parent", "- key: a\n  call: child\n  handler: []\n"), "only a custom handling has a handler"),
        (flow_of("parent", "- key: a\n  call: child\n  handling: custom_with_rollback\n"), "either end or error_end"),
        (flow_of("parent", "- key: a\n  call: child\n  handling: rolback\n"), "did you mean rollback?"),
        (flow_of("parent", "- key: a\n  filter: error.message\n"), "error"),
        (
            flow_of("parent", "- key: a\n  call: child\n  handling: rollback\n  on_error: ignore\n"),
            "ignore lets the record go on, the handling rollback does not",
        ),
    ],
)
def test_mistakes_in_calls_and_handlings_are_told(calls, text, sentence):
    calls.scene.apply(child_of("R"))
    with pytest.raises(DefinitionError) as refused:
        calls.scene.apply(text)
    assert sentence in str(refused.value)


def test_calls_are_nested_only_so_deep(calls):
    calls.scene.apply(flow_of("f0", write_mark("c", "'C'")))
    for number in range(1, 6):
        calls.scene.apply(flow_of(f"f{number}", f"- key: a\n  call: f{number - 1}\n"))
    with pytest.raises(DefinitionError, match="nested at most 5 deep"):
        calls.scene.apply(flow_of("f6", "- key: a\n  call: f5\n"))
