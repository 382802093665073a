"""`/healthz`: for whoever watches the installation, without signing in."""

from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.test import Client

from apps.console.views import health
from apps.core.clock import wall_now
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
