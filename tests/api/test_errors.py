"""Errors over the API: a test for each row of the contract."""

from datetime import timedelta

import pytest

from apps.accounts.models import Member, Role
from apps.accounts.tokens import Scope
from apps.core.ids import Kind, retry_data_key, wire_id
from apps.core.pagination import Cursor
from apps.errors.models import Error, ErrorTag, RetryData, RetryVersion, Tag
from apps.errors.rules.definition import Acts, Conditions, Definition
from apps.errors.rules.looking import look_by_rule
from apps.errors.services.rules import save_rule, switch_rule
from apps.errors.states import ErrorState, ErrorUnit, Passed, Reason
from apps.runs.models import Capture, Run
from tests.api.client import api_of
from tests.conftest import NOON
from tests.console.screens import orders_flow
from tests.factories import make_account, make_cause, make_error, make_flow, make_member, make_retry_data, step_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def flow(account):
    return orders_flow(account)


@pytest.fixture
def step(flow):
    return step_of(flow)


@pytest.fixture
def at(flow, step):
    """The address of the step."""
    return f"flows/{wire_id(Kind.FLOW, flow.pk)}/{wire_id(Kind.STEP, step.pk)}"


def failed(step, key="A-1", **fields):
    """An error with its retry data."""
    error = make_error(step=step, key=key, **fields)
    make_retry_data(error, b'{"id": "A-1", "price": "x"}')
    return error


def ids(*errors):
    return [wire_id(Kind.ERROR, error.pk) for error in errors]


# --- counts ----------------------------------------------------------------------------------------------------------
def test_flow_errors_counts_the_open_errors_of_each_step(api, flow, step):
    failed(step)
    found = api.call("GET", f"flows/{wire_id(Kind.FLOW, flow.pk)}/errors").json["flowErrors"]
    assert [(row["_expOrImpId"], row["numError"]) for row in found if row["numError"]] == [
        (wire_id(Kind.STEP, step.pk), 1)
    ]
    assert all(set(row) == {"_expOrImpId", "numError", "lastErrorAt"} for row in found)


def test_integration_errors_counts_by_flow_and_counts_anew_when_it_is_filtered(api, flow, step):
    failed(step, occurred_at=NOON)
    failed(step, key="A-2", cause=make_cause(step, source="mapping"), occurred_at=NOON + timedelta(hours=1))
    address = f"integrations/{wire_id(Kind.INTEGRATION, flow.integration_id)}/errors"
    (row,) = api.call("GET", address).json
    assert (row["_flowId"], row["numError"]) == (wire_id(Kind.FLOW, flow.pk), 2)
    assert api.call("GET", address, source="mapping").json[0]["numError"] == 1
    assert api.call("GET", address, occurredAt_lte="2026-03-02T12:00:00Z").json[0]["numError"] == 1


# --- lists -----------------------------------------------------------------------------------------------------------
def test_open_errors_have_every_field_of_the_contract(api, account, step, at, django_assert_num_queries):
    capture = Capture.unscoped.create(account=account, run=Run.unscoped.create(**run_of(step)), step=step)
    error = failed(step, capture=capture, occurred_at=NOON)
    tag = Tag.unscoped.create(account=account, name="waiting")
    ErrorTag.unscoped.create(account=account, error=error, tag=tag)
    Error.unscoped.filter(pk=error.pk).update(has_notes=True)
    api.call("GET", "tokenInfo")
    with django_assert_num_queries(5):  # token, step, errors, causes, tags
        found = api.call("GET", f"{at}/errors").json
    assert found["errors"] == [
        {
            "errorId": wire_id(Kind.ERROR, error.pk),
            "occurredAt": "2026-03-02T12:00:00.000Z",
            "source": "application",
            "code": "500",
            "message": "The server said no",
            "traceKey": "A-1",
            "oIndex": str(step.position),
            "retryDataKey": retry_data_key(error.pk),
            "_flowId": wire_id(Kind.FLOW, step.flow_id),
            "_expOrImpId": wire_id(Kind.STEP, step.pk),
            "_flowJobId": wire_id(Kind.RUN, error.run_id),
            "_rootCauseId": wire_id(Kind.CAUSE, error.cause_id),
            "classification": "none",
            "classifiedBy": "rule",
            "reqAndResKey": wire_id(Kind.CAPTURE, capture.pk),
            "purgeAt": "2026-04-01T12:00:00.000Z",
            "retriable": True,
            "attempts": 0,
            "tagIds": [wire_id(Kind.TAG, tag.pk)],
            "status": "open",
        }
    ]


def test_an_error_that_is_kept_has_no_purge_date(api, step, at):
    failed(step, keep=True, occurred_at=NOON)
    (row,) = api.call("GET", f"{at}/errors").json["errors"]
    assert row["purgeAt"] is None


def run_of(step):
    flow = step.flow
    return {
        "account_id": flow.account_id, "flow": flow, "integration_id": flow.integration_id,
        "environment": flow.integration.environment,
    }  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [
        {"source": "mapping"}, {"Source": "mapping", "nonsense": "1", "code": ""}, {"classification": "value"},
        {"traceKey": "B-2"}, {"q": "price"}, {"occurredAt_gte": "2026-03-02T13:00:00.123Z"},
        {"occurredAt_gte": "1772456400123"}, {"code": "bad_number"},
    ],
    ids=str,
)  # fmt: skip
def test_open_errors_are_filtered_by(api, step, at, query):
    failed(step, occurred_at=NOON)
    later = NOON + timedelta(hours=1, microseconds=123_456)
    cause = make_cause(step, source="mapping", classification="value", code="bad_number")
    other = failed(step, key="B-2", cause=cause, message="The price is no number", occurred_at=later)
    Error.unscoped.filter(pk=other.pk).update(key_hash=hash_of("B-2"))
    assert [row["traceKey"] for row in api.call("GET", f"{at}/errors", **query).json["errors"]] == ["B-2"]


def hash_of(key):
    from apps.engine.records import key_hash

    return key_hash(key)


def test_a_time_that_was_answered_is_within_itself(api, step, at):
    failed(step, occurred_at=NOON + timedelta(microseconds=123_456))
    (row,) = api.call("GET", f"{at}/errors").json["errors"]
    assert len(api.call("GET", f"{at}/errors", occurredAt_lte=row["occurredAt"]).json["errors"]) == 1


def test_pages_of_open_errors_miss_none_and_repeat_none_while_new_ones_arrive(api, step, at):
    before = {wire_id(Kind.ERROR, failed(step, key=f"A-{number}").pk) for number in range(5)}
    seen, address = [], f"{at}/errors?limit=2"
    while address:
        found = api.call("GET", address).json
        seen += [row["errorId"] for row in found["errors"]]
        failed(step, key=f"B-{len(seen)}")
        address = found.get("nextPageURL", "")
    assert len(seen) == len(set(seen))
    assert set(seen) == before


def test_resolved_errors_begin_with_those_that_a_retry_has(api, account, step, at):
    retry = Run.unscoped.create(kind="retry", **run_of(step))
    for number in range(3):
        failed(step, key=f"R-{number}", retry_run=retry)
    for number in range(3):
        failed(
            step, key=f"D-{number}", state=ErrorState.RESOLVED, reason=Reason.SUCCEEDED,
            resolved_at=NOON + timedelta(minutes=number),
        )  # fmt: skip
    whole = api.call("GET", f"{at}/resolved").json["resolved"]
    assert [row["traceKey"] for row in whole] == ["R-2", "R-1", "R-0", "D-2", "D-1", "D-0"]
    assert (whole[0]["status"], whole[0]["_retryJobId"]) == ("retrying", wire_id(Kind.RUN, retry.pk))
    assert (whole[3]["resolvedAt"], whole[3]["resolvedBy"], whole[3]["resolvedReason"]) == (
        "2026-03-02T12:02:00.000Z", "auto", "succeeded",
    )  # fmt: skip
    for size in (1, 2, 3, 4, 5):
        seen, address = [], f"{at}/resolved?limit={size}"
        while address:
            found = api.call("GET", address).json
            assert len(found["resolved"]) <= size
            seen += [row["traceKey"] for row in found["resolved"]]
            address = found.get("nextPageURL", "")
        assert seen == ["R-2", "R-1", "R-0", "D-2", "D-1", "D-0"]


def test_a_damaged_page_address_is_refused_in_words(api, at):
    for page in ("nonsense", "~x", Cursor(("a", "b", "c")).encode()):
        assert api.call("GET", f"{at}/errors", page=page, status=400).codes == ["invalid_query"]


# --- resolve and delete ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["errors", "errorIds"])
def test_resolve_takes_errors_or_error_ids(api, step, at, name, owner):
    first, second = failed(step), failed(step, key="A-2")
    called = api.call("PUT", f"{at}/resolved", {name: ids(first)}, status=204)
    assert called.json is None
    first.refresh_from_db()
    assert (first.state, first.reason, first.resolved_by) == (ErrorState.RESOLVED, Reason.MANUAL, owner)
    assert api.call("GET", f"{at}/errors").json["errors"][0]["errorId"] == ids(second)[0]
    api.call("PUT", f"{at}/resolved", {name: ids(first)}, status=204)  # again: nothing changes


def test_resolve_of_an_error_that_is_not_of_this_step_does_nothing(api, account, step, at):
    here, elsewhere = failed(step), failed(step_of(make_flow(account)))
    refused = api.call("PUT", f"{at}/resolved", {"errorIds": ids(here, elsewhere)}, status=422)
    assert "1 of the 2" in refused.message
    here.refresh_from_db()
    assert here.state == ErrorState.OPEN
    for body in ({}, {"errorIds": []}, {"errorIds": ["x"]}):
        api.call("PUT", f"{at}/resolved", body, status=422)


def test_delete_resolved_removes_resolved_errors_and_leaves_open_ones(api, account, step, at):
    opened, settled = failed(step), failed(step, key="A-2")
    api.call("PUT", f"{at}/resolved", {"errorIds": ids(settled)})
    api.call("DELETE", f"{at}/resolved", {"errorIds": ids(opened, settled)}, status=204)
    assert list(Error.objects.of(account)) == [opened]
    assert not RetryData.objects.of(account).filter(error_id=settled.pk).exists()
    api.call("PUT", f"{at}/resolved", {"errorIds": ids(opened)})
    api.call("DELETE", f"{at}/resolved", status=204)
    assert not Error.objects.of(account).exists()


def test_delete_takes_the_role_administrator(account, step, at):
    settled = failed(step, state=ErrorState.RESOLVED, reason=Reason.MANUAL, resolved_at=NOON)
    manager = api_of(make_member(account, role=Role.MANAGER))
    assert manager.call("DELETE", f"{at}/resolved", status=403).codes == ["forbidden"]
    assert Error.objects.of(account).get() == settled


# --- retry -----------------------------------------------------------------------------------------------------------
def test_retry_by_retry_data_keys_answers_the_job(api, account, step, at):
    error = failed(step)
    job = api.call("POST", f"{at}/retry", {"retryDataKeys": [retry_data_key(error.pk)]}).json
    error.refresh_from_db()
    assert job["_id"] == wire_id(Kind.RUN, error.retry_run_id)
    assert (job["type"], job["status"], job["_flowId"]) == ("retry", "queued", wire_id(Kind.FLOW, step.flow_id))
    assert api.call("GET", f"jobs/{job['_id']}").json["_id"] == job["_id"]
    again = api.call("POST", f"{at}/errors/retry", {"errorIds": ids(error)}).json
    assert again["_id"] == job["_id"]
    assert Run.objects.of(account).filter(kind="retry").count() == 1


@pytest.mark.parametrize("key", [f"{Kind.RETRY_DATA:08x}{'f' * 24}", "0" * 32, retry_data_key(10**9)])
def test_retry_of_an_unknown_key_runs_nothing(api, account, step, at, key):
    error = failed(step)
    body = {"retryDataKeys": [retry_data_key(error.pk), key]}
    assert api.call("POST", f"{at}/retry", body, status=422).codes == ["retry_data_not_found"]
    assert not Run.objects.of(account).filter(kind="retry").exists()


def test_retry_of_expired_data_a_disabled_flow_and_a_removed_step_is_refused(api, account, flow, step, at):
    error = failed(step)
    named = {"errorIds": ids(error)}
    RetryData.objects.of(account).update(purged_at=NOON, record=None)
    assert api.call("POST", f"{at}/retry", named, status=422).codes == ["retry_data_expired"]
    RetryData.objects.of(account).update(purged_at=None, record=b"{}")
    flow.enabled = False
    flow.save(update_fields=["enabled"])
    assert api.call("POST", f"{at}/retry", named, status=422).codes == ["flow_disabled"]
    flow.enabled = True
    flow.save(update_fields=["enabled"])
    step.removed_at = NOON
    step.save(update_fields=["removed_at"])
    assert api.call("POST", f"{at}/retry", named, status=409).codes == ["step_removed"]


def test_a_resolved_error_whose_record_went_through_is_retried_with_force_only(api, step, at):
    error = failed(
        step, state=ErrorState.RESOLVED, reason=Reason.SUCCEEDED, resolved_at=NOON, passed_outcome=Passed.SUCCESS
    )
    named = {"errorIds": ids(error)}
    assert api.call("POST", f"{at}/retry", named, status=409).codes == ["newer_success"]
    job = api.call("POST", f"{at}/retry", named | {"force": True}).json
    assert Run.unscoped.get(pk=int(job["_id"][8:], 16)).is_forced


# --- retry data and requests -----------------------------------------------------------------------------------------
def test_retry_data_is_read_changed_and_guarded_by_its_version(api, account, step, at):
    error = failed(step)
    address = f"{at}/{retry_data_key(error.pk)}/data"
    found = api.call("GET", address).json
    assert found == {
        "data": {"id": "A-1", "price": "x"}, "stage": "page_processor_import", "traceKey": "A-1", "version": 1,
    }  # fmt: skip
    changed = api.call("PUT", address, {**found, "data": {"id": "A-1", "price": 5}}, headers={"If-Match": '"1"'}).json
    assert (changed["data"], changed["version"]) == ({"id": "A-1", "price": 5}, 2)
    again = api.call("PUT", address, {"data": {"id": "A-1"}}, headers={"If-Match": "1"}, status=409)
    assert "version 2" in again.message
    assert api.call("PUT", address, {"data": [1]}, status=422).codes == ["validation_error"]
    assert RetryVersion.objects.of(account).filter(error=error).count() == 2
    same = api.call("GET", f"{at}/errors/{retry_data_key(error.pk)}/data").json
    assert same["version"] == 2


def test_retry_data_of_a_window_is_read_only(api, step, at):
    error = make_error(step=step, unit=ErrorUnit.WINDOW)
    make_retry_data(error, record=None, window={"from": "2026-03-01"})
    address = f"{at}/{retry_data_key(error.pk)}/data"
    assert api.call("GET", address).json["data"] == {"from": "2026-03-01"}
    api.call("PUT", address, {"data": {}}, status=422)


def test_a_monitor_edits_retry_data_only_where_he_may(account, step, at):
    error = failed(step)
    monitor = make_member(account, role=Role.MONITOR)
    address = f"{at}/{retry_data_key(error.pk)}/data"
    api_of(monitor).call("PUT", address, {"data": {}}, status=403)
    monitor.may_edit_retry_data = True
    monitor.save(update_fields=["may_edit_retry_data"])
    api_of(monitor).call("PUT", address, {"data": {}})


def test_a_captured_request_is_told_with_its_answer(api, account, step, at):
    run = Run.unscoped.create(**run_of(step))
    capture = Capture.unscoped.create(
        account=account, run=run, step=step, method="POST", status="500", ms=12, sent_at=NOON,
        request={"url": "https://shop.example.org"}, response={"body": "no"},
    )  # fmt: skip
    found = api.call("GET", f"{at}/requests/{wire_id(Kind.CAPTURE, capture.pk)}").json
    assert (found["method"], found["status"], found["ms"]) == ("POST", "500", 12)
    assert (found["request"]["url"], found["response"]["body"]) == ("https://shop.example.org", "no")


# --- assign and tags -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_errors_are_assigned_to_a_member_by_his_address(api, account, flow, step, at, method):
    error, lena = failed(step), make_member(account)
    api.call(method, f"{at}/errors/assign", {"errorIds": ids(error), "email": lena.user.email.upper()}, status=204)
    assert api.call("GET", f"{at}/errors").json["errors"][0]["assignedTo"] == lena.user.email
    api.call(method, f"{at}/errors/assign", {"errorIds": ids(error), "email": "nobody@example.org"}, status=422)
    whole = f"integrations/{wire_id(Kind.INTEGRATION, flow.integration_id)}/errors/assign"
    api.call(method, whole, {"errorIds": ids(error), "email": ""}, status=204)
    assert "assignedTo" not in api.call("GET", f"{at}/errors").json["errors"][0]


def test_tags_are_defined_applied_replaced_and_removed(api, step, at):
    error = failed(step)
    first, second = (api.call("POST", "tags", {"tag": name}, status=201).json for name in ("b", "a"))
    assert [tag["tag"] for tag in api.call("GET", "tags").json] == ["a", "b"]
    api.call("PUT", f"{at}/tags", {"errorIds": ids(error), "tagIds": [first["_id"]]}, status=204)
    api.call("POST", f"{at}/errors/tags", {"errors": [{"id": ids(error)[0]}], "tagIds": [second["tagId"]]}, status=204)
    assert api.call("GET", f"{at}/errors").json["errors"][0]["tagIds"] == [second["_id"]]
    assert api.call("PUT", f"tags/{second['_id']}", {"tag": "c"}).json["tag"] == "c"
    api.call("PUT", f"tags/{second['_id']}", {"tag": "B"}, status=409)
    api.call("DELETE", f"tags/{second['_id']}", status=204)
    assert "tagIds" not in api.call("GET", f"{at}/errors").json["errors"][0]
    api.call("PUT", f"{at}/tags", {"errorIds": ids(error), "tagIds": [second["_id"]]}, status=422)


# --- who and where ---------------------------------------------------------------------------------------------------
def test_a_step_may_be_written_in_three_ways_and_with_a_slash(api, flow, step):
    failed(step)
    own, step_id = wire_id(Kind.FLOW, flow.pk), wire_id(Kind.STEP, step.pk)
    answers = [
        api.call("GET", f"flows/{own}/{place}{step_id}/errors{end}").json
        for place in ("", "imports/", "exports/")
        for end in ("", "/")
    ]
    assert all(answer == answers[0] for answer in answers)


def test_a_step_of_another_flow_and_an_object_of_another_account_are_not_there(api, account, step):
    other = make_flow(account)
    api.call("GET", f"flows/{wire_id(Kind.FLOW, other.pk)}/{wire_id(Kind.STEP, step.pk)}/errors", status=404)
    foreign = step_of(make_flow(make_account()))
    address = f"flows/{wire_id(Kind.FLOW, foreign.flow_id)}/{wire_id(Kind.STEP, foreign.pk)}/errors"
    api.call("GET", address, status=404)


def test_errors_need_a_full_token_or_one_for_errors(owner, at):
    api_of(owner, Scope.READ).call("GET", f"{at}/errors", status=403)
    api_of(owner, Scope.ERRORS).call("GET", f"{at}/errors")


# --- all that match --------------------------------------------------------------------------------------------------
def test_the_inbox_lists_the_errors_of_the_account(api, account, flow, step):
    failed(step)
    failed(step_of(make_flow(account)), key="B-1")
    failed(step_of(make_flow(make_account())), key="C-1")
    assert [row["traceKey"] for row in api.call("GET", "errors").json["errors"]] == ["B-1", "A-1"]
    found = api.call("GET", "errors", _flowId=wire_id(Kind.FLOW, flow.pk)).json["errors"]
    assert [row["traceKey"] for row in found] == ["A-1"]
    assert api.call("GET", "errors", state="resolved").json == {"errors": []}


def test_all_that_match_are_counted_with_dry_run_then_resolved_or_retried(api, account, step):
    failed(step)
    make_error(step=step, key="A-2")  # without retry data
    plan = api.call("POST", "errors/retry", {"filter": {"source": "application"}, "dryRun": True}).json
    assert plan == {
        "count": 2, "eligible": 1, "notEligible": [{"reason": "its retry data are gone", "count": 1}],
        "wentThrough": 0, "dryRun": True,
    }  # fmt: skip
    assert not Run.objects.of(account).filter(kind="retry").exists()
    done = api.call("POST", "errors/retry", {"filter": {"source": "application"}}).json
    act = api.call("GET", f"errors/acts/{done['_actId']}").json
    assert (act["count"], act["done"], len(act["_jobIds"])) == (2, 2, 1)
    resolved = api.call("POST", "errors/resolve", {"filter": {"_expOrImpId": wire_id(Kind.STEP, step.pk)}}).json
    assert (resolved["count"], resolved["eligible"]) == (1, 1)
    assert not Error.objects.of(account).open().exists()


@pytest.mark.parametrize(
    ("body", "status"), [({"filter": {"sorce": "x"}}, 400), ({"filter": {}}, 400), ({}, 422), ({"filter": 5}, 422)]
)
def test_a_filter_that_is_misspelt_or_empty_resolves_nothing(api, account, step, body, status):
    failed(step)
    api.call("POST", "errors/resolve", body, status=status)
    assert Error.objects.of(account).open().count() == 1


# --- root causes and records -----------------------------------------------------------------------------------------
def test_root_causes_tell_merged_ones_as_one(api, step, django_assert_num_queries):
    head = make_cause(step, pattern="No such airport")
    merged = make_cause(step, merged_into=head)
    failed(step, cause=head)
    failed(step, key="A-2", cause=merged)
    api.call("GET", "tokenInfo")
    with django_assert_num_queries(3):  # token, causes, what was merged into them
        (found,) = api.call("GET", "root-causes").json
    assert (found["_id"], found["message"], found["numOpenError"]) == (
        wire_id(Kind.CAUSE, head.pk), "No such airport", 2,
    )  # fmt: skip
    assert found["mergedIds"] == [wire_id(Kind.CAUSE, merged.pk)]
    assert api.call("GET", f"root-causes/{wire_id(Kind.CAUSE, merged.pk)}").json == found
    assert api.call("GET", "root-causes", state="resolved").json == []


def test_a_rule_that_acted_is_named_with_its_revision(api, account, step, at):
    error = failed(step)
    Error.unscoped.filter(pk=error.pk).update(key_hash=hash_of("A-1"))
    definition = Definition(Conditions(text="said no"), Acts(resolve=True))
    member = Member.objects.of(account).get(role="owner")
    rule = save_rule(member=member, name="Known", definition=definition)
    switch_rule(rule=rule, member=member, mode="on", includes_open=True)
    look_by_rule(account.pk, rule.pk)
    (found,) = api.call("GET", f"{at}/resolved").json["resolved"]
    assert (found["resolvedReason"], found["resolvedBy"]) == ("rule", "Known@1")
    events = api.call("GET", "records/A-1").json["events"]
    assert [(event["event"], event.get("outcome"), event.get("by")) for event in events] == [
        ("resolved", "rule", None), ("ruled", "acted", "Known@1"), ("failed", None, None),
    ]  # fmt: skip


def test_a_records_journey_tells_what_happened_to_it(api, account, step):
    error = failed(step, key="PO/7 ä")
    Error.unscoped.filter(pk=error.pk).update(key_hash=hash_of("PO/7 ä"))
    found = api.call("GET", "records/PO/7%20%C3%A4").json
    assert (found["traceKey"], found["numError"], found["numOpenError"]) == ("PO/7 ä", 1, 1)
    assert [(event["event"], event["message"]) for event in found["events"]] == [("failed", "The server said no")]
    api.call("GET", "records/unknown", status=404)
