"""The acts of the admin: asked about first, done for the member that the user is, recorded as in the console."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Account, AuditEntry, Member, Role
from apps.accounts.services import add_member
from apps.errors.models import BulkAct, Cause, Error
from apps.flows.models import Connection, Flow
from apps.runs.models import Run
from tests.console.screens import text_of
from tests.factories import make_account, make_connection, make_error, make_flow, make_run, make_user, step_of
from tests.fakes.running import World, books

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(account: Account) -> Member:
    """Who may use the admin, as a manager of the account."""
    user = make_user("staff", is_staff=True, is_superuser=True)
    return add_member(account=account, user=user, role=Role.MANAGER)


@pytest.fixture
def admin_page(staff: Member) -> Client:
    return of_user(staff.user)


def of_user(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def send(client: Client, act: str, rows: list[Any], **more: str) -> Any:
    model: type[Model] = type(rows[0])
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    form = {"action": act, "_selected_action": [row.pk for row in rows], "select_across": "0", **more}
    return client.post(address, form, follow=True)


def do(client: Client, act: str, rows: list[Any], **more: str) -> str:
    """The messages after an act that was asked about and confirmed."""
    asked = send(client, act, rows, index="0", **more)
    assert 'name="confirmed"' in asked.content.decode()
    answer = send(client, act, rows, confirmed="yes", **more)
    return " ".join(str(message) for message in answer.context["messages"])


def acts_recorded() -> list[tuple[str, int | None]]:
    return list(AuditEntry.unscoped.order_by("pk").values_list("act", "member"))


def test_nothing_is_done_before_the_question_is_answered(admin_page: Client, world: World) -> None:
    errors = list(Error.unscoped.all())
    asked = text_of(send(admin_page, "retry_errors", errors, index="0").content.decode())
    assert "Each record is sent again from the step at which it failed" in asked
    assert "Chosen: 3" in asked
    assert (BulkAct.unscoped.count(), Run.unscoped.filter(kind="retry").count()) == (0, 0)


def test_errors_are_retried_resolved_and_reopened_by_the_member(
    admin_page: Client, world: World, staff: Member
) -> None:
    first, second, third = Error.unscoped.order_by("pk")
    said = do(admin_page, "retry_errors", [first])
    act = BulkAct.unscoped.get()
    assert "1 error chosen" in said
    assert f'href="/acts/{act.pk}/"' in said
    assert (act.act, act.member) == ("retry", staff)
    assert Run.unscoped.get(kind="retry").status == "queued"
    do(admin_page, "resolve_errors", [second, third])
    second.refresh_from_db()
    assert (second.state, second.reason, second.resolved_by) == ("resolved", "manual", staff)
    do(admin_page, "reopen_errors", [second])
    second.refresh_from_db()
    assert second.state == "open"
    own = [recorded for recorded in acts_recorded() if recorded[0].startswith("error.")]
    assert own == [(f"error.{name}", staff.pk) for name in ("retry", "resolve", "reopen")]
    assert books() == []


def test_all_that_match_a_filter_are_meant_when_all_are_selected(admin_page: Client, world: World) -> None:
    error = Error.unscoped.first()
    assert error is not None
    do(admin_page, "resolve_errors", [error], select_across="1")
    assert set(Error.unscoped.values_list("state", flat=True)) == {"resolved"}


def test_the_open_errors_of_a_root_cause_are_resolved_with_those_of_what_is_merged_into_it(
    admin_page: Client, world: World
) -> None:
    cause = Cause.unscoped.get()
    joined = make_error(step=step_of(world.flow), message="Something else")
    Cause.unscoped.filter(pk=joined.cause_id).update(merged_into=cause)
    do(admin_page, "resolve_causes", [cause])
    assert set(Error.unscoped.values_list("state", flat=True)) == {"resolved"}


def test_flows_are_run_enabled_and_disabled(admin_page: Client, account: Account, staff: Member) -> None:
    on, off = make_flow(account), make_flow(account, enabled=False)
    said = do(admin_page, "run_flows", [on, off])
    run = Run.unscoped.get()
    assert (run.flow, run.trigger, run.started_by) == (on, "manual", staff)
    assert f"Run r-{run.pk} of {on.name} is queued." in said
    assert "start the flow first" in said.lower() or "disabled" in said
    do(admin_page, "enable_flows", [off])
    do(admin_page, "disable_flows", [on])
    assert dict(Flow.unscoped.values_list("pk", "enabled")) == {on.pk: False, off.pk: True}
    assert {act for act, member in acts_recorded() if member == staff.pk} >= {"flow.enable", "flow.disable"}


def test_a_run_is_canceled_and_one_that_has_ended_says_so(admin_page: Client, account: Account, staff: Member) -> None:
    waiting, ended = make_run(make_flow(account)), make_run(make_flow(account), status="completed", outcome="completed")
    said = do(admin_page, "cancel_runs", [waiting, ended])
    waiting.refresh_from_db()
    assert (waiting.status, waiting.canceled_by) == ("canceled", staff)
    assert "has ended already" in said


def test_a_connection_is_tested(admin_page: Client, account: Account, tmp_path: Any, settings: Any) -> None:
    settings.SQLITE_ROOT = tmp_path
    connection = make_connection(account, config={"database": "sqlite", "file": "shop.db"})
    (tmp_path / str(account.pk)).mkdir()
    (tmp_path / str(account.pk) / "shop.db").touch()
    assert f"{connection.name} answers" in do(admin_page, "test_connections", [connection])
    (tmp_path / str(account.pk) / "shop.db").unlink()
    assert "answers" not in do(admin_page, "test_connections", [Connection.unscoped.get()])


def test_who_is_no_member_of_the_account_or_of_too_low_a_role_acts_on_nothing(world: World, account: Account) -> None:
    stranger = of_user(make_user("root", is_staff=True, is_superuser=True))
    error = Error.unscoped.first()
    assert error is not None
    assert "None of these errors" in do(stranger, "resolve_errors", [error])
    assert "you are no member of its account" in do(stranger, "disable_flows", [world.flow])
    user = make_user("watch", is_staff=True, is_superuser=True)
    add_member(account=account, user=user, role=Role.MONITOR)
    add_member(account=make_account(), user=user, role=Role.OWNER)
    assert "your role in its account does not allow it" in do(of_user(user), "disable_flows", [world.flow])
    world.flow.refresh_from_db()
    assert world.flow.enabled
    assert not BulkAct.unscoped.exists()


def test_the_admin_is_in_the_menu_of_staff_and_leads_back(admin_page: Client, page: Client) -> None:
    assert 'href="/admin/"' in admin_page.get("/integrations/").content.decode()
    assert 'href="/admin/"' not in page.get("/integrations/").content.decode()
    assert '<a href="/">Console</a>' in admin_page.get("/admin/").content.decode()
