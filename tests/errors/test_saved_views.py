"""Saved views: who may save, see and change them."""

import pytest

from apps.accounts.models import Account, AuditEntry, Member, Role
from apps.errors.models import SavedView
from apps.errors.services.views import ViewRefused, delete_view, may_change, rename_view, save_view
from tests.factories import make_member

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(account: Account) -> Member:
    return make_member(account, role=Role.MONITOR)


def test_a_view_keeps_the_query_of_a_list_under_a_name(member: Member) -> None:
    view = save_view(member=member, name="  Mine,  urgent ", query="assignee=me&tag=3")
    assert (view.name, view.query, view.is_shared) == ("Mine, urgent", "assignee=me&tag=3", False)
    assert view.account_id == member.account_id


@pytest.mark.parametrize("name", ["", "  ", "x" * 65])
def test_the_name_of_a_view_has_bounds(member: Member, name: str) -> None:
    with pytest.raises(ViewRefused, match="1 to 64 characters"):
        save_view(member=member, name=name, query="")


def test_a_name_stands_for_one_view_of_a_member(member: Member, account: Account) -> None:
    view = save_view(member=member, name="Mine", query="")
    other = save_view(member=member, name="Other", query="")
    with pytest.raises(ViewRefused, match="There is a view MINE already"):
        save_view(member=member, name="MINE", query="q=x")
    with pytest.raises(ViewRefused, match="There is a view mine already"):
        rename_view(view=other, member=member, name="mine")
    rename_view(view=view, member=member, name="mine")
    save_view(member=make_member(account), name="Mine", query="")
    assert SavedView.unscoped.count() == 3


def test_there_is_a_bound_for_views_and_for_their_length(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ViewRefused, match="up to 4,000 characters"):
        save_view(member=member, name="Long", query="x" * 4_001)
    monkeypatch.setattr("apps.errors.services.views.MOST_VIEWS", 1)
    save_view(member=member, name="One", query="")
    with pytest.raises(ViewRefused, match="Up to 1 views"):
        save_view(member=member, name="Two", query="")


@pytest.mark.parametrize(
    ("role", "is_shared", "may"),
    [(Role.OWNER, False, False), (Role.ADMINISTRATOR, True, True), (Role.MANAGER, True, False)],
)
def test_a_view_of_somebody_else_is_changed_by_administrators_if_it_is_shared(
    account: Account, member: Member, role: Role, is_shared: bool, may: bool
) -> None:
    view = save_view(member=member, name="Mine", query="", is_shared=is_shared)
    other = make_member(account, role=role)
    assert may_change(view, member)
    assert may_change(view, other) is may
    if may:
        delete_view(view=view, member=other)
        assert SavedView.unscoped.count() == 0
    else:
        for change in (
            lambda: rename_view(view=view, member=other, name="x"),
            lambda: delete_view(view=view, member=other),
        ):
            with pytest.raises(ViewRefused, match="whoever saved it"):
                change()


def test_the_audit_log_tells_of_shared_views_only(member: Member) -> None:
    for is_shared in (False, True):
        view = save_view(member=member, name="Mine", query="q=x", is_shared=is_shared)
        rename_view(view=view, member=member, name="Ours")
        delete_view(view=view, member=member)
    assert list(AuditEntry.unscoped.filter(object_kind="savedview").order_by("pk").values_list("act", flat=True)) == [
        "view.share", "view.rename", "view.delete",
    ]  # fmt: skip
