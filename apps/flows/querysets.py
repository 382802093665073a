"""Chainable reads of flows and steps."""

from typing import TYPE_CHECKING, Self

from django.db import models

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models.expressions import Combinable

    import apps.flows.models as own  # noqa: F401 - the querysets below name it


class FlowQuerySet(models.QuerySet["own.Flow"]):
    def present(self) -> Self:
        """Without the removed ones."""
        return self.filter(removed_at__isnull=True)

    def enabled(self) -> Self:
        return self.filter(enabled=True, removed_at__isnull=True)

    def due(self, now: "datetime | Combinable") -> Self:
        """Enabled flows whose schedule has come."""
        return self.filter(enabled=True, next_due_at__lte=now)


class StepQuerySet(models.QuerySet["own.Step"]):
    def present(self) -> Self:
        """Without the removed ones, in the order in which records pass them."""
        return self.filter(removed_at__isnull=True).order_by("position", "id")
