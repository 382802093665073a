"""Ledgers in targets: rows that a run may still ask for stay, the others go after a while, and the page tells."""

from datetime import timedelta

import pytest
from django.test import Client

from apps.core.clock import frozen
from apps.execution import ledgers
from apps.flows.models import Connection, Ledger
from apps.runs.models import Run
from tests.factories import make_member
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.django_db
NOTE = ', note: "default(record.note, None)"'

INSERT = "{connection: target, operation: insert, table: journal}"


@pytest.fixture
def written(scene: Scene) -> Scene:
    """Two runs have inserted into a table; each left a row in its ledger."""
    scene.write("orders.jsonl", '{"id": 1, "amount": 5}\n')
    flow = scene.flow_of_file("orders.jsonl", load=INSERT, change=lambda text: text.replace(NOTE, ""))
    for _ in range(2):
        assert scene.run(flow).success == 1
    assert rows(scene) == 2
    return scene


def rows(scene: Scene) -> int:
    return int(scene.place.rows("SELECT count(*) FROM flowmend_ledger")[0][0])


def trimmed(**later: float) -> Ledger:
    """The ledger after the dispatcher's look at it that much later."""
    run = Run.unscoped.latest("pk")
    with frozen(run.created_at + timedelta(**later)):
        ledgers.hint_ledgers()
        ledger = Ledger.unscoped.get()
        ledgers.trim(ledger.pk)
    ledger.refresh_from_db()
    return ledger


def test_rows_of_ended_runs_go_after_seven_days_and_not_before(written: Scene) -> None:
    ledger = trimmed(days=6)
    assert (rows(written), ledger.rows, ledger.removed) == (2, 2, 0)
    assert ledger.oldest_at is not None

    ledger = trimmed(days=8)
    assert (rows(written), ledger.rows, ledger.removed) == (0, 0, 2)


def test_rows_that_a_run_may_still_ask_for_stay_however_old_they_are(written: Scene) -> None:
    last = Run.unscoped.latest("pk")
    Run.unscoped.filter(pk=last.pk).update(ended_at=None)
    ledger = trimmed(days=300)
    assert (rows(written), ledger.rows, ledger.removed) == (1, 1, 1)
    last.save(update_fields=["ended_at"])


def test_a_ledger_is_looked_at_once_an_hour_by_one_dispatcher(written: Scene) -> None:
    assert ledgers.hint_ledgers() == 1
    assert ledgers.hint_ledgers() == 0
    due = Ledger.unscoped.get().due_at
    with frozen(due):
        assert not ledgers.claimed(Ledger.unscoped.get().pk, due - timedelta(seconds=1))
        assert ledgers.hint_ledgers() == 1


def test_only_databases_that_an_import_writes_to_are_looked_at(written: Scene) -> None:
    written.connect("other", "sql", **written.place.config)
    Connection.unscoped.filter(name="other").update(state="online")
    ledgers.hint_ledgers()
    assert Ledger.unscoped.get().connection.name == "target"


def test_a_database_that_is_away_is_told_on_the_page_and_tried_again(written: Scene) -> None:
    ledgers.hint_ledgers()
    ledger = Ledger.unscoped.get()
    Connection.unscoped.filter(pk=ledger.connection_id).update(config={"database": "sqlite", "file": "none/gone.db"})
    ledgers.trim(ledger.pk)
    ledger.refresh_from_db()
    assert "none/gone.db" in ledger.problem
    assert ledger.due_at > Run.unscoped.latest("pk").created_at


def test_the_page_of_a_connection_explains_its_ledger_and_counts_its_rows(written: Scene, client: Client) -> None:
    ledger = trimmed(days=6)
    member = make_member(written.account)
    client.force_login(member.user)
    page = client.get(f"/connections/{ledger.connection_id}/").content.decode()
    assert "flowmend_ledger" in page
    assert "2 rows" in page
