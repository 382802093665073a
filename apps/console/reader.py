"""Who asks for live updates: looked up once a minute for each session, and a second after anything about it changed."""

import hashlib
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpRequest

from apps.accounts.models import Member
from apps.accounts.reach import Reach
from apps.accounts.sessions import note_seen
from apps.console.access import find_member, reach_of, roles_of
from apps.console.context import preferences_of
from apps.console.gate import is_held_up, user_of
from apps.console.sharing import SHELF, share
from apps.core.clock import wall_now


@dataclass(frozen=True)
class Reader:
    user: User
    member: Member
    reach: Reach
    roles: dict[int, str]
    sight: str  # two readers with the same one are told the same


def find_reader(request: HttpRequest) -> Reader | None:
    """None: signed out, without an account, or held up before a second factor.

    Whoever signs out, is disabled or loses a role is told for one second more at most.
    """
    key = request.session.session_key
    if key is None:
        return None
    stamp = SHELF.take(("stamp", key), lambda: _stamp(key))
    reader = SHELF.take(("reader", key, stamp), lambda: _looked_up(request), KEPT_S)
    if reader is not None:
        request.user = reader.user
        request.flowmend_member, request.flowmend_roles = reader.member, reader.roles  # type: ignore[attr-defined]
        request.flowmend_reach = reader.reach  # type: ignore[attr-defined]
        share(request, reader.sight)
    return reader


def _stamp(session_key: str) -> str:
    """All rows on which a reader depends, in one statement that takes a fraction of reading them as objects."""
    with connection.cursor() as cursor:
        cursor.execute(STATEMENT, [session_key, connection.ops.adapt_datetimefield_value(wall_now())])
        return hashlib.sha256(repr(cursor.fetchall()).encode()).hexdigest()


KEPT_S = 60
STATEMENT = """
SELECT * FROM user_session s JOIN auth_user u ON u.id = s.user_id LEFT JOIN profile p ON p.user_id = u.id
  LEFT JOIN member m ON m.user_id = u.id LEFT JOIN account a ON a.id = m.account_id
  LEFT JOIN member_role r ON r.member_id = m.id
WHERE s.session_key = %s AND s.expire_date > %s ORDER BY m.id, r.id
"""


def _looked_up(request: HttpRequest) -> Reader | None:
    if not request.user.is_authenticated:
        return None
    member = find_member(request)
    if member is None or is_held_up(request):
        return None
    note_seen(request)
    reach = reach_of(request)
    roles = {} if member.role else roles_of(request)
    sight = (reach, member.role, sorted(roles.items()), member.may_edit_retry_data, preferences_of(request))
    return Reader(user_of(request), member, reach, roles, repr(sight))
