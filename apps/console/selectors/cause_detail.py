"""One root cause in full, as its page shows it, and which others may be the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.db import connection
from django.db.models import Case, Sum, When
from django.db.models.functions import Left

from apps.console.access import Reach
from apps.console.selectors.causes import (
    DAY_SLOTS,
    LARGEST_RECORD,
    NEWEST,
    SHOWN_MESSAGE,
    CauseFilter,
    heads,
    retry_facts,
    shown_state,
)
from apps.console.selectors.common_values import CommonValue, strongest_value
from apps.errors.models import Cause, CauseBucket, Comment, Error
from apps.flows.models import Step
from apps.runs.buckets import HALF_HOUR_S

MONTH_DAYS = 30
MOST_RECORDS, MOST_OTHERS = 1_000, 200
OPEN_ERROR = "state = 'open' AND retry_run_id IS NULL"


@dataclass(frozen=True)
class CauseDetail:
    """One cause, or the group that it is the head of, in full. What is shown is read when it is asked for."""

    reach: Reach
    cause: Cause
    members: Sequence[Cause]
    now: datetime

    @property
    def ids(self) -> list[int]:
        return [self.cause.pk, *(member.pk for member in self.members)]

    @property
    def causes(self) -> list[Cause]:
        return [self.cause, *self.members]

    @property
    def open_errors(self) -> int:
        return sum(cause.open_errors for cause in self.causes)

    @property
    def total_errors(self) -> int:
        return sum(cause.total_errors for cause in self.causes)

    @property
    def first_seen_at(self) -> datetime:
        return min(cause.first_seen_at for cause in self.causes)

    @property
    def last_seen_at(self) -> datetime:
        return max(cause.last_seen_at for cause in self.causes)

    @cached_property
    def retries(self) -> tuple[datetime | None, int, int]:
        """The next automatic attempt, how often that error was tried, and the errors under a retry."""
        facts = retry_facts(self.reach, self.ids)
        due = min(((at, tried or 0) for _, at, tried, _ in facts if at), default=(None, 0))
        return *due, sum(row[3] for row in facts)

    @property
    def state(self) -> str:
        due, _, retrying = self.retries
        return shown_state(self.cause, self.open_errors, now=self.now, retrying=retrying, is_due=due is not None)

    @cached_property
    def slots(self) -> dict[int, int]:
        """Half hour -> errors, of the last 30 days."""
        last = int(self.now.timestamp()) // HALF_HOUR_S
        rows = CauseBucket.objects.of(self.reach.account_id).filter(
            cause__in=self.ids, slot__gt=last - MONTH_DAYS * DAY_SLOTS, slot__lte=last
        )
        sums = rows.order_by().values_list("slot").annotate(n=Sum("errors"))
        return dict(sums)

    @property
    def hours(self) -> list[int]:
        """Errors in each of the last 24 hours."""
        return self._bars(DAY_SLOTS // 2, 2)

    @property
    def days(self) -> list[int]:
        """Errors in each of the last 30 days of 24 hours."""
        return self._bars(MONTH_DAYS, DAY_SLOTS)

    def _bars(self, bars: int, width: int) -> list[int]:
        first = int(self.now.timestamp()) // HALF_HOUR_S - bars * width + 1
        found = [0] * bars
        for slot, errors in self.slots.items():
            if slot >= first:
                found[(slot - first) // width] += errors
        return found

    @property
    def month_errors(self) -> int:
        return sum(self.days)

    @property
    def steps(self) -> list[Step]:
        """The steps at which it occurs, with the names of their flows."""
        found: dict[int, Step] = {}
        for cause in self.causes:
            cause.step.flow = cause.flow
            found.setdefault(cause.step_id, cause.step)
        return list(found.values())

    @cached_property
    def newest(self) -> list[Error]:
        """The newest errors."""
        rows = Error.objects.of(self.reach.account_id).filter(cause__in=self.ids)
        shown = rows.annotate(short_message=Left("message", SHOWN_MESSAGE)).defer("message", "effects")
        return list(shown.select_related("step", "flow", "cause").newest_first()[:NEWEST])

    @property
    def has_doubts(self) -> bool:
        """Whether some of its newest errors are in doubt."""
        return any(error.shown_state == "in_doubt" for error in self.newest)

    @property
    def newest_id(self) -> int:
        return max((error.pk for error in self.newest), default=0)

    @property
    def sample(self) -> Error | None:
        return self.newest[0] if self.newest else None

    @cached_property
    def common(self) -> CommonValue | None:
        """The strongest value that its open records share; of the newest 1,000."""
        records, others = failed_records(self.cause.flow_id, self.ids)
        message = self.sample.short_message if self.sample else ""  # type: ignore[attr-defined]
        return strongest_value(records, others, message=message)

    @cached_property
    def comments(self) -> list[Comment]:
        rows = Comment.objects.of(self.reach.account_id).filter(cause__in=self.ids)
        return list(rows.select_related("member__user").order_by("id")[:200])


def failed_records(flow: int, ids: list[int]) -> tuple[list[bytes], list[bytes]]:
    """The records of the newest open errors of these causes, and of the others of the flow; one query."""
    marks = ", ".join(["%s"] * len(ids))
    rows = f"SELECT id, {{}} AS is_own FROM error WHERE {{}} AND {OPEN_ERROR} ORDER BY id DESC LIMIT {{}}"  # noqa: S608 (constants)
    own = rows.format(1, f"cause_id IN ({marks})", MOST_RECORDS)
    others = rows.format(0, f"flow_id = %s AND cause_id NOT IN ({marks})", MOST_OTHERS)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.is_own, d.record FROM "  # noqa: S608 (constants)
            f"(SELECT * FROM ({own}) AS own UNION ALL SELECT * FROM ({others}) AS others) AS e "
            f"JOIN retry_data d ON d.error_id = e.id WHERE length(d.record) <= {LARGEST_RECORD}",
            [*ids, flow, *ids],
        )
        found = [(bool(is_own), bytes(record)) for is_own, record in cursor.fetchall()]
    return [record for own_one, record in found if own_one], [record for own_one, record in found if not own_one]


def merge_candidates(reach: Reach, cause: Cause, words: str) -> list[Cause]:
    """Other causes that may be the same: of the same code or message first, then the newest; at most 50."""
    rows = heads(reach).exclude(pk=cause.merged_into_id or cause.pk).filter(CauseFilter(words=words).matching())
    alike = Case(When(code=cause.code, then=0), When(source=cause.source, then=1), default=2)
    return list(rows.select_related("step", "flow").order_by(alike, "-last_seen_at", "-id")[:50])
