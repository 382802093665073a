"""Subscriptions by the API."""

import pytest

from apps.core.ids import Kind, wire_id
from tests.api.client import api_of
from tests.factories import make_channel, make_flow, make_member
from tests.notifications.story import subscribed

pytestmark = pytest.mark.django_db


def test_an_owner_sees_all_subscriptions_a_member_his_own(api, account):
    member, flow = make_member(account), make_flow(account)
    own = subscribed(account, member, flow=flow, errors=True, more_new=5)
    ops = make_channel(account, name="ops")
    of_channel = subscribed(account, channel=ops, integration=flow.integration, failed_runs=True)
    found = api.call("GET", "notifications").json
    assert [one["_id"] for one in found] == [wire_id(Kind.SUBSCRIPTION, row.pk) for row in (own, of_channel)]
    assert found[0] | {"createdAt": ""} == {
        "_id": wire_id(Kind.SUBSCRIPTION, own.pk), "type": "flow", "_flowId": wire_id(Kind.FLOW, flow.pk),
        "environment": "production", "digest": True, "connections": False, "failedRuns": False, "moreNewErrors": 5,
        "subscribedByUser": {"_id": wire_id(Kind.USER, member.user_id), "email": member.user.email},
        "createdAt": "",
    }  # fmt: skip
    assert (found[1]["type"], found[1]["channel"], "subscribedByUser" in found[1]) == ("integration", "ops", False)
    assert [one["_id"] for one in api_of(member).call("GET", "notifications").json] == [found[0]["_id"]]
    assert api.call("GET", "notifications?environment=sandbox").json == []
