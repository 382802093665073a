"""Engines that are wrong on purpose. A harness that does not catch them proves nothing."""

from uuid import uuid4

from django.apps import AppConfig


class Double(AppConfig):
    name = "tests.chaos.doubles"
    label = "double"


class CheckpointFirst(Double):
    """Calls a page done and moves the checkpoint before the page is delivered."""

    def ready(self) -> None:
        from apps.execution import worker
        from tests.fakes.hasty import HastyJournal

        worker.RunJournal = HastyJournal  # type: ignore[misc]


class NoFence(Double):
    """Whoever ever had a run goes on writing, though another has it by now."""

    def ready(self) -> None:
        from apps.execution.claims import Heartbeat
        from apps.execution.journal import RunJournal
        from apps.execution.owned_run import OwnedRun
        from apps.runs.models import Page, Run

        def settle(journal: RunJournal, row: Page, error_rows: int) -> None:
            Page.unscoped.filter(pk=row.pk).update(error_rows=error_rows, lease_until=None, **journal._done(row))

        OwnedRun._mine = lambda owned: Run.unscoped.filter(pk=owned.run.pk)  # type: ignore[method-assign]
        RunJournal._settle_page = settle  # type: ignore[method-assign]
        Heartbeat.is_lost = property(lambda beat: False)  # type: ignore[method-assign,assignment]


class NewKeys(Double):
    """Sends a record with another key each time."""

    def ready(self) -> None:
        from apps.execution import worker

        worker.identity = lambda account, root_run: lambda node, item: uuid4().hex
