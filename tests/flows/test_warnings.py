"""What a definition may do that its author may not expect is told when it is applied."""

import pytest

from apps.flows.definition import Known, parse_definition
from apps.flows.definition.warnings import warnings_of

SOURCE = "  - {{key: source, export: {{connection: files, path: a.jsonl}}}}\n"
HEAD = "flow: {key}\nintegration: shop\n{head}steps:\n" + SOURCE
LOAD = "import: {connection: target, operation: insert, table: t}"
POST = "import: {connection: shop, method: POST, path: /orders}"
CUSTOM = "handling: custom_with_rollback, ends: end, handler: []"
CONNECTIONS = {"files": "file", "target": "sql", "other": "sql", "shop": "http"}


SILENT = "passes over failures"


def told(*steps: str, head: str = "", **callees: list[str]) -> dict[str, str]:
    """Place -> warning of a flow with these steps, and others that it calls; not that failures are passed over."""
    return {place: text for place, text in all_told(*steps, head=head, **callees).items() if SILENT not in text}


def all_told(*steps: str, head: str = "", **callees: list[str]) -> dict[str, str]:
    texts = {key: text_of(key, found) for key, found in callees.items()}
    known = Known(connections={"production": CONNECTIONS}, callee=texts.get)
    found = warnings_of(parse_definition(text_of("orders", steps, head), known=known))
    return {warning.place: str(warning) for warning in found}


def text_of(key: str, steps, head: str = "") -> str:
    lines = [f"  - {{key: s{number}, {step}}}\n" for number, step in enumerate(steps)]
    return HEAD.format(key=key, head=head) + "".join(lines)


def test_a_plain_flow_has_no_warning():
    assert told(LOAD) == {}
    assert told(POST) == {}


def test_work_of_the_caller_that_vanishes_silently_is_told():
    found = told(LOAD, "call: child", child=[LOAD, f"{LOAD}, {CUSTOM}"])
    assert "undoes what the calling flow wrote before" in found["steps[2]"]
    assert "s1 of child" in found["steps[2]"]


@pytest.mark.parametrize(
    "call", ["call: child, handling: continue", f"call: child, {CUSTOM.replace('with_', 'without_')}"]
)
def test_a_call_with_a_savepoint_keeps_the_callers_work(call):
    assert told(LOAD, call, child=[LOAD, f"{LOAD}, {CUSTOM}"]) == {}


def test_nothing_vanishes_where_the_caller_wrote_nothing_or_the_error_is_raised_again():
    assert told("call: child", child=[LOAD, f"{LOAD}, {CUSTOM}"]) == {}
    assert told(LOAD, "call: child", child=[f"{LOAD}, {CUSTOM.replace('ends: end', 'ends: error_end')}"]) == {}


def test_a_send_now_in_a_page_scope_is_told():
    handled = f"{POST}, when: now, handling: continue"
    found = told(LOAD, handled, head="scope: page\n")
    assert "sends now, inside the scope page" in found["steps[2]"]
    assert told(LOAD, handled) == {}
    assert told(LOAD, f"{POST}, handling: continue", head="scope: page\n") == {}


def test_a_send_in_a_scope_without_a_handling_of_its_own_is_told():
    assert "has no handling of its own" in told(LOAD, POST)["steps[2]"]


def test_two_databases_in_one_flow_are_told():
    found = told(LOAD, LOAD.replace("target", "other"))
    assert "one of them may commit without the other" in found["steps[2]"]


def test_rows_written_by_their_keys_from_several_pages_at_once_are_told():
    upsert = LOAD.replace("insert, table: t", "upsert, table: t, keys: [id]")
    head = "page_order: free\nparallel_pages: 4\n"

    assert "either may be written last" in told(upsert, head=head)["steps[1]"]
    assert told(LOAD, head=head) == told(upsert) == {}


def test_more_than_two_nested_handlings_are_told():
    inner = f"{LOAD}, handling: continue"
    for number in range(2):
        inner = f"{LOAD}, handling: custom_without_rollback, ends: end, handler: [{{key: h{number}, {inner}}}]"
    assert "has a handling inside 2 others" in " ".join(told(inner).values())


def test_a_long_wait_inside_a_scope_is_told():
    assert "waits 10 seconds" in told(f"{LOAD}, on_error: retry")["steps[1]"]
    assert told(f"{LOAD}, on_error: {{policy: retry, seconds: 5}}") == {}
    assert told(f"{LOAD}, on_error: retry", head="scope: none\n") == {}


def test_a_run_that_is_one_scope_wants_a_bound_and_sends_nothing_now():
    assert "more than 100,000" in told(LOAD, head="scope: run\n")["scope"]
    bounded = "scope: run\nmax_records: 5000\n"
    assert told(LOAD, head=bounded) == {}
    now = f"{POST}, when: now, handling: continue"
    assert "sends now, inside the scope run" in told(LOAD, now, head=bounded)["steps[2]"]


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        ("handling: continue", "handling"),
        ("on_error: ignore", "on_error"),
        ("on_error: {policy: set_aside, exceptions: {duplicate: ignore}}", "on_error"),
    ],
)
def test_failures_that_are_passed_over_without_a_word_to_anybody_are_told(answer, field):
    found = all_told(f"{LOAD}, {answer}")
    assert SILENT in found[f"steps[1].{field}"]
    assert all_told(LOAD) == {}


def test_a_called_flow_is_warned_about_when_it_is_saved_itself():
    assert all_told("call: child", child=[f"{LOAD}, handling: continue"]) == {}
