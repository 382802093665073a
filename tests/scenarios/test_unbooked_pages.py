"""Pages that stand in the target and are not booked yet: whatever happens then, nothing is lost and nothing doubled."""

import pytest
from django.db import OperationalError

from apps.engine.ports import ConnectorError
from apps.errors.models import Error
from apps.execution import worker
from apps.execution.journal import RunJournal
from apps.flows.models import Flow
from apps.runs.services import cancel_run, start_run
from tests.fakes.running import books
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.django_db
INSERT = "{connection: target, operation: insert, table: journal}"


def flow_of(scene: Scene, count: int, load: str = INSERT) -> Flow:
    """A file of records, four a page, into a table that knows no key."""
    scene.write("a.jsonl", "\n".join(f'{{"id": {n}, "amount": {n}}}' for n in range(count)))
    note = ', note: "default(record.note, None)"'
    return scene.flow_of_file("a.jsonl", load=load, change=lambda text: text.replace(note, ""))


def test_a_record_that_cannot_be_booked_is_found_and_the_others_are_booked(scene: Scene, monkeypatch):
    """A fault of ours in the page commit: the page stands in the target already and is not given up."""
    flow = flow_of(scene, 4)
    commit = RunJournal._commit

    def breaking(self, row, page, result):
        if any(item.ordinal == 2 and item.taken for item in result.ended):
            raise KeyError("an unforeseen record")
        return commit(self, row, page, result)

    monkeypatch.setattr(RunJournal, "_commit", breaking)
    run = scene.work_to_the_end(start_run(flow=flow))

    assert (run.status, run.success, run.failed) == ("completed", 3, 1)
    error = scene.only_error(run)
    assert (error.ordinal, error.cause.code, error.in_doubt) == (2, "worker_died", True)
    assert scene.loaded("journal") == [0, 1, 2, 3]
    assert books() == []


def test_a_run_whose_page_can_never_be_booked_fails_in_the_end(scene: Scene, monkeypatch):
    flow = flow_of(scene, 1)

    def breaking(self, row, page, result):
        raise KeyError("an unforeseen record")

    monkeypatch.setattr(RunJournal, "_commit", breaking)
    run = scene.work_to_the_end(start_run(flow=flow))

    assert run.status == "failed"
    assert "an unforeseen record" in scene.only_error(run).message


def test_a_page_that_may_stand_in_the_target_is_booked_although_the_source_is_gone(scene: Scene, monkeypatch):
    flow = flow_of(scene, 8)
    run = start_run(flow=flow)
    with monkeypatch.context() as patch:
        patch.setattr(RunJournal, "commit", lambda self, page, result: (_ for _ in ()).throw(OperationalError("gone")))
        scene.work(run)
    assert scene.loaded("journal") == [0, 1, 2, 3]

    def gone(self, window):
        raise ConnectorError("no_permission", "You may not read this.")

    monkeypatch.setattr("apps.execution.opened.OpenedSteps.source", gone)
    scene.work_to_the_end(run)

    run.refresh_from_db()
    assert (run.status, run.success, run.unit_errors) == ("failed", 4, 1)
    assert scene.loaded("journal") == [0, 1, 2, 3]
    window = Error.unscoped.get(unit="window")
    assert window.message == "You may not read this."
    assert window.retry_data.window["position"] is not None
    assert books() == []


def test_a_run_that_has_written_is_canceled_by_a_worker_who_puts_its_files_in_their_place(scene: Scene):
    flow = flow_of(scene, 8, load="{connection: files, path: out.jsonl}")
    run = start_run(flow=flow)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker.Slice, "_is_over", lambda self, started: True)
        worker.work_slice(run.pk)
    run.refresh_from_db()
    assert (run.status, run.pages_done) == ("running", 1)

    cancel_run(run=run, member=None)
    scene.work(run)

    assert run.status == "canceled"
    assert len((scene.folder / "out.jsonl").read_text().splitlines()) == 4
