"""Signing in, in one step or two: whoever has a second factor is asked for it after the password."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.contrib.auth import get_user_model, login
from django.contrib.auth.models import User
from django.http import HttpRequest

from apps.accounts.second_factors import has_second_factor
from apps.accounts.sessions import clear_expired, note_device, signed_in_at
from apps.core.clock import wall_now

HALF_WAY = "half_signed_in"
PROVED = "second_factor"
"""In a session: it was opened, or proved later, with a second factor."""
CONFIRMED = "password_confirmed_at"
STAY_S = 14 * 86400
UNTIL_BROWSER_CLOSES = 0
HALF_WAY_FOR = timedelta(minutes=10)
CONFIRMED_FOR = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class HalfWay:
    """Somebody whose password was right, and whose second factor is awaited."""

    user_id: int
    password_mark: str  # changes with the password
    at: str
    stay: bool
    next_url: str


def begin_sign_in(request: HttpRequest, user: User, *, stay: bool, next_url: str) -> bool:
    """The password was right. False: a second factor is asked for before the user is signed in."""
    if has_second_factor(user):
        at = wall_now().isoformat()
        half = HalfWay(user.pk, user.get_session_auth_hash(), at, stay, next_url)
        request.session[HALF_WAY] = asdict(half)
        request.session.set_expiry(HALF_WAY_FOR)
        return False
    complete_sign_in(request, user, stay=stay, with_second_factor=False)
    return True


def half_way(request: HttpRequest) -> tuple[User, HalfWay] | None:
    """Who is half-way in: for ten minutes, while the password stays the same and the user is active."""
    kept = request.session.get(HALF_WAY)
    if kept is None:
        return None
    half = HalfWay(**kept)
    user = get_user_model().objects.filter(pk=half.user_id, is_active=True).first()
    if user is None or user.get_session_auth_hash() != half.password_mark or is_over(half.at, HALF_WAY_FOR):
        del request.session[HALF_WAY]
        return None
    return user, half


def complete_sign_in(request: HttpRequest, user: User, *, stay: bool, with_second_factor: bool) -> None:
    """The user is signed in, in a session with a new key."""
    request.session.pop(HALF_WAY, None)
    login(request, user, backend="apps.accounts.backends.MemberBackend")
    request.session.set_expiry(STAY_S if stay else UNTIL_BROWSER_CLOSES)
    request.session[PROVED] = with_second_factor
    note_device(request)
    clear_expired()


def is_proved(request: HttpRequest) -> bool:
    """Whether this session has shown a second factor."""
    return bool(request.session.get(PROVED))


def prove(request: HttpRequest, proved: bool = True) -> None:
    request.session[PROVED] = proved


def confirm_password(request: HttpRequest) -> None:
    request.session[CONFIRMED] = wall_now().isoformat()


def is_confirmed(request: HttpRequest) -> bool:
    """Whether the user showed within the last 15 minutes who he is: what changes a sign-in needs that."""
    moment = signed_in_at(request)
    times = [request.session.get(CONFIRMED), moment.isoformat() if moment else None]
    return any(not is_over(at, CONFIRMED_FOR) for at in times if at)


def is_over(at: str, length: timedelta) -> bool:
    return wall_now() - datetime.fromisoformat(at) >= length
