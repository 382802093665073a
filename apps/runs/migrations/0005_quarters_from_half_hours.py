from typing import Any

from django.db import migrations
from django.db.models import F, Sum

SUMS = (
    "success", "ignored", "errors", "rolled_back", "resolved", "auto_resolved", "busy_ms", "runs", "run_ms",
    "run_success", "run_ignored", "run_errors",
)  # fmt: skip
HALF_HOUR, QUARTER = 30, 360


def fill(apps: Any, schema_editor: Any) -> None:
    """A flow at a time: its half hours added up to quarters of days."""
    buckets = apps.get_model("runs", "Bucket")._default_manager
    flows = buckets.filter(grain=HALF_HOUR).order_by().values_list("account_id", "flow_id").distinct()
    for account, flow in list(flows):
        quarters = buckets.filter(flow=flow, grain=HALF_HOUR).annotate(quarter=F("slot") / (QUARTER // HALF_HOUR))
        found = quarters.order_by().values_list("quarter").annotate(*(Sum(name) for name in SUMS))
        buckets.bulk_create(
            [
                buckets.model(
                    account_id=account, flow_id=flow, grain=QUARTER, slot=slot, **dict(zip(SUMS, sums, strict=True))
                )
                for slot, *sums in found
            ],
            batch_size=1_000,
            ignore_conflicts=True,
        )


class Migration(migrations.Migration):
    dependencies = [("runs", "0004_bucket_quarters")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
