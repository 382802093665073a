"""Codes of authenticator apps: time-based one-time passwords of six digits (RFC 6238, HMAC-SHA-1, 30 seconds)."""

import base64
import hmac
import secrets
import unicodedata
from datetime import datetime
from urllib.parse import quote, urlencode

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20
ISSUER = "Flowmend"


def new_secret() -> str:
    """A secret as apps take it: base 32."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def step_at(moment: datetime) -> int:
    return int(moment.timestamp()) // STEP_S


def code_of(secret: str, step: int) -> str:
    digest = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 0x0F
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def matching_step(secret: str, code: str, moment: datetime) -> int | None:
    """The half minute that the code belongs to: the present one, or the one before or after, for clocks differ."""
    code = unicodedata.normalize("NFKC", code)  # some keyboards type wide digits
    if not code.isascii():
        return None
    present = step_at(moment)
    steps = (present, present - 1, present + 1)
    return next((step for step in steps if hmac.compare_digest(code_of(secret, step), code)), None)


def app_address(secret: str, user_name: str) -> str:
    """What the app reads from the picture."""
    label = quote(f"{ISSUER}:{user_name}")
    return f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': ISSUER})}"
