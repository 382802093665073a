"""Addresses that open one file for a few minutes without a token, for what downloads it: a browser, `curl -O`."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed

from apps.accounts.models import Token
from apps.accounts.tokens import good_tokens
from apps.api.caller import Caller
from apps.core.clock import wall_now

GOOD_FOR = timedelta(minutes=10)
OVER = "This address is not good any more: ask for another one. It opens one file for ten minutes."
_SIGNER = TimestampSigner(salt="flowmend.signed-address")


def signed_address(path: str, token: Token) -> tuple[str, datetime]:
    """The whole address, and until when it is good. It opens what the token opens, and dies with it."""
    signature = _SIGNER.sign_object({"path": path, "token": token.pk})
    address = f"{settings.PUBLIC_URL.rstrip('/')}{path}?{urlencode({'signature': signature})}"
    return address, wall_now() + GOOD_FOR


class SignedAddress(BaseAuthentication):
    """Stands before the token: an address without a signature is left to that."""

    def authenticate(self, request: Any) -> tuple[Any, Caller] | None:
        """The member's user and the caller; raises what becomes a 401."""
        signature = request.query_params.get("signature", "")
        if not signature:
            return None
        try:
            signed = _SIGNER.unsign_object(signature, max_age=GOOD_FOR)
        except (BadSignature, ValueError):
            raise AuthenticationFailed(OVER) from None
        token = good_tokens().filter(pk=signed["token"]).first()
        if token is None or signed["path"] != request._request.path_info:
            raise AuthenticationFailed(OVER)
        return token.member.user, Caller(token.member, token)

    def authenticate_header(self, request: Any) -> str:
        return 'Bearer realm="Flowmend"'
