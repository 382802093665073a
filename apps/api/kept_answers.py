"""`Idempotency-Key`: a call that changes something is done once, however often it is sent within a day.

The first call claims its key, and does its work in one transaction with writing down its answer. So a process that is
killed has either done both or nothing; its claim is then taken over after a minute.
"""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import status

from apps.accounts.models import KeptAnswer
from apps.api.failures import conflict, invalid
from apps.core.clock import database_now

HEADER = "Idempotency-Key"
LONGEST_KEY = 255
KEPT = timedelta(days=1)
ABANDONED = timedelta(minutes=1)
REMOVED_AT_ONCE = 100
REPLAYED = "Idempotent-Replayed"
KEPT_HEADERS = ("ETag", "Link")
"""What a client needs of an answer besides its body: the others are said anew."""
UNCHANGING = frozenset({"GET", "HEAD", "OPTIONS"})


def answered_once(view: Any, request: Any, work: Callable[[], Any]) -> HttpResponseBase:
    """The answer of `work`, or the one that the same key got before. Raises a Refusal for a key that is used twice."""
    key = request.headers.get(HEADER, "")
    if not key or request.method in UNCHANGING:
        return work()
    if len(key) > LONGEST_KEY:
        raise invalid(f"An idempotency key has at most {LONGEST_KEY} characters.", HEADER)
    account_id = request.auth.member.account_id
    kept = claim(account_id, digest(key), digest(request.method, request.get_full_path(), request._request.body))
    return done_and_kept(view, kept, work) if kept.status is None else replayed(kept)


def claim(account_id: int, key: str, request: str) -> KeptAnswer:
    """The row of the key: without a status it is ours to do, with one it is done."""
    forget_old(account_id)
    try:
        with transaction.atomic():
            made = KeptAnswer(account_id=account_id, key_sha256=key, request_sha256=request)
            made.save(force_insert=True)
            return made
    except IntegrityError:
        kept: KeptAnswer = KeptAnswer.objects.of(account_id).get(key_sha256=key)
    if kept.request_sha256 != request:
        raise invalid("This idempotency key was used for another call.", HEADER, "idempotency_key_reused")
    if kept.status is None and not take_over(kept):
        raise conflict("The first call with this idempotency key is still under way.", "in_progress")
    return kept


def take_over(kept: KeptAnswer) -> bool:
    """Whether the process that claimed it has died; then it is ours."""
    waiting = KeptAnswer.objects.of(kept.account_id).filter(pk=kept.pk, status__isnull=True)
    dead = waiting.filter(at__lt=database_now(seconds=-ABANDONED.total_seconds()))
    return bool(dead.update(at=database_now()))


def forget_old(account_id: int) -> None:
    old = KeptAnswer.objects.of(account_id).filter(at__lt=database_now(seconds=-KEPT.total_seconds()))
    keys = list(old.order_by("at").values_list("pk", flat=True)[:REMOVED_AT_ONCE])
    if keys:
        KeptAnswer.objects.of(account_id).filter(pk__in=keys).delete()


def done_and_kept(view: Any, kept: KeptAnswer, work: Callable[[], Any]) -> HttpResponseBase:
    """Do it and write down its answer; a refusal is an answer too, a failure of ours is none."""
    try:
        with transaction.atomic():
            done: HttpResponseBase = work()
            keep(kept, done)
            return done
    except Exception as error:
        answer = view.handle_exception(error)
    if answer.status_code < status.HTTP_500_INTERNAL_SERVER_ERROR:
        keep(kept, answer)
    else:
        KeptAnswer.objects.of(kept.account_id).filter(pk=kept.pk).delete()
    found: HttpResponseBase = answer
    return found


def keep(kept: KeptAnswer, answer: Any) -> None:
    content = b"" if answer.data is None else orjson.dumps(answer.data)
    row = KeptAnswer.objects.of(kept.account_id).filter(pk=kept.pk)
    headers = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
    row.update(status=answer.status_code, content=content, headers=headers, at=database_now())


def replayed(kept: KeptAnswer) -> HttpResponse:
    code = kept.status or status.HTTP_200_OK
    found = HttpResponse(bytes(kept.content), "application/json", code, headers=kept.headers)
    found[REPLAYED] = "true"
    return found


def digest(*parts: str | bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else part)
        found.update(b"\x00")
    return found.hexdigest()
