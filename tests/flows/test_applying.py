"""Applying a definition: revisions, steps with their identity, schedules; all of it or nothing."""

from datetime import UTC, datetime

import pytest

from apps.accounts.models import AuditEntry
from apps.core import clock
from apps.flows.definition import DefinitionError
from apps.flows.models import Flow, Integration, Revision, Step
from apps.flows.services import RevisionConflictError, apply_definition, disable_flow, enable_flow, revision_diff
from tests.factories import make_account, make_connection, make_member
from tests.flows.definitions import STRIKES, flow_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def account(db):
    account = make_account()
    make_connection(account, name="files", kind="file")
    make_connection(account, name="warehouse", kind="sql")
    return account


def apply(account, text, **options):
    return apply_definition(account=account, text=text, **options)


def steps_of(flow):
    return {step.key: step for step in Step.unscoped.filter(flow=flow)}


def test_a_first_definition_makes_integration_flow_steps_and_revision_1(account, noon):
    member = make_member(account)
    applied = apply(account, STRIKES, member=member)
    flow = Flow.unscoped.get(pk=applied.flow.pk)
    assert (flow.key, flow.name, flow.cron, flow.time_zone) == (
        "wildlife-strikes", "Wildlife strikes", "*/5 * * * *", "Europe/Berlin"
    )  # fmt: skip
    assert flow.integration.name == "Aviation"
    assert flow.enabled
    assert flow.scope == "record"
    assert flow.next_due_at == datetime(2026, 3, 2, 12, 5, tzinfo=UTC)
    assert flow.revision.number == 1
    assert flow.revision.member == member
    assert applied.is_new_flow
    assert [(s.key, s.kind, s.position) for s in sorted(steps_of(flow).values(), key=lambda s: s.position)] == [
        ("strikes", "export", 0), ("damaged", "filter", 1), ("airport", "lookup", 2), ("load", "import", 3)
    ]  # fmt: skip
    assert steps_of(flow)["load"].connection.name == "warehouse"


def test_what_was_applied_comes_back_to_the_letter(account):
    text = STRIKES + "# the end, with ümläuts \n\n"
    assert apply(account, text).revision.definition == text


def test_the_same_text_again_is_no_new_revision_and_no_new_audit_entry(account):
    apply(account, STRIKES)
    again = apply(account, STRIKES)
    assert again.changes == ()
    assert not again.is_new_revision
    assert Revision.unscoped.count() == 1
    assert AuditEntry.unscoped.filter(act="flow.apply").count() == 1


def test_a_changed_text_is_the_next_revision_with_a_diff(account):
    first = apply(account, STRIKES)
    second = apply(account, STRIKES.replace("record.cost > 0", "record.cost > 100"))
    assert second.revision.number == 2
    assert "-    filter: record.cost > 0" in second.diff
    assert "+    filter: record.cost > 100" in second.diff
    assert revision_diff(first.revision, second.revision) == second.diff


def test_a_definition_with_mistakes_changes_nothing(account):
    apply(account, STRIKES)
    with pytest.raises(DefinitionError):
        apply(account, STRIKES.replace("record.cost > 0", "record.cost >").replace("Wildlife strikes", "Other"))
    with pytest.raises(DefinitionError):
        apply(account, flow_of("{key: a, filter: x}"))
    assert Flow.unscoped.get().name == "Wildlife strikes"
    assert Revision.unscoped.count() == 1
    assert Integration.unscoped.count() == 1


def test_a_step_keeps_its_identity_through_edits(account):
    before = steps_of(apply(account, flow_of("{key: a, filter: record.x}", "{key: b, log: hi}")).flow)
    edited = flow_of("{key: b, log: ho}", "{key: a, name: First, filter: record.y}", "{key: c, log: new}")
    after = steps_of(apply(account, edited).flow)
    assert after["a"].pk == before["a"].pk
    assert (after["a"].name, after["a"].position) == ("First", 2)
    assert set(after) == {"source", "a", "b", "c"}


def test_a_step_that_is_left_out_is_removed_and_revived_by_its_key(account):
    full = flow_of("{key: a, filter: record.x}")
    before = steps_of(apply(account, full).flow)["a"]
    removed = apply(account, flow_of())
    assert removed.changes == ("revision 2", "step a removed")
    assert steps_of(removed.flow)["a"].removed_at is not None
    revived = apply(account, full)
    assert "step a revived" in revived.changes
    assert steps_of(revived.flow)["a"].pk == before.pk
    assert steps_of(revived.flow)["a"].removed_at is None


def test_a_removed_steps_key_cannot_come_back_as_another_kind(account):
    apply(account, flow_of("{key: a, filter: record.x}"))
    apply(account, flow_of())
    with pytest.raises(DefinitionError, match="belongs to a step of the kind filter"):
        apply(account, flow_of("{key: a, log: hi}"))


def test_steps_in_branches_have_their_way_as_path(account):
    branch = "{key: r, branch: {ways: [{name: heavy, when: record.x > 1, steps: [{key: a, log: hi}]}]}}"
    steps = steps_of(apply(account, flow_of(branch, "{key: z, log: end}")).flow)
    assert (steps["a"].path, steps["a"].position, steps["z"].position) == ("r/heavy", 2, 3)


def test_an_expected_revision_that_is_not_the_current_one_is_a_conflict_with_the_difference(account):
    apply(account, STRIKES)
    apply(account, STRIKES.replace("cost > 0", "cost > 5"), expected_revision=1)
    with pytest.raises(RevisionConflictError) as caught:
        apply(account, STRIKES.replace("cost > 0", "cost > 9"), expected_revision=1)
    assert caught.value.current == 2
    assert "-    filter: record.cost > 5" in caught.value.diff
    assert "+    filter: record.cost > 9" in caught.value.diff
    assert Flow.unscoped.get().revision.number == 2


def test_an_edit_that_leaves_the_schedule_alone_leaves_its_next_tick_alone(account, noon):
    apply(account, STRIKES)
    with clock.frozen(datetime(2026, 3, 2, 12, 3, tzinfo=UTC)):
        flow = apply(account, STRIKES.replace("cost > 0", "cost > 5")).flow
        assert flow.next_due_at == datetime(2026, 3, 2, 12, 5, tzinfo=UTC)
        flow = apply(account, STRIKES.replace("*/5 *", "0 *")).flow
        assert flow.next_due_at == datetime(2026, 3, 2, 13, 0, tzinfo=UTC)


def test_a_flow_without_a_word_about_it_starts_disabled_and_stays_as_it_is(account, noon):
    text = flow_of(head="schedule: '*/5 * * * *'")
    flow = apply(account, text).flow
    assert not flow.enabled
    assert flow.next_due_at is None
    enable_flow(flow=flow)
    flow = apply(account, text + "# edited\n").flow
    assert flow.enabled
    assert flow.next_due_at == datetime(2026, 3, 2, 12, 5, tzinfo=UTC)


def test_disabling_and_enabling_is_audited_once_each(account, noon):
    flow = apply(account, STRIKES).flow
    assert disable_flow(flow=flow).next_due_at is None
    disable_flow(flow=flow)
    assert enable_flow(flow=flow).next_due_at == datetime(2026, 3, 2, 12, 5, tzinfo=UTC)
    acts = AuditEntry.unscoped.filter(act__in=["flow.enable", "flow.disable"]).values_list("act", flat=True)
    assert sorted(acts) == ["flow.disable", "flow.enable"]


def test_a_flow_may_run_after_another_one(account):
    first = apply(account, flow_of()).flow
    second = apply(account, flow_of(head="run_after: orders").replace("flow: orders", "flow: report")).flow
    assert second.run_after == first
    with pytest.raises(DefinitionError, match="in a circle"):
        apply(account, flow_of(head="run_after: report"))


def test_accounts_do_not_see_each_others_flows_and_connections(account):
    apply(account, STRIKES)
    with pytest.raises(DefinitionError, match="There is no connection files"):
        apply(make_account(), STRIKES)


def test_an_integration_is_renamed_by_the_definition_that_names_it(account):
    apply(account, STRIKES)
    apply(account, STRIKES.replace("name: Aviation", "name: Air traffic"))
    assert Integration.unscoped.get().name == "Air traffic"
