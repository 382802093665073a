"""The audit log is written by whoever acts, with what was before and after, and never with a secret."""

import pytest
from django.db import connection
from django.test import RequestFactory

from apps.accounts.audit import changes_of
from apps.accounts.models import Account, AuditEntry, Member, Role
from apps.accounts.services import Actor, record_audit
from apps.errors.models import Tag
from apps.errors.services.notes import comment_on_cause, comment_on_error
from apps.flows.models import Flow
from apps.runs.services import cancel_run, start_run
from apps.runs.statuses import Trigger
from tests.audited import Writes, refuse_unrecorded
from tests.factories import make_error, make_member


@pytest.fixture
def member(account: Account) -> Member:
    return make_member(account, role=Role.MANAGER)


def acts() -> list[tuple[str, str]]:
    rows = AuditEntry.unscoped.order_by("pk").values_list("act", "actor_kind")
    return [row for row in rows if row[0].split(".")[0] in ("run", "error", "cause")]


def test_what_stands_under_a_telling_name_is_hidden(account: Account, member: Member) -> None:
    entry = record_audit(
        account=account,
        actor=Actor.member(member),
        act="account.change",
        target=account,
        before={"config": {"password": "open sesame"}, "name": "one"},
        after={"config": {"password": "hunter2", "url": "http://me:hunter2@example.org"}, "name": "two"},
    )
    entry.refresh_from_db()
    assert "hunter2" not in str(entry.after)
    assert "open sesame" not in str(entry.before)
    found = [(change.path, change.old, change.new) for change in changes_of(entry)]
    assert found == [
        ("config.url", None, "http://me:[hidden]@example.org"),
        ("name", "one", "two"),
    ]


def test_runs_that_people_start_and_cancel_are_recorded_but_no_tick(flow: Flow, member: Member) -> None:
    run = start_run(flow=flow, member=member, parameters={"day": "Monday"})
    cancel_run(run=run, member=member)
    start_run(flow=flow, trigger=Trigger.COMMAND)
    start_run(flow=flow, trigger=Trigger.SCHEDULE)
    assert acts() == [("run.start", "member"), ("run.cancel", "member"), ("run.start", "command")]
    first = AuditEntry.unscoped.get(act="run.start", member=member)
    assert first.after == {"flow": flow.key, "parameters": {"day": "Monday"}}


def test_comments_are_recorded_without_their_words(account: Account, member: Member) -> None:
    error = make_error()
    member = make_member(error.account)
    comment_on_error(error=error, member=member, text="my own words")
    comment_on_cause(cause=error.cause, member=member, text="my own words")
    assert acts() == [("error.comment", "member"), ("cause.comment", "member")]
    assert not AuditEntry.unscoped.filter(after__icontains="words").exists()


def test_a_call_that_changes_something_unrecorded_is_noticed(account: Account) -> None:
    writes = Writes()
    with connection.execute_wrapper(writes):
        Tag.unscoped.create(account=account, name="secretly")
    request = RequestFactory().post("/errors/tags/define")
    answer = type("Answer", (), {"status_code": 302, "wsgi_request": request})()
    with pytest.raises(AssertionError, match="POST /errors/tags/define changed tag but is not in the audit log"):
        refuse_unrecorded(writes, answer)
    with connection.execute_wrapper(writes):
        record_audit(account=account, actor=Actor.member(make_member(account)), act="tag.define", target=account)
    refuse_unrecorded(writes, answer)
