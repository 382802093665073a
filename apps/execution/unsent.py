"""What waits of a page that was delivered in part when its run ends: errors, neither lost nor sent twice.

The rest of the page would hold back the checkpoint, and the next run would export the whole page again. The same holds
for a page that waits while others behind it are through.
"""

from django.db.models import Subquery

from apps.engine.calls import fold
from apps.engine.plan import Plan
from apps.engine.ports import ErrorSource, Failure
from apps.engine.records import Page, unpack
from apps.engine.result import PageResult
from apps.engine.settling import end_where_it_stands, settle
from apps.runs.models import Page as PageRow
from apps.runs.models import Run
from apps.runs.statuses import PageState

ENDED_BEFORE = Failure(
    ErrorSource.INTERNAL, "not_sent", "The run ended before this record was sent here. Retry it to send it."
)


def waiting_parts(run: Run) -> list[PageRow]:
    """The parts that are not through, of pages of which another part is, or a page behind them."""
    pages = PageRow.unscoped.filter(run_id=run.pk)
    last = pages.filter(state=PageState.DONE).order_by("-seq").values("seq")[:1]
    return list(pages.exclude(state=PageState.DONE).filter(seq__lte=Subquery(last)).order_by("seq", "part"))


def unsent(row: PageRow, plan: Plan) -> tuple[Page, PageResult]:
    """A part whose records all fail where they stand."""
    assert row.payload is not None
    items, malformed = unpack(bytes(row.payload))
    result = PageResult()
    for item in items:
        end_where_it_stands(plan, result, item, ENDED_BEFORE, is_alone=item.alone)
    fold(plan, result)
    settle(result, items, [], shares_fates=plan.makes_copies)
    return Page(row.seq, row.part, row.now_at, items, malformed), result
