"""Integrations with what is counted in them."""

from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from apps.accounts.reach import Reach
from apps.errors.models import StepState
from apps.flows.models import Flow, Integration


def integrations_of(reach: Reach) -> "QuerySet[Integration]":
    """With `flow_count` and `open_errors`; one query."""
    rows: QuerySet[Any] = Integration.objects.of(reach.account_id).filter(**reach.where(""))
    mine = OuterRef("pk")
    flows = Flow.objects.of(reach.account_id).present().filter(integration=mine).order_by().values("integration")
    states = StepState.objects.of(reach.account_id).filter(integration=mine).order_by().values("integration")
    return rows.annotate(
        flow_count=Coalesce(Subquery(flows.annotate(n=Count("pk")).values("n")), 0),
        open_errors=Coalesce(Subquery(states.annotate(n=Sum("open_errors")).values("n")), 0),
    )
