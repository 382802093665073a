"""What a step's policy makes of its failures, from the definition to the target and the books."""

from datetime import timedelta

import orjson
import pytest

from apps.flows.models import Flow
from apps.runs.models import Run, StepRun
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.django_db

HEAD = """
flow: orders
integration: {key: trial, name: Trial}
enabled: true
page_size: 4
steps:
  - key: source
    export: {connection: files, path: a.jsonl}
    trace_key: "{{ record.id }}"
"""
SHAPE = """  - key: shape
    map: {amount: integer(record.amount)}
    keep: true
    on_error: %s
"""
LOAD = """  - key: load
    import: {connection: target, operation: upsert, table: orders, keys: [id]}
    mapping: {id: record.id, amount: record.amount, note: "default(record.note, None)"}
    on_error: %s
"""


def flow_of(scene: Scene, shape: str = "set_aside", load: str = "set_aside") -> Flow:
    return scene.apply(HEAD + SHAPE % shape + LOAD % load)


def write(scene: Scene, *amounts: object) -> None:
    scene.write("a.jsonl", b"\n".join(orjson.dumps({"id": n, "amount": a}) for n, a in enumerate(amounts)))


def stands(scene: Scene) -> list[tuple[int, int, str | None]]:
    return [tuple(row) for row in scene.place.rows("SELECT id, amount, note FROM orders ORDER BY id")]


def states(scene: Scene, run: Run) -> list[tuple[str, str, str]]:
    """Key, state and reason of the run's errors."""
    return [(error.key, error.state, error.reason) for error in scene.errors(run)]


def test_set_aside_is_the_default_and_the_others_go_on(scene):
    write(scene, 1, "x", 3)
    run = scene.run(flow_of(scene))
    assert (run.outcome, run.success, run.failed) == ("completed_with_errors", 2, 1)
    assert states(scene, run) == [("1", "open", "")]


def test_an_ignored_record_goes_on_with_substitute_values_and_is_no_open_error(scene):
    write(scene, 1, "x", 3)
    run = scene.run(flow_of(scene, '{policy: ignore, substitute: {amount: 0, note: "upper(error.type)"}}'))
    assert stands(scene) == [(0, 1, None), (1, 0, "PARSE"), (2, 3, None)]
    assert (run.outcome, run.success, run.errors) == ("completed", 3, 1)
    assert states(scene, run) == [("1", "resolved", "handled")]


def test_what_the_same_record_meets_again_is_set_aside_at_once(scene):
    write(scene, 1, "x", 3)
    run = scene.run(flow_of(scene, "{policy: retry, seconds: 3600, then: set_aside}"))
    assert (run.outcome, states(scene, run)) == ("completed_with_errors", [("1", "open", "")])


def test_a_class_of_its_own_stops_the_run(scene):
    write(scene, 1, "x", 3, 4, 5, 6)
    run = scene.run(flow_of(scene, "{policy: set_aside, exceptions: {parse: fail}}", "set_aside"))
    assert (run.outcome, run.success, run.failed, scene.loaded()) == ("failed", 3, 1, [0, 2, 3])


def test_other_classes_do_not_stop_it(scene):
    write(scene, 1, -1, 3)
    run = scene.run(flow_of(scene, load="{policy: set_aside, exceptions: {connection: fail}}"))
    assert (run.outcome, scene.loaded()) == ("completed_with_errors", [0, 2])


def test_attempts_are_made_when_they_are_due_and_the_record_is_counted_once(scene):
    write(scene, 1, -1, 3)
    rule = "{policy: retry, seconds: 20, attempts: 2, backoff: true, then: set_aside, exceptions: {value: retry}}"
    run = scene.run(flow_of(scene, load=rule))
    assert (run.status, scene.loaded()) == ("running", [0, 2])
    assert run.wait_reason.startswith("waiting: step Load: attempt 2 of 3 after ")
    due = run.not_before
    assert scene.work(run, due - timedelta(seconds=1)).not_before == due
    scene.work(run, due)
    assert run.not_before == due + timedelta(seconds=40)
    last = scene.work(run, run.not_before)
    assert (last.outcome, states(scene, last)) == ("completed_with_errors", [("1", "open", "")])
    counts = StepRun.unscoped.get(run=last, step__key="load")
    assert (counts.came_in, counts.success, counts.errors) == (3, 2, 1)


def test_the_error_of_the_last_attempt_may_be_ignored(scene):
    write(scene, 1, -1, 3)
    rule = "{policy: retry, seconds: 1, attempts: 1, then: ignore, exceptions: {value: retry}}"
    run = scene.work_to_the_end(scene.run(flow_of(scene, load=rule)))
    assert (run.outcome, states(scene, run)) == ("completed", [("1", "resolved", "handled")])


def test_a_record_that_goes_on_despite_its_error_is_written_further_on_and_stays_open(scene):
    write(scene, 1, -1, 3)
    last = """  - key: note
    import: {connection: target, operation: insert, table: journal}
    mapping: {id: record.id, amount: 0}
"""
    text = HEAD + SHAPE % "set_aside" + LOAD % "set_aside" + "    continue_on_error: true\n" + last
    run = scene.run(scene.apply(text))
    assert (scene.loaded(), scene.loaded("journal")) == ([0, 2], [0, 1, 2])
    assert states(scene, run) == [("1", "open", "")]


def test_a_definition_with_policies_is_kept_to_the_letter_and_applied_again_without_a_change(sqlite_scene):
    rule = "{policy: retry, attempts: 2, then: ignore, exceptions: {value: fail}, substitute: {amount: 0}}"
    text = "workflow_retry: {attempts: 3, minutes: 5, backoff: true}  # patience" + HEAD + SHAPE % rule + LOAD % "fail"
    flow = sqlite_scene.apply(text)
    assert flow.revision.definition == text
    assert sqlite_scene.apply(flow.revision.definition).revision_id == flow.revision_id
