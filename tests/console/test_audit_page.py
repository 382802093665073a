"""The audit log: every act with who did it and what it changed, narrowed by filters, and as a file."""

import csv
import io
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.test import Client

from apps.accounts.models import Account, AuditEntry, Member, Role
from apps.accounts.services import COMMAND, Actor, record_audit
from apps.accounts.tokens import Scope, issue_token
from apps.core.clock import wall_now
from apps.flows.models import Flow
from apps.flows.services import disable_flow, enable_flow
from tests.console.screens import html_of, orders_flow, signed_in, text_of
from tests.factories import make_account, make_connection, make_flow, make_member, make_user

PAGE = "/settings/audit/"


@pytest.fixture
def member(account: Account) -> Member:
    return make_member(account, role=Role.ADMINISTRATOR, user=make_user("mara", first_name="Mara"))


@pytest.fixture
def acted(orders: Flow, member: Member) -> Flow:
    """Disabled by Mara, enabled on the command line."""
    disable_flow(flow=orders, member=member)
    enable_flow(flow=orders)
    return orders


def rows_of(page: Client, query: str = "") -> list[str]:
    """`disable flow by Mara` for each line that is shown."""
    found = page.get(f"{PAGE}{query}").context["rows"]
    return [f"{row.act.lower()} by {row.who}" for row in found if row.entry.object_kind == "flow"]


def test_each_line_tells_who_did_what_to_which_object_and_what_changed(page: Client, acted: Flow) -> None:
    html = html_of(page, PAGE)
    text = text_of(html)
    assert "Mara signed in Disable flow flow.disable Orders" in text
    assert "Command line on the server Enable flow flow.enable Orders" in text
    assert "enabled yes to no" in text
    assert f'href="/flows/{acted.pk}/?environment=production"' in html
    assert f'href="{PAGE}?kind=flow&amp;object={acted.pk}"' in html


def test_it_tells_from_which_address_a_request_did_it(page: Client, orders: Flow, settings: Any) -> None:
    """By the same rule as the sign-in: behind a proxy what that one says. What a worker does comes from nowhere."""
    settings.BEHIND_PROXY = True
    page.post(f"/flows/{orders.pk}/disable", headers={"x-forwarded-for": "192.0.2.1, 2001:db8::7"})
    enable_flow(flow=orders)
    by_address = AuditEntry.unscoped.filter(object_kind="flow").order_by("pk").values_list("act", "address")
    assert list(by_address) == [("flow.disable", "2001:db8::7"), ("flow.enable", None)]
    assert "signed in 2001:db8::7 Disable flow" in text_of(html_of(page, PAGE))
    answer = page.get(f"{PAGE}?act=flow.disable&format=jsonl")
    (found,) = [orjson.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert found["address"] == "2001:db8::7"


def test_the_filters_narrow_the_log(page: Client, acted: Flow, member: Member, account: Account) -> None:
    other = make_flow(account)
    disable_flow(flow=other, member=member)
    assert rows_of(page, f"?who={member.pk}") == ["disable flow by Mara", "disable flow by Mara"]
    assert rows_of(page, "?who=command") == ["enable flow by Command line"]
    assert rows_of(page, "?act=flow.enable") == ["enable flow by Command line"]
    assert rows_of(page, f"?kind=flow&object={other.pk}") == ["disable flow by Mara"]
    assert rows_of(page, "?kind=connection") == []
    for nothing in ("?who=nobody", "?object=x", "?object=99999999999999999999", "?who=%00", "?range=1h&act=flow.fly"):
        assert "Nothing that was done matches these filters" in text_of(html_of(page, PAGE + nothing))
    AuditEntry.unscoped.filter(act="flow.enable").update(at=wall_now() - timedelta(days=3))
    assert rows_of(page, "?range=24h") == ["disable flow by Mara", "disable flow by Mara"]


def test_an_act_by_a_token_names_it(page: Client, orders: Flow, member: Member) -> None:
    token, _ = issue_token(member=member, scopes=(Scope.FULL,), name="Nightly")
    record_audit(account=orders.account_id, actor=Actor.token(token), act="flow.enable", target=orders)
    assert f"Mara by token {token.prefix}" in text_of(html_of(page, PAGE))
    assert rows_of(page, "?who=token") == ["enable flow by Mara"]


def test_what_is_gone_since_says_so(page: Client, account: Account) -> None:
    connection = make_connection(account)
    record_audit(account=account, actor=COMMAND, act="connection.delete", target=connection)
    connection.delete()
    assert "Delete connection connection.delete gone since" in text_of(html_of(page, PAGE))


def test_the_log_is_paged_newest_first(page: Client, orders: Flow) -> None:
    for number in range(60):
        record_audit(account=orders.account_id, actor=COMMAND, act=f"flow.act{number}", target=orders)
    first = page.get(PAGE)
    assert first.context["rows"][0].entry.act == "flow.act59"
    second = page.get(first.context["older_url"])
    assert second.context["rows"][0].entry.act == "flow.act9"
    assert second.context["newer_url"]
    assert "This place in the log is not there" in text_of(html_of(page, f"{PAGE}?page=broken"))


def test_the_log_as_a_file_is_what_the_filters_leave(page: Client, acted: Flow, member: Member) -> None:
    AuditEntry.unscoped.filter(act="flow.disable").update(after={"note": "=1+1"})
    answer = page.get(f"{PAGE}?kind=flow&format=csv")
    lines = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert lines[0] == ["at", "who", "by", "address", "act", "object", "number", "name", "changes"]
    assert [line[1:] for line in lines[1:]] == [
        ["Command line", "command", "", "flow.enable", "flow", str(acted.pk), "Orders", "enabled: false -> true"],
        [
            "Mara",
            "member",
            "",
            "flow.disable",
            "flow",
            str(acted.pk),
            "Orders",
            "enabled: true -> null; note: null -> =1+1",
        ],
    ]
    answer = page.get(f"{PAGE}?kind=flow&who={member.pk}&format=jsonl")
    (found,) = [orjson.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert (found["who"], found["act"], found["object"]["name"]) == ("Mara", "flow.disable", "Orders")
    assert (found["before"], found["after"]) == ({"enabled": True}, {"note": "=1+1"})
    taken = AuditEntry.objects.of(acted.account).filter(act="audit.download", member=member)
    assert sorted(entry.after["format"] for entry in taken) == ["csv", "jsonl"]


def test_a_cell_that_looks_like_a_formula_is_text(page: Client, account: Account) -> None:
    flow = orders_flow(account)
    Flow.unscoped.filter(pk=flow.pk).update(name="=HYPERLINK(1)")
    disable_flow(flow=flow)
    text = b"".join(page.get(f"{PAGE}?kind=flow&format=csv").streaming_content).decode()
    assert ",'=HYPERLINK(1)," in text


@pytest.mark.parametrize("role", [Role.MONITOR, Role.MANAGER])
def test_the_log_takes_the_role_administrator(account: Account, role: Role) -> None:
    client = signed_in(make_member(account, role=role).user)
    for query in ("", "?format=csv", "?format=jsonl"):
        assert client.get(PAGE + query).status_code == 403


def test_what_another_account_did_is_not_there(page: Client, acted: Flow) -> None:
    theirs = make_flow(make_account(), name="Theirs")
    disable_flow(flow=theirs)
    assert "Theirs" not in html_of(page, PAGE)
    assert rows_of(page, f"?kind=flow&object={theirs.pk}") == []
    assert b"Theirs" not in b"".join(page.get(f"{PAGE}?format=csv").streaming_content)


def test_the_page_takes_twelve_queries_whatever_its_length(
    page: Client, acted: Flow, django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        record_audit(account=acted.account_id, actor=COMMAND, act="flow.apply", target=acted)
    with django_assert_max_num_queries(12):
        html_of(page, PAGE)
