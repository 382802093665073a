"""Making, sending and dropping support bundles."""

from collections.abc import Sequence
from dataclasses import asdict
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q, QuerySet

from apps.accounts.models import Member
from apps.accounts.permissions import visible_integrations
from apps.accounts.services import Actor, record_audit
from apps.core.clock import database_now, read_now
from apps.core.queue import enqueue
from apps.core.text import short
from apps.support.archive import packed, unpacked
from apps.support.cleaning import Cleaner, Hidden, cleaner_for
from apps.support.contents import File, files_of
from apps.support.models import SendState, SupportBundle
from apps.support.screenshots import FOLDER
from apps.support.subjects import Subject
from apps.support.tickets import Ticket, filled_in, ticket_text

SEND = "apps.execution.tasks.send_support_bundle"
KEPT_S = 86_400
LOST_SECONDS = 120
"""A mail that takes longer has lost its worker: it may be asked for again."""
ABOUT = """\
This is a support bundle of Flowmend.

ticket.txt          what is wrong, for whom, since when, and how to see it happen
errors.txt          the errors in full, with their root causes
log.txt             the logs of the runs, in UTC
emails.txt          the mails that told of the errors, as far as they are about this flow
definition.yaml     the flow as it was when it failed; definitions/ has the flows that it calls
reproduce.yaml      the part of it that fails, reading the records of this bundle
connections.json    where the flow goes; secrets are named, never told
runs.json           the runs with the counts of their steps
samples/            of each error its record, its request and its answer; records.jsonl: the records, a line each
environment.json    versions
redaction.txt       what was hidden, where and how often

{unread}"""
UNREAD = "The secrets of these could not be read, so there only names of fields told what to hide: {}.\n"


class SendRefused(ValueError):  # noqa: N818 (an answer, not a fault)
    """A bundle that cannot be sent now; the message says why."""


# --- making ----------------------------------------------------------------------------------------------------------
def bundle_files(
    subject: Subject, ticket: Ticket, cleaner: Cleaner, *, member: Member, screenshots: Sequence[File] = ()
) -> tuple[list[File], list[Hidden]]:
    """All files in their order, and what was hidden in them."""
    files = list(files_of(subject, cleaner, visible_integrations(member)))
    text = ticket_text(ticket, subject, member=str(member), screenshots=[name for name, _ in screenshots])
    head = [("ticket.txt", cleaner.text("ticket.txt", text))]
    about = [("about.txt", about_text(cleaner).encode())]
    files = [*about, *head, *files, *screenshots]
    hidden = sorted(cleaner.hidden, key=lambda one: (one.file, one.line, one.field))
    return [*files, ("redaction.txt", report_text(hidden).encode())], hidden


def about_text(cleaner: Cleaner) -> str:
    return ABOUT.format(unread=UNREAD.format(", ".join(cleaner.unread)) if cleaner.unread else "")


def report_text(hidden: Sequence[Hidden]) -> str:
    """`log.txt, line 12: password, 3 times`"""
    if not hidden:
        return "Nothing had to be hidden.\n"
    lines = (f"{one.file}, line {one.line}: {one.field}, {times_text(one.times)}\n" for one in hidden)
    return "".join(lines)


def times_text(times: int) -> str:
    return "once" if times == 1 else f"{times:,} times"


def diagnostics(subject: Subject, member: Member) -> bytes:
    """The zip of a bundle whose ticket is as Flowmend fills it in; the audit log tells who took it out of the house."""
    files, hidden = bundle_files(subject, filled_in(subject), cleaner_for(subject.account), member=member)
    about, named = subject.run or subject.flow, {"about": f"{subject.kind} {subject.key}", "hidden": len(hidden)}
    act, actor = "support_bundle.download", Actor.member(member)
    record_audit(account=member.account_id, actor=actor, act=act, target=about, after=named)
    return packed(files)


@transaction.atomic
def make_bundle(*, subject: Subject, ticket: Ticket, member: Member, screenshots: Sequence[File] = ()) -> SupportBundle:
    """Gather a bundle and keep it for a day; nothing leaves the house."""
    bundle = SupportBundle(account_id=member.account_id, member=member)
    _fill(bundle, subject, ticket, screenshots)
    bundle.save(force_insert=True)
    _audit(bundle, member, "support_bundle.make", {})
    return bundle


@transaction.atomic
def change_bundle(
    *, bundle: SupportBundle, subject: Subject, ticket: Ticket, screenshots: Sequence[File] | None = None
) -> SupportBundle:
    """Gather it anew with another ticket; no `screenshots` given: those that it has stay. Raises SendRefused."""
    kept = screenshots_in(bundle) if screenshots is None else screenshots
    _fill(bundle, subject, ticket, kept)
    fields = {name: getattr(bundle, name) for name in ("subject", "ticket", "report", "content", "changed_at")}
    if not unsent(bundle).update(**fields):
        raise SendRefused("This bundle is on its way already.")
    _audit(bundle, bundle.member, "support_bundle.change", {})
    return bundle


def _fill(bundle: SupportBundle, subject: Subject, ticket: Ticket, screenshots: Sequence[File]) -> None:
    cleaner = cleaner_for(subject.account)
    ticket = ticket.cleaned(cleaner.redactor)
    files, hidden = bundle_files(subject, ticket, cleaner, member=bundle.member, screenshots=screenshots)
    bundle.subject = subject.facts | {"integration": subject.flow.integration_id}
    bundle.ticket = ticket.stored
    bundle.report = [asdict(one) for one in hidden]
    bundle.content = packed(files)
    bundle.changed_at = read_now()


def files_in(bundle: SupportBundle) -> list[File]:
    """Nothing once it was sent."""
    return list(unpacked(bytes(bundle.content))) if bundle.content else []


def screenshots_in(bundle: SupportBundle) -> list[File]:
    return [file for file in files_in(bundle) if file[0].startswith(FOLDER)]


def kept_of(member: Member) -> "QuerySet[SupportBundle]":
    """The member's own that are kept still; those of yesterday are taken away by the dispatcher."""
    rows: QuerySet[SupportBundle] = SupportBundle.objects.of(member.account_id)
    return rows.filter(member=member, made_at__gte=database_now(seconds=-KEPT_S))


@transaction.atomic
def discard_bundle(*, bundle: SupportBundle, member: Member) -> None:
    _audit(bundle, member, "support_bundle.discard", {})
    SupportBundle.objects.of(bundle.account_id).filter(pk=bundle.pk).delete()


@transaction.atomic
def note_download(*, bundle: SupportBundle, member: Member) -> None:
    """The audit log tells who took a bundle out of the house."""
    _audit(bundle, member, "support_bundle.download", {})


# --- sending ---------------------------------------------------------------------------------------------------------
def unsent(bundle: SupportBundle) -> "QuerySet[SupportBundle]":
    """The row, unless its mail is under way or sent."""
    rows: QuerySet[SupportBundle] = SupportBundle.objects.of(bundle.account_id).filter(pk=bundle.pk)
    lost = Q(state__in=[SendState.WAITING, SendState.SENDING], changed_at__lt=database_now(seconds=-LOST_SECONDS))
    return rows.filter(Q(state__in=[SendState.DRAFT, SendState.FAILED]) | lost)


@transaction.atomic
def send_bundle(*, bundle: SupportBundle, member: Member) -> None:
    """Have a worker mail it to the support address. Raises SendRefused."""
    address = settings.SUPPORT_EMAIL
    if not address:
        raise SendRefused("There is no support address: set SUPPORT_EMAIL, or download the bundle.")
    changes = {"state": SendState.WAITING, "recipient": address, "problem": "", "changed_at": database_now()}
    if not unsent(bundle).update(**changes):
        raise SendRefused("This bundle is on its way already.")
    _audit(bundle, member, "support_bundle.send", {"recipient": address})
    enqueue(SEND, bundle.account_id, bundle.pk, queue="interactive")


def mail_bundle(account_id: int, bundle_id: int) -> None:
    """What the worker does: sends the mail once, and says how that went. Harmless when it was sent or is gone."""
    rows = SupportBundle.objects.of(account_id).filter(pk=bundle_id)
    if not rows.filter(state=SendState.WAITING).update(state=SendState.SENDING, changed_at=database_now()):
        return
    bundle = rows.select_related("member__user", "account").get()
    try:
        message_of(bundle).send()
    except (OSError, SMTPException, ValueError) as error:
        problem = short(f"{type(error).__name__}: {error}", 500)
        rows.update(state=SendState.FAILED, problem=problem, changed_at=database_now())
        return
    rows.update(state=SendState.SENT, content=None, changed_at=database_now())


def message_of(bundle: SupportBundle) -> EmailMessage:
    files = dict(files_in(bundle))
    title = " ".join(str(bundle).split())
    reply = [bundle.member.user.email] if bundle.member.user.email else []
    message = EmailMessage(
        subject=f"[{bundle.ticket['priority']}] {title}",
        body=files["ticket.txt"].decode(),
        to=[bundle.recipient],
        reply_to=reply,
    )
    message.attach(file_name(bundle), bytes(bundle.content or b""), "application/zip")
    return message


def file_name(bundle: SupportBundle) -> str:
    return f"support-bundle-{bundle.subject['kind']}-{bundle.subject['id']}.zip"


def _audit(bundle: SupportBundle, member: Member, act: str, more: dict[str, str]) -> None:
    after = {"about": f"{bundle.subject['kind']} {bundle.subject['id']}", "hidden": len(bundle.report), **more}
    record_audit(account=bundle.account_id, actor=Actor.member(member), act=act, target=bundle, after=after)
