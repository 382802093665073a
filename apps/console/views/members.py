"""Users and roles: who is a member, what each may do, who is invited."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import invitations
from apps.accounts.invitations import InvitationRefused, invite
from apps.accounts.members import (
    MemberRefused,
    change_roles,
    check_may_give,
    disable_member,
    enable_member,
    require_second_factor,
    roles_of_member,
    transfer_account,
)
from apps.accounts.models import Invitation, Member
from apps.accounts.permissions import ACTS, Act
from apps.console.access import account_of, may_do, member_of, member_page, reach_of
from apps.console.context import Crumb
from apps.console.live import live_address
from apps.console.people_forms import InviteForm, RolesForm, TransferForm
from apps.console.selectors.connections import require
from apps.console.selectors.people import integrations_of, invitation_rows, member_rows
from apps.core.ids import LARGEST_KEY


def page_context(request: HttpRequest, *more: Crumb) -> dict[str, Any]:
    here = reverse("console:member-list") if more else ""
    return {
        "nav": "members",
        "crumbs": [Crumb("Users and roles", here), *more],
        "manages": may_do(request, Act.MANAGE_MEMBERS),
        "names_owners": may_do(request, Act.NAME_OWNERS),
        "role_needed": ACTS[Act.MANAGE_MEMBERS].label.lower(),
        "live_url": live_address(request, "shell"),
    }


def managers_only(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponseBase]:
    """Whoever sees the members but does not look after them is refused in words, and so is what cannot be."""

    @member_page
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        require(request, Act.MANAGE_MEMBERS)
        try:
            return view(request, *args, **kwargs)
        except (MemberRefused, InvitationRefused) as refused:
            messages.error(request, str(refused))
            return redirect("console:member-list")

    return guarded


@member_page
def member_list(request: HttpRequest) -> HttpResponse:
    context = page_context(request)
    rows = member_rows(reach_of(request), member_of(request), names_owners=context["names_owners"])
    context |= {
        "account": account_of(request),
        "rows": rows,
        "without_factor": sum(row.is_able and not row.has_factor for row in rows),
        "invited": invitation_rows(account_of(request)) if context["manages"] else [],
    }
    return render(request, "member/list.html", context)


def get_member(request: HttpRequest, member_id: int) -> Member:
    """Raises Http404 for one of another account."""
    rows = Member.objects.of(account_of(request)).select_related("user")
    found: Member = get_object_or_404(rows, pk=min(member_id, LARGEST_KEY))
    return found


@require_http_methods(["GET", "POST"])
@managers_only
def member_edit(request: HttpRequest, member_id: int) -> HttpResponse:
    """The roles of a member."""
    member, by = get_member(request, member_id), member_of(request)
    check_may_give(by, member.role)
    context = page_context(request, Crumb(member_name(member)))
    form = RolesForm(
        request.POST if request.method == "POST" else None,
        integrations=integrations_of(account_of(request)),
        with_owner=context["names_owners"],
        given=roles_of_member(member),
    )
    if form.is_bound and form.is_valid():
        try:
            changed = change_roles(member=member, roles=form.roles(), by=by)
            said = "has other roles now" if changed else "has these roles already"
            messages.success(request, f"{member_name(member)} {said}.")
            return redirect("console:member-list")
        except MemberRefused as refused:
            form.add_error(None, str(refused))
    context |= {"form": form, "member": member, "is_self": member.pk == by.pk, "title": member_name(member)}
    return render(request, "member/edit.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@managers_only
def member_invite(request: HttpRequest) -> HttpResponse:
    context = page_context(request, Crumb("Invite"))
    form = InviteForm(
        request.POST if request.method == "POST" else None,
        integrations=integrations_of(account_of(request)),
        with_owner=context["names_owners"],
        initial={"role": "monitor"},
    )
    if form.is_bound and form.is_valid():
        email = form.cleaned_data["email"]
        try:
            invite(account=account_of(request), email=email, roles=form.roles(), by=member_of(request))
            messages.success(request, f"An invitation to {email} is on its way. Its link is good for seven days.")
            return redirect("console:member-list")
        except (MemberRefused, InvitationRefused) as refused:
            form.add_error(None, str(refused))
    context |= {"form": form, "title": "Invite"}
    return render(request, "member/edit.html", context, status=422 if form.is_bound else 200)


@require_POST
@managers_only
def member_disable(request: HttpRequest, member_id: int) -> HttpResponse:
    member = get_member(request, member_id)
    disabled = disable_member(member=member, by=member_of(request))
    said = "is disabled: neither the member nor its API tokens get at this account" if disabled else "was disabled"
    messages.success(request, f"{member_name(member)} {said}.")
    return redirect("console:member-list")


@require_POST
@managers_only
def member_enable(request: HttpRequest, member_id: int) -> HttpResponse:
    member = get_member(request, member_id)
    enabled = enable_member(member=member, by=member_of(request))
    messages.success(request, f"{member_name(member)} {'is enabled again' if enabled else 'was enabled'}.")
    return redirect("console:member-list")


@require_http_methods(["GET", "POST"])
@managers_only
def transfer(request: HttpRequest) -> HttpResponse:
    require(request, Act.TRANSFER_ACCOUNT)
    by = member_of(request)
    others = Member.objects.of(by.account_id).filter(disabled_at__isnull=True, user__is_active=True).exclude(pk=by.pk)
    form = TransferForm(request.POST if request.method == "POST" else None, members=others.select_related("user"))
    if form.is_bound and form.is_valid():
        to = form.cleaned_data["to"]
        transfer_account(to=to, by=by)
        messages.success(request, f"{member_name(to)} is an owner now, and you are an administrator.")
        return redirect("console:member-list")
    context = page_context(request, Crumb("Transfer")) | {"form": form, "account": by.account}
    return render(request, "member/transfer.html", context, status=422 if form.is_bound else 200)


@require_POST
@managers_only
def second_factor(request: HttpRequest) -> HttpResponse:
    """Whether members of this account need one."""
    required = request.POST.get("required") == "1"
    require_second_factor(account=account_of(request), required=required, by=member_of(request))
    said = (
        "A second factor is required: members without one are led to set it up before anything else."
        if required
        else "A second factor is no longer required."
    )
    messages.success(request, said)
    return redirect("console:member-list")


def get_invitation(request: HttpRequest, invitation_id: int) -> Invitation:
    """Raises Http404 for one of another account."""
    rows = Invitation.objects.of(account_of(request))
    found: Invitation = get_object_or_404(rows, pk=min(invitation_id, LARGEST_KEY))
    return found


@require_POST
@managers_only
def invitation_resend(request: HttpRequest, invitation_id: int) -> HttpResponse:
    found = get_invitation(request, invitation_id)
    invitations.resend(invitation=found, by=member_of(request))
    messages.success(request, f"A new link is on its way to {found.email}; the one before opens nothing any more.")
    return redirect("console:member-list")


@require_POST
@managers_only
def invitation_withdraw(request: HttpRequest, invitation_id: int) -> HttpResponse:
    found = get_invitation(request, invitation_id)
    invitations.withdraw(invitation=found, by=member_of(request))
    messages.success(request, f"The invitation to {found.email} is withdrawn.")
    return redirect("console:member-list")


def member_name(member: Member) -> str:
    return str(member.user.get_full_name() or member.user.get_username())
