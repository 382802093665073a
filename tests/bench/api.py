"""api: a page of a thousand errors over the API, beside a bare statement and orjson over the same rows.

Ours is the first page of `/v1/errors`, through Django's test client: time of the server without the network. The
anchor reads the same columns of the same rows with psycopg and writes them by orjson, which no answer can do without.
The two are asked one right after the other, and so is a page far behind the first, which must not take longer.
"""

from statistics import median
from time import perf_counter
from typing import Any

import orjson
from django.db import connection
from django.test import Client

from apps.accounts.tokens import issue_token
from apps.api import throttling
from tests.bench.error_rows import Size, World, fill

PAGE = 1000
GOAL = 1.5
MOST_PAGES = 500
"""So far the cursors are followed, if there are so many pages."""
COLUMNS = (
    "e.id, e.occurred_at, c.source, c.code, e.message, e.key, s.position, e.flow_id, e.step_id, e.run_id,"
    " coalesce(c.merged_into_id, c.id), c.classification, c.classified_by_id, e.attempts, e.capture_id, e.has_notes,"
    " r.error_id, r.purged_at, u.email"
)
BARE = f"""
SELECT {COLUMNS} FROM error e
JOIN cause c ON c.id = e.cause_id JOIN step s ON s.id = e.step_id
LEFT JOIN retry_data r ON r.error_id = e.id
LEFT JOIN member m ON m.id = e.assignee_id LEFT JOIN auth_user u ON u.id = m.user_id
WHERE e.id = ANY(%s) ORDER BY e.id DESC
"""


def measure(*, rounds: int, records: int) -> dict[str, object]:
    """`records` is the number of errors."""
    world = fill(Size(records))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    caller = Caller(world)
    first, second = "/v1/errors?limit=1000", caller.following("/v1/errors?limit=1000")
    far, number = caller.walk(second)
    keys = caller.keys(first)
    times: dict[str, list[float]] = {"first": [], "bare": [], "far": []}
    for number_of_round in range(rounds + 1):  # the first warms up
        for name, act in (
            ("first", lambda: caller.ask(first)), ("bare", lambda: bare(keys)), ("far", lambda: caller.ask(far))
        ):  # fmt: skip
            begun = perf_counter()
            act()
            times[name] += [(perf_counter() - begun) * 1000] if number_of_round else []
    found = {name: median(taken) for name, taken in times.items()}
    print(f"page 1: {found['first']:.1f} ms, page {number}: {found['far']:.1f} ms, bare: {found['bare']:.1f} ms")
    return {
        "name": "api",
        "ours": round(found["first"], 2),
        "anchor": round(found["bare"], 2),
        "ratio": round(found["first"] / found["bare"], 3),
        "goal": f"<= {GOAL}",
        "errors": records,
        "rows": len(keys),
        "far_page": number,
        "far_ms": round(found["far"], 2),
        "far_ratio": round(found["far"] / found["first"], 3),
    }


class Caller:
    """A script of a member."""

    def __init__(self, world: World) -> None:
        self.client = Client(headers={"host": "localhost"})
        self.headers = {"Authorization": f"Bearer {issue_token(member=world.member)[1]}"}

    def ask(self, path: str) -> bytes:
        throttling._counted.clear()  # what is measured is the answer, not how often one may ask
        answer = self.client.get(path, headers=self.headers)
        assert answer.status_code == 200, (path, answer.status_code, answer.content[:200])
        content: bytes = answer.content
        return content

    def following(self, path: str) -> str:
        return str(orjson.loads(self.ask(path)).get("nextPageURL", ""))

    def walk(self, path: str) -> tuple[str, int]:
        """The last page but one, and its number; `path` is that of the second. The last one may be short."""
        assert path, f"there are not {PAGE:,} open errors: one page holds them all"
        pages = [path]
        while len(pages) < MOST_PAGES and (further := self.following(pages[-1])):
            pages.append(further)
        place = max(0, len(pages) - 2)
        return pages[place], place + 2

    def keys(self, path: str) -> list[int]:
        return [int(error["errorId"][8:], 16) for error in orjson.loads(self.ask(path))["errors"]]


def bare(keys: list[int]) -> bytes:
    """The rows as one JSON object each, as fast as can be."""
    with connection.cursor() as cursor:
        cursor.execute(BARE, [keys])
        assert cursor.description is not None
        names = [column.name for column in cursor.description]
        rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return orjson.dumps({"errors": rows})
