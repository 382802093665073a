"""paging: all open errors of a step over the API, page by page to the end, while new ones arrive.

Each error that was open at the beginning comes exactly once, none of the new ones comes between, and the last pages
take no longer than the first: the pages go on behind an error (`nextPageURL`), never by counting.
"""

from statistics import median
from time import perf_counter

import orjson
from django.db import connection
from django.db.models import Model

from apps.core.ids import Kind, wire_id
from apps.errors.models import Error, RetryData
from apps.errors.querysets import ErrorQuerySet
from tests.bench.api import PAGE, Caller
from tests.bench.error_rows import Size, World, fill

FEW = Size(2_000)
ARRIVING = 20
"""New errors after each page."""
COMPARED = 20
"""So many pages at the beginning and at the end are compared by their medians."""
GOAL = 1.3


def measure(*, rounds: int, records: int) -> dict[str, object]:
    """`records` is the number of errors; they are read once, `rounds` says nothing."""
    world = fill(FEW)
    pattern = open_errors(world).filter(next_attempt_at=None, key_hash__isnull=False).earliest("pk")
    add_errors(pattern, 1, records)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE error, retry_data")
    wanted = set(open_errors(world).values_list("pk", flat=True))
    seen, times = walk(world, pattern, records)
    keys = set(seen)
    first, last = median(times[:COMPARED]), median(times[-COMPARED - 1 : -1])
    found = {"missed": len(wanted - keys), "twice": len(seen) - len(keys), "new_ones": len(keys - wanted)}
    print(f"{len(times):,} pages, {len(seen):,} errors: {found}; first {first:.1f} ms, last {last:.1f} ms a page")
    assert not any(found.values()), found
    return {
        "name": "paging",
        "ours": round(last, 2),
        "anchor": round(first, 2),
        "ratio": round(last / first, 3),
        "goal": f"<= {GOAL}",
        "errors": len(wanted),
        "pages": len(times),
        "arrived_meanwhile": ARRIVING * len(times),
        **found,
    }


def walk(world: World, pattern: Error, records: int) -> tuple[list[int], list[float]]:
    """The keys of all errors in the order in which they come, and the milliseconds that each page took."""
    seen: list[int] = []
    times: list[float] = []
    caller, path = Caller(world), first_page(world)
    caller.ask(path)  # warms up
    while path:
        begun = perf_counter()
        answer = caller.ask(path)
        times.append((perf_counter() - begun) * 1000)
        page = orjson.loads(answer)
        seen += [int(error["errorId"][8:], 16) for error in page["errors"]]
        path = page.get("nextPageURL", "")
        add_errors(pattern, records + len(times) * ARRIVING, ARRIVING)
    return seen, times


def first_page(world: World) -> str:
    flow, step = wire_id(Kind.FLOW, world.flow.pk), wire_id(Kind.STEP, world.step.pk)
    return f"/v1/flows/{flow}/{step}/errors?limit={PAGE}"


def open_errors(world: World) -> ErrorQuerySet:
    return Error.objects.of(world.account).open().filter(step=world.step)


def add_errors(pattern: Error, first: int, count: int) -> None:
    """Copies of an open error with keys of their own, each with retry data."""
    changed = {"key": "'N-' || n", "key_hash": "n", "ordinal": "n"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM error")
        (newest,) = cursor.fetchone()
        cursor.execute(
            f"{copying(Error, changed)} generate_series(%s, %s) n WHERE t.id = %s",
            [first, first + count - 1, pattern.pk],
        )
        cursor.execute(
            f"{copying(RetryData, {'error_id': 'n.id'})} error n WHERE t.error_id = %s AND n.id > %s",
            [pattern.pk, newest],
        )


def copying(model: type[Model], changed: dict[str, str]) -> str:
    """The beginning of a statement that copies a row `t` with other values in some columns, once for each `n`."""
    names = [column.column for column in model._meta.concrete_fields if column.column != "id"]
    values = ", ".join(changed.get(name, f't."{name}"') for name in names)
    columns = ", ".join(f'"{name}"' for name in names)
    return f"INSERT INTO {model._meta.db_table} ({columns}) SELECT {values} FROM {model._meta.db_table} t,"
