"""Policies as a definition writes them: what they mean, and each mistake with its place and what to do."""

import pytest

from apps.engine.plan import OnError
from apps.engine.ports import Classification, Failure, Scope
from apps.flows.definition.models import ErrorClass
from apps.flows.planning import build_plan
from tests.fakes.world import NOW
from tests.flows.definitions import flow_of, read, told


def policy_of(on_error: str):
    return build_plan(read(flow_of(f"{{key: a, log: hi, on_error: {on_error}}}"))).nodes[1].policy


def answers(on_error: str, *classes: str) -> list[str]:
    policy = policy_of(on_error)
    return [str(policy.answer_to(Failure("application", "", "no", name))) for name in classes]


def test_the_classes_of_a_definition_are_those_of_the_engine():
    assert set(ErrorClass.__args__) == {name.value or "none" for name in Classification}


def test_what_the_same_record_meets_again_is_not_tried_again():
    lasting = ["value", "missing", "parse", "too_large"]
    assert answers("{policy: retry, then: set_aside}", *lasting) == ["set_aside"] * 4
    assert answers("{policy: retry}", *lasting) == ["fail"] * 4
    assert answers("retry", "intermittent", "rate_limit", "connection", "duplicate") == ["retry"] * 4


def test_a_definition_may_say_that_such_a_class_is_tried_again():
    assert answers("{policy: retry, exceptions: {missing: retry}}", "missing", "value") == ["retry", "fail"]


def test_a_class_may_be_answered_in_another_way_than_the_rest():
    rules = "{policy: set_aside, exceptions: {connection: fail, duplicate: ignore}}"
    assert answers(rules, "connection", "duplicate", "value") == ["fail", "ignore", "set_aside"]


def test_after_the_attempts_of_an_exception_the_policy_of_the_step_holds():
    assert policy_of("{policy: ignore, seconds: 2, exceptions: {intermittent: retry}}").then is OnError.IGNORE
    assert policy_of("{policy: ignore, then: fail, exceptions: {intermittent: retry}}").then is OnError.FAIL


def test_substitute_values_are_expressions_that_read_the_record_and_the_error():
    given = "{price: 0, seen: false, by: null, why: error.message, was: record.x}"
    substitute = policy_of(f"{{policy: ignore, substitute: {given}}}").substitute
    scope = Scope(NOW, error={"type": "value", "message": "no", "trace": ""})
    assert substitute({"x": 7}, scope) == {"price": 0, "seen": False, "by": None, "why": "no", "was": 7}


@pytest.mark.parametrize(
    ("on_error", "place", "sentence"),
    [
        ("{policy: retry, exceptions: {valu: fail}}", ".exceptions.valu", "did you mean value?"),
        ("{policy: retry, exceptions: {value: skip}}", ".exceptions.value", "must be one of set_aside, fail, ignore"),
        ("{policy: retry, exceptions: [value]}", ".exceptions", "This must be a set of fields, not a list."),
        ("{policy: set_aside, exceptions: {value: fail}, attempts: 2}", "", "attempts: only the policy retry"),
        ("{policy: set_aside, substitute: {a: 1}}", "", "only a record that is ignored goes on with substitute"),
        ("{policy: retry, substitute: {a: 1}}", "", "only a record that is ignored goes on with substitute"),
        ("{policy: ignore, substitute: {}}", ".substitute", "A mapping needs at least one field."),
        ("{policy: ignore, substitute: {a: recrd.x}}", ".substitute.a", "did you mean record?"),
        ("{policy: ignore, substitute: {a: answer.x}}", ".substitute.a", "answer is not a known name"),
        ("{policy: ignore, excepions: {}}", ".excepions", "did you mean exceptions?"),
    ],
)
def test_a_mistake_in_a_policy_is_told_with_its_place(on_error, place, sentence):
    assert sentence in told(flow_of(f"{{key: a, log: hi, on_error: {on_error}}}"))[f"steps[1].on_error{place}"]


# --- workflow retry --------------------------------------------------------------------------------------------------
def workflow_retry(given: str):
    return build_plan(read(flow_of(head=f"workflow_retry: {given}"))).workflow_retry


def test_a_failed_run_is_not_run_again_unless_the_flow_says_so():
    assert build_plan(read(flow_of())).workflow_retry.attempts == 0
    assert workflow_retry("0").attempts == 0


def test_workflow_retry_is_a_number_of_attempts_or_says_more():
    short, whole = workflow_retry("3"), workflow_retry("{attempts: 10, minutes: 30, backoff: true}")
    assert (short.attempts, short.minutes, short.backoff) == (3, 5, False)
    assert (whole.attempts, whole.minutes, whole.backoff) == (10, 30, True)


def test_a_unique_id_is_a_template_of_the_payload():
    unique_id = workflow_retry('{attempts: 1, unique_id: "{{ record.order }}-{{ run.parameters.shop }}"}').unique_id
    assert unique_id({"order": 7}, Scope(NOW, run={"parameters": {"shop": "B"}})) == "7-B"


@pytest.mark.parametrize(
    ("given", "place", "sentence"),
    [
        ("11", ".attempts", "This must be at most 10, but it is the number 11."),
        ("{attempts: 3, minutes: 0}", ".minutes", "This must be at least 1"),
        ("{attempts: 3, minutes: 1441}", ".minutes", "This must be at most 1440"),
        ("{minutes: 3}", ".attempts", "This field is needed. how often a failed run is run again, 0 to 10"),
        ("{attempts: 3, hours: 1}", ".hours", "There is no field hours here."),
        ('{attempts: 3, unique_id: "{{ now }}"}', ".unique_id", "now is not a known name"),
        ("true", "", "This must be a set of fields, not true."),
    ],
)
def test_a_mistake_in_workflow_retry_is_told_with_its_place(given, place, sentence):
    assert sentence in told(flow_of(head=f"workflow_retry: {given}"))[f"workflow_retry{place}"]
