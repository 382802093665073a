"""Tags, assignment and comments, on errors and on root causes."""

from collections.abc import Sequence

from django.db import transaction

from apps.accounts.models import Account, Member
from apps.accounts.permissions import Act, may
from apps.accounts.services import Actor, record_audit
from apps.errors.models import BulkAct, Cause, Comment, Error, ErrorTag, Tag
from apps.errors.querysets import ErrorQuerySet
from apps.errors.services.acts import begin_act
from apps.errors.services.note_chunks import keep_has_notes
from apps.errors.services.resolving import locked_errors
from apps.errors.states import BulkKind

LONGEST_NAME = 64
LONGEST_COMMENT = 10_000


class NoteRefused(Exception):  # noqa: N818 (an answer, not a fault)
    """A tag, an assignee or a comment that cannot be; the message tells why."""


# --- tags ------------------------------------------------------------------------------------------------------------
@transaction.atomic
def define_tag(*, account: Account, member: Member, name: str) -> Tag:
    """A tag of the account; one of that name that is there already is the answer. Raises NoteRefused."""
    _refuse_unless_definer(member)
    cleaned = _tag_name(name)
    known: Tag | None = Tag.objects.of(account).filter(name__iexact=cleaned).first()
    if known is not None:
        return known
    tag = Tag(account=account, name=cleaned)
    tag.save(force_insert=True)
    record_audit(account=account, actor=Actor.member(member), act="tag.define", target=tag, after={"name": cleaned})
    return tag


def _tag_name(name: str) -> str:
    cleaned = " ".join(name.replace("\x00", "").split())
    if not cleaned or len(cleaned) > LONGEST_NAME:
        raise NoteRefused(f"The name of a tag has 1 to {LONGEST_NAME} characters. Yours has {len(cleaned)}.")
    return cleaned


@transaction.atomic
def rename_tag(*, tag: Tag, member: Member, name: str) -> None:
    """Its errors keep it. Raises NoteRefused for a name that another tag has."""
    _refuse_unless_definer(member)
    cleaned = _tag_name(name)
    if Tag.objects.of(tag.account_id).filter(name__iexact=cleaned).exclude(pk=tag.pk).exists():
        raise NoteRefused(f"There is a tag {cleaned} already. Choose another name.")
    record_audit(
        account=tag.account_id, actor=Actor.member(member), act="tag.rename", target=tag,
        before={"name": tag.name}, after={"name": cleaned},
    )  # fmt: skip
    tag.name = cleaned
    tag.save(update_fields=["name"])


@transaction.atomic
def remove_tag(*, tag: Tag, member: Member) -> BulkAct:
    """Take a tag out of the account, and off all its errors: few at once, many by a worker."""
    _refuse_unless_definer(member)
    tagged = ErrorTag.objects.of(tag.account_id).filter(tag=tag).values("error_id")
    errors = Error.objects.of(tag.account_id).filter(pk__in=tagged)
    record_audit(
        account=tag.account_id, actor=Actor.member(member), act="tag.remove", target=tag, before={"name": tag.name}
    )
    act = tag_errors(account=member.account, member=member, errors=errors, remove=[tag])
    tag.delete()
    return act


def _refuse_unless_definer(member: Member) -> None:
    if not may(member, Act.DEFINE_TAGS):
        raise NoteRefused("Tags are defined by managers; everyone may apply those that are there.")


def tag_errors(
    *,
    account: Account,
    member: Member | None,
    errors: ErrorQuerySet,
    add: Sequence[Tag] = (),
    remove: Sequence[Tag] = (),
) -> BulkAct:
    """Put tags on errors, take others off. Idempotent."""
    if any(tag.account_id != account.pk for tag in (*add, *remove)):
        raise NoteRefused("This tag belongs to another account.")
    options = {"add": [tag.pk for tag in add], "remove": [tag.pk for tag in remove]}
    return begin_act(account, member, BulkKind.TAG, errors, options)


# --- assignment ------------------------------------------------------------------------------------------------------
def assign_errors(
    *, account: Account, member: Member | None, errors: ErrorQuerySet, assignee: Member | None
) -> BulkAct:
    """Give errors to a member of the account, or to nobody. Raises NoteRefused for anybody else."""
    refuse_stranger(account, assignee)
    return begin_act(account, member, BulkKind.ASSIGN, errors, {"assignee": assignee.pk if assignee else None})


def refuse_stranger(account: Account, assignee: Member | None) -> None:
    """Raises NoteRefused unless the assignee is nobody or an active member of the account."""
    if assignee is not None and (assignee.account_id != account.pk or not assignee.is_active):
        raise NoteRefused("Errors are assigned to active members of this account only.")


# --- comments --------------------------------------------------------------------------------------------------------
@transaction.atomic
def comment_on_error(*, error: Error, member: Member, text: str) -> Comment:
    """Raises NoteRefused for a text that is blank or too long."""
    words = _comment_text(text)
    locked_errors(error.account_id, [error.pk])
    comment = Comment(account_id=error.account_id, error=error, member=member, text=words)
    comment.save(force_insert=True)
    keep_has_notes(error.account_id, [error.pk])
    _record_comment(comment, error, member)
    return comment


@transaction.atomic
def comment_on_cause(*, cause: Cause, member: Member, text: str) -> Comment:
    """Raises NoteRefused for a text that is blank or too long."""
    comment = Comment(account_id=cause.account_id, cause=cause, member=member, text=_comment_text(text))
    comment.save(force_insert=True)
    _record_comment(comment, cause, member)
    return comment


def _record_comment(comment: Comment, target: Error | Cause, member: Member) -> None:
    """That somebody commented; what was written stands with the comment."""
    record_audit(
        account=comment.account_id, actor=Actor.member(member), act=f"{target._meta.model_name}.comment",
        target=target, after={"comment": comment.pk},
    )  # fmt: skip


def _comment_text(text: str) -> str:
    words = text.strip()
    if not words or len(words) > LONGEST_COMMENT:
        raise NoteRefused(f"A comment has 1 to {LONGEST_COMMENT:,} characters. Yours has {len(words):,}.")
    return words
