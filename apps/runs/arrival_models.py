"""What was sent to webhooks: requests that wait for a run, and the deliveries that are known again."""

from django.db import models

from apps.core.clock import wall_now
from apps.core.models import LOOSE, HotScoped
from apps.flows.models import Flow, Hook


class Arrival(HotScoped):
    """One request that was answered with 202. It stays until all its records are through.

    `run` has reserved it; `given` of its `records` went through in a run that ended before the others did.
    """

    hook = models.ForeignKey(Hook, **LOOSE)
    flow = models.ForeignKey(Flow, **LOOSE)
    run = models.ForeignKey("runs.Run", null=True, blank=True, **LOOSE)
    received_at = models.DateTimeField(default=wall_now)
    records = models.IntegerField()
    given = models.IntegerField(default=0)
    size = models.IntegerField(help_text="Bytes of the body as it was received.")
    headers = models.JSONField(default=dict, blank=True)
    body = models.BinaryField()

    class Meta:
        db_table = "arrival"
        indexes = [
            models.Index(fields=["hook", "run", "id"], name="arrivals_of_hook"),
        ]

    def __str__(self) -> str:
        return f"Request {self.pk}"


class Delivery(HotScoped):
    """An id or signature of a request that was taken in: with it the same request is known again."""

    hook = models.ForeignKey(Hook, **LOOSE)
    digest = models.CharField(max_length=64)
    arrival = models.BigIntegerField()
    records = models.IntegerField()
    received_at = models.DateTimeField(default=wall_now)

    class Meta:
        db_table = "delivery"
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["hook", "digest"], name="deliveries_once_per_hook")]
        indexes = [models.Index(fields=["hook", "received_at"], name="deliveries_by_age")]

    def __str__(self) -> str:
        return f"Delivery of request {self.arrival}"
