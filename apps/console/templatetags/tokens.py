"""What a token may be used for, in words."""

from django import template

from apps.accounts.models import Token
from apps.accounts.tokens import SCOPES, Scope

register = template.Library()


@register.filter
def scopes_text(token: Token) -> str:
    """`everything`, or the names of its scopes: `errors, read`."""
    return "everything" if Scope.FULL in token.scopes else ", ".join(token.scopes) or "nothing"


@register.filter
def scopes_explained(token: Token) -> str:
    return ". ".join(words for scope, words in SCOPES.items() if scope in token.scopes)
