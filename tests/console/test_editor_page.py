"""The editor of a definition: checked, saved with a lock, restored; and new flows."""

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Account, MemberRole, Role
from apps.flows.models import Flow, Revision, Step
from apps.flows.services import apply_definition, disable_flow, set_connection
from tests.console.screens import html_of, signed_in, text_of, warehouse_flow
from tests.factories import make_integration, make_member

TEXT = """\
# Orders, every morning
flow: orders
integration: {key: shop, name: Shop}
page_size: 500   # small pages
steps:
  - key: source
    export: {connection: Warehouse, query: SELECT 1 AS id}
  - key: note
    log: "{{ record.id }}"
"""


@pytest.fixture
def flow(account: Account) -> Flow:
    return warehouse_flow(account, TEXT)


@pytest.fixture
def page(account: Account) -> Client:
    return signed_in(make_member(account, role=Role.MANAGER).user)


def address(flow: Flow, act: str = "") -> str:
    return f"/flows/{flow.pk}/definition/{act}"


def send(page: Client, flow: Flow, text: str, *, act: str = "save", revision: int = 1, **more: Any) -> Any:
    return page.post(address(flow, act), {"text": text.replace("\n", "\r\n"), "revision": revision}, **more)


def numbers(flow: Flow) -> list[int]:
    return list(Revision.unscoped.filter(flow=flow).order_by("number").values_list("number", flat=True))


def test_the_editor_holds_the_current_text_and_says_that_it_is_right(page: Client, flow: Flow) -> None:
    html = html_of(page, address(flow))
    assert "# Orders, every morning\nflow: orders" in html
    assert "No mistakes" in html
    assert "Save as revision 2" in html
    assert "The same as revision 1." in html


def test_a_text_is_saved_as_the_next_revision_with_its_comments(page: Client, flow: Flow) -> None:
    answer = send(page, flow, TEXT.replace("500", "100"), follow=True)
    assert "Revision 2 of Orders is saved: page size changed." in text_of(answer.content.decode())
    flow.refresh_from_db()
    assert flow.revision.definition == TEXT.replace("500", "100")
    assert (flow.page_size, numbers(flow)) == (100, [1, 2])


def test_all_mistakes_are_told_at_once_with_line_and_hint_and_nothing_is_saved(page: Client, flow: Flow) -> None:
    wrong = TEXT.replace("page_size: 500", "page_sise: 500").replace("log:", "logg:")
    answer = send(page, flow, wrong)
    assert answer.status_code == 422
    text = text_of(answer.content.decode())
    assert "2 mistakes" in text
    assert "Line 4 page_sise : There is no field page_sise here. (did you mean page_size?)" in text
    assert "Line 8 steps[1] : A step needs one of the fields" in text
    assert "page_sise: 500 # small pages" in text
    assert "page_sise: 500   # small pages" in answer.content.decode()  # the text itself stays in the editor
    assert numbers(flow) == [1]


def test_checking_tells_what_would_change_and_saves_nothing(page: Client, flow: Flow) -> None:
    text = text_of(send(page, flow, TEXT.replace("500", "100"), act="check").content.decode())
    assert "1 line added, 1 removed against revision 1" in text
    assert numbers(flow) == [1]


def test_a_script_gets_only_the_findings(page: Client, flow: Flow) -> None:
    html = send(page, flow, "flow: [", act="check", headers={"HX-Request": "true"}).content.decode()
    assert html.lstrip().startswith('<section class="card" id="findings"')
    assert "This is not YAML" in html


def test_the_second_of_two_who_save_gets_a_conflict_with_the_difference_and_keeps_his_text(
    account: Account, page: Client, flow: Flow
) -> None:
    other = make_member(account, role=Role.MANAGER)
    apply_definition(account=account, text=TEXT.replace("500", "100"), member=other)
    mine = TEXT.replace("# Orders, every morning", "# Orders")
    answer = send(page, flow, mine, revision=1)
    html = answer.content.decode()
    assert answer.status_code == 409
    assert f"{other.user.username} saved revision 2 while you were writing" in text_of(html)
    assert 'class="ln del" data-n="4"><span class="sg">-</span>page_size: 100' in html
    assert "# Orders\nflow: orders" in html
    assert numbers(flow) == [1, 2]

    assert 'name="revision" value="2"' in html
    assert "Revision 3" in text_of(send(page, flow, mine, revision=2, follow=True).content.decode())


def test_saving_the_same_text_makes_no_revision(page: Client, flow: Flow) -> None:
    answer = send(page, flow, TEXT, follow=True)
    assert "Nothing was changed, so no revision was made." in text_of(answer.content.decode())
    assert numbers(flow) == [1]


def test_revisions_tell_what_they_changed(page: Client, flow: Flow) -> None:
    send(page, flow, TEXT.replace("500", "100"))
    send(page, flow, TEXT.replace("500", "100").replace("every morning", "daily"), revision=2)
    text = text_of(html_of(page, address(flow)))
    assert ": page size changed" in text
    assert ": text only" in text


def test_a_definition_never_becomes_that_of_another_flow(account: Account, page: Client, flow: Flow) -> None:
    other = apply_definition(account=account, text=TEXT.replace("flow: orders", "flow: others")).flow
    answer = send(page, flow, TEXT.replace("flow: orders", "flow: others").replace("500", "7"))
    assert answer.status_code == 422
    assert "This flow has the key orders, and a flow keeps its key." in text_of(answer.content.decode())
    other.refresh_from_db()
    assert other.page_size == 500


def test_saving_warns_that_it_enables_a_flow_that_was_disabled_by_hand(account: Account, page: Client) -> None:
    set_connection(account=account, name="Warehouse", kind="sql", config={"database": "sqlite", "file": "w.db"})
    flow = apply_definition(account=account, text=TEXT.replace("page_size", "enabled: true\npage_size")).flow
    disable_flow(flow=flow)
    text = text_of(html_of(page, address(flow)))
    assert "1 warning" in text
    assert "Saving enables it, because the definition says enabled: true." in text


# --- who may ---------------------------------------------------------------------------------------------------------
def test_a_monitor_reads_and_cannot_save(account: Account, flow: Flow) -> None:
    monitor = signed_in(make_member(account, role=Role.MONITOR).user)
    html = html_of(monitor, address(flow))
    assert "<textarea" not in html
    assert 'disabled title="Needs the role manager"' in html
    assert send(monitor, flow, TEXT + "#").status_code == 403
    assert send(monitor, flow, TEXT, act="check").status_code == 403
    assert monitor.get(address(flow, "restore/?revision=1")).status_code == 403
    assert monitor.get("/integrations/shop/flows/new/").status_code == 403
    assert monitor.post("/integrations/shop/flows/create", {"text": TEXT}).status_code == 403
    assert numbers(flow) == [1]


def test_a_flow_of_another_account_is_not_there(flow: Flow) -> None:
    stranger = signed_in(make_member().user)
    assert stranger.get(address(flow)).status_code == 404
    assert send(stranger, flow, TEXT).status_code == 404
    assert stranger.post(address(flow, "restore/?revision=1")).status_code == 404
    assert stranger.get("/integrations/shop/flows/new/").status_code == 404


def test_a_manager_of_one_integration_moves_no_flow_into_another(account: Account, flow: Flow) -> None:
    hidden = make_integration(account, name="Hidden", slug="hidden")
    member = make_member(account, role=Role.MONITOR)
    type(member).unscoped.filter(pk=member.pk).update(role="")
    MemberRole.unscoped.create(account_id=account.pk, member=member, integration=flow.integration, role=Role.MANAGER)
    page = signed_in(member.user)
    for slug in (hidden.slug, "brand-new"):
        answer = send(page, flow, TEXT.replace("{key: shop, name: Shop}", slug))
        assert answer.status_code == 422
        assert f"There is no integration {slug} whose flows you may edit." in text_of(answer.content.decode())
    assert send(page, flow, TEXT.replace("500", "100")).status_code == 302


# --- restoring -------------------------------------------------------------------------------------------------------
def test_an_old_revision_is_restored_as_a_new_one_after_a_question(page: Client, flow: Flow) -> None:
    send(page, flow, TEXT.replace("note", "remark"))
    text = text_of(html_of(page, address(flow, "restore/?revision=1")))
    assert "This makes revision 3 with the text of revision 1" in text
    assert "1 line added, 1 removed against revision 2" in text
    assert numbers(flow) == [1, 2]

    answer = page.post(address(flow, "restore/?revision=1"), {"revision": 2}, follow=True)
    assert "Revision 3 of Orders is saved" in text_of(answer.content.decode())
    assert "It has the text of revision 1." in text_of(answer.content.decode())
    flow.refresh_from_db()
    assert flow.revision.definition == TEXT
    assert Step.unscoped.get(flow=flow, key="note").removed_at is None


def test_a_revision_is_not_restored_over_one_that_nobody_looked_at(page: Client, flow: Flow) -> None:
    send(page, flow, TEXT.replace("500", "100"))
    answer = page.post(address(flow, "restore/?revision=1"), {"revision": 1})
    assert answer.status_code == 409
    assert "Somebody saved another revision meanwhile" in text_of(answer.content.decode())
    assert numbers(flow) == [1, 2]


def test_what_cannot_be_restored_any_more_says_why(page: Client, flow: Flow) -> None:
    Revision.unscoped.create(
        account_id=flow.account_id, flow=flow, number=9, definition=TEXT.replace("Warehouse", "Gone"), sha256=""
    )
    text = text_of(html_of(page, address(flow, "restore/?revision=9")))
    assert "Revision 9 cannot be restored as it is" in text
    assert "There is no connection Gone" in text
    assert page.post(address(flow, "restore/?revision=9"), {"revision": 1}).status_code == 200
    assert numbers(flow) == [1, 9]


@pytest.mark.parametrize("query", ["", "?revision=7", "?revision=x"])
def test_a_revision_that_never_was_is_not_restored(page: Client, flow: Flow, query: str) -> None:
    assert page.get(address(flow, f"restore/{query}")).status_code == 404


# --- new flows -------------------------------------------------------------------------------------------------------
def test_a_new_flow_begins_with_an_example_that_can_be_saved_as_it_is(page: Client, flow: Flow) -> None:
    assert "/integrations/shop/flows/new/" in html_of(page, "/integrations/shop/flows/")
    answer = page.get("/integrations/shop/flows/new/")
    example = answer.context["draft"].text
    assert "No mistakes" in answer.content.decode()
    assert "connection: Warehouse" in example

    answer = page.post("/integrations/shop/flows/create", {"text": example}, follow=True)
    assert "Flow My flow is made: revision 1" in text_of(answer.content.decode())
    made = Flow.unscoped.get(key="my-flow")
    assert (made.integration.slug, made.enabled, made.revision.number) == ("shop", True, 1)
    assert "flow: my-flow-2" in page.get("/integrations/shop/flows/new/").context["draft"].text


def test_a_new_flow_is_never_one_that_is_there(page: Client, flow: Flow) -> None:
    answer = page.post("/integrations/shop/flows/create", {"text": TEXT.replace("500", "7")})
    assert answer.status_code == 422
    assert "The key orders is taken by another flow" in text_of(answer.content.decode())
    flow.refresh_from_db()
    assert flow.page_size == 500


def test_without_a_connection_the_example_says_what_is_missing(account: Account, page: Client) -> None:
    make_integration(account, name="Empty", slug="empty")
    text = text_of(html_of(page, "/integrations/empty/flows/new/"))
    assert "There is no connection My connection in the environment production." in text


def test_the_editor_takes_sixteen_queries(page: Client, flow: Flow, django_assert_max_num_queries: Any) -> None:
    for size in range(1, 12):
        send(page, flow, TEXT.replace("500", str(size)), revision=size)
    with django_assert_max_num_queries(16):
        html_of(page, address(flow))
    with django_assert_max_num_queries(9):
        send(page, flow, TEXT, act="check", headers={"HX-Request": "true"})
