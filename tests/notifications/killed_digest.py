"""Workers that are killed (kill -9) in the middle of a digest, on a database of their own, beside a real mail server.

`python -m tests.notifications.killed_digest MOMENT…` with DATABASE_URL plays each and prints what it found as JSON.
"""

import json
import os
import re
import signal
import sys
import time
from collections import Counter
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402 (Django has to stand first)
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402

from apps.notifications import windows  # noqa: E402
from apps.notifications.models import DigestWindow, Message, MessageDelivery  # noqa: E402
from tests.factories import make_account, make_error, make_member, make_run, step_of  # noqa: E402
from tests.fakes.mail_server import MailServer  # noqa: E402
from tests.fakes.running import make_world  # noqa: E402
from tests.notifications.story import at, subscribed, work  # noqa: E402

MAILBOXES, SECOND = 3, 2
AGAIN = (15.1, 18, 30, 45)
"""Minutes at which workers look that are not killed: at once, after the lease of an attempt, and two windows later."""


def play(moment: str) -> dict[str, Any]:
    """`window`: the digests are written, but not committed; else at this command for the second mail."""
    account = make_account()
    flow = make_world(account).flow
    for _ in range(MAILBOXES):
        subscribed(account, make_member(account))
    with at(5) as now:
        errors = [make_error(make_run(flow), step=step_of(flow), key=key, occurred_at=now).pk for key in "AB"]
    post = MailServer()
    with post.running():
        settings.EMAIL_HOST, settings.EMAIL_PORT = post.host, post.port
        status = killed_worker(post, moment)
        in_between = MessageDelivery.objects.of(account).count()
        for minutes in AGAIN:
            work(minutes)
    return {
        "killed_by": status,
        "written_when_killed": in_between,
        "windows": DigestWindow.objects.of(account).get(environment="production").number,
        "messages": Message.objects.of(account).count(),
        "deliveries": [
            (row.status, row.in_doubt, copies_of(post)[row.pk])
            for row in MessageDelivery.objects.of(account).order_by("pk")
        ],
        "told": sorted(Counter(told_in(post, errors)).values()),
    }  # fmt: skip


def killed_worker(post: MailServer, moment: str) -> int:
    """A process of its own does what dispatcher and workers do at 12:15; returns by which signal it ended."""
    connections.close_all()  # each process has its own
    worker = os.fork()
    if not worker:
        if moment == "window":
            die_in_window()
        work(15)
        os._exit(0)
    if moment != "window":
        strike(post, moment, worker)
    return os.WTERMSIG(os.waitpid(worker, 0)[1])


def die_in_window() -> None:
    written = windows.write_digests

    def write(*given: Any) -> int:
        written(*given)
        os.kill(os.getpid(), signal.SIGKILL)
        return time.sleep(60) or 0

    windows.write_digests = write


def strike(post: MailServer, command: str, worker: int) -> None:
    seen: Counter[str] = Counter()

    def kill(server: MailServer, given: Any) -> str | None:
        seen["times"] += 1
        if seen["times"] != SECOND:
            return None
        os.kill(worker, signal.SIGKILL)
        return "drop"

    post.faults[command] = kill


def copies_of(post: MailServer) -> Counter[int]:
    """Delivery -> how often it came."""
    return Counter(int(re.findall(r"delivery-(\d+)@", mail.identity)[0]) for mail in post.taken)


def told_in(post: MailServer, errors: list[int]) -> list[tuple[str, int]]:
    """(delivery, error) of each different mail that tells of it."""
    mails = {mail.identity: mail.message.get_body(("plain",)).get_content() for mail in post.taken}  # type: ignore[union-attr]
    return [(name, error) for name, text in mails.items() for error in errors if f"/errors/{error}/" in text]


def main() -> None:
    call_command("migrate", verbosity=0)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    print(json.dumps({moment: play(moment) for moment in sys.argv[1:]}))


if __name__ == "__main__":
    main()
