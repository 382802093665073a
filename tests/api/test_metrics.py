"""Metrics: the numbers are the kept counts, and monitors can read them."""

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from apps.accounts.tokens import Scope
from apps.errors.models import StepState
from apps.flows.models import ConnectionState
from apps.runs.models import Bucket, FlowState, Grain, Machine
from tests.api.client import api_of
from tests.console.screens import orders_flow
from tests.factories import make_account, make_connection, make_flow, step_of

pytestmark = pytest.mark.django_db


def metrics(token: str) -> dict[tuple[str, ...], float]:
    """(name, values of the labels…) -> the number."""
    answer = Client().get("/v1/metrics/", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    samples = [
        sample for family in text_string_to_metric_families(answer.content.decode()) for sample in family.samples
    ]
    return {(sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value for sample in samples}


def test_metrics_tell_the_kept_counts_of_what_the_member_sees(api, account, noon, django_assert_num_queries):
    flow = orders_flow(account)
    make_flow(make_account())
    place = (flow.key, flow.integration.slug)
    FlowState.objects.of(account).update_or_create(
        flow=flow, defaults={"account_id": account.pk, "running": 1, "queued": 2}
    )
    StepState.objects.of(account).filter(step=step_of(flow)).update(open_errors=4)
    slot = int(noon.timestamp()) // 1800
    Bucket.unscoped.create(
        account=account, flow=flow, grain=Grain.HALF_HOUR, slot=slot, success=90, ignored=8, errors=2
    )
    Bucket.unscoped.create(account=account, flow=flow, grain=Grain.HALF_HOUR, slot=slot - 60, success=5)
    make_connection(account, name='The "shop"', state=ConnectionState.OFFLINE)
    Machine.objects.create(name="box", workers=3, seen_at=noon)
    api.call("GET", "tokenInfo")
    with django_assert_num_queries(9):  # token, flows, states, queue, errors, buckets, causes, connections, workers
        found = metrics(api.token)
    assert found[("flowmend_runs", *place, "running")] == 1
    assert found[("flowmend_runs", *place, "queued")] == 2
    assert found[("flowmend_open_errors", *place)] == 4
    assert [found[("flowmend_records_24h", *place, name)] for name in ("success", "ignored", "errors")] == [90, 8, 2]
    assert found[("flowmend_connection_online", 'The "shop"')] == 0
    assert found[("flowmend_workers",)] == 3
    assert {labels[1] for labels in found if labels[0] == "flowmend_runs"} == {flow.key}


def test_metrics_need_a_token_that_may_read(owner):
    assert Client().get("/v1/metrics").status_code == 401
    api_of(owner, Scope.ERRORS).call("GET", "metrics", status=403)
