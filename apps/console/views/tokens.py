"""API tokens: a member's own; of whoever manages tokens, all of the account's. Each is shown once, when it is made."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from apps.accounts.models import Token
from apps.accounts.permissions import Act
from apps.accounts.services import Actor
from apps.accounts.tokens import issue_token, revoke_token, tokens_seen_by
from apps.console.access import account_of, may_do, member_of, member_page
from apps.console.context import Crumb
from apps.console.live import live_address
from apps.console.once import show_once, taken
from apps.console.paging import page_of
from apps.console.selectors.connections import require
from apps.console.token_form import TokenForm
from apps.core.clock import wall_now
from apps.core.ids import LARGEST_KEY

ROWS_A_PAGE = 100
KIND = "token"


@never_cache
@member_page
def token_list(request: HttpRequest) -> HttpResponse:
    """Those that open something first, the newest on top."""
    now = wall_now()
    rows = [(token, token.state_at(now)) for token in tokens_seen_by(member_of(request))]
    rows.sort(key=lambda row: row[1] != "active")
    context = page_context(request) | page_of(request, rows, ROWS_A_PAGE)
    made = taken(request, KIND)
    context |= {"made": made, "made_token": next((token for token, _ in rows if made and token.pk == made.key), None)}
    return render(request, "token/list.html", context)


@member_page
def new_token(request: HttpRequest) -> HttpResponse:
    """For the member himself, or by whoever manages tokens for another one."""
    own = member_of(request)
    if request.POST.get("member", str(own.pk)) != str(own.pk):
        require(request, Act.MANAGE_TOKENS)
    form = TokenForm(request.POST if request.method == "POST" else None, own)
    if form.is_bound and form.is_valid():
        token, text = issue_token(
            member=form.bearer,
            scopes=form.scopes_chosen,
            name=form.cleaned_data["name"],
            expires_at=form.expires_at,
            actor=Actor.member(own),
        )
        show_once(request, KIND, token.pk, text)
        return redirect("console:token-list")
    context = page_context(request, Crumb("New token")) | {"form": form}
    return render(request, "token/new.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@member_page
def revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    """A GET asks, a POST does it."""
    token = get_token(request, token_id)
    if request.method == "POST":
        if revoke_token(token=token, actor=Actor.member(member_of(request))):
            messages.success(request, f"Token {token.name or token} is revoked: calls with it are refused from now on.")
        return redirect("console:token-list")
    context = page_context(request, Crumb(token.name or str(token)), Crumb("Revoke"))
    return render(request, "token/revoke.html", context | {"token": token, "state": token.state_at(wall_now())})


def get_token(request: HttpRequest, token_id: int) -> Token:
    """Raises Http404 for one that this member does not see."""
    found: Token = get_object_or_404(tokens_seen_by(member_of(request)), pk=min(token_id, LARGEST_KEY))
    return found


def page_context(request: HttpRequest, *more: Crumb) -> dict[str, Any]:
    account = Crumb(account_of(request).name, reverse("console:dashboard"))
    return {
        "nav": "tokens",
        "crumbs": [account, Crumb("API tokens", reverse("console:token-list") if more else ""), *more],
        "manages_all": may_do(request, Act.MANAGE_TOKENS),
        "live_url": live_address(request, "shell"),
    }
