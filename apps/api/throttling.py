"""At most 1,000 calls at once and 300 a second for each account, over all processes and machines.

The bucket is a row that all share: the time up to which the account's calls are booked. Writing it at each call would
cost more than most answers do, and would wait for other writers on SQLite. So a process counts by itself and books 20
calls at a time; what a slow account has left over is forgotten after a second, in which 300 would have been refilled.
"""

import math
import time
from dataclasses import dataclass
from threading import Lock
from typing import Any

from django.db.models import F, FloatField, Value
from django.db.models.functions import Greatest
from rest_framework.throttling import BaseThrottle

from apps.flows.models import Share

BUCKET = 1000
PER_SECOND = 300
BOOKED_TOGETHER = 20
KEY = "api"


@dataclass(slots=True)
class Counted:
    """One account's calls in this process that are not booked yet."""

    since: float = 0
    calls: int = 0
    closed_until: float = 0


_counted: dict[int, Counted] = {}
_lock = Lock()


class AccountThrottle(BaseThrottle):
    def allow_request(self, request: Any, view: Any) -> bool:
        self.closed_until = booked_call(request.auth.member.account_id, time.time())
        return self.closed_until == 0

    def wait(self) -> float:
        return max(1, math.ceil(self.closed_until - time.time()))


def booked_call(account_id: int, now: float) -> float:
    """Count one call; 0 if it may go on, else the time at which the next one may."""
    with _lock:
        counted = _counted.setdefault(account_id, Counted())
        if now < counted.closed_until:
            return counted.closed_until
        if now - counted.since > 1:
            counted.since, counted.calls = now, 0
        counted.calls += 1
        if counted.calls < BOOKED_TOGETHER:
            return 0
        calls, counted.calls = counted.calls, 0
    closed_until = book(account_id, calls, now)
    if closed_until:
        counted.closed_until = closed_until
    return closed_until


def book(account_id: int, calls: int, now: float) -> float:
    """Book calls in the account's row; 0, or the time at which they would fit into the bucket."""
    row = Share.objects.of(account_id).filter(key=KEY)
    needed, room = calls / PER_SECOND, BUCKET / PER_SECOND
    beginning = Greatest(F("booked"), Value(now, FloatField()))
    if row.filter(booked__lte=now + room - needed).update(booked=beginning + needed):
        return 0
    booked = row.values_list("booked", flat=True).first()
    if booked is None:
        Share.objects.of(account_id).get_or_create(key=KEY, defaults={"account_id": account_id, "booked": now + needed})
        return 0
    return booked + needed - room
