"""The admin shows every model, in few queries, changes no history and shows no secret."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse

from apps.accounts.models import AuditEntry, KeptAnswer, MemberRole, Profile, Role, Token
from apps.core.admin import HistoryAdmin
from apps.core.clock import wall_now
from apps.errors.models import (
    Assignment,
    BulkAct,
    BulkItem,
    CauseBucket,
    Comment,
    ErrorTag,
    RetryItem,
    RetryVersion,
    SavedView,
    Tag,
    Upload,
)
from apps.flows.models import Checkpoint, Connection, Hook, Ledger, Share
from apps.flows.secrets import read_secrets
from apps.runs.models import Arrival, Bucket, Capture, Delivery, Intent, Machine, RunLog, TestRun
from tests.factories import (
    make_account,
    make_connection,
    make_error,
    make_flow,
    make_member,
    make_page,
    make_retry_data,
    make_run,
    make_step_run,
    step_of,
)

pytestmark = pytest.mark.django_db

OURS = [model for model in apps.get_models() if model.__module__.startswith("apps.")]
HISTORY = [model for model in OURS if isinstance(admin.site._registry.get(model), HistoryAdmin)]
CANARY = "canary-7f3a"
# session, user, rows, bounded count; a search adds none. Filters on relations and inlines would add more.
LIST_QUERIES = 5  # session, no membership, user, count, rows


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
        (
            TestRun,
            {"flow": flow, "member": member, "text": CANARY, "records": b"canary-7f3a", "report": b"canary-7f3a"},
        ),
    ]
    hook = Hook.unscoped.create(
        account=account, flow=flow, step=source, key_sha256=f"{step.pk}", key_sealed=b"canary-7f3a"
    )
    of_account += [
        (Arrival, {"hook": hook, "flow": flow, "records": 1, "size": 11, "body": b"canary-7f3a"}),
        (Delivery, {"hook": hook, "digest": "0", "arrival": 1, "records": 1}),
        (Ledger, {"connection": make_connection(account, name=f"Ledger {step.pk}")}),
        (Share, {"key": f"{step.pk}", "token": b"canary-7f3a"}),
    ]
    for model, fields in of_account:
        model.unscoped.create(account=account, **fields)
    act = BulkAct.unscoped.create(account=account, act="retry", member=member)
    BulkItem.unscoped.create(account=account, act=act, error=error)
    tag = Tag.unscoped.create(account=account, name=f"Tag {error.pk}")
    ErrorTag.unscoped.create(account=account, error=error, tag=tag)
    Profile.objects.create(user=member.user)
    Machine.objects.create(name=f"machine-{error.pk}")


def test_every_model_is_registered_with_a_search():
    for model in OURS:
        assert model in admin.site._registry, name_of(model)
        assert admin.site._registry[model].search_fields, name_of(model)


def test_every_list_opens_in_five_queries(two_of_each, admin_client, django_assert_num_queries):
    for model in OURS:
        assert model._default_manager.count() >= 2, name_of(model)
        with django_assert_num_queries(LIST_QUERIES, info=name_of(model)):
            answer = admin_client.get(address(model, "changelist"))
        assert (name_of(model), answer.status_code) == (name_of(model), 200)


@pytest.mark.parametrize("term", ["1", "flow", "e-1 r-1", "'\"%\\\x00;", "9" * 40])
def test_every_search_takes_any_text(two_of_each, admin_client, term):
    for model in OURS:
        answer = admin_client.get(address(model, "changelist"), {"q": term})
        assert (name_of(model), answer.status_code) == (name_of(model), 200)


def test_every_form_opens_and_shows_no_secret(two_of_each, admin_client):
    for model in OURS:
        row = model._default_manager.first()
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


class TestSecretsOfAConnection:
    def form(self, connection, **fields):
        return {
            "account": connection.account_id,
            "environment": "sandbox",
            "name": connection.name,
            "kind": "sql",
            "config": "{}",
            "offline_after": 3,
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
