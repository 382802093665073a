"""A second worker in the same thread: it delivers a page before or behind each one that the owner of a run delivers."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from apps.engine.delivery import Delivery
from apps.engine.records import Page
from apps.engine.result import PageResult
from apps.execution.helping import HelperSlice, help_slice
from apps.runs.models import Run
from apps.runs.statuses import RunStatus
from tests.fakes.killing import Killed


class Helper:
    """It may die; then its page waits for the end of its lease, and another helper comes with the owner's next page."""

    def __init__(self) -> None:
        self.is_at_work = self.has_delivered = False
        self.visits = self.pages = self.deaths = 0

    def come(self) -> None:
        self.is_at_work, self.has_delivered = True, False
        self.visits += 1
        try:
            for run in Run.unscoped.filter(status=RunStatus.RUNNING):
                help_slice(run.pk)
        except Killed:
            self.deaths += 1
        finally:
            self.is_at_work = False

    def delivered(self, result: PageResult) -> PageResult:
        self.pages += 1
        self.has_delivered = True
        return result


@contextmanager
def helped() -> Iterator[Helper]:
    """While the block lasts, the owner's pages are delivered beside those of a helper, which takes turns: before the
    owner's delivery, and between that and its page commit."""
    helper, deliver = Helper(), Delivery.deliver

    def beside(delivery: Delivery, page: Page) -> PageResult:
        if helper.is_at_work:
            return helper.delivered(deliver(delivery, page))
        if helper.visits % 2 == 0:
            helper.come()
            return deliver(delivery, page)
        result = deliver(delivery, page)
        helper.come()
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Delivery, "deliver", beside)
        patch.setattr(HelperSlice, "_must_leave", lambda self: helper.has_delivered)
        patch.setattr("apps.execution.helping.pause", lambda: None)
        patch.setattr("apps.execution.worker.pause", lambda: None)
        patch.setattr("apps.engine.side_by_side.PATIENCE", 1)
        yield helper
