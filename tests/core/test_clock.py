"""One clock, the database's, as an expression and as a value; frozen by a literal."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from apps.core import clock
from apps.flows.models import Flow
from tests.factories import make_flow

pytestmark = pytest.mark.django_db

SOON = timedelta(seconds=5)


def test_the_databases_now_is_now():
    assert abs(clock.read_now() - datetime.now(UTC)) < SOON


def test_an_update_stores_what_a_filter_compares_with():
    flow = make_flow()
    Flow.unscoped.filter(pk=flow.pk).update(next_due_at=clock.database_now(seconds=-1))
    assert Flow.unscoped.filter(pk=flow.pk, next_due_at__lt=clock.database_now()).exists()
    assert not Flow.unscoped.filter(pk=flow.pk, next_due_at__lt=clock.database_now(seconds=-60)).exists()


def test_seconds_are_added_to_the_databases_clock():
    flow = make_flow()
    Flow.unscoped.filter(pk=flow.pk).update(next_due_at=clock.database_now(seconds=90.5))
    flow.refresh_from_db()
    assert timedelta(seconds=85) < flow.next_due_at - datetime.now(UTC) < timedelta(seconds=95)


def test_a_stored_moment_equals_itself_when_it_is_asked_for():
    flow = make_flow()
    Flow.unscoped.filter(pk=flow.pk).update(next_due_at=clock.database_now())
    flow.refresh_from_db()
    assert flow.next_due_at.tzinfo is not None
    assert Flow.unscoped.filter(next_due_at=flow.next_due_at).exists()


def test_a_frozen_clock_is_a_literal_everywhere(noon):
    flow = make_flow()
    Flow.unscoped.filter(pk=flow.pk).update(next_due_at=clock.database_now(seconds=30))
    flow.refresh_from_db()
    assert flow.next_due_at == noon + timedelta(seconds=30)
    assert flow.created_at == clock.read_now() == clock.wall_now() == noon
    assert Flow.unscoped.filter(next_due_at__lte=clock.database_now(seconds=30)).exists()
    assert not Flow.unscoped.filter(next_due_at__lte=clock.database_now(seconds=29.999)).exists()


def test_a_frozen_moment_on_the_full_second_equals_itself(noon):
    flow = make_flow(next_due_at=noon)
    assert Flow.unscoped.filter(pk=flow.pk, next_due_at=clock.database_now()).exists()


def test_the_running_clock_is_read_by_the_database_not_by_us():
    sql = str(Flow.unscoped.filter(next_due_at__lt=clock.database_now()).query)
    assert ("clock_timestamp()" if connection.vendor == "postgresql" else "strftime") in sql


def test_a_clock_without_a_time_zone_cannot_be_frozen():
    with pytest.raises(ValueError, match="time zone"), clock.frozen(datetime(2026, 1, 1)):
        pass
