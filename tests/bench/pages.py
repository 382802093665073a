"""pages: every page of the console with 500 flows, 100,000 runs and 1,000,000 errors, beside an almost empty database.

Both databases show the same on one page (as many integrations, rows and runs under way); what lies behind it differs.
The pages are asked through Django's test client: time of the server without the network, in interleaved rounds. Ours
is the slowest page's 95th percentile in milliseconds; the ratio is the worst of the pages' medians.
"""

from collections.abc import Iterator
from datetime import timedelta
from statistics import median, quantiles
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.urls import NoReverseMatch, reverse

from apps.accounts.models import Account
from apps.core.clock import wall_now
from apps.errors.models import Cause, Error
from apps.flows.models import Flow
from apps.runs.models import FlowState, Run
from tests.bench.database import own_database
from tests.bench.error_rows import HOT_KEY, Size, World, fill
from tests.bench.errors import Side, prepare_side, run_round, use_database
from tests.factories import make_connection, make_run

SMALL_ERRORS, INTEGRATIONS, TOGETHER = 10_000, 40, 12
ERRORS_A_FLOW, SMALL_FLOWS, ERRORS_A_RUN, CAUSES_A_FLOW = 2_000, 100, 10, 10
RUNNING, QUEUED = 20, 30
GOAL_MS, GOAL_RATIO, MOST_QUERIES = 60, 1.5, 12
ASKED_A_ROUND = 6


def measure(*, rounds: int, records: int) -> dict[str, object]:
    """`records` is the number of errors of the large database; it has a tenth as many runs."""
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    large_name = connection.settings_dict["NAME"]
    with own_database("bench_small") as url:
        small = prepared(urlsplit(url).path[1:], size_of(SMALL_ERRORS, SMALL_FLOWS))
        large = prepared(large_name, size_of(records, max(SMALL_FLOWS, records // ERRORS_A_FLOW)))
        for side in (small, large):
            side.warm_up()
        for number in range(rounds):
            for _ in range(ASKED_A_ROUND):
                run_round((small, large))
            print(f"round {number + 1} of {rounds}", flush=True)
        use_database(large_name)
    return report(small, large)


def size_of(errors: int, flows: int) -> Size:
    return Size(errors, ERRORS_A_RUN, flows, INTEGRATIONS - 1, TOGETHER, CAUSES_A_FLOW)


def prepared(name: str, size: Size) -> Side:
    side = prepare_side(name, size, fill_with_work)
    side.pages = dict(pages_of(side.world))
    return side


def fill_with_work(size: Size) -> World:
    """The same, with runs under way and connections."""
    world = fill(size)
    add_runs_under_way(world.account)
    for _ in range(8):
        make_connection(world.account)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return world


def add_runs_under_way(account: Account) -> None:
    flows = list(Flow.objects.of(account).order_by("pk")[: RUNNING + QUEUED])
    started = wall_now() - timedelta(minutes=2)
    for flow in flows[:RUNNING]:
        make_run(flow, status="running", started_at=started, pages_fetched=3, lease_owner="bench:1:1")
    for flow in flows[RUNNING:]:
        make_run(flow, wait_reason="the run before it goes first")
    states = FlowState.objects.of(account)
    states.filter(flow__in=flows[:RUNNING]).update(running=F("running") + 1)
    states.filter(flow__in=flows[RUNNING:]).update(queued=F("queued") + 1)


# --- the pages -------------------------------------------------------------------------------------------------------
COMPLETED = {
    "": "",
    ", 24 h": "?range=24h",
    ", 30 d": "?range=30d",
    ", by runs": "?sort=-runs",
    ", 30 d by errors": "?range=30d&sort=-errors",
    ", by name": "?sort=flow",
    ", by last error": "?sort=-last_error",
    ", only open": "?open=1",
    ", second page": "?page=2",
    ", no match": "?flow=nowhere&integration=bench&open=1",
}
INTEGRATION_TABS = {"flows": "", "connections": "-connections", "settings": "-settings", "analytics": "-analytics"}
FLOW_TABS = {"console": "", "history": "-history", "analytics": "-analytics", "settings": "-settings"}


def pages_of(world: World) -> Iterator[tuple[str, str]]:
    """(name, address); the same names for both databases. What has no address yet is left out."""
    return ((name, address) for name, address in addresses(world) if address)


def place(url_name: str, *args: object) -> str:
    """A page's address, or nothing while there is no such page."""
    try:
        return reverse(f"console:{url_name}", args=args)
    except NoReverseMatch:
        return ""


def addresses(world: World) -> Iterator[tuple[str, str]]:
    for name, query in COMPLETED.items():
        yield f"completed{name}", place("dashboard") + query
    yield "running", place("dashboard-running")
    yield from of_integration(world)
    yield from of_flow(world)
    yield from of_errors(world)
    for name in ("connection-list", "analytics", "member-list", "token-list", "audit-log", "notification-list"):
        yield name.replace("-", " "), place(name)
    yield "profile", place("profile")
    yield "help", place("help")


def of_integration(world: World) -> Iterator[tuple[str, str]]:
    slug = world.flow.integration.slug
    yield "integrations: list", place("integration-list")
    yield "integrations: tiles", place("integration-list") + "?view=tiles"
    for name, suffix in INTEGRATION_TABS.items():
        yield f"integration: {name}", place(f"integration{suffix}", slug)
    for tab in ("", "-running"):
        yield f"integration: dashboard{tab}", place(f"integration-dashboard{tab}", slug)


def of_flow(world: World) -> Iterator[tuple[str, str]]:
    for name, suffix in FLOW_TABS.items():
        yield f"flow: {name}", place(f"flow{suffix}", world.flow.pk)
    history = place("flow-history", world.flow.pk)
    yield "flow: history, failed", f"{history}?status=failed"
    yield "flow: history, 7 d", f"{history}?range=7d"
    yield "flow: errors", place("flow-errors", world.flow.pk) + "?unit=record"
    run = Run.objects.of(world.account).filter(flow=world.flow).exclude(ended_at=None).order_by("-pk")[0]
    yield "run", place("run", run.pk)
    yield "run: log", place("run-log", run.pk)


def of_errors(world: World) -> Iterator[tuple[str, str]]:
    """A few of what the benchmark `errors` asks in full."""
    step, inbox = [world.flow.pk, world.step.pk], place("error-list")
    rows = Error.unscoped.filter(step=world.step).open()
    cause = Cause.unscoped.filter(step=world.step).order_by("-open_errors", "-pk")[0]
    error = rows.filter(cause=cause).order_by("-pk")[0]
    yield "errors: causes", inbox
    yield "errors: list", f"{inbox}?view=list"
    yield "errors: one integration", f"{inbox}?view=list&integration={world.flow.integration.slug}"
    yield "errors: search", f"{inbox}?view=list&q=warehouse"
    yield "step: open", place("step-errors", *step)
    yield "step: resolved", place("step-errors-resolved", *step)
    yield "step: retries", place("step-retries", *step)
    for tab in ("", "-data", "-request", "-response", "-history"):
        yield f"error{tab}", place(f"error{tab}", *step, error.pk)
    yield "cause", place("cause", cause.pk)
    yield "record", place("record", HOT_KEY)
    yield "search", place("search") + "?q=airport"
    yield "tags", place("tag-list")


# --- what was measured -----------------------------------------------------------------------------------------------
def report(small: Side, large: Side) -> dict[str, object]:
    print(f"{'page':<34}{'queries':>8}{'small':>9}{'large':>9}{'p95':>9}{'ratio':>7}")
    slowest, worst, over = ("", 0.0), ("", 0.0), []
    for name in small.pages:
        queries = max(side.queries[name] for side in (small, large))
        ratio, slow = large.took(name) / small.took(name), p95(large.times[name])
        is_over = ratio > GOAL_RATIO or slow > GOAL_MS or queries > MOST_QUERIES
        over += [name] if is_over else []
        slowest, worst = max(slowest, (name, slow), key=_second), max(worst, (name, ratio), key=_second)
        print(
            f"{name:<34}{queries:>8}{small.took(name):>9.1f}{large.took(name):>9.1f}{slow:>9.1f}{ratio:>7.2f}"
            + ("  over" if is_over else "")
        )
    return {
        "name": "pages",
        "ours": round(slowest[1], 1),
        "anchor": GOAL_MS,
        "ratio": round(worst[1], 3),
        "goal": f"p95 <= {GOAL_MS} ms, <= {GOAL_RATIO} x an almost empty database, <= {MOST_QUERIES} queries",
        "slowest": slowest[0],
        "worst": worst[0],
        "median_ms": round(median(large.took(name) for name in large.pages), 1),
        "pages": len(small.pages),
        "over": over,
    }


def p95(times: list[float]) -> float:
    return quantiles(times, n=20, method="inclusive")[-1]


def _second(pair: tuple[str, float]) -> float:
    return pair[1]
