"""Integrations and members over the API."""

import pytest

from apps.accounts.models import AuditEntry, Role
from apps.core.ids import Kind, wire_id
from apps.flows.models import Flow, Integration
from tests.api.client import api_of
from tests.factories import make_account, make_error, make_flow, make_integration, make_member, step_of

pytestmark = pytest.mark.django_db


def path_of(integration: Integration, act: str = "") -> str:
    return f"integrations/{wire_id(Kind.INTEGRATION, integration.pk)}{act}"


def test_integrations_tell_their_environment_flows_and_open_errors(api, account, django_assert_num_queries):
    flow = make_flow(integration=make_integration(account, name="Shop", environment="sandbox"))
    make_error(step=step_of(flow))
    make_integration(make_account())
    api.call("GET", "tokenInfo")
    with django_assert_num_queries(2):
        (found,) = api.call("GET", "integrations").json
    assert (found["name"], found["sandbox"], found["numFlows"], found["numOpenError"]) == ("Shop", True, 1, 1)
    assert api.call("GET", path_of(flow.integration)).json == found


def test_an_integration_is_made_renamed_and_deleted(api):
    made = api.call("POST", "integrations", {"name": "Shop", "environment": "sandbox"})
    assert (made.status, made.json["slug"], made.json["sandbox"]) == (201, "shop", True)
    assert api.call("POST", "integrations", {"name": "Shop"}).json["slug"] == "shop-2"
    shop = Integration.unscoped.get(slug="shop")
    assert api.call("PATCH", path_of(shop), {"description": "All shops"}).json["name"] == "Shop"
    replaced = api.call("PUT", path_of(shop), {"name": "Shops"}).json
    assert (replaced["name"], replaced["description"]) == ("Shops", "")
    assert api.call("PUT", path_of(shop), {"environment": "production", "name": "x"}, status=422)
    assert api.call("DELETE", path_of(shop)).status == 204
    acts = AuditEntry.unscoped.filter(object_kind="integration").order_by("pk").values_list("act", flat=True)
    assert list(acts)[-3:] == ["integration.change", "integration.change", "integration.delete"]
    assert api.call("POST", "integrations", status=422).json["errors"][0]["field"] == "name"


def test_an_integration_with_flows_is_not_deleted(api, account):
    flow = make_flow(account, name="Nightly")
    assert "Nightly" in api.call("DELETE", path_of(flow.integration), status=409).message
    Flow.unscoped.update(removed_at="2026-03-02T12:00:00Z")
    assert "still kept" in api.call("DELETE", path_of(flow.integration), status=409).message


def test_managers_make_integrations_and_administrators_delete_them(account):
    shop = make_integration(account)
    manager, monitor = api_of(make_member(account)), api_of(make_member(account, role=Role.MONITOR))
    assert manager.call("POST", "integrations", {"name": "New"}).status == 201
    assert manager.call("DELETE", path_of(shop), status=403).codes == ["forbidden"]
    assert monitor.call("POST", "integrations", {"name": "New"}, status=403).codes == ["forbidden"]
    assert monitor.call("PATCH", path_of(shop), {}, status=403).codes == ["forbidden"]


# --- members ---------------------------------------------------------------------------------------------------------
def test_members_are_listed_without_the_owner(api, account, django_assert_num_queries):
    shop = make_integration(account)
    manager = make_member(account)
    single = make_member(account)
    single.role = ""
    single.disabled_at = "2026-03-02T12:00:00Z"
    single.save()
    single.roles.create(account=account, integration=shop, role=Role.MONITOR)
    make_member(make_account())
    api.call("GET", "tokenInfo")
    with django_assert_num_queries(3):
        found = {one["_id"]: one for one in api.call("GET", "ashares").json}
    assert found.keys() == {wire_id(Kind.MEMBER, manager.pk), wire_id(Kind.MEMBER, single.pk)}
    first, second = found[wire_id(Kind.MEMBER, manager.pk)], found[wire_id(Kind.MEMBER, single.pk)]
    assert (first["accessLevel"], first["integrationAccessLevel"], first["disabled"]) == ("manage", [], False)
    assert first["sharedWithUser"]["email"] == manager.user.email
    assert "accessLevel" not in second
    assert second["disabled"]
    assert second["integrationAccessLevel"] == [
        {"_integrationId": wire_id(Kind.INTEGRATION, shop.pk), "accessLevel": "monitor"}
    ]


def test_the_members_of_an_integration_are_those_who_see_it(api, account):
    seen, unseen = make_integration(account), make_integration(account)
    single = make_member(account)
    single.role = ""
    single.save()
    single.roles.create(account=account, integration=seen, role=Role.MANAGER)
    everywhere = make_member(account, role=Role.MONITOR)
    members = {wire_id(Kind.MEMBER, one.pk) for one in (single, everywhere)}
    assert {one["_id"] for one in api.call("GET", path_of(seen, "/ashares")).json} == members
    seeing = {one["_id"] for one in api_of(single).call("GET", "ashares").json}
    assert seeing == members
    hidden = make_member(account)
    hidden.role = ""
    hidden.save()
    hidden.roles.create(account=account, integration=unseen, role=Role.MONITOR)
    assert {one["_id"] for one in api_of(single).call("GET", "ashares").json} == members
    hidden.roles.all().delete()
    only = api.call("GET", path_of(unseen, "/ashares")).json
    assert [one["_id"] for one in only] == [wire_id(Kind.MEMBER, everywhere.pk)]
