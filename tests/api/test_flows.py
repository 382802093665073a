"""Flows over the API."""

import pytest

from apps.core.ids import Kind, wire_id
from tests.console.screens import orders_flow
from tests.factories import make_account, make_error, make_flow, step_of

pytestmark = pytest.mark.django_db


def test_a_list_of_flows_tells_steps_schedule_and_open_errors(api, account, django_assert_num_queries):
    flow = orders_flow(account, cron="0 6 * * *", time_zone="Europe/Berlin", description="Every morning")
    make_error(step=step_of(flow))
    make_flow(make_account())
    api.call("GET", "tokenInfo")  # notes that the token is used
    with django_assert_num_queries(4):  # token, flows, steps, open errors
        (found,) = api.call("GET", "flows").json
    assert found["_id"] == wire_id(Kind.FLOW, flow.pk)
    assert found["_integrationId"] == wire_id(Kind.INTEGRATION, flow.integration_id)
    assert (found["name"], found["description"], found["disabled"]) == ("Orders", "Every morning", False)
    assert (found["schedule"], found["timezone"]) == ("? 0 6 * * *", "Europe/Berlin")
    assert found["pageGenerators"] == [{"_exportId": wire_id(Kind.STEP, step_of(flow, "source").pk)}]
    assert found["pageProcessors"] == [
        {"type": "import", "_importId": wire_id(Kind.STEP, step_of(flow).pk), "proceedOnFailure": False}
    ]
    assert found["numOpenError"] == 1
    assert api.call("GET", f"flows/{found['_id']}").json == found
