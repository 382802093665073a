"""Support bundles: what is in them, what is not, and how they are sent."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.core import mail

from apps.accounts.models import Account, AuditEntry, Member, MemberRole, Role
from apps.connectors.redaction import HIDDEN
from apps.core.clock import frozen, read_now
from apps.errors.models import Error
from apps.execution.dispatcher import purge_bundles
from apps.execution.tasks import send_support_bundle
from apps.flows.models import Connection, Flow, Revision
from apps.flows.secrets import replace_secrets
from apps.runs.models import Run
from apps.support.cleaning import IN_TEXT, hidden_in
from apps.support.models import SendState, SupportBundle
from apps.support.screenshots import ScreenshotRefused, named_screenshots
from apps.support.services import SendRefused, change_bundle, files_in, kept_of, make_bundle, send_bundle
from apps.support.subjects import Subject, about_cause, about_error, about_flow, about_run
from apps.support.tickets import Ticket, filled_in
from tests.conftest import NOON
from tests.console.screens import furnished_error, orders_flow, run_with_steps
from tests.factories import make_account, make_connection, make_error, make_flow, make_member, step_of

pytestmark = pytest.mark.django_db

CANARY = "canary-91-secret"
PICTURE = b"\x89PNG\r\n\x1a\nrest"


@pytest.fixture
def member(account: Account) -> Member:
    return make_member(account)


@pytest.fixture
def flow(account: Account) -> Flow:
    return orders_flow(account)


@pytest.fixture
def run(flow: Flow) -> Run:
    return run_with_steps(flow, NOON)


@pytest.fixture
def error(run: Run) -> Error:
    return furnished_error(run)


def bundle_of(subject: Subject, member: Member, **facts: Any) -> SupportBundle:
    return make_bundle(subject=subject, ticket=filled_in(subject), member=member, **facts)


def texts_of(subject: Subject, member: Member, **facts: Any) -> dict[str, str]:
    return {name: content.decode(errors="replace") for name, content in files_in(bundle_of(subject, member, **facts))}


def test_a_bundle_has_everything_in_a_fixed_order(error: Error, member: Member) -> None:
    bundle = bundle_of(about_error(error), member, screenshots=named_screenshots([("my screen.PNG", PICTURE)]))
    assert [name for name, _ in files_in(bundle)] == [
        "about.txt", "ticket.txt", "errors.txt", "log.txt", "emails.txt", "definition.yaml", "reproduce.yaml",
        "connections.json", "runs.json", f"samples/{error}/record.json", f"samples/{error}/request.json",
        f"samples/{error}/response.json",
        "samples/records.jsonl", "environment.json", "screenshots/1.png", "redaction.txt",
    ]  # fmt: skip


def test_the_same_facts_make_the_same_bytes(error: Error, member: Member) -> None:
    first, second = (bundle_of(about_error(Error.unscoped.get(pk=error.pk)), member) for _ in range(2))
    assert first.content == second.content


def test_the_ticket_is_filled_in_as_far_as_anybody_knows(error: Error, member: Member) -> None:
    text = texts_of(about_error(error), member)["ticket.txt"]
    for line in (
        "Title: Orders, Target: The altitude is no number",
        f"Account: {error.account.name}",
        "Integration: Shop",
        "Flow: Orders (orders)",
        "Environment: production",
        "Revision: 1",
        "Blocker: no",
        "Documentation: not checked",
        "The step Target fails: The altitude is no number",
        f"run r-{error.run_id} ended: completed with errors",
    ):
        assert line in text, line


@pytest.mark.parametrize("kind", ["cause", "run", "flow"])
def test_a_bundle_starts_from_a_cause_a_run_or_a_flow_too(error: Error, member: Member, kind: str) -> None:
    others = [make_error(error.run, cause=error.cause, message="Another") for _ in range(2)]
    subject = {
        "cause": about_cause(error.cause),
        "run": about_run(error.run),
        "flow": about_flow(error.flow, since=error.occurred_at - timedelta(hours=1)),
    }[kind]
    texts = texts_of(subject, member)
    shown = [*reversed(others), error] if kind == "cause" else [others[-1]]
    assert [line for line in texts["errors.txt"].splitlines() if not line.startswith(" ") and line] == [
        str(one) for one in shown
    ]
    assert "Page 1 saved" in texts["log.txt"] or kind == "flow"


def test_errors_outside_the_range_of_a_flow_are_left_out(error: Error, member: Member) -> None:
    subject = about_flow(error.flow, since=read_now() + timedelta(hours=1))
    texts = texts_of(subject, member)
    assert texts["errors.txt"] == "There is none.\n"
    assert "samples/records.jsonl" not in texts


def test_no_secret_of_the_account_is_in_any_file_whatever_it_hides_in(
    error: Error, member: Member, flow: Flow, django_assert_max_num_queries: Any
) -> None:
    row = make_connection(flow.account, name="Warehouse", kind="http", config={"base_url": f"http://x/?k={CANARY}"})
    replace_secrets(row, {"bearer_token": CANARY})
    step_of(flow).__class__.unscoped.filter(flow=flow, key="target").update(connection=row)
    Revision.unscoped.update(
        definition=f"flow: orders\nsteps:\n  - key: a\n    x: {CANARY}\n    password: abcdef # why\n"
    )
    Error.unscoped.update(message=f"No, {CANARY}")
    error.retry_data.record = orjson.dumps({"id": 1, "note": CANARY, "password": "plain-91"})
    error.retry_data.save()
    ticket = Ticket(title=f"Why {CANARY}", description=f"It is {CANARY}")
    subject = about_error(Error.unscoped.select_related("flow__integration__account").get(pk=error.pk))
    with django_assert_max_num_queries(23):
        bundle = make_bundle(subject=subject, ticket=ticket, member=member)
    for name, content in files_in(bundle):
        assert CANARY.encode() not in content, name
        assert b"plain-91" not in content, name
        assert b"abcdef" not in content, name
    assert CANARY not in str(bundle.ticket)
    found = {(one["file"], one["field"]): (one["times"], one["line"]) for one in bundle.report}
    assert found["definition.yaml", "password"] == (1, 5)
    assert found["connections.json", "bearer_token"][0] == 1
    assert found[f"samples/{error}/record.json", "password"][0] == 1
    assert found["errors.txt", IN_TEXT][0] >= 1
    report = dict(files_in(bundle))["redaction.txt"].decode()
    assert "definition.yaml, line 5: password, once" in report
    assert "# why" in dict(files_in(bundle))["definition.yaml"].decode()


def test_a_connection_whose_secrets_cannot_be_read_is_named(error: Error, member: Member, flow: Flow) -> None:
    row = make_connection(flow.account, name="Old shop", secrets={"password": "unknown-91"})
    Connection.unscoped.filter(pk=row.pk).update(secrets=b"of another key")
    assert "Old shop" in texts_of(about_error(error), member)["about.txt"]


def test_secrets_of_another_account_do_not_tear_the_text(error: Error, member: Member) -> None:
    make_connection(make_account(), secrets={"password": "altitude"})
    assert "The altitude is no number" in texts_of(about_error(error), member)["errors.txt"]


def test_what_was_hidden_is_counted_by_name_and_line() -> None:
    text = f'a\n"token": "{HIDDEN}", token={HIDDEN}\nAuthorization: Bearer {HIDDEN}\nfree {HIDDEN}\n'
    assert [(one.field, one.times, one.line) for one in hidden_in("f", text)] == [
        ("token", 2, 2), ("Authorization", 1, 3), (IN_TEXT, 1, 4),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (("a.svg", b"<svg/>"), "“a.svg” is no picture: PNG, JPEG, GIF or WebP, please."),
        (("a.png", b"\x89PNG\r\n\x1a\n" + bytes(2 << 20)), "“a.png” is larger than 2 MB: cut out what matters."),
    ],
    ids=["kind", "size"],
)
def test_what_is_no_screenshot_is_refused_in_words(file: tuple[str, bytes], told: str) -> None:
    with pytest.raises(ScreenshotRefused, match=told[:20]) as refused:
        named_screenshots([file])
    assert str(refused.value) == told


def test_more_than_five_screenshots_are_refused() -> None:
    with pytest.raises(ScreenshotRefused, match="takes 5 screenshots; these are 6"):
        named_screenshots([("a", PICTURE)] * 6)


def test_a_changed_ticket_keeps_its_screenshots(error: Error, member: Member) -> None:
    bundle = bundle_of(about_error(error), member, screenshots=named_screenshots([("a", PICTURE)]))
    ticket = Ticket(title="Other", description="Words")
    change_bundle(bundle=bundle, subject=about_error(error), ticket=ticket)
    bundle.refresh_from_db()
    files = dict(files_in(bundle))
    assert files["screenshots/1.png"] == PICTURE
    assert b"Title: Other" in files["ticket.txt"]
    assert Ticket.of(bundle.ticket) == ticket


def test_a_worker_mails_it_once_to_the_support_address(error: Error, member: Member, settings: Any) -> None:
    settings.SUPPORT_EMAIL = "help@example.org"
    bundle = bundle_of(about_error(error), member)
    content = bundle.content
    send_bundle(bundle=bundle, member=member)
    for _ in range(2):  # the queue may say it twice
        send_support_bundle(bundle.account_id, bundle.pk)
    (sent,) = mail.outbox
    assert (sent.to, sent.reply_to) == (["help@example.org"], [member.user.email])
    assert sent.subject == "[normal] Orders, Target: The altitude is no number"
    (name, attached, kind) = sent.attachments[0]
    assert (name, bytes(attached), kind) == (f"support-bundle-error-{error.pk}.zip", content, "application/zip")
    bundle.refresh_from_db()
    assert (bundle.state, bundle.content) == (SendState.SENT, None)
    assert AuditEntry.unscoped.filter(act="support_bundle.send", after__recipient="help@example.org").exists()
    with pytest.raises(SendRefused, match="on its way"):
        send_bundle(bundle=bundle, member=member)


def test_a_mail_that_fails_says_why_and_can_be_sent_again(error: Error, member: Member, settings: Any) -> None:
    settings.SUPPORT_EMAIL = "help@example.org"
    settings.EMAIL_BACKEND, settings.EMAIL_PORT = "django.core.mail.backends.smtp.EmailBackend", 1
    bundle = bundle_of(about_error(error), member)
    send_bundle(bundle=bundle, member=member)
    send_support_bundle(bundle.account_id, bundle.pk)
    bundle.refresh_from_db()
    assert bundle.state == SendState.FAILED
    assert "ConnectionRefusedError" in bundle.problem
    send_bundle(bundle=bundle, member=member)


def test_a_mail_whose_worker_died_can_be_asked_for_again(error: Error, member: Member, settings: Any) -> None:
    settings.SUPPORT_EMAIL = "help@example.org"
    bundle = bundle_of(about_error(error), member)
    send_bundle(bundle=bundle, member=member)
    with pytest.raises(SendRefused):
        send_bundle(bundle=bundle, member=member)
    with frozen(read_now() + timedelta(minutes=3)):
        send_bundle(bundle=bundle, member=member)


def test_without_a_support_address_nothing_is_sent(error: Error, member: Member) -> None:
    with pytest.raises(SendRefused, match="SUPPORT_EMAIL"):
        send_bundle(bundle=bundle_of(about_error(error), member), member=member)


def test_bundles_of_yesterday_go(error: Error, member: Member) -> None:
    bundle_of(about_error(error), member)
    with frozen(read_now() + timedelta(days=1, minutes=1)):
        new = bundle_of(about_error(error), member)
        assert list(kept_of(member)) == [new]
        assert (purge_bundles(), purge_bundles()) == (1, 0)
    assert list(SupportBundle.unscoped.all()) == [new]


def test_a_bundle_tells_nothing_of_integrations_that_its_maker_does_not_see(
    error: Error, member: Member, flow: Flow
) -> None:
    called, own = make_flow(flow.account, key="stock"), flow.revision
    connection = make_connection(flow.account, name="Hidden stock")
    step_of(called).__class__.unscoped.filter(flow=called).update(connection=connection)
    Revision.unscoped.filter(pk=own.pk).update(callees={"stock": called.revision_id})
    seen = texts_of(subject_of(error), member)
    assert "definitions/stock.yaml" in seen
    assert "Hidden stock" in seen["connections.json"]
    narrow = make_member(flow.account)
    Member.objects.of(flow.account).filter(pk=narrow.pk).update(role="")
    narrow.refresh_from_db()
    MemberRole.unscoped.create(account=flow.account, member=narrow, integration=flow.integration, role=Role.MANAGER)
    told = texts_of(subject_of(error), narrow)
    assert "definitions/stock.yaml" not in told
    assert "Hidden stock" not in told["connections.json"]
    assert "definition.yaml" in told


def subject_of(error: Error) -> Subject:
    rows = Error.unscoped.select_related("flow__integration__account")
    return about_error(rows.get(pk=error.pk))
