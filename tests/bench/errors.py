"""errors: every list of errors, every filter and the search, with 10,000 errors beside 1,000,000 in the same run.

Ours is the page at which the large database costs most compared with the small one; the anchor is the small one. The
pages are asked through Django's test client: time of the server without the network, medians of rounds in which each
page is asked of the one database and at once of the other. Like is compared with like: both accounts have as many
flows, root causes and codes, and every list fills its page; a page that is longer in one of them is marked "unlike".
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.core.pagination import Cursor
from apps.errors.models import Cause, Error
from apps.execution.check_books import differences
from tests.bench.database import own_database
from tests.bench.error_rows import HOT_KEY, Size, World, fill

SMALL = 10_000
GOAL, MOST_QUERIES = 1.5, 10
DETAILS = ("cause", "error")  # pages of one thing, which show more than a list: up to 13 queries
MOST_OF_DETAIL = 13


@dataclass
class Side:
    """One database and what its pages took, in milliseconds."""

    name: str
    world: World
    pages: dict[str, str]
    times: dict[str, list[float]] = field(default_factory=dict)
    queries: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)  # bytes

    def use(self) -> None:
        use_database(self.name)

    def warm_up(self) -> None:
        self.use()
        client = signed_in(self.world)
        for name, path in self.pages.items():
            with CaptureQueriesContext(connection) as asked:
                self.sizes[name] = ask(client, path)
            self.queries[name] = len(asked)

    @cached_property
    def client(self) -> Client:
        return signed_in(self.world)

    def time(self, name: str) -> None:
        """Asks for a page twice; the second time counts."""
        self.use()
        ask(self.client, self.pages[name])
        started = perf_counter()
        ask(self.client, self.pages[name])
        self.times.setdefault(name, []).append((perf_counter() - started) * 1000)

    def took(self, name: str) -> float:
        return median(self.times[name])


def run_round(sides: Sequence[Side]) -> None:
    """Each page of both sides, one right after the other: what else the machine does slows both."""
    for name in sides[0].pages:
        for side in sides:
            side.time(name)


CONNECTIONS: dict[str, BaseDatabaseWrapper] = {}


def use_database(name: str) -> None:
    """Let Django's connection be the one of this database; each database keeps its own."""
    CONNECTIONS.setdefault(connection.settings_dict["NAME"], connections[DEFAULT_DB_ALIAS])
    if name not in CONNECTIONS:
        CONNECTIONS[name] = connections.create_connection(DEFAULT_DB_ALIAS)
        CONNECTIONS[name].settings_dict = connection.settings_dict | {"NAME": name}
    connections[DEFAULT_DB_ALIAS] = CONNECTIONS[name]


def signed_in(world: World) -> Client:
    client = Client(headers={"host": "localhost"})
    client.force_login(world.user)
    return client


def ask(client: Client, path: str) -> int:
    """How many bytes the page has."""
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return len(answer.content)


def measure(*, rounds: int, records: int, only: str = "") -> dict[str, object]:
    """`records` is the number of errors of the large database; `only` is how the names of the pages begin."""
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    large_name = connection.settings_dict["NAME"]
    with own_database("bench_small") as url:
        sides = [prepare_side(urlsplit(url).path[1:], Size(SMALL)), prepare_side(large_name, Size(records))]
        for side in sides:
            side.pages = {name: path for name, path in side.pages.items() if name.startswith(only)}
            side.warm_up()
        for number in range(rounds):
            run_round(sides)
            print(f"round {number + 1} of {rounds}", flush=True)
        use_database(large_name)
    return report(*sides)


def prepare_side(name: str, size: Size, write: Callable[[Size], World] = fill) -> Side:
    use_database(name)
    call_command("migrate", verbosity=0, interactive=False)
    started = perf_counter()
    world = write(size)
    print(f"{size.errors:,} errors written in {perf_counter() - started:.0f} s", flush=True)
    found = list(differences())
    assert not found, found
    return Side(name, world, dict(pages_of(world)))


def report(small: Side, large: Side) -> dict[str, object]:
    print(f"{'page':<44}{'queries':>8}{'small':>9}{'large':>9}{'ratio':>7}")
    ratios = {}
    for name in small.pages:
        ratios[name] = large.took(name) / small.took(name)
        queries = max(side.queries[name] for side in (small, large))
        is_over = ratios[name] > GOAL or queries > (MOST_OF_DETAIL if name.split(":")[0] in DETAILS else MOST_QUERIES)
        print(
            f"{name:<44}{queries:>8}{small.took(name):>9.1f}{large.took(name):>9.1f}{ratios[name]:>7.2f}"
            + ("  over" if is_over else "")
            + ("" if are_alike(small.sizes[name], large.sizes[name]) else "  unlike")
        )
    worst = max(ratios, key=lambda name: ratios[name])
    return {
        "name": "errors",
        "ours": round(large.took(worst), 1),
        "anchor": round(small.took(worst), 1),
        "ratio": round(ratios[worst], 3),
        "goal": GOAL,
        "worst": worst,
        "pages": len(ratios),
        "over": sum(ratio > GOAL for ratio in ratios.values()),
        "unlike": sum(not are_alike(small.sizes[name], large.sizes[name]) for name in ratios),
        "queries": max(*small.queries.values(), *large.queries.values()),
    }


def are_alike(size: int, other: int) -> bool:
    return abs(size - other) <= 0.15 * max(size, other)


# --- the pages -------------------------------------------------------------------------------------------------------
FILTERS = {
    "class": "class=duplicate",
    "source": "source=mapping",
    "code": "code=503",
    "range": "range=24h",
    "from, to": "from=2020-01-01T00:00&to=2040-01-01T00:00",
    "records only": "unit=record",
    "units only": "unit=units",
    "no such code": "code=nothing",
    "tag": "tag={tag}",
    "mine": "assignee=me",
    "nobody's": "assignee=nobody",
    "common word": "q=price",
    "word of every third": "q=price+zero",
    "word of every 33rd": "q=warehouse",
    "rare word": "q=zyzzyva",
    "part of a word": "q=arehou",
    "two letters": "q=of",
    "no match": "q=nowhere+at+all",
    "word and class": "q=price&class=duplicate",
    "word and time": "q=price&range=24h",
    "class, source and time": "class=value&source=application&range=24h",
    "cause": "cause={cause}",
    "run": "run=r-{run}",
    "key": "key={key}",
}


def pages_of(world: World) -> Iterator[tuple[str, str]]:
    """(name, address); the same names for both databases."""
    flow, step = world.flow.pk, world.step.pk
    rows = Error.unscoped.filter(step=step)
    cause = Cause.unscoped.filter(step=step).order_by("-open_errors", "-pk")[0].pk
    error = rows.open().filter(cause=cause).order_by("-pk")[0]
    facts = {"tag": world.tag.pk, "cause": cause, "run": error.run_id, "key": HOT_KEY}
    place = f"/flows/{flow}/steps/{step}/errors"
    # an address of the middle of a list, as its links have it, tells where the list began
    deep = f"{Cursor((rows.order_by('pk')[1_000].pk,)).encode()}&top={error.pk}"
    old = rows.resolved().order_by("resolved_at", "pk")[500]
    deep_resolved = f"{Cursor((old.resolved_at, old.pk)).encode()}&top=2040-01-01T00:00%2B00:00"
    lists = {"step": f"{place}/open/?", "account": "/errors/?view=list&"}
    for where, path in lists.items():
        yield f"{where}: open", path
        yield f"{where}: open, deep", f"{path}page={deep}"
        for name, query in FILTERS.items():
            yield f"{where}: {name}", path + query.format(**facts)
    yield "step: open, deep, class", f"{place}/open/?class=duplicate&page={deep}"
    yield "step: open, deep, common word", f"{place}/open/?q=price&page={deep}"
    yield "step: resolved", f"{place}/resolved/"
    yield "step: resolved, deep", f"{place}/resolved/?page={deep_resolved}"
    yield "step: resolved by themselves", f"{place}/resolved/?reason=auto"
    yield "step: resolved, class", f"{place}/resolved/?class=duplicate"
    for name in ("common word", "rare word", "no match", "tag", "mine"):
        yield f"step: resolved, {name}", f"{place}/resolved/?{FILTERS[name].format(**facts)}"
    yield "step: retries", f"{place}/retries/"
    yield "flow: retries", f"/flows/{flow}/errors/retries/"
    yield "flow: open", f"/flows/{flow}/errors/?unit=record"
    yield "account: all", "/errors/?view=list&state=all"
    yield "account: retrying", "/errors/?view=list&state=retrying"
    yield "account: resolved", "/errors/?view=list&state=resolved"
    yield "account: one flow", f"/errors/?view=list&flow={flow}"
    yield "account: one integration", f"/errors/?view=list&integration={world.flow.integration.slug}"
    yield "account: all, common word", "/errors/?view=list&state=all&q=price"
    yield "causes", "/errors/?view=causes"
    for tab in ("retrying", "snoozed", "resolved"):
        yield f"causes: {tab}", f"/errors/?view=causes&tab={tab}"
    for name, query in (("search", "q=airport"), ("class", "class=duplicate"), ("mine", "assignee=me")):
        yield f"causes: {name}", f"/errors/?view=causes&{query}"
    yield "cause", f"/errors/causes/{cause}/"
    yield "error", f"{place}/{error.pk}/"
    yield "error: retry data", f"{place}/{error.pk}/data/"
    yield "error: history", f"{place}/{error.pk}/history/"
    yield "record", f"/records/{HOT_KEY}/"
    yield "record: deep", f"/records/{HOT_KEY}/?page={Cursor((error.occurred_at, 2, error.pk)).encode()}"
    for name in ("common word", "rare word", "no match"):
        yield f"search: {name}", f"/records/?{FILTERS[name]}"
    yield "search: key", f"/records/?q={HOT_KEY}"
