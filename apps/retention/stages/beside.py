"""What is kept for a time beside runs and errors: acts, deliveries of webhooks, answers, files, former purges."""

from collections.abc import Callable
from datetime import timedelta

from django.db.models import F

from apps.accounts.models import KeptAnswer
from apps.core.clock import read_now
from apps.errors.models import Assignment, BulkAct, BulkItem, Upload
from apps.flows.models import Hook
from apps.retention.models import ExportPart, Purge, PurgeExport
from apps.retention.stages.base import delete_rows, take
from apps.runs.models import Arrival, Delivery
from apps.webhooks.models import Webhook
from apps.webhooks.services import forget_deliveries

ANSWERS_KEPT = UPLOADS_KEPT = timedelta(days=1)
IDS_KEPT = timedelta(days=30)
"""No connection knows the id of a request again for longer."""
EXPORTS_KEPT = timedelta(days=7)
PURGES_KEPT = timedelta(days=366)
ARRIVALS_AT_ONCE = 100


def purge_beside(purge: Purge) -> bool:
    """A batch of the first kind of which there is any."""
    for name in list(KINDS)[purge.position.get("place", 0) :]:
        gone = KINDS[name](purge)
        if gone:
            purge.count(**{name: gone})
            purge.position = {"place": list(KINDS).index(name)}
            return False
    return True


def take_acts(purge: Purge) -> int:
    acts = BulkAct.objects.of(purge.account_id).filter(ended_at__lt=purge.before).order_by("pk")
    keys = list(acts.values_list("pk", flat=True)[:10])
    items = take(BulkItem.objects.of(purge.account_id).filter(act_id__in=keys))
    return items or delete_rows(BulkAct.objects.of(purge.account_id).filter(pk__in=keys))


def take_assignments(purge: Purge) -> int:
    """Those of errors go with them; these are of root causes."""
    return take(Assignment.objects.of(purge.account_id).filter(cause__isnull=False, at__lt=purge.before))


def take_arrivals(purge: Purge) -> int:
    """What waits for a flow that was removed; everything else waits until its records are through."""
    rows = Arrival.objects.of(purge.account_id).filter(flow__removed_at__lt=purge.before).order_by("pk")
    gone = list(rows.only("hook_id", "records", "size")[:ARRIVALS_AT_ONCE])
    for row in gone:
        Hook.objects.of(purge.account_id).filter(pk=row.hook_id).update(
            waiting=F("waiting") - row.records, waiting_bytes=F("waiting_bytes") - row.size
        )
    return delete_rows(Arrival.objects.of(purge.account_id).filter(pk__in=[row.pk for row in gone]))


def take_request_ids(purge: Purge) -> int:
    hooks = Hook.objects.of(purge.account_id).values("pk")
    return take(Delivery.objects.of(purge.account_id).filter(hook__in=hooks, received_at__lt=read_now() - IDS_KEPT))


def take_deliveries(purge: Purge) -> int:
    webhooks = Webhook.objects.of(purge.account_id).order_by("pk")
    return next((gone for gone in map(forget_deliveries, webhooks) if gone), 0)


def take_answers(purge: Purge) -> int:
    return take(KeptAnswer.objects.of(purge.account_id).filter(at__lt=read_now() - ANSWERS_KEPT))


def take_uploads(purge: Purge) -> int:
    return take(Upload.objects.of(purge.account_id).filter(act__isnull=True, at__lt=read_now() - UPLOADS_KEPT), 10)


def take_exports(purge: Purge) -> int:
    rows = PurgeExport.objects.of(purge.account_id).filter(created_at__lt=read_now() - EXPORTS_KEPT).order_by("pk")
    keys = list(rows.values_list("pk", flat=True)[:1])
    parts = take(ExportPart.objects.of(purge.account_id).filter(export_id__in=keys), 50)
    return parts or delete_rows(PurgeExport.objects.of(purge.account_id).filter(pk__in=keys))


def take_purges(purge: Purge) -> int:
    return take(Purge.objects.of(purge.account_id).filter(ended_at__lt=read_now() - PURGES_KEPT))


KINDS: dict[str, Callable[[Purge], int]] = {
    "acts": take_acts,
    "assignments": take_assignments,
    "arrivals": take_arrivals,
    "request_ids": take_request_ids,
    "deliveries": take_deliveries,
    "answers": take_answers,
    "uploads": take_uploads,
    "exports": take_exports,
    "purges": take_purges,
}
