"""What monitors read of an account, in the text format of Prometheus. All of it is kept counts; seven queries."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min, Q, Sum
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from apps.accounts.reach import Reach
from apps.core.clock import database_now, wall_now
from apps.errors.models import Cause, StepState
from apps.flows.models import Connection, ConnectionState, Flow
from apps.runs.buckets import HALF_HOUR_S
from apps.runs.models import WORKER_SILENCE_S, Bucket, FlowState, Grain, Machine, Run

DAY = timedelta(days=1)
PLACE = ("integration", "flow")
OUTCOMES = ("success", "ignored", "errors")


def metrics_text(reach: Reach, connections: Any) -> bytes:
    registry = CollectorRegistry()
    registry.register(AccountCollector(reach, connections))
    return generate_latest(registry)


class AccountCollector(Collector):
    """Everything that the caller sees, by flow."""

    def __init__(self, reach: Reach, connections: Any) -> None:
        self.reach, self.connections = reach, connections

    def describe(self) -> list[Any]:
        return []  # so that registering asks nothing of the database

    def collect(self) -> Iterator[GaugeMetricFamily]:
        names = self._names()
        yield self._runs(names)
        yield self._oldest()
        yield self._open_errors(names)
        yield self._records(names)
        yield self._causes()
        yield self._connections()
        yield self._workers()

    def _names(self) -> dict[int, tuple[str, str]]:
        rows = Flow.objects.of(self.reach.account_id).present().filter(**self.reach.where())
        return {key: (slug, flow) for key, slug, flow in rows.values_list("pk", "integration__slug", "key")}

    def _runs(self, names: dict[int, tuple[str, str]]) -> GaugeMetricFamily:
        found = GaugeMetricFamily("flowmend_runs", "Runs under way.", labels=(*PLACE, "status"))
        rows = FlowState.objects.of(self.reach.account_id).filter(flow__in=names)
        for flow, running, queued in rows.order_by("flow").values_list("flow_id", "running", "queued"):
            found.add_metric((*names[flow], "running"), running)
            found.add_metric((*names[flow], "queued"), queued)
        return found

    def _oldest(self) -> GaugeMetricFamily:
        rows = Run.objects.of(self.reach.account_id).queued().filter(**self.reach.where_copied())
        oldest: datetime | None = rows.aggregate(at=Min("created_at"))["at"]
        age = (wall_now() - oldest).total_seconds() if oldest else 0
        return GaugeMetricFamily("flowmend_queue_oldest_seconds", "How long the oldest queued run waits.", value=age)

    def _open_errors(self, names: dict[int, tuple[str, str]]) -> GaugeMetricFamily:
        found = GaugeMetricFamily("flowmend_open_errors", "Errors that are open now.", labels=PLACE)
        rows = (
            StepState.objects.of(self.reach.account_id).filter(flow__in=names).order_by("flow").values_list("flow_id")
        )
        for flow, opened in rows.annotate(Sum("open_errors")):
            found.add_metric(names[flow], opened)
        return found

    def _records(self, names: dict[int, tuple[str, str]]) -> GaugeMetricFamily:
        found = GaugeMetricFamily(
            "flowmend_records_24h", "Records that came to an end in the last 24 hours.", labels=(*PLACE, "outcome")
        )
        since = int((wall_now() - DAY).timestamp()) // HALF_HOUR_S
        rows = Bucket.objects.of(self.reach.account_id).filter(flow__in=names, grain=Grain.HALF_HOUR, slot__gte=since)
        sums: Any = rows.order_by("flow").values_list("flow_id").annotate(*map(Sum, OUTCOMES))
        for flow, *numbers in sums:
            for outcome, number in zip(OUTCOMES, numbers, strict=True):
                found.add_metric((*names[flow], outcome), number)
        return found

    def _causes(self) -> GaugeMetricFamily:
        rows = Cause.objects.of(self.reach.account_id).filter(
            Q(open_errors__gt=0), **self.reach.where("flow__integration")
        )
        return GaugeMetricFamily("flowmend_open_root_causes", "Root causes with open errors.", value=rows.count())

    def _connections(self) -> GaugeMetricFamily:
        found = GaugeMetricFamily(
            "flowmend_connection_online", "1 if a connection is not offline.", labels=("connection",)
        )
        rows: Any = self.connections.order_by("name", "pk")
        for connection in rows:
            assert isinstance(connection, Connection)
            found.add_metric((connection.name,), int(connection.state != ConnectionState.OFFLINE))
        return found

    def _workers(self) -> GaugeMetricFamily:
        alive = Machine.objects.filter(seen_at__gt=database_now(seconds=-WORKER_SILENCE_S))
        up = alive.aggregate(up=Sum("workers"))["up"] or 0
        return GaugeMetricFamily("flowmend_workers", "Workers that gave a sign of life.", value=up)
