"""Rules: which errors they meet, what they do with them, and how they keep within their bounds."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from apps.accounts.models import Account, AuditEntry, Member, Role
from apps.core import clock
from apps.errors.models import BulkAct, Cause, Error, ErrorTag, RetryData, RetryItem, Rule, RuleHit, StepState, Tag
from apps.errors.rules import looking
from apps.errors.rules.backtest import back_test
from apps.errors.rules.definition import Acts, Conditions, Definition, RuleRefused
from apps.errors.rules.looking import look_by_rule
from apps.errors.services import perform_act, reopen_errors
from apps.errors.services.rules import remove_rule, save_rule, switch_rule
from apps.execution.ruling import hint_rules
from apps.flows.models import Flow, Step
from apps.runs.models import Run
from apps.webhooks.models import Announcement
from tests.factories import (
    make_account,
    make_cause,
    make_error,
    make_flow,
    make_integration,
    make_member,
    make_retry_data,
    make_run,
    step_of,
)

pytestmark = pytest.mark.usefixtures("noon")
RESOLVE, RETRY = Acts(resolve=True), Acts(retry=True)


@pytest.fixture
def member(account: Account) -> Member:
    return make_member(account)


@pytest.fixture
def step(flow: Flow) -> Step:
    return step_of(flow)


@pytest.fixture
def cause(step: Step) -> Cause:
    return make_cause(step, code="503", classification="value")


def rule_of(
    member: Member, acts: Acts = RESOLVE, *, mode: str = "on", name: str = "Known", more: dict[str, Any] | None = None,
    **conditions: Any,
) -> Rule:  # fmt: skip
    definition = Definition(Conditions(**(conditions or {"code": "503"})), acts, **(more or {}))
    rule = save_rule(member=member, name=name, definition=definition)
    return switch_rule(rule=rule, member=member, mode=mode)


def look(rule: Rule) -> int:
    return look_by_rule(rule.account_id, rule.pk)


def error_of(cause: Cause, key: str = "", record: bytes = b"{}", **fields: Any) -> Error:
    error = make_error(fields.pop("run", None), cause=cause, key=key, occurred_at=clock.read_now(), **fields)
    make_retry_data(error, record)
    return error


def state_of(error: Error) -> tuple[str, str]:
    error.refresh_from_db()
    return error.state, error.reason


def states() -> list[str]:
    return list(RuleHit.unscoped.order_by("pk").values_list("state", flat=True))


# --- what is met -----------------------------------------------------------------------------------------------------
def test_a_rule_resolves_what_opens_from_now_on_and_says_so(member: Member, cause: Cause, step: Step) -> None:
    before = error_of(cause, "A")
    rule = rule_of(member)
    after, other = error_of(cause, "B"), error_of(make_cause(step, code="404"), "C")
    assert look(rule) == 1
    assert state_of(after) == ("resolved", "rule")
    assert state_of(before) == state_of(other) == ("open", "")
    assert StepState.unscoped.get(step=step).open_errors == 2
    entry = AuditEntry.unscoped.get(act="error.resolve")
    assert (entry.actor_kind, str(entry.rule_revision), entry.member) == ("rule", "Known@1", None)
    assert look(rule) == 0, "each error is met once"


def test_it_may_begin_with_the_errors_that_are_open(member: Member, cause: Cause) -> None:
    error = error_of(cause)
    rule = rule_of(member, mode="off")
    assert look(rule) == 0
    switch_rule(rule=rule, member=member, mode="on", includes_open=True)
    assert look(rule) == 1
    assert state_of(error) == ("resolved", "rule")


CONDITIONS = {
    "source": ({"source": "application"}, {"source": "lookup"}),
    "code": ({"code": "503"}, {"code": "50"}),
    "class": ({"classification": "value"}, {"classification": "parse"}),
    "text": ({"text": "said NO"}, {"text": "said yes"}),
    "field": ({"field": "place.iata", "value": "BAD"}, {"field": "place.iata", "value": "bad"}),
    "number": ({"field": "lines[0]", "value": "5"}, {"field": "lines[1]", "value": "5"}),
    "part of a field": ({"field": "place.iata", "way": "holds", "value": "ba"}, {"field": "id", "way": "holds"}),
    "missing field": ({"field": "airport", "way": "missing"}, {"field": "place", "way": "missing"}),
    "count": ({"at_least": 2}, {"at_least": 3}),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_is_met_or_not(member: Member, cause: Cause, name: str) -> None:
    fitting, other = CONDITIONS[name]
    rules = [rule_of(member, mode="shadow", name=str(n), **given) for n, given in enumerate((fitting, other))]
    for key in "AB":
        error_of(cause, key, b'{"place": {"iata": "BAD"}, "lines": [5, 6], "count": 1}')
    assert [look(rule) for rule in rules] == [2, 0]


def test_flow_integration_and_environment_narrow_it(member: Member, cause: Cause, flow: Flow) -> None:
    sandbox = make_flow(integration=make_integration(member.account, environment="sandbox"))
    other = make_flow(member.account)
    wanted = [{"flow": flow.pk}, {"integration": flow.integration_id}, {"code": "503"}]
    rules = [rule_of(member, mode="shadow", name=str(n), **given) for n, given in enumerate(wanted)]
    for one in (cause, make_cause(step_of(other), code="503"), make_cause(step_of(sandbox), code="503")):
        error_of(one)
    assert [look(rule) for rule in rules] == [1, 1, 2]


def test_an_error_is_met_when_it_is_old_enough(member: Member, cause: Cause, noon: datetime) -> None:
    rule = rule_of(member, code="503", older_than_minutes=10)
    error = error_of(cause)
    assert look(rule) == 0
    with clock.frozen(noon + timedelta(minutes=10)):
        assert hint_rules() == 1
        assert look(rule) == 1
    assert state_of(error) == ("resolved", "rule")


def test_an_error_whose_id_commits_late_is_met_too(member: Member, cause: Cause, noon: datetime) -> None:
    rule = rule_of(member)
    late, early = error_of(cause, "A"), error_of(cause, "B")
    Error.unscoped.filter(pk=late.pk).update(state="resolved")  # as if its page commit had not come to its end
    assert look(rule) == 1
    Error.unscoped.filter(pk=late.pk).update(state="open")
    with clock.frozen(noon + timedelta(seconds=31)):
        assert hint_rules() == 1
        assert look(rule) == 1
    assert state_of(late) == state_of(early) == ("resolved", "rule")


def test_what_is_settled_is_not_looked_at_again(member: Member, cause: Cause, noon: datetime) -> None:
    rule = rule_of(member, mode="shadow")
    error_of(cause)
    look(rule)
    with clock.frozen(noon + timedelta(minutes=6)):
        assert look(rule) == 0
        rule.refresh_from_db()
        assert (rule.settled_to, rule.look_again_at) == (Error.unscoped.latest("pk").pk, None)
        assert hint_rules() == 0
        error_of(cause)
        assert hint_rules() == 1
        assert hint_rules() == 0, "one hint is enough for a while"


# --- what is done ----------------------------------------------------------------------------------------------------
def test_in_shadow_mode_it_only_writes_down_what_it_would_have_done(member: Member, cause: Cause) -> None:
    rule = rule_of(member, mode="shadow")
    error = error_of(cause)
    look(rule)
    assert states() == ["shadow"]
    assert state_of(error) == ("open", "")
    assert not BulkAct.unscoped.exists()
    switch_rule(rule=rule, member=member, mode="on")
    assert look(rule) == 0, "what it met is not met again by the same revision"


def test_it_tags_assigns_and_snoozes(member: Member, cause: Cause, noon: datetime) -> None:
    tag = Tag.unscoped.create(account=member.account, name="known")
    rule = rule_of(member, Acts(tags=(tag.pk,), assignee=member.pk, snooze_hours=2))
    error = error_of(cause)
    look(rule)
    error.refresh_from_db()
    cause.refresh_from_db()
    assert error.assignee == member
    assert ErrorTag.unscoped.get().tag == tag
    assert (cause.state, cause.snoozed_until) == ("snoozed", noon + timedelta(hours=2))
    by_rule = AuditEntry.unscoped.filter(actor_kind="rule").values_list("act", flat=True)
    assert set(by_rule) == {"error.tag", "error.assign", "cause.snooze"}


def test_it_sets_fields_and_retries(member: Member, cause: Cause, flow: Flow) -> None:
    rule = rule_of(member, Acts(changes=({"field": "airport", "value": "KJFK"},), retry=True))
    error = error_of(cause, "A", b'{"airport": "?"}')
    look(rule)
    error.refresh_from_db()
    run = Run.unscoped.get(kind="retry")
    assert bytes(RetryData.unscoped.get(error=error).record or b"") == b'{"airport":"KJFK"}'
    assert (error.retry_run, run.trigger) == (run, "rule")
    assert RetryItem.unscoped.get().member is None
    assert AuditEntry.unscoped.filter(act="error.retry", actor_kind="rule").count() == 1


def test_it_disables_the_flow(member: Member, cause: Cause, flow: Flow) -> None:
    rule = rule_of(member, Acts(disable_flow=True))
    error_of(cause)
    look(rule)
    flow.refresh_from_db()
    assert not flow.enabled
    assert AuditEntry.unscoped.get(act="flow.disable").actor_kind == "rule"


def test_it_announces_once_what_it_met_together_in_a_flow(member: Member, cause: Cause, flow: Flow) -> None:
    rule = rule_of(member, Acts(notify_members=(member.pk,)))
    for key in "AB":
        error_of(cause, key)
    error_of(make_cause(step_of(make_flow(member.account)), code="503"))
    look(rule)
    look(rule)
    told = [row.facts for row in Announcement.unscoped.filter(event="rule.met").order_by("pk")]
    assert [(facts["rule"], facts["numError"]) for facts in told] == [("Known@1", 2), ("Known@1", 1)]
    entries = AuditEntry.unscoped.filter(act="rule.notify", actor_kind="rule").order_by("pk")
    assert [entry.after["errors"] for entry in entries] == [2, 1]


def test_what_a_rule_resolved_can_be_reopened(member: Member, cause: Cause) -> None:
    rule = rule_of(member)
    error = error_of(cause)
    look(rule)
    rows = Error.objects.of(member.account).filter(pk=error.pk)
    reopen_errors(account=member.account, member=member, errors=rows)
    assert state_of(error) == ("open", "")
    assert look(rule) == 0


def test_a_tag_or_member_that_is_gone_stops_nothing(member: Member, cause: Cause) -> None:
    tag = Tag.unscoped.create(account=member.account, name="known")
    other = make_member(member.account)
    rule = rule_of(member, Acts(tags=(tag.pk,), assignee=other.pk, resolve=True))
    tag.delete()
    Member.unscoped.filter(pk=other.pk).update(disabled_at=clock.read_now())
    error = error_of(cause)
    look(rule)
    assert state_of(error) == ("resolved", "rule")
    assert error.assignee is None


def test_acts_that_a_killed_worker_began_are_finished_by_another(member: Member, cause: Cause) -> None:
    rule = rule_of(member)
    error = error_of(cause)
    _, (act,) = looking._look(rule.account_id, rule.pk)  # the hit is written, the act has begun; then nothing
    assert state_of(error) == ("open", "")
    assert look(rule) == 0, "it is not met twice"
    perform_act(rule.account_id, act)  # as the dispatcher's hint does
    assert state_of(error) == ("resolved", "rule")


# --- bounds ----------------------------------------------------------------------------------------------------------
def test_beyond_its_acts_per_hour_the_errors_wait(member: Member, cause: Cause, noon: datetime) -> None:
    rule = rule_of(member, more={"acts_per_hour": 2})
    errors = [error_of(cause, key) for key in "ABC"]
    assert look(rule) == 2
    assert [state_of(error)[0] for error in errors] == ["resolved", "resolved", "open"]
    assert look(rule) == 0
    with clock.frozen(noon + timedelta(minutes=61)):
        assert hint_rules() == 1
        assert look(rule) == 1
    assert state_of(errors[2]) == ("resolved", "rule")


def test_a_rule_whose_hour_is_used_up_looks_again_when_there_is_room(
    member: Member, cause: Cause, noon: datetime
) -> None:
    rule = rule_of(member, more={"acts_per_hour": 1})
    for key in "AB":
        error_of(cause, key)
    look(rule)
    error_of(cause, "C")
    assert hint_rules() == 0
    with clock.frozen(noon + timedelta(minutes=60)):
        assert hint_rules() == 1


def test_a_rule_whose_limit_was_raised_does_not_wait_for_the_end_of_its_hour(member: Member, cause: Cause) -> None:
    rule = rule_of(member, more={"acts_per_hour": 1})
    for key in "AB":
        error_of(cause, key)
    look(rule)
    raised = Definition(Conditions(code="503"), RESOLVE, acts_per_hour=5)
    save_rule(member=member, name="Known", definition=raised, rule=rule)
    assert hint_rules() == 1


def test_a_record_is_retried_so_often_and_then_left_alone(member: Member, cause: Cause) -> None:
    rule = rule_of(member, RETRY, more={"most_retries": 2})
    for _ in range(3):
        error = error_of(cause, "A")
        look(rule)
        Error.unscoped.filter(pk=error.pk).update(state="resolved", reason="retry_failed", retry_run=None)
    other = error_of(cause, "B")
    look(rule)
    assert states() == ["acted", "acted", "guarded", "acted"]
    assert RuleHit.unscoped.latest("pk").error == other


def test_records_of_different_flows_that_share_a_key_are_counted_apart(member: Member, cause: Cause) -> None:
    rule = rule_of(member, RETRY, more={"most_retries": 1})
    error_of(cause, "1")
    error_of(make_cause(step_of(make_flow(member.account)), code="503"), "1")
    look(rule)
    assert states() == ["acted", "acted"]


def test_a_record_without_a_key_is_known_by_the_error_before(member: Member, cause: Cause) -> None:
    rule = rule_of(member, RETRY, more={"most_retries": 2})
    before = None
    for _ in range(3):
        error = error_of(cause, previous_error=before)
        look(rule)
        Error.unscoped.filter(pk=error.pk).update(state="resolved", reason="retry_failed", retry_run=None)
        before = error
    assert states() == ["acted", "acted", "guarded"]


def test_another_revision_may_meet_what_the_one_before_met(member: Member, cause: Cause) -> None:
    tag = Tag.unscoped.create(account=member.account, name="known")
    rule = rule_of(member, Acts(tags=(tag.pk,)))
    error = error_of(cause)
    look(rule)
    save_rule(member=member, name="Known", definition=Definition(Conditions(code="503"), RESOLVE), rule=rule)
    assert look(rule) == 1
    assert state_of(error) == ("resolved", "rule")
    assert [str(hit.revision) for hit in RuleHit.unscoped.order_by("pk")] == ["Known@1", "Known@2"]


def test_a_look_takes_as_many_statements_for_many_errors(
    member: Member, cause: Cause, django_assert_max_num_queries: Any
) -> None:
    rule = rule_of(member, mode="shadow")
    run = make_run(cause.flow)
    for number in range(20):
        error_of(cause, str(number), run=run)
    with django_assert_max_num_queries(10 if connection.vendor == "sqlite" else 12):
        assert look(rule) == 20


# --- saved, switched, removed ----------------------------------------------------------------------------------------
REFUSED = {
    "at least one thing that the rule looks for": Definition(Conditions(), RESOLVE),
    "at least one thing that the rule does": Definition(Conditions(code="1"), Acts()),
    "not both": Definition(Conditions(code="1"), Acts(resolve=True, retry=True)),
    "no class": Definition(Conditions(classification="odd"), RESOLVE),
    "is no field": Definition(Conditions(field="a..b"), RESOLVE),
    "one field": Definition(Conditions(field="lines[*].sku"), RESOLVE),
    "between 1 and 10,000": Definition(Conditions(code="1"), RESOLVE, acts_per_hour=0),
    "between 1 and 10. Yours is 11": Definition(Conditions(code="1"), RETRY, most_retries=11),
    "no such flow": Definition(Conditions(flow=2**40), RESOLVE),
    "tags is not there": Definition(Conditions(code="1"), Acts(tags=(2**40,))),
    "active members": Definition(Conditions(code="1"), Acts(assignee=2**40)),
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_rule_that_cannot_be_says_why(member: Member, words: str) -> None:
    with pytest.raises(RuleRefused, match=words):
        save_rule(member=member, name="Odd", definition=REFUSED[words])
    assert not Rule.unscoped.exists()


def test_rules_of_one_name_or_of_a_monitor_are_refused(member: Member) -> None:
    rule_of(member)
    with pytest.raises(RuleRefused, match="There is a rule known already"):
        rule_of(member, name="known")
    monitor = make_member(member.account, role=Role.MONITOR)
    with pytest.raises(RuleRefused, match="the role manager"):
        rule_of(monitor, name="Mine")


def test_every_change_of_a_rule_is_in_the_audit_log(member: Member) -> None:
    rule = rule_of(member)
    definition = Definition(Conditions(code="504"), RESOLVE)
    for _ in range(2):
        save_rule(member=member, name="Known", definition=definition, rule=rule)
    remove_rule(rule=rule, member=member)
    found = AuditEntry.unscoped.filter(object_kind="rule").order_by("pk")
    assert [entry.act for entry in found] == ["rule.create", "rule.switch", "rule.change", "rule.remove"]
    assert (found[2].before["conditions"]["code"], found[2].after["conditions"]["code"]) == ("503", "504")
    assert rule_of(member).name == "Known", "its name is free again"


def test_a_removed_rule_does_nothing(member: Member, cause: Cause) -> None:
    rule = rule_of(member)
    remove_rule(rule=rule, member=member)
    error_of(cause)
    assert hint_rules() == 0
    assert look(rule) == 0
    with pytest.raises(RuleRefused, match="was removed"):
        switch_rule(rule=rule, member=member, mode="on")


# --- back-test -------------------------------------------------------------------------------------------------------
def past(cause: Cause, ago: timedelta, **fields: Any) -> Error:
    error = make_error(cause=cause, occurred_at=clock.read_now() - ago, **fields)
    make_retry_data(error, b'{"id": 1}')
    return error


def test_a_back_test_tells_what_would_have_been_met(member: Member, cause: Cause, step: Step) -> None:
    resolved = past(cause, timedelta(days=2), state="resolved", reason="manual")
    newest = past(cause, timedelta(days=1))
    past(make_cause(step, code="404"), timedelta(days=1))
    past(cause, timedelta(days=9))
    found = back_test(member.account, "production", Conditions(code="503"), 7)
    assert (found.matched, found.causes, found.flows, found.still_open, found.busiest) == (2, 1, 1, 1, 1)
    assert (found.sample, found.bursts) == ([newest, resolved], 2)
    assert back_test(member.account, "production", Conditions(code="503"), 30).matched == 3
    assert back_test(member.account, "sandbox", Conditions(code="503"), 30).matched == 0
    assert back_test(make_account(), "production", Conditions(code="503"), 30).matched == 0


def test_a_back_test_knows_age_count_and_fields(member: Member, cause: Cause) -> None:
    day = timedelta(days=1)
    soon = clock.read_now() - day + timedelta(minutes=5)
    past(cause, day, state="resolved", reason="manual", resolved_at=soon)
    past(cause, day)

    def matched(**conditions: Any) -> int:
        return back_test(member.account, "production", Conditions(code="503", **conditions), 7).matched

    assert matched(older_than_minutes=5) == 2
    assert matched(older_than_minutes=6) == 1
    assert (matched(at_least=2), matched(at_least=3)) == (2, 0)
    assert (matched(field="id", value="1"), matched(field="id", value="2")) == (2, 0)
