"""A second worker in the same thread: whenever the owner of a run has delivered a page, it delivers what it can."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from apps.engine.delivery import Delivery
from apps.engine.records import Page
from apps.engine.result import PageResult
from apps.execution.helping import help_slice
from apps.runs.models import Run
from apps.runs.statuses import RunStatus
from tests.fakes.killing import Killed


class Helper:
    """It may die; then its page waits for the end of its lease, and another helper comes with the owner's next page."""

    def __init__(self) -> None:
        self.is_at_work = False
        self.pages = 0
        self.deaths = 0

    def come(self, run_id: int) -> None:
        self.is_at_work = True
        try:
            help_slice(run_id)
        except Killed:
            self.deaths += 1
        finally:
            self.is_at_work = False


@contextmanager
def helped() -> Iterator[Helper]:
    """While the block lasts, a helper works between the owner's delivery of a page and its page commit."""
    helper, deliver = Helper(), Delivery.deliver

    def beside(delivery: Delivery, page: Page) -> PageResult:
        result = deliver(delivery, page)
        if helper.is_at_work:
            helper.pages += 1
        else:
            for run in Run.unscoped.filter(status=RunStatus.RUNNING):
                helper.come(run.pk)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Delivery, "deliver", beside)
        patch.setattr("apps.execution.helping.pause", lambda: None)
        patch.setattr("apps.execution.worker.pause", lambda: None)
        patch.setattr("apps.engine.side_by_side.PATIENCE", 1)
        yield helper
