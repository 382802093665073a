"""Saved views: the filters of a list of errors under a name, for oneself or for the account."""

from django.db import transaction
from django.db.models import Q, QuerySet

from apps.accounts.models import Member
from apps.accounts.permissions import Act, may
from apps.accounts.services import Actor, record_audit
from apps.errors.models import SavedView

LONGEST_NAME, LONGEST_QUERY, MOST_VIEWS = 64, 4_000, 100


class ViewRefused(Exception):  # noqa: N818 (an answer, not a fault)
    """A view that cannot be saved; the message tells why."""


def views_of(member: Member) -> QuerySet[SavedView]:
    """His own views and those that others share, by name."""
    rows = SavedView.objects.of(member.account_id).filter(Q(member=member) | Q(is_shared=True))
    found: QuerySet[SavedView] = rows.select_related("member__user").order_by("name", "pk")
    return found


@transaction.atomic
def save_view(*, member: Member, name: str, query: str, is_shared: bool = False) -> SavedView:
    """Keep a list's query under a name. Raises ViewRefused."""
    own = SavedView.objects.of(member.account_id).filter(member=member)
    if own.count() >= MOST_VIEWS:
        raise ViewRefused(f"Up to {MOST_VIEWS} views. Delete one that you do not need any more.")
    if len(query) > LONGEST_QUERY:
        raise ViewRefused(f"These filters are too long to be saved: up to {LONGEST_QUERY:,} characters.")
    view = SavedView(
        account_id=member.account_id, member=member, name=_free_name(member, name), query=query, is_shared=is_shared
    )
    view.save(force_insert=True)
    if is_shared:
        after = {"name": view.name, "query": query}
        record_audit(account=member.account_id, actor=Actor.member(member), act="view.share", target=view, after=after)
    return view


def _free_name(member: Member, name: str, *, taken_by: SavedView | None = None) -> str:
    cleaned = " ".join(name.replace("\x00", "").split())
    if not cleaned or len(cleaned) > LONGEST_NAME:
        raise ViewRefused(f"The name of a view has 1 to {LONGEST_NAME} characters. Yours has {len(cleaned)}.")
    others = SavedView.objects.of(member.account_id).filter(member=member, name__iexact=cleaned)
    if taken_by is not None:
        others = others.exclude(pk=taken_by.pk)
    if others.exists():
        raise ViewRefused(f"There is a view {cleaned} already. Choose another name, or delete that one first.")
    return cleaned


def may_change(view: SavedView, member: Member) -> bool:
    """Whoever saved a view changes it; one that is shared also an administrator."""
    return view.member_id == member.pk or (view.is_shared and may(member, Act.DELETE))


@transaction.atomic
def rename_view(*, view: SavedView, member: Member, name: str) -> None:
    """Raises ViewRefused for a name that cannot be, or a view of somebody else."""
    _refuse_stranger(view, member)
    before, view.name = view.name, _free_name(view.member, name, taken_by=view)
    view.save(update_fields=["name"])
    if view.is_shared:
        _tell(view, member, "view.rename", before, view.name)


@transaction.atomic
def delete_view(*, view: SavedView, member: Member) -> None:
    """Raises ViewRefused for a view of somebody else."""
    _refuse_stranger(view, member)
    if view.is_shared:
        _tell(view, member, "view.delete", view.name, None)
    view.delete()


def _refuse_stranger(view: SavedView, member: Member) -> None:
    if not may_change(view, member):
        raise ViewRefused("A shared view is changed by whoever saved it, or by an administrator.")


def _tell(view: SavedView, member: Member, act: str, before: str, after: str | None) -> None:
    record_audit(
        account=view.account_id, actor=Actor.member(member), act=act, target=view,
        before={"name": before}, after={"name": after} if after else None,
    )  # fmt: skip
