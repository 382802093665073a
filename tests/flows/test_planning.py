"""From a definition to the engine's plan."""

from datetime import UTC, datetime

import pytest

from apps.engine.plan import END, OnError, ScopeKind
from apps.engine.ports import Scope
from apps.flows.definition import DefinitionError
from apps.flows.models import Connection, Flow
from apps.flows.planning import build_plan, plan_for
from apps.flows.services import apply_definition
from tests.factories import make_account, make_connection
from tests.flows.definitions import STRIKES, flow_of, read

LOAD = "{key: load, import: {connection: warehouse, table: t, operation: upsert, keys: [id]}}"
SCOPE = Scope(datetime(2026, 3, 2, tzinfo=UTC), settings={"limit": 3})


def plan_of(*steps, head=""):
    return build_plan(read(flow_of(*steps, head=head)))


def layout(plan):
    return [(node.key, node.next, [(way.name, way.first) for way in node.ways]) for node in plan.nodes]


def test_steps_follow_each_other():
    plan = plan_of(
        "{key: a, filter: record.x > settings.limit}",
        LOAD,
        head="settings: {limit: 3}\npage_size: 50\nparallel_pages: 2\npage_order: free",
    )
    assert layout(plan) == [("source", 1, []), ("a", 2, []), ("load", END, [])]
    assert (plan.page_size, plan.parallel_pages) == (50, 2)
    assert plan.settings == {"limit": 3}
    assert plan.flow["key"] == "orders"
    assert plan.nodes[1].condition({"x": 4}, SCOPE) is True


def test_the_last_step_of_a_way_leads_to_what_follows_the_branch():
    inner = "{key: b2, branch: {ways: [{name: x, steps: [{key: i, log: hi}]}, {name: y}]}}"
    branch = (
        "{key: b, branch: {take: all, ways: [{name: heavy, when: record.x > 3, steps: [{key: a, log: hi}, "
        + inner
        + "]}, {name: rest, steps: []}, {name: more, steps: [{key: c, log: hi}]}]}}"
    )
    plan = plan_of(branch, "{key: z, log: end}")
    assert layout(plan) == [
        ("source", 1, []),
        ("b", 6, [("heavy", 2), ("rest", 6), ("more", 5)]),
        ("a", 3, []),
        ("b2", 6, [("x", 4), ("y", 6)]),
        ("i", 6, []),
        ("c", 6, []),
        ("z", END, []),
    ]
    assert plan.nodes[1].takes_all
    assert [node.path for node in plan.nodes] == ["", "", "b/heavy", "b/heavy", "b/heavy/b2/x", "b/more", ""]
    assert [node.index for node in plan.nodes] == list(range(7))


def test_a_branch_at_the_end_leads_to_the_end():
    plan = plan_of("{key: b, branch: {ways: [{name: x, steps: [{key: i, log: hi}]}, {name: y}]}}")
    assert layout(plan)[1:] == [("b", END, [("x", 2), ("y", END)]), ("i", END, [])]


def test_the_scope_is_record_where_a_step_imports_into_a_target_with_transactions():
    assert plan_of(LOAD).scope is ScopeKind.RECORD
    assert plan_of(LOAD, head="scope: none").scope is ScopeKind.NONE
    assert plan_of("{key: out, import: {connection: files, path: out.jsonl}}").scope is ScopeKind.NONE


def test_a_lookup_takes_part_in_the_transaction_of_an_import_on_the_same_connection():
    find = "{key: f, lookup: {connection: warehouse, table: t, match: {a: record.a}, into: found, many: true}}"
    with_import, alone = plan_of(find, LOAD), plan_of(find)
    assert with_import.nodes[1].is_transactional
    assert not alone.nodes[1].is_transactional
    assert (alone.nodes[1].into, alone.nodes[1].is_list, alone.nodes[1].is_required) == ("found", True, False)


def test_a_policy_is_compiled():
    plan = plan_of("{key: a, log: hi, on_error: {policy: retry, seconds: 5, attempts: 2, backoff: true, then: ignore}}")
    policy = plan.nodes[1].policy
    assert (policy.on_error, policy.seconds, policy.attempts, policy.backoff, policy.then) == (
        OnError.RETRY, 5.0, 2, True, OnError.IGNORE
    )  # fmt: skip


def test_mappings_templates_and_answers_are_compiled():
    plan = plan_of(
        "{key: m, map: {id: record.id, 'a.b': record.x + 1}, keep: true}",
        "{key: l, log: 'Got {{ record.id }}', level: warning}",
        "{key: load, import: {connection: warehouse, table: t, operation: insert}, response_mapping: {x: answer.id}}",
    )
    assert plan.nodes[1].mapping({"id": 7, "x": 1}, SCOPE) == {"id": 7, "a": {"b": 2}}
    assert plan.nodes[1].keeps_record
    assert plan.nodes[2].message({"id": 7}, SCOPE) == "Got 7"
    assert plan.nodes[2].level == "warning"
    answered = Scope(SCOPE.now, answer={"id": 9})
    assert plan.nodes[3].response_mapping({}, answered) == {"x": 9}


def test_the_trace_key_is_the_template_and_falls_back_to_a_usual_field():
    text = flow_of().replace("path: a.csv}", 'path: a.csv}, trace_key: "{{ settings.region }}-{{ record.no }}"')
    plan = build_plan(read(text.replace("steps:", "settings: {region: EU}\nsteps:")))
    assert plan.key_of({"no": 7, "id": 1}) == "EU-7"
    assert plan.key_of({"id": 1}) == "1"
    assert plan_of().key_of({"sku": "x"}) == "x"
    assert plan_of().key_of({}) == ""


@pytest.mark.django_db
def test_a_revisions_plan_is_compiled_once():
    account = make_account()
    make_connection(account, name="files", kind="file")
    make_connection(account, name="warehouse", kind="sql")
    flow = apply_definition(account=account, text=STRIKES).flow
    revision = Flow.unscoped.get(pk=flow.pk).revision
    assert plan_for(revision) is plan_for(Flow.unscoped.get(pk=flow.pk).revision)
    assert [node.key for node in plan_for(revision).nodes] == ["strikes", "damaged", "airport", "load"]


@pytest.mark.django_db
def test_a_revision_whose_connection_is_gone_cannot_be_planned_and_says_why():
    account = make_account()
    make_connection(account, name="files", kind="file")
    flow = apply_definition(account=account, text=flow_of()).flow
    Connection.unscoped.filter(name="files").update(name="elsewhere")
    with pytest.raises(DefinitionError, match="There is no connection files"):
        plan_for(flow.revision)
