"""A journal that is wrong on purpose: it moves the checkpoint, and calls a page done, before the page is delivered.

A test of the order of commits that does not fail with it proves nothing.
"""

from apps.engine.loop import Fetched
from apps.engine.records import Page
from apps.execution.journal import RunJournal
from apps.runs.models import Page as PageRow
from apps.runs.statuses import PageState


class HastyJournal(RunJournal):
    def store(self, fetched: Fetched, *, claim: bool) -> Page:
        page = super().store(fetched, claim=claim)
        row = self.rows[page.seq, page.part]
        PageRow.unscoped.filter(pk=row.pk).update(state=PageState.DONE, payload=None)
        self._move_checkpoint(row)
        return page

    def _settle_page(self, row: PageRow, error_rows: int) -> None:
        """It was settled when it was stored."""
