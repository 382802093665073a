"""One error in full, beside its list."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account
from apps.console.json_view import code_view
from apps.console.selectors import errors as selectors
from apps.errors.models import Cause, Error, RetryItem
from apps.flows.models import Flow, Step
from apps.runs.models import Capture
from tests.console.screens import html_of, keyed_error, orders_flow, text_of
from tests.factories import make_cause, make_flow, make_member, make_retry_data, make_run, make_user, step_of

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def step(account: Account) -> Step:
    flow: Flow = orders_flow(account)
    return step_of(flow)


def path_of(error: Error, tab: str = "") -> str:
    return f"/flows/{error.flow_id}/steps/{error.step_id}/errors/{error.pk}/{tab}"


def test_the_message_is_shown_in_full_and_as_it_is(page: Client, step: Step) -> None:
    message = "Invalid item\n" + "reference " * 200
    error = keyed_error(make_run(step.flow), step, "A", message=message)
    assert f'<h2 class="msg">{message}</h2>' in html_of(page, path_of(error))


def test_the_facts_of_an_error_are_all_there(page: Client, step: Step, noon: datetime) -> None:
    cause = make_cause(step, classification="value", source="mapping", code="number")
    run = make_run(step.flow)
    error = keyed_error(
        run,
        step,
        "A-17",
        cause=cause,
        page_seq=13,
        ordinal=6508,
        effects={"field": "items[1].sku", "place": "line 6,510"},
    )
    text = text_of(html_of(page, path_of(error)))
    assert "Trace key A-17" in text
    assert "Occurred 2 Mar 12:00:00 UTC" in text
    assert "Classification Value (set by rule)" in text
    assert "Source, code mapping, number" in text
    assert f"r-{run.pk} , page 14, record 6,509" in text
    assert "Mapped field items[1].sku" in text
    assert "In the source line 6,510" in text


def test_who_corrected_the_class_is_named(page: Client, account: Account, step: Step) -> None:
    mara = make_member(account, user=make_user("mara", first_name="Mara"))
    error = keyed_error(make_run(step.flow), step, "A", cause=make_cause(step, classified_by=mara))
    assert "(set by Mara)" in text_of(html_of(page, path_of(error)))


def test_other_open_errors_of_the_root_cause_are_one_click_away(page: Client, step: Step) -> None:
    cause = make_cause(step)
    errors = [keyed_error(make_run(step.flow), step, key, cause=cause) for key in "ABC"]
    html = html_of(page, path_of(errors[0]))
    assert "Same root cause as 2 other open errors." in html
    assert f'href="/flows/{step.flow_id}/steps/{step.pk}/errors/open/?cause={cause.pk}">Show 3</a>' in html


def test_a_lonely_error_has_no_hint(page: Client, step: Step) -> None:
    error = keyed_error(make_run(step.flow), step, "A")
    assert Cause.unscoped.get(pk=error.cause_id).open_errors == 1
    assert "Same root cause" not in html_of(page, path_of(error))


def test_the_record_is_laid_out_and_the_line_that_failed_is_marked(page: Client, step: Step) -> None:
    error = keyed_error(make_run(step.flow), step, "A", effects={"field": "items[1].price"})
    make_retry_data(error, b'{"id":"A","items":[{"price":1.10},{"price":"x"}]}')
    html = html_of(page, path_of(error))
    assert '<span class="ln del" data-n="8">      <span class="k">&quot;price&quot;</span>: <span class="s">' in html
    assert '<span class="d">1.10</span>' in html


def test_a_record_that_is_no_text_is_shown_safely(page: Client, step: Step) -> None:
    error = keyed_error(make_run(step.flow), step, "A")
    make_retry_data(error, b"Orders;\xff\x00\x1b[31m")
    html = html_of(page, path_of(error))
    assert "This is not UTF-8 text" in html
    assert "Orders;\\xff\\u0000\\u001b[31m" in html


def test_a_failed_window_is_shown_as_such(page: Client, step: Step) -> None:
    error = keyed_error(make_run(step.flow), step, "", unit="window")
    make_retry_data(error, None, window={"position": {"line": 500}})  # type: ignore[arg-type]
    text = text_of(html_of(page, path_of(error)))
    assert "Concerns a window, not a single record" in text
    assert "Window that failed" in text


def test_a_purged_record_says_so(page: Client, step: Step, noon: datetime) -> None:
    error = keyed_error(make_run(step.flow), step, "A")
    make_retry_data(error, None, purged_at=noon)  # type: ignore[arg-type]
    assert "The record&#x27;s data is not kept any more." in html_of(page, path_of(error)).replace("'", "&#x27;")
    assert "The retry data was purged" in html_of(page, path_of(error, "data/"))


def test_retry_data_tells_where_a_retry_starts(page: Client, step: Step) -> None:
    error = keyed_error(make_run(step.flow), step, "A")
    make_retry_data(error, b'{"id": 1}', from_step_id=step_of(step.flow, "source").pk, version=2)
    text = text_of(html_of(page, path_of(error, "data/")))
    assert "from the step Source on" in text
    assert "version 2, 3 lines, 9 bytes" in text


def test_request_and_answer_are_there_when_they_were_captured(page: Client, step: Step, noon: datetime) -> None:
    run = make_run(step.flow)
    capture = Capture.unscoped.create(
        account_id=run.account_id,
        run=run,
        step=step,
        sent_at=noon,
        ms=412,
        method="POST",
        status="400",
        request={"url": "/orders", "body": "{}"},
        response={"body": "no such item"},
    )
    error = keyed_error(run, step, "A", capture=capture)
    assert ">Request</a>" in html_of(page, path_of(error))
    assert "/orders" in html_of(page, path_of(error, "request/"))
    answer = text_of(html_of(page, path_of(error, "response/")))
    assert "Status 400 After 412 ms" in answer
    assert "no such item" in answer


def test_without_a_capture_there_is_no_tab_for_it(page: Client, step: Step) -> None:
    error = keyed_error(make_run(step.flow), step, "A")
    assert ">Request</a>" not in html_of(page, path_of(error))
    assert "was not captured" in html_of(page, path_of(error, "request/"))


def test_history_shows_what_happened_to_the_same_record_and_its_retries(
    page: Client, step: Step, noon: datetime
) -> None:
    run = make_run(step.flow)
    newer = keyed_error(run, step, "A", message="Failed again")
    older = keyed_error(
        run,
        step,
        "A",
        message="Failed first",
        state="resolved",
        reason="superseded",
        resolved_error=newer,
        resolved_at=noon,
        occurred_at=noon - timedelta(hours=1),
    )
    retry = make_run(step.flow, kind="retry")
    RetryItem.unscoped.create(
        account_id=run.account_id, run=retry, error=newer, seq=0, state="done", outcome="retry_failed", at=noon
    )
    text = text_of(html_of(page, path_of(newer, "history/")))
    assert f"{older} in run r-{run.pk} Failed first Superseded by a newer error, {newer}" in text
    assert f"Failed again in r-{retry.pk} by auto, version 1" in text


def test_a_resolved_error_stands_beside_the_resolved_ones(page: Client, step: Step, noon: datetime) -> None:
    run = make_run(step.flow)
    error = keyed_error(run, step, "A", state="resolved", reason="ignored", resolved_run=run, resolved_at=noon)
    html = html_of(page, path_of(error))
    assert f'data-key="Escape" href="/flows/{step.flow_id}/steps/{step.pk}/errors/resolved/"' in html
    assert f"The record was ignored, r-{run.pk}" in text_of(html)


def test_the_list_beside_keeps_its_filters_and_closing_leads_back_to_it(page: Client, step: Step) -> None:
    run, cause = make_run(step.flow), make_cause(step, code="X")
    errors = [keyed_error(run, step, f"A-{number}", cause=cause) for number in range(3)]
    other = keyed_error(run, step, "B")
    html = html_of(page, path_of(errors[1]) + "?code=X")
    assert path_of(errors[0]) + "?code=X" in html
    assert path_of(other) not in html
    assert 'errors/open/?code=X" aria-label="Close details (Esc)"' in html
    assert f'href="{path_of(errors[0])}?code=X" aria-label="Next error in the list"' in html


def test_the_list_beside_stays_as_it_is_while_a_retry_has_the_error(page: Client, step: Step) -> None:
    run = make_run(step.flow)
    oldest = keyed_error(run, step, "A-1", retry_run=make_run(step.flow, kind="retry"))
    other = keyed_error(run, step, "A-2")
    html = html_of(page, path_of(oldest))
    assert path_of(other) in html
    assert "No open errors" not in html


def test_the_list_beside_begins_with_an_error_that_is_not_on_its_first_page(
    page: Client, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "PAGE_SIZE", 2)
    run, cause = make_run(step.flow), make_cause(step)
    errors = [keyed_error(run, step, f"A-{number}", cause=cause) for number in range(5)]
    html = html_of(page, path_of(errors[1]))
    rows = html[html.index("<tbody>") : html.index("</tbody>")]
    assert [path_of(error) in rows for error in errors] == [True, True, False, False, False]
    assert '<tr class="cursor">' in rows
    assert ">Newer</a>" in html


def test_an_address_with_another_step_leads_to_the_right_one(page: Client, step: Step) -> None:
    error = keyed_error(make_run(step.flow), step, "A")
    source = step_of(step.flow, "source")
    answer = page.get(f"/flows/{step.flow_id}/steps/{source.pk}/errors/e-{error.pk}/")
    assert answer.headers["Location"] == path_of(error)


@pytest.mark.parametrize("tab", ["", "data/", "request/", "response/", "history/"])
def test_each_tab_takes_fifteen_queries(
    page: Client, step: Step, noon: datetime, django_assert_max_num_queries: Any, tab: str
) -> None:
    run, cause = make_run(step.flow), make_cause(step)
    capture = Capture.unscoped.create(account_id=run.account_id, run=run, step=step, request={"a": 1}, response={})
    facts: dict[str, Any] = {"state": "resolved", "reason": "superseded", "resolved_at": noon, "cause": cause}
    errors = [keyed_error(run, step, "A", capture=capture, **facts) for _ in range(6)]
    make_retry_data(errors[0])
    with django_assert_max_num_queries(15):
        html_of(page, path_of(errors[0], tab))


@pytest.mark.parametrize("tab", ["", "data/", "request/", "response/", "history/"])
def test_what_comes_from_outside_is_never_markup(page: Client, step: Step, noon: datetime, tab: str) -> None:
    run = make_run(step.flow)
    capture = Capture.unscoped.create(
        account_id=run.account_id,
        run=run,
        step=step,
        method=SCRIPT[:16],
        status=SCRIPT[:16],
        request={SCRIPT: SCRIPT},
        response={SCRIPT: [SCRIPT]},
    )
    effects = {"field": SCRIPT, "place": SCRIPT, "trace": SCRIPT}
    cause = make_cause(step, code=SCRIPT, source=SCRIPT[:32])
    error = keyed_error(
        run, step, SCRIPT, message=SCRIPT, capture=capture, effects=effects, cause=cause, source_step_path=SCRIPT
    )
    make_retry_data(error, json.dumps({SCRIPT: SCRIPT}).encode())
    RetryItem.unscoped.create(
        account_id=run.account_id, run=run, error=error, seq=0, message=SCRIPT, outcome=SCRIPT[:24]
    )
    html = html_of(page, path_of(error, tab))
    assert "<script>alert" not in html
    assert "&lt;script&gt;" in html


def test_a_record_of_another_flow_with_the_same_key_is_not_mixed_in(page: Client, account: Account, step: Step) -> None:
    error = keyed_error(make_run(step.flow), step, "A")
    other = make_flow(account)
    stranger = keyed_error(make_run(other), step_of(other), "A", message="somebody else")
    html = html_of(page, path_of(error, "history/"))
    assert path_of(stranger) not in html


# --- laying out records ----------------------------------------------------------------------------------------------
def lines(raw: bytes, **options: Any) -> list[str]:
    return ["".join(text for _, text in line.parts) for line in code_view(raw, **options).lines]


def test_json_is_laid_out_with_numbers_and_repeated_names_as_written() -> None:
    assert lines(b'{"a":1.50,"a":[],"b":{},"c":[1,null,true],"d":1e400}') == [
        "{",
        '  "a": 1.50,',
        '  "a": [],',
        '  "b": {},',
        '  "c": [',
        "    1,",
        "    null,",
        "    true",
        "  ],",
        '  "d": 1e400',
        "}",
    ]


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 5000, b'{"a": 1} x', b"a,b\nc,d"])
def test_what_is_no_json_is_shown_as_text(raw: bytes) -> None:
    assert code_view(raw).note == "This is not JSON: shown as it was received."


def test_nesting_beyond_what_can_be_laid_out_is_shown_as_text() -> None:
    assert "not JSON" in code_view(b"[" * 400 + b"]" * 400).note


def test_a_large_record_is_shown_in_part() -> None:
    view = code_view(b'"' + b"x" * 100_000 + b'"')
    assert view.note == "Too large to be laid out: the first 64,000 of 100,002 bytes, as they are."
    assert sum(len(line) for line in lines(b'"' + b"x" * 100_000 + b'"')) == 64_000


def test_many_lines_are_cut_and_counted() -> None:
    assert code_view(b"[" + b"1," * 9 + b"1]", most_lines=5).note == "The first 5 of 12 lines."


def test_lone_surrogates_and_turned_writing_are_written_out() -> None:
    assert lines(b'"\\ud800 \\u202e"') == ['"\\ud800 \\u202e"']


@pytest.mark.parametrize("field", ["b", "c[1].d", "c"])
def test_the_line_of_a_field_is_marked(field: str) -> None:
    view = code_view(b'{"a":1,"b":2,"c":[{"d":3},{"d":4}]}', field=field)
    marked = {"b": 3, "c[1].d": 9, "c": 4}
    assert [line.number for line in view.lines if line.is_marked] == [marked[field]]
