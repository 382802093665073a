"""What waits at a webhook, for the run that takes it: the port of the connector over Flowmend's own tables."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, Sum

from apps.connectors.arrivals import Arrived
from apps.connectors.registry import CONNECTORS
from apps.core.clock import read_now
from apps.engine.plan import Plan
from apps.flows.models import Hook
from apps.runs.models import Arrival, Delivery, Page, Run
from apps.runs.statuses import RunStatus

BYTES_AT_ONCE = 16 * 1024 * 1024
FORGOTTEN_AT_ONCE = 5_000
LONGEST_MEMORY_DAYS = 31


def arrivals_for(run: Run, plan: Plan) -> "StoredArrivals | None":
    """What waits for a run's export, None if its connector does not listen."""
    connector = CONNECTORS.get(plan.export.connector)
    if connector is None or not connector.listens:
        return None
    hook = Hook.objects.of(run.account_id).filter(flow_id=run.flow_id, step__key=plan.export.key).first()
    return StoredArrivals(hook, run.pk, takes_more=run.attempt == 1) if hook is not None else None


@dataclass
class StoredArrivals:
    """The requests of one address that one run has reserved. A run that is run again has those that it had, no more."""

    hook: Hook
    run_id: int
    takes_more: bool = True

    def take(self) -> None:
        """Reserve what is free, after what ended runs had reserved was given back."""
        if not self.takes_more:
            return
        with transaction.atomic():
            self._hook_rows().select_for_update().get()
            held = self._rows().filter(run__isnull=False).exclude(run_id=self.run_id)
            for run_id in held.order_by().values_list("run_id", flat=True).distinct():
                self._settle(run_id)
            self._rows().filter(run__isnull=True).update(run_id=self.run_id)

    def after(self, number: int, most: int) -> Sequence[Arrived]:
        mine = self._mine().filter(pk__gt=number).order_by("pk")
        last, size = number, 0
        for key, bytes_ in mine.values_list("pk", "size")[:most]:
            size += bytes_
            if last != number and size > BYTES_AT_ONCE:
                break
            last = key
        rows = mine.filter(pk__lte=last)
        return [Arrived(row.pk, zlib.decompress(row.body), row.headers, row.given) for row in rows]

    def discard(self, number: int) -> None:
        with transaction.atomic():
            self._hook_rows().select_for_update().get()
            self._forget(self._mine().filter(pk__lte=number))
        self._forget_deliveries()

    # --- runs that ended before all was through ----------------------------------------------------------------------
    def _settle(self, run_id: int) -> None:
        """Forget what an ended run brought through, give the rest back; what a live run holds stays its own."""
        run = Run.unscoped.filter(pk=run_id).first()
        if run is not None and run.status not in RunStatus.ended():
            return
        position = through(run) if run is not None else {}
        held = self._rows().filter(run_id=run_id)
        self._forget(held.filter(pk__lte=position.get("after", 0)))
        begun = held.order_by("pk").values_list("pk", flat=True).first()
        if begun is not None and position.get("at", 0):
            held.filter(pk=begun).update(given=position["at"])
        held.update(run_id=None)

    def _forget(self, rows: Any) -> None:
        sums = rows.aggregate(records=Sum("records"), size=Sum("size"))
        if sums["records"] is not None:
            rows.delete()
            self._hook_rows().update(
                waiting=F("waiting") - sums["records"], waiting_bytes=F("waiting_bytes") - sums["size"]
            )

    def _forget_deliveries(self) -> None:
        """No connection remembers ids for longer; a bounded number at a time."""
        old = Delivery.objects.of(self.hook.account_id).filter(
            hook_id=self.hook.pk, received_at__lt=read_now() - timedelta(days=LONGEST_MEMORY_DAYS)
        )
        keys = list(old.order_by("received_at").values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])
        if keys:
            Delivery.objects.of(self.hook.account_id).filter(pk__in=keys).delete()

    # --- rows --------------------------------------------------------------------------------------------------------
    def _rows(self) -> Any:
        return Arrival.objects.of(self.hook.account_id).filter(hook_id=self.hook.pk)

    def _mine(self) -> Any:
        return self._rows().filter(Q(run_id=self.run_id))

    def _hook_rows(self) -> Any:
        return Hook.objects.of(self.hook.account_id).filter(pk=self.hook.pk)


def through(run: Run) -> dict[str, int]:
    """The source's position behind the last page that a run brought through as a whole."""
    last = Page.unscoped.filter(run_id=run.pk, seq=run.pages_done - 1).order_by("part").first()
    return dict(last.position_after or {}) if last is not None else {}
