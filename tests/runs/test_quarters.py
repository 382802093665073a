"""Quarters of days: kept by whatever adds to a bucket, made of half hours where there were none yet, and checked."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db.models import Sum

from apps.execution.check_books import differences
from apps.flows.models import Flow
from apps.runs.models import Bucket, Grain
from tests.fakes.running import make_world

NAMES = ("success", "errors", "busy_ms", "runs", "run_success")


@pytest.mark.django_db
def test_a_run_adds_the_same_to_the_minute_the_half_hour_and_the_quarter() -> None:
    world = make_world()
    world.database.fails = lambda table, body: "No." if body["id"] == "A-2" else None
    running = world.begin()
    running.run_page([{"id": f"A-{number}", "amount": 1} for number in range(1, 4)])
    running.finish()
    sums = {grain: Bucket.unscoped.filter(flow=world.flow, grain=grain).aggregate(*map(Sum, NAMES)) for grain in Grain}
    assert sums[Grain.QUARTER] == sums[Grain.HALF_HOUR] == sums[Grain.MINUTE]
    assert sums[Grain.QUARTER]["success__sum"] == 2
    assert list(differences()) == []
    Bucket.unscoped.filter(flow=world.flow, grain=Grain.QUARTER).update(success=7)
    assert [str(found) for found in differences()] == [
        f"success of flow in quarters of days {world.flow.pk}: kept 7, counted 2"
    ]


def test_half_hours_that_are_there_already_are_added_up_to_quarters(flow: Flow) -> None:
    for slot, success in ((24, 1), (35, 2), (36, 4)):
        Bucket.unscoped.create(account=flow.account, flow=flow, grain=Grain.HALF_HOUR, slot=slot, success=success)
    migration: Any = import_module("apps.runs.migrations.0005_quarters_from_half_hours")
    for _ in range(2):  # a second time changes nothing
        migration.fill(apps, None)
    quarters = Bucket.unscoped.filter(grain=Grain.QUARTER).order_by("slot")
    assert list(quarters.values_list("flow", "slot", "success")) == [(flow.pk, 2, 3), (flow.pk, 3, 4)]
