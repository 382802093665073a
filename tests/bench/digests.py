"""digests: a window that tells 10,000 new errors to 1,000 subscriptions, and the words of its mails.

Ours is the time from the window's end until all its deliveries are written; the anchor is the goal of ten seconds. What
a worker takes to put the mails into words is told beside it: they are made while they are sent, one after the other.
"""

from statistics import median
from time import perf_counter

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Account, Member
from apps.accounts.services import create_account
from apps.core.bulk import insert_rows
from apps.core.clock import wall_now
from apps.errors.models import Error, StepState
from apps.execution.notifying import send_messages
from apps.flows.models import Flow, Step
from apps.notifications.models import DigestWindow, MessageDelivery, Subscription
from apps.notifications.windows import begin_windows_of, end_window
from tests.bench.load import make_owner
from tests.factories import make_cause, make_flow, make_integration, make_run

GOAL_S = 10
SUBSCRIPTIONS = 1_000
FLOWS, INTEGRATIONS = 50, 10


def measure(*, rounds: int, records: int) -> dict[str, object]:
    """`ours` is the median of the windows' seconds; each round has `records` errors and an account of its own."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    windows, mails, queries = [], [], set()
    for number in range(rounds):
        window = waiting_window(records)
        started = perf_counter()
        with CaptureQueriesContext(connection) as asked:
            written = end_window(window.account_id, window.pk)
        windows.append(perf_counter() - started)
        assert written == SUBSCRIPTIONS, written
        queries.add(len(asked))
        mails.append(send_all(window))
        told = f"window {windows[-1]:.2f} s, {len(asked)} queries, {mails[-1]:,.0f} mails/s"
        print(f"round {number + 1}: {told}", flush=True)
    ours = median(windows)
    return {
        "name": "digests",
        "ours": round(ours, 2),
        "anchor": GOAL_S,
        "ratio": round(ours / GOAL_S, 3),
        "goal": f"<= {GOAL_S} s for {records:,} errors and {SUBSCRIPTIONS:,} subscriptions",
        "queries": sorted(queries),
        "mails_s": round(median(mails)),
    }


def waiting_window(errors: int) -> DigestWindow:
    """A window that is due, of an account in which all this has happened since the one before."""
    account = create_account(name="digests", owner=make_owner())
    groups = [make_integration(account) for _ in range(INTEGRATIONS)]
    flows = [make_flow(integration=groups[number % INTEGRATIONS]) for number in range(FLOWS)]
    begin_windows_of(account)
    subscribe_all(account, flows)
    for flow in flows:
        fail(flow, errors // FLOWS)
    windows = DigestWindow.objects.of(account).filter(environment="production")
    windows.update(next_at=F("ended_at"))
    return windows.get()


def subscribe_all(account: Account, flows: list[Flow]) -> None:
    """A third to the account, a third to an integration, a third to a flow."""
    names = [f"{account.pk}-{number}" for number in range(SUBSCRIPTIONS)]
    users = User.objects.bulk_create(
        [User(username=name, email=f"{name}@example.org", is_active=True) for name in names]
    )
    members = Member.objects.of(account).bulk_create(
        [Member(account=account, user=user, role="monitor") for user in users]
    )
    Subscription.objects.of(account).bulk_create(
        [
            Subscription(
                account=account,
                member=member,
                integration_id=flows[number % FLOWS].integration_id if number % 3 == 1 else None,
                flow=flows[number % FLOWS] if number % 3 == 2 else None,
            )
            for number, member in enumerate(members)
        ]
    )


def fail(flow: Flow, count: int) -> None:
    step, run, now = Step.unscoped.get(flow=flow, key="target"), make_run(flow), wall_now()
    cause = make_cause(step)
    fields = ["account", "flow", "step", "run", "cause", "unit", "state", "in_doubt", "retry_failed", "message", "key",
              "collision_no", "pass_order", "effects", "occurred_at", "attempts", "source_step_path", "reason",
              "passed_outcome", "has_notes", "keep"]  # fmt: skip
    insert_rows(
        Error,
        fields,
        [
            (flow.account_id, flow.pk, step.pk, run.pk, cause.pk, "record", "open", False, False,
             "Price -1 of item 40118 is below zero", f"SKU-{number}", 0, 0, {}, now, 0, "", "", "", False, False)
            for number in range(count)
        ],
    )  # fmt: skip
    StepState.unscoped.filter(pk=step.pk).update(open_errors=count)


def send_all(window: DigestWindow) -> float:
    """Mails a second that one worker puts into words."""
    ids = list(MessageDelivery.objects.of(window.account_id).values_list("pk", flat=True))
    started = perf_counter()
    sent = sum(send_messages(ids[first : first + 50]) for first in range(0, len(ids), 50))
    assert sent == SUBSCRIPTIONS, sent
    return sent / (perf_counter() - started)
