"""P19: digests over weeks of virtual time, while the mail server refuses, goes away and hangs, and workers die.

Time is frozen from window to window, so the product is not started: a process of its own does at each moment what
dispatcher and workers do about notifications, and is killed where the plan says so.
"""

import os
import re
import signal
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from apps.execution import notifying
from apps.notifications.models import DeliveryStatus, MessageDelivery
from tests.chaos.story import Story, Verdict
from tests.conftest import NOON
from tests.factories import make_account, make_error, make_member, make_run, make_user, step_of
from tests.fakes.mail_server import MailServer
from tests.fakes.running import make_world
from tests.notifications.story import at, subscribed, work

WINDOW = 15
LOOKS = (0.1, 0.5, 1.5, 4, 8, 12)
"""Minutes after a window's end at which what is due is sent."""
STRIKES = {
    "MAIL": ["421 too many connections", "451 come later", "kill"],
    "RCPT": ["451 come later", "421 going down", "kill"],
    "DATA": ["451 no room", "drop", "kill"],
    "END": ["drop", "hang", "kill"],
}
"""What happens at which command; at END the mail has been taken, and its answer is lost."""
SHARE = 0.15
MAILBOXES = 3
DOWN = 0.1
CALM_WINDOWS = 200


class Mails(Story):
    """`times` is the number of faults and kills; after them all is calm until every delivery has come to its end."""

    def play(self, times: int, patience_s: float) -> Verdict:
        call_command("migrate", verbosity=0)
        self.strikes: Counter[str] = Counter()
        self.errors: set[int] = set()
        self.window, self.child, self.most = 0, 0, times
        self.post = MailServer()
        with self.post.running():
            settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
            settings.EMAIL_HOST, settings.EMAIL_PORT = self.post.host, self.post.port
            notifying.TIMEOUT_S = 0.3  # type: ignore[misc]
            self.arrange()
            while self.verdict.times < times:
                self.one_window()
            self.calm_down()
        self.audit()
        return self.verdict

    def arrange(self) -> None:
        account = make_account()
        self.flow = make_world(account).flow
        for number in range(MAILBOXES):
            subscribed(account, make_member(account, user=make_user(f"mailbox{number}")))
        self.post.faults = {command: self.strike_at(command) for command in STRIKES}

    def strike_at(self, command: str) -> Any:
        def strike(server: MailServer, given: Any) -> str | None:
            if self.verdict.times >= self.most or self.dice.random() >= SHARE:
                return None
            act = self.dice.choice(STRIKES[command])
            self.verdict.times += 1
            self.strikes[f"{command} {act}"] += 1
            if act == "kill":
                os.kill(self.child, signal.SIGKILL)
                return "drop"
            return act

        return strike

    def one_window(self) -> None:
        """A few errors, and what follows from them; now and then all is down for a while."""
        begin = self.window * WINDOW
        self.window += 1
        with at(begin + 5) as moment:
            for number in range(self.dice.randint(0, 2)):
                facts = {"key": f"{self.window}-{number}", "occurred_at": moment + timedelta(seconds=number)}
                self.errors.add(make_error(make_run(self.flow), step=step_of(self.flow), **facts).pk)
        if self.dice.random() >= DOWN:
            for after in LOOKS:
                self.work_in_child(begin + WINDOW + after)

    def work_in_child(self, minutes: float) -> None:
        connections.close_all()
        self.child = os.fork()
        if not self.child:
            with suppress(BaseException):
                work(minutes)
            os._exit(0)
        os.waitpid(self.child, 0)

    def calm_down(self) -> None:
        for _ in range(CALM_WINDOWS):
            self.window += 1
            self.work_in_child(self.window * WINDOW + 1)
            if not MessageDelivery.unscoped.filter(status=DeliveryStatus.WAITING).exists():
                return
        self.fault("deliveries still wait when all has been calm for two days")

    # --- audit -------------------------------------------------------------------------------------------------------
    def audit(self) -> None:
        copies = Counter(mail.identity for mail in self.post.taken)
        rows = list(MessageDelivery.unscoped.order_by("pk"))
        for row in rows:
            came = copies[identity_of(row)]
            if not came and row.status != DeliveryStatus.FAILED:
                self.fault(f"delivery {row.pk} is {row.status} and never came")
            if came > 1 and not row.in_doubt:
                self.fault(f"delivery {row.pk} came {came} times and is not in doubt")
        told = self.told(rows)
        for error in sorted(self.errors):
            if told[error] != MAILBOXES:
                self.fault(f"error {error} is told in {told[error]} digests, not in {MAILBOXES}: one for each mailbox")
        self.verdict.measured |= {name: [count] for name, count in sorted(self.strikes.items())}
        self.verdict.measure("came twice, recorded as in doubt", sum(came - 1 for came in copies.values()))
        failed = sum(row.status == DeliveryStatus.FAILED for row in rows)
        self.verdict.summary = f"{len(self.errors)} errors in {len(rows)} digests until {NOON + self.window * QUARTER}"
        self.verdict.summary += f", {failed} given up"

    def told(self, rows: list[MessageDelivery]) -> Counter[int]:
        """In how many different mails each error is told."""
        mails = {mail.identity: mail.message.get_body(("plain",)) for mail in self.post.taken}
        found: Counter[int] = Counter()
        for body in mails.values():
            text = body.get_content() if body is not None else ""
            found.update({int(number) for number in re.findall(r"/errors/(\d+)/", text)})
        return found


QUARTER = timedelta(minutes=WINDOW)


def identity_of(row: MessageDelivery) -> str:
    from apps.notifications import links

    return f"<delivery-{row.pk}@{links.host()}>"
