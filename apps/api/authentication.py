"""`Authorization: Bearer TOKEN`, and nothing else: no cookie, no token in an address."""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated

from apps.accounts.tokens import find_token
from apps.api.caller import Caller

MISSING = "Send a token: Authorization: Bearer TOKEN. Make one in the console, under API tokens."
UNKNOWN = "This token is not known here, has expired or was revoked."


class BearerToken(BaseAuthentication):
    def authenticate(self, request: Any) -> tuple[Any, Caller]:
        """The member's user and the caller; raises what becomes a 401."""
        kind, _, text = request.headers.get("Authorization", "").strip().partition(" ")
        if not kind:
            raise NotAuthenticated(MISSING)
        token = find_token(text.strip()) if kind.lower() == "bearer" else None
        if token is None:
            raise AuthenticationFailed(UNKNOWN)
        return token.member.user, Caller(token.member, token)

    def authenticate_header(self, request: Any) -> str:
        return 'Bearer realm="Flowmend"'
