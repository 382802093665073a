"""Sessions that know their user, so that a user sees where he is signed in and can end it there."""

from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.accounts.client_address import client_address
from apps.accounts.models import UserSession
from apps.core.clock import wall_now
from apps.core.ids import LARGEST_KEY

DEVICE = "device"
"""What a session keeps of the browser that signed in: when, when seen last, address and user agent."""
SEEN_EVERY = timedelta(minutes=5)
"""How often at most it is written that a session was used."""


class SessionStore(db.SessionStore):
    """Django's sessions in the database, with columns for the user and the browser beside the data.

    When it was seen last is true in its columns: noting it writes nothing else, because a page that asks for news may
    have read the data before another page changed them.
    """

    _only_seen: dict[str, Any] | None = None

    @classmethod
    def get_model_class(cls) -> type[UserSession]:
        return UserSession

    def create_model_instance(self, data: dict[str, Any]) -> UserSession:
        row = super().create_model_instance(data)
        assert isinstance(row, UserSession)
        device = data.get(DEVICE, {})
        row.user_id = int(data[SESSION_KEY]) if SESSION_KEY in data else None
        row.signed_in_at, row.seen_at = _moment(device.get("signed_in_at")), _moment(device.get("seen_at"))
        row.address, row.agent = device.get("address", ""), device.get("agent", "")
        return row

    def load(self) -> dict[str, Any]:
        row = self._get_session_from_db()  # type: ignore[attr-defined]
        if not isinstance(row, UserSession):
            return {}
        data: dict[str, Any] = self.decode(row.session_data)
        if DEVICE in data and row.seen_at is not None:
            data[DEVICE] |= {"seen_at": row.seen_at.isoformat(), "address": row.address}
        return data

    def note_seen(self, address: str) -> None:
        is_clean = not self.modified
        self[DEVICE] = self[DEVICE] | {"seen_at": wall_now().isoformat(), "address": address}
        self._only_seen = deepcopy(dict(self.items())) if is_clean else None

    def save(self, must_create: bool = False) -> None:
        if must_create or dict(self.items()) != self._only_seen:
            super().save(must_create)
            return
        device = self[DEVICE]
        seen = {"seen_at": _moment(device["seen_at"]), "address": device["address"]}
        row = UserSession.objects.filter(session_key=self.session_key)
        if not row.update(expire_date=self.get_expiry_date(), **seen):
            raise UpdateError


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def note_device(request: HttpRequest) -> None:
    """Keep in a new session who uses it."""
    now = wall_now().isoformat()
    agent = request.headers.get("User-Agent", "")[:300]
    request.session[DEVICE] = {
        "signed_in_at": now,
        "seen_at": now,
        "address": client_address(request),
        "agent": agent,
    }


def note_seen(request: HttpRequest) -> None:
    """Keep that it is used, every few minutes."""
    device = request.session.get(DEVICE)
    if device and wall_now() - datetime.fromisoformat(device["seen_at"]) >= SEEN_EVERY:
        request.session.note_seen(client_address(request))  # type: ignore[attr-defined]


def signed_in_at(request: HttpRequest) -> datetime | None:
    """When this session signed in; None for one that knows nothing of it."""
    return _moment(request.session.get(DEVICE, {}).get("signed_in_at"))


def sessions_of(user: User) -> "QuerySet[UserSession]":
    """Where the user is signed in, the latest used first."""
    return UserSession.objects.filter(user=user, expire_date__gt=wall_now()).order_by("-seen_at", "-pk")


def end_session(user: User, session_id: int) -> bool:
    """False: it has ended already, or is somebody else's."""
    return bool(UserSession.objects.filter(user=user, pk=min(session_id, LARGEST_KEY)).delete()[0])


def end_sessions(user: User, *, but: str | None = None) -> int:
    """End all sessions of a user, `but` the one with this key. Returns how many."""
    return UserSession.objects.filter(user=user).exclude(session_key=but or "").delete()[0]


def clear_expired() -> None:
    UserSession.objects.filter(expire_date__lt=wall_now()).delete()
