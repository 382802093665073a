"""`/healthz` and `/readyz`: for whoever watches the installation, without signing in."""

from datetime import timedelta
from threading import Event

import pytest
from django.db import DatabaseError
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from apps.console.selectors import readiness
from apps.console.views import health
from apps.core.clock import wall_now
from apps.execution import beats
from apps.execution.management.commands.dispatch import look_until
from apps.runs.models import Machine


@pytest.mark.django_db
def test_all_is_well_while_a_worker_lives(client: Client) -> None:
    Machine.objects.create(name="one:1", workers=2, seen_at=wall_now())
    Machine.objects.create(name="two:1", workers=3, seen_at=wall_now())
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "database": "ok", "workers": 5, "machines": 2}
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
@pytest.mark.parametrize("silence", [None, timedelta(seconds=45)])
def test_without_a_living_worker_it_fails_with_the_reason(client: Client, silence: timedelta | None) -> None:
    if silence:
        Machine.objects.create(name="one:1", workers=2, seen_at=wall_now() - silence)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "failing"
    assert "No worker has given a sign of life for 30 seconds" in answer.json()["reason"]


def test_without_a_database_it_fails_and_tells_nothing_of_where_it_is(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_database() -> None:
        raise DatabaseError("connection to 10.1.2.3 with password hunter2 failed")

    monkeypatch.setattr(health, "take_health", no_database)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "failing", "database": "down", "reason": "The database does not answer."}


@pytest.mark.django_db
def test_it_only_reads(client: Client) -> None:
    assert client.post("/healthz").status_code == 405
    assert client.head("/healthz").status_code == 503


# --- /readyz ---------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_it_is_ready_while_a_worker_and_a_dispatcher_live(client: Client) -> None:
    Machine.objects.create(name="one:1", workers=2, seen_at=wall_now())
    beats.sign(dispatches=True)
    answer = client.get("/readyz")
    assert answer.status_code == 200
    facts = {"status": "ok", "database": "ok", "migrations": "ok", "workers": 2, "dispatchers": 1}
    assert answer.json() == facts
    assert "no-store" in answer["Cache-Control"]
    beats.sign_off()
    assert client.get("/readyz").json() == facts | {
        "status": "failing",
        "dispatchers": 0,
        "reasons": ["No dispatcher has given a sign of life for 30 seconds. Start one: manage.py work."],
    }


@pytest.mark.django_db
def test_each_reason_is_told(client: Client) -> None:
    Machine.objects.create(name="one:1", workers=2, dispatches=True, seen_at=wall_now() - timedelta(seconds=45))
    answer = client.get("/readyz")
    assert (answer.status_code, len(answer.json()["reasons"])) == (503, 2)


@pytest.mark.django_db
def test_a_migration_that_is_missing_is_told_before_anything_is_asked_of_the_tables(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_is_migrated", Event())
    MigrationRecorder.Migration.objects.filter(app="core", name="0001_queue_index").delete()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["migrations"]) == (503, "missing")
    assert answer.json()["reasons"] == ["1 migration not applied: run manage.py migrate."]


def test_it_is_not_ready_without_a_database_and_tells_nothing_of_where_it_is(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_database() -> None:
        raise DatabaseError("connection to 10.1.2.3 with password hunter2 failed")

    monkeypatch.setattr(health, "take_readiness", no_database)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "failing", "database": "down", "reasons": ["The database does not answer."]}


@pytest.mark.django_db
def test_the_dispatcher_leaves_a_sign_of_life_and_takes_it_back() -> None:
    seen = []

    class TwoLooks(Event):
        def wait(self, timeout: float | None = None) -> bool:
            seen.append(Machine.objects.filter(dispatches=True).count())
            return len(seen) > 2

    look_until(TwoLooks())
    assert (seen, Machine.objects.count()) == ([0, 1, 1], 0)
