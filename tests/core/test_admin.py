"""The admin shows every model, in few queries, changes no history and shows no secret."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import User
from django.contrib.messages.storage.cookie import CookieStorage
from django.test import RequestFactory
from django.urls import reverse
from django.utils.html import escape

from apps.accounts.models import (
    Account,
    AuditEntry,
    AuthenticatorApp,
    GuessCount,
    Invitation,
    KeptAnswer,
    Member,
    MemberRole,
    Passkey,
    Profile,
    RecoveryCode,
    Role,
    Token,
    UserSession,
)
from apps.accounts.services import add_member
from apps.core.admin import BoundedPaginator, EndlessAdmin, HistoryAdmin
from apps.core.clock import wall_now
from apps.core.models import HotScoped
from apps.errors.models import (
    Assignment,
    BulkAct,
    BulkItem,
    CauseBucket,
    Comment,
    ErrorTag,
    RetryItem,
    RetryVersion,
    Rule,
    RuleHit,
    RuleRevision,
    SavedView,
    Tag,
    Upload,
)
from apps.errors.rules.definition import Acts, Definition
from apps.flows.models import Checkpoint, Connection, Hook, Ledger, Share
from apps.flows.secrets import read_secrets
from apps.notifications.models import (
    DigestWindow,
    HeldDigest,
    Message,
    MessageDelivery,
    Notice,
    Preference,
    Subscription,
)
from apps.retention.models import ExportPart, Purge, PurgedSums, PurgeExport, PurgePlan
from apps.runs.models import Arrival, Bucket, Capture, Delivery, Intent, Machine, RunLog, TestRun
from apps.support.models import SupportBundle
from apps.webhooks.models import Announcement, WebhookDelivery
from tests.conftest import NOON
from tests.factories import (
    make_account,
    make_channel,
    make_connection,
    make_error,
    make_flow,
    make_integration,
    make_member,
    make_page,
    make_retry_data,
    make_run,
    make_step_run,
    make_webhook,
    step_of,
)
from tests.long_tests import SPREADS

pytestmark = pytest.mark.django_db

OURS = [model for model in apps.get_models() if model.__module__.startswith("apps.")]
ENDLESS = [model for model in OURS if isinstance(admin.site._registry.get(model), EndlessAdmin)]
HISTORY = [model for model in OURS if isinstance(admin.site._registry.get(model), HistoryAdmin)]
CANARY = "canary-7f3a"
# session, user, rows, bounded count; a search adds none. Filters on relations and inlines would add more.
LIST_QUERIES = 5  # session, no membership, user, count, rows
HIERARCHY_QUERIES = 2  # the first and the last of all rows, and the days or months between them
FORM_QUERIES = 20  # what a row refers to is named, each by a query; a list of all that could be chosen would be more


def name_of(model: type) -> str:
    return model.__name__


def address(model: type, page: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


@pytest.fixture
def two_of_each(db):
    """Two rows of every model, so that a list that asks once per row is found out. It takes longer than most pages."""
    for _ in range(2):
        _an_account_with_history(make_account())


def _an_account_with_history(account):
    flow = make_flow(account)
    step, source, run = step_of(flow), step_of(flow, "source"), make_run(flow)
    member, page, error = make_member(account), make_page(run), make_error(run, key="A-1")
    make_connection(account, secrets={"password": CANARY})
    make_step_run(run, step)
    make_retry_data(error, record=b'{"card": "canary-7f3a"}')
    of_account: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (MemberRole, {"member": member, "integration": flow.integration, "role": Role.MONITOR}),
        (Token, {"member": member, "prefix": f"fm_{member.pk}", "sha256": CANARY}),
        (KeptAnswer, {"key_sha256": f"{member.pk}", "request_sha256": "0", "content": b"canary-7f3a"}),
        (Invitation, {"email": "a@example.org", "invited_by": member, "expires_at": wall_now()}),
        (AuditEntry, {"actor_kind": "member", "member": member, "act": "flow.apply", "object_kind": "flow"}),
        (Checkpoint, {"flow": flow, "step": source, "moved_by_run": run}),
        (Intent, {"page": page, "step": step, "ordinal": 1}),
        (Bucket, {"flow": flow, "grain": 1, "slot": 1}),
        (RunLog, {"run": run, "step": step, "text": "Read 100 records"}),
        (Capture, {"run": run, "step": step, "method": "POST", "status": "500"}),
        (CauseBucket, {"cause": error.cause, "slot": 1, "errors": 1}),
        (RetryVersion, {"error": error, "version": 1, "record": b"{}", "member": member}),
        (RetryItem, {"run": run, "error": error, "seq": 1, "member": member}),
        (Comment, {"error": error, "member": member, "text": "Asked the supplier"}),
        (Assignment, {"error": error, "assignee": member, "assigned_by": member}),
        (SavedView, {"member": member, "name": "Mine", "query": "assignee=me"}),
        (Upload, {"member": member, "name": "errors.json", "content": b"x"}),
        (SupportBundle, {"member": member, "subject": {}, "ticket": {"title": "Help"}, "content": b"canary-7f3a"}),
        (TestRun, {"flow": flow, "member": member, "text": CANARY, "records": b"canary-7f3a"}),
    ]
    hook = Hook.unscoped.create(
        account=account, flow=flow, step=source, key_sha256=f"{step.pk}", key_sealed=b"canary-7f3a"
    )
    of_account += [
        (Arrival, {"hook": hook, "flow": flow, "records": 1, "size": 11, "body": b"canary-7f3a"}),
        (Delivery, {"hook": hook, "digest": "0", "arrival": 1, "records": 1}),
        (Ledger, {"connection": make_connection(account, name=f"Ledger {step.pk}")}),
        (WebhookDelivery, {"webhook": make_webhook(account, secret=CANARY * 2), "event_id": "0", "payload": "{}"}),
        (Share, {"key": f"{step.pk}", "token": b"canary-7f3a"}),
        (Announcement, {"event": "run.finished"}),
        *notification_rows(account, member, error),
    ]
    for model, fields in of_account:
        model.unscoped.create(account=account, **fields)
    act = BulkAct.unscoped.create(account=account, act="retry", member=member)
    BulkItem.unscoped.create(account=account, act=act, error=error)
    rule = Rule.unscoped.create(account=account, name="Known")
    kept = Definition(acts=Acts(resolve=True)).stored()
    revision = RuleRevision.unscoped.create(account=account, rule=rule, number=1, definition=kept)
    rule.revision = revision
    rule.save(update_fields=["revision"])
    RuleHit.unscoped.create(account=account, rule=rule, revision=revision, error=error, record=1, state="acted")
    tag = Tag.unscoped.create(account=account, name=f"Tag {error.pk}")
    ErrorTag.unscoped.create(account=account, error=error, tag=tag)
    retention_rows(account, member, flow)
    Profile.objects.create(user=member.user)
    AuthenticatorApp.objects.create(user=member.user, secret=b"canary-7f3a", secret_key_id="0")
    Passkey.objects.create(user=member.user, name="Phone", credential_sha256=f"{member.pk}", credential=b"canary-7f3a")
    RecoveryCode.objects.create(user=member.user, sha256=CANARY)
    GuessCount.objects.create(kind="name", sha256=f"{member.pk}", since=wall_now())
    UserSession.objects.create(
        user=member.user, session_key=f"{CANARY}-{member.pk}", session_data=CANARY, expire_date=wall_now()
    )
    Machine.objects.create(name=f"machine-{error.pk}")


def retention_rows(account, member, flow):
    PurgePlan.objects.create(account=account)
    Purge.unscoped.create(account=account, before=NOON)
    PurgedSums.unscoped.create(account=account, flow=flow)
    export = PurgeExport.unscoped.create(account=account, member=member, before=NOON)
    ExportPart.unscoped.create(account=account, export=export, seq=1, content=b"canary-7f3a")


def notification_rows(account, member, error):
    channel = make_channel(account, address=f"https://example.org/{CANARY}")
    message = Message.unscoped.create(account=account, kind="test", environment="production")
    window = {"environment": "production", "told_from": NOON, "ended_at": NOON, "next_at": NOON}
    return [
        (Subscription, {"channel": channel}),
        (Preference, {"member": member}),
        (DigestWindow, window),
        (HeldDigest, {"member": member, "environment": "production", "window": 1, "since": NOON}),
        (Notice, {"error": error, "environment": "production", "flow": error.flow}),
        (MessageDelivery, {"message": message, "member": member}),
    ]


def test_every_model_is_registered_with_a_search():
    for model in OURS:
        assert model in admin.site._registry, name_of(model)
        assert admin.site._registry[model].search_fields, name_of(model)


def test_every_list_opens_in_five_queries(two_of_each, admin_client, django_assert_num_queries):
    for model in OURS:
        assert model._default_manager.count() >= 2, name_of(model)
        extra = HIERARCHY_QUERIES if admin.site._registry[model].date_hierarchy else 0
        with django_assert_num_queries(LIST_QUERIES + extra, info=name_of(model)):
            answer = admin_client.get(address(model, "changelist"))
        assert (name_of(model), answer.status_code) == (name_of(model), 200)


def test_every_filter_of_a_list_finds_its_rows(two_of_each, superuser):
    for model in OURS:
        shown = shown_in_list(model, superuser)
        for spec in shown.filter_specs:
            choice = list(spec.choices(shown))[-1]
            assert list(shown_in_list(model, superuser, choice["query_string"]).result_list) is not None, spec.title


def shown_in_list(model: type, user: User, query: str = "") -> ChangeList:
    """What the list of a model shows for a query, without its page; raises for a query that it does not take."""
    request = RequestFactory().get(address(model, "changelist") + query)
    request.user = user
    request._messages = CookieStorage(request)
    return admin.site._registry[model].get_changelist_instance(request)


def test_lists_without_end_are_neither_sorted_nor_counted_to_their_end():
    for model in ENDLESS:
        page = admin.site._registry[model]
        assert (page.sortable_by, page.date_hierarchy, page.show_full_result_count) == ((), None, False)
        assert page.paginator is BoundedPaginator
    hot = {model for model in OURS if issubclass(model, HotScoped)}
    assert {name_of(model) for model in hot - set(ENDLESS)} <= {"KeptAnswer", "PurgedSums", "Upload"}  # a row a flow


@SPREADS
def test_what_the_console_shows_is_opened_there_from_the_list_and_the_form(
    two_of_each, admin_client, superuser, spread
):
    account = Account.objects.first()
    add_member(account=account, user=superuser, role=Role.OWNER)
    shown = [model for model in OURS if admin.site._registry[model].address_in_console]
    assert {name_of(model) for model in shown} >= {"Flow", "Run", "Error", "Cause", "Step", "Connection", "RetryItem"}
    for model in shown[::spread]:
        row = model.unscoped.filter(account=account).first()
        way = admin.site._registry[model].address_in_console(row)
        rows = admin_client.get(address(model, "changelist")).content.decode()
        assert f'href="{escape(way)}"' in rows, name_of(model)
        form = admin_client.get(address(model, "change", row.pk)).content.decode()
        assert f'<a href="{escape(way)}" class="viewsitelink">Open in the console</a>' in form, name_of(model)
        answer = admin_client.get(way, follow=True)
        assert (way, answer.status_code) == (way, 200)
        assert "nav" in answer.context or "crumbs" in answer.context, way


def test_the_way_to_the_console_leads_into_the_environment_of_what_it_shows(admin_client, superuser, account):
    add_member(account=account, user=superuser, role=Role.OWNER)
    flow = make_flow(integration=make_integration(account, environment="sandbox"))
    assert admin_client.get(reverse("console:flow", args=[flow.pk])).status_code == 404
    way = admin.site._registry[type(flow)].address_in_console(flow)
    assert admin_client.get(way).status_code == 200
    assert admin_client.get(reverse("console:flow", args=[flow.pk])).status_code == 200


@pytest.mark.parametrize("term", ["e-1 r-1", "'\"%\\\x00;" + "9" * 40])
def test_every_search_takes_any_text(two_of_each, superuser, term):
    for model in OURS:
        assert len(shown_in_list(model, superuser, "?" + urlencode({"q": term})).result_list) >= 0, name_of(model)


def test_every_form_opens_in_few_queries_and_shows_no_secret(two_of_each, admin_client, django_assert_max_num_queries):
    for model in OURS:
        row = model._default_manager.first()
        with django_assert_max_num_queries(FORM_QUERIES, info=name_of(model)):
            answer = admin_client.get(address(model, "change", row.pk))
        assert (name_of(model), answer.status_code) == (name_of(model), 200)
        assert CANARY not in answer.content.decode(), name_of(model)


def test_history_is_neither_added_nor_changed_nor_deleted(two_of_each, admin_client):
    for model in HISTORY:
        row = model._default_manager.first()
        tries = [("add", (), {}), ("change", (row.pk,), {}), ("delete", (row.pk,), {"post": "yes"})]
        for page, key, fields in tries:
            answer = admin_client.post(address(model, page, *key), fields)
            assert (name_of(model), page, answer.status_code) == (name_of(model), page, 403)
        assert model._default_manager.filter(pk=row.pk).exists(), name_of(model)


def test_the_history_is_what_the_product_calls_history():
    tables = {model._meta.db_table for model in HISTORY}
    assert {"run", "step_run", "page", "error", "retry_version", "audit", "bucket", "capture", "run_log",
            "revision", "retry_item", "token", "cause", "step_state"} <= tables  # fmt: skip


def test_an_error_is_found_by_its_message_its_key_and_its_number(admin_client, flow):
    error = make_error(step=step_of(flow), message="Price is not a number", key="SKU-4711")
    make_error(step=step_of(flow), message="Timed out", key="B-1")
    for term in ["not a number", "sku-4711", f"e-{error.pk}"]:
        answer = admin_client.get(address(type(error), "changelist"), {"q": term})
        assert [row.pk for row in answer.context["cl"].result_list] == [error.pk]


def test_a_run_is_found_by_its_short_id(admin_client, flow):
    run = make_run(flow)
    make_run(flow)
    answer = admin_client.get(address(type(run), "changelist"), {"q": f"r-{run.pk}"})
    assert [row.pk for row in answer.context["cl"].result_list] == [run.pk]


def test_the_admin_is_called_flowmend_and_needs_no_inline_script_or_style(admin_client, flow):
    page = admin_client.get(reverse("admin:index"))
    assert "Flowmend" in page.content.decode()
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    for model in [type(flow), Connection]:
        html = admin_client.get(address(model, "changelist")).content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", html)
        assert "style=" not in html
        assert " onclick=" not in html


SERVER = {"database": "postgresql", "host": "db.example.org", "name": "shop", "user": "reader"}


def test_a_connection_is_checked_stored_and_recorded_as_in_the_console(admin_client, superuser, account):
    member = add_member(account=account, user=superuser, role=Role.OWNER)
    form = {"account": account.pk, "environment": "production", "name": "Shop", "kind": "sql", "new_secrets": ""}
    answer = admin_client.post(address(Connection, "add"), form | {"config": '{"database": "postgresql", "prot": 1}'})
    assert "prot" in answer.content.decode()
    assert not Connection.unscoped.exists()
    secret = json.dumps({"password": CANARY})
    answer = admin_client.post(address(Connection, "add"), form | {"config": json.dumps(SERVER), "new_secrets": secret})
    assert answer.status_code == 302
    connection = Connection.unscoped.get()
    assert (connection.config, read_secrets(connection)) == (SERVER, {"password": CANARY})
    entry = AuditEntry.unscoped.get(act="connection.set")
    assert (entry.member, entry.object_id, entry.after["secrets"]) == (member, connection.pk, ["password"])
    assert CANARY not in json.dumps(entry.after)


def test_what_is_edited_stands_in_the_audit_log_with_its_fields_and_not_their_values(admin_client, superuser, account):
    tag = Tag.unscoped.create(account=account, name="asked")
    answer = admin_client.post(address(Tag, "change", tag.pk), {"account": account.pk, "name": "supplier asked"})
    assert answer.status_code == 302
    entry = AuditEntry.unscoped.get(act="tag.change")
    assert (entry.account, entry.object_id) == (account, tag.pk)
    assert entry.after == {"fields": ["Name"], "in": "admin", "by": superuser.username}


class TestSecretsOfAConnection:
    def form(self, connection, **fields):
        return {
            "kind": "sql",
            "config": json.dumps(SERVER),
            "new_secrets": "",
            **fields,
        }

    def post(self, client, connection, **fields):
        return client.post(address(Connection, "change", connection.pk), self.form(connection, **fields))

    def stored(self, connection):
        return read_secrets(Connection.unscoped.get(pk=connection.pk))

    def test_go_in_and_are_not_shown_again(self, admin_client):
        connection = make_connection()
        assert self.post(admin_client, connection, new_secrets=json.dumps({"password": CANARY})).status_code == 302
        assert self.stored(connection) == {"password": CANARY}
        assert CANARY not in admin_client.get(address(Connection, "change", connection.pk)).content.decode()

    def test_stay_when_the_field_is_left_empty(self, admin_client):
        connection = make_connection(secrets={"password": CANARY})
        assert self.post(admin_client, connection).status_code == 302
        assert self.stored(connection) == {"password": CANARY}

    @pytest.mark.parametrize("text", ["not json", "[1]", '{"a": 1}', "{"])
    def test_that_are_not_an_object_of_texts_are_refused_and_not_repeated(self, admin_client, text):
        connection = make_connection(secrets={"password": CANARY})
        answer = self.post(admin_client, connection, new_secrets=text)
        assert "The secrets are not a JSON object" in answer.content.decode()
        assert self.stored(connection) == {"password": CANARY}


def test_a_closed_account_is_found_by_the_filter(admin_client, account):
    account.closed_at = wall_now()
    account.save()
    answer = admin_client.get(address(type(account), "changelist"), {"closed_at__isempty": "0"})
    assert list(answer.context["cl"].result_list) == [account]


def test_the_last_owner_stays_one_in_the_admin_too(admin_client, account):
    owner = Member.objects.of(account).get()
    form = {"account": account.pk, "user": owner.user_id, "role": "manager", "disabled_at_0": "", "disabled_at_1": ""}
    form |= {"roles-TOTAL_FORMS": 0, "roles-INITIAL_FORMS": 0}
    answer = admin_client.post(address(Member, "change", owner.pk), form)
    assert "An account keeps at least one active owner: name another owner first." in answer.content.decode()
    make_member(account, role=Role.OWNER)
    assert admin_client.post(address(Member, "change", owner.pk), form).status_code == 302
    owner.refresh_from_db()
    assert owner.role == Role.MANAGER
