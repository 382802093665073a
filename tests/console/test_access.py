"""Who gets at what in the console: every route, with every method, is in one table, so that none is forgotten."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Account, Member, MemberRole, Role
from apps.accounts.permissions import Act
from apps.console.urls import urlpatterns
from tests.access import NO_CALL, Call, filled, least_role, plainly, read_table, role_below, status_of
from tests.console.one_of_each import one_of_each
from tests.console.screens import signed_in
from tests.factories import make_account, make_integration, make_member, make_user

pytestmark = pytest.mark.django_db

METHODS = ("GET", "POST")
TABLE = """
open: sign-in sign-in-code password-forgotten password-new invitation unsubscribe
open GET: health ready
open POST: passkey-options passkey-sign-in
user: home profile design confirm own-sign-in password-change app-set-up
user POST: app-begin app-remove passkey-new-options passkey-add passkey-remove codes-renew session-end sessions-end
user POST: sign-out theme-choose density-choose columns-choose environment-choose account-choose

view: dashboards dashboard dashboard-running analytics integration-list integrations/<slug:slug>/ integration
 integration-connections integrations/<slug:slug>/dashboard/ integration-dashboard integration-dashboard-running
 integration-analytics connection-list connection search record help help-topic
 flow flow-history flow-history-compare flow-analytics flow-definition flow-hook flow-errors flow-retries
 flow-settings flow-checkpoint step-overview step-mapping step-log step-handling
 step-errors step-errors-resolved step-retries error error-data error-request error-response error-history error-notes
 run run-log error-list error-act cause tag-list view-list token-list token-new
 member-list notification-list delivery-log support-bundle support-bundle-edit integration-notifications
 rule-list rule
view GET: integration-settings live help-ticket support-bundle-look
view POST: view-save view-rename view-delete support-bundle-download support-bundle-send support-bundle-discard
subscribe_self: subscription-new subscription-edit
subscribe_self POST: subscription-end notification-wishes-save notification-test
run_flow POST: flow-run flow-hook-send
cancel_run POST: run-cancel
retry_errors: errors-retry
resolve_errors: errors-resolve errors-reopen errors-mark-sent cause-merging
resolve_errors POST: error-act-undo cause-merge cause-unmerge cause-classify cause-unclassify cause-snooze cause-wake
assign_errors POST: errors-assign cause-assign
apply_tags POST: errors-tag errors-comment cause-comment

edit_retry_data: errors-edit errors-edit-others errors-upload errors-upload-look
edit_retry_data POST: error-data-save error-data-retry
edit_rules: rule-new rule-edit
edit_rules POST: rule-switch rule-remove
keep_errors POST: error-keep
define_tags: tag-delete
define_tags POST: tag-define tag-rename
edit_flows: integration-clone connection-pause integration-new flow-new flow-definition-restore flow-hook-renew
 flow-test-new flow-test
edit_flows POST: integration-settings error-automation-install flow-enable flow-disable flow-definition-save
 flow-definition-check flow-setting-save flow-setting-preview step-handling-save step-handling-preview
 flow-create flow-new-check flow-test-start flow-test-publish connection-resume
edit_connections: connection-new connection-new-kind connection-edit webhook-list webhook-new webhook webhook-edit
edit_connections POST: connection-test webhook-test webhook-enable webhook-disable webhook-send-again
move_checkpoint: flow-checkpoint-move

delete: connection-delete webhook-delete
manage_tokens: token-revoke
manage_members: member member-invite
manage_members POST: member-disable member-enable invitation-resend invitation-withdraw second-factor-require
subscribe_others: channel-new channel-delete
subscribe_others POST: channel-test channel-enable channel-disable
read_audit: audit-log
set_retention: retention retention-change retention-export-file
set_retention POST: retention-export

transfer_account: account-transfer
close_account: account-close
"""
CALLS = read_table(TABLE, METHODS)
ROUTES = {pattern.name or str(pattern.pattern): str(pattern.pattern) for pattern in urlpatterns}
SPECIAL: dict[str, dict[str, Any]] = {
    "help-topic": {"slug": "workers"},
    "invitation": {"text": "of-nobody"},
    "password-new": {"user_key": "MQ", "token": "of-nobody"},
    "passkey-remove": {"passkey_id": 1},
    "session-end": {"session_id": 1},
}
NOT_OF_AN_ACCOUNT = {"help-topic", "connection-new-kind", "record"}
"""Their paths name no object: a topic, a kind of connector, a key that is looked for."""
LEAD_ON = {"integrations/<slug:slug>/", "integrations/<slug:slug>/dashboard/", "errors-upload-look"}
"""They lead to another page, whatever they name: to the one that says that it is not there, or to upload a file."""
OTHERS_ARE_HIDDEN = {"token-revoke"}
"""Of a kind of which one sees only one's own: that of another one is not there."""


@dataclass
class World:
    """An account with one of each thing that an address may name, and a browser of each role."""

    account: Account
    ids: dict[str, Any]
    browsers: dict[Role, Client]

    def asked(self, browser: Client, call: Call) -> int:
        """The status of a call by this browser; errors are named as lists name them."""
        method, name = call
        ids = self.ids | SPECIAL.get(name, {})
        chosen = {"error": ids["error_id"], "cause": ids["cause_id"], "a": ids["run_id"], "b": ids["run_id"]}
        data = {**chosen, "account": self.account.pk, "revision": 1, "t": "shell", "v": "0"}
        path = f"/{filled(ROUTES[name], ids)}?{urlencode(data)}"
        return status_of(lambda: getattr(plainly(browser), method.lower())(path, data))


@pytest.fixture
def world() -> World:
    account = make_account()
    for role in Role:
        if role is not Role.OWNER:
            make_member(account, role=role)
    members = {Role(member.role): member for member in Member.objects.of(account).select_related("user")}
    browsers = {role: signed_in(member.user) for role, member in members.items()}
    return World(account, one_of_each(account, members), browsers)


def acts() -> list[tuple[Call, str]]:
    return [(call, word) for call, word in CALLS.items() if word in set(Act)]


def naming(*parts: str) -> list[Call]:
    """The calls whose paths name something of an account, one of these parts if any are told."""
    named = [(call, ROUTES[call[1]]) for call, _ in acts() if call[1] not in NOT_OF_AN_ACCOUNT | LEAD_ON]
    wanted = re.compile(f":({'|'.join(parts)})>" if parts else "<")
    return [call for call, path in named if wanted.search(path)]


def wrong(found: dict[Call, int], *right: int) -> dict[Call, int]:
    return {call: status for call, status in found.items() if status not in right}


def test_every_call_is_in_the_table(world):
    """A route that the table does not name, or not with a method that it answers, fails here: give it its act there."""
    assert set(ROUTES) == {route for _, route in CALLS}
    unnamed = [(method, route) for route in ROUTES for method in METHODS if (method, route) not in CALLS]
    owner = world.browsers[Role.OWNER]
    assert wrong({call: world.asked(owner, call) for call in unnamed}, NO_CALL) == {}


def test_without_signing_in_only_what_is_open_answers(world):
    nobody = Client()
    found = {call: world.asked(nobody, call) for call, word in CALLS.items() if word != "open"}
    assert wrong(found, 302, 401, NO_CALL) == {}
    assert nobody.get("/connections/").url.startswith("/login/")
    found = {call: world.asked(nobody, call) for call, word in CALLS.items() if word == "open"}
    assert {call: status for call, status in found.items() if status in (401, 403, 500)} == {}


def test_the_least_role_of_an_act_may_do_it(world):
    found = {call: world.asked(world.browsers[least_role(act)], call) for call, act in acts()}
    assert {call: status for call, status in found.items() if status in (401, 403, 404) or status >= 500} == {}


def test_the_role_below_is_refused(world):
    below = [(call, role_below(act)) for call, act in acts()]
    found = {call: world.asked(world.browsers[role], call) for call, role in below if role}
    hidden = {call: found.pop(call) for call in list(found) if call[1] in OTHERS_ARE_HIDDEN}
    assert wrong(found, 403) == {}
    assert wrong(hidden, 404) == {}
    assert len(found) > 50


def test_what_belongs_to_another_account_is_not_there(world):
    stranger = signed_in(Member.objects.of(make_account()).get().user)
    named = naming()
    assert wrong({call: world.asked(stranger, call) for call in named}, 404) == {}
    assert len(named) > 80


def test_what_is_of_another_integration_is_not_there(world):
    member = make_member(world.account)
    Member.objects.of(world.account).filter(pk=member.pk).update(role="")
    elsewhere = make_integration(world.account)
    MemberRole.unscoped.create(account=world.account, member=member, integration=elsewhere, role=Role.OWNER)
    outsider = signed_in(member.user)
    named = naming("slug", "flow_id", "run_id", "cause_id")
    assert wrong({call: world.asked(outsider, call) for call in named}, 404) == {}
    assert len(named) > 60


def test_the_admin_is_the_operators_whatever_role_one_has(world):
    """Every table's list, and its removal of a row; who has the highest role stands for those below."""
    names = [f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry]
    calls = [("get", reverse(f"admin:{name}_changelist")) for name in names]
    calls += [("post", reverse(f"admin:{name}_delete", args=[1])) for name in names]

    def answers(browser: Client) -> set[tuple[int, str]]:
        found = [getattr(plainly(browser), method)(place) for method, place in calls]
        return {(answer.status_code, answer.headers.get("Location", "").split("?")[0]) for answer in found}

    for browser in (Client(), world.browsers[Role.OWNER]):
        assert answers(browser) == {(302, "/admin/login/")}
    assert answers(signed_in(make_user(is_staff=True))) == {(403, "")}
    assert {role: browser.get("/admin/").status_code for role, browser in world.browsers.items()} == dict.fromkeys(
        Role, 302
    )
