"""What holds for every call: addresses, queries, bodies, failures, pages, the throttle, idempotency keys."""

from datetime import UTC, datetime

import pytest

from apps.accounts.models import Role
from apps.api import throttling
from apps.api.moments import read_moment, written
from apps.core.ids import Kind, wire_id
from tests.api.client import Api, api_of
from tests.factories import make_account, make_flow, make_integration, make_member

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["flows", "flows/", "/v1/flows?limit=5", "/v1/flows/?LIMIT=5&unknown=1&name=&skip="])
def test_a_route_works_with_and_without_a_slash_and_passes_over_what_it_does_not_know(api, flow, path):
    assert [found["name"] for found in api.call("GET", path).json] == [flow.name]


@pytest.mark.parametrize(
    "path", ["", "/v1", "nothing", "flows/x", "flows/" + "0" * 24, "flows//", "admin", "flows/1/2/3"]
)
def test_what_is_not_there_is_404_in_json(api, path):
    assert api.call("GET", path, status=404).codes == ["not_found"]
    assert Api().call("GET", path, status=401).codes == ["unauthorized"]


def test_the_object_of_another_account_or_of_another_kind_is_404(api, flow):
    other = make_flow(make_account())
    for kind, key in ((Kind.FLOW, other.pk), (Kind.STEP, flow.pk), (Kind.INTEGRATION, flow.integration_id)):
        assert api.call("GET", f"flows/{wire_id(kind, key)}", status=404).codes == ["not_found"]


def test_other_methods_are_405_and_name_the_known_ones(api):
    answer = api.call("DELETE", "tokenInfo", status=405)
    assert answer.codes == ["method_not_allowed"]
    assert "GET" in answer.headers["Allow"]


def test_head_and_options_answer_without_a_body(api):
    assert api.call("HEAD", "flows").json is None
    answer = api.call("OPTIONS", "flows")
    assert (answer.status, answer.json) == (204, None)
    assert "GET" in answer.headers["Allow"]


def test_a_query_that_cannot_be_read_is_400_and_names_its_field(api):
    for query in ({"limit": "many"}, {"limit": "0"}, {"skip": "-1"}, {"_integrationId": "x"}, {"environment": "moon"}):
        answer = api.call("GET", "flows", status=400, **query)
        assert answer.codes == ["invalid_query"]
        assert answer.json["errors"][0]["field"] == next(iter(query))


def test_over_plain_http_a_call_is_refused_where_pages_are_redirected(api, settings):
    settings.SECURE_SSL_REDIRECT = True
    answer = api.call("GET", "flows", status=403)
    assert answer.codes == ["https_required"]
    assert "Location" not in answer.headers
    assert api.browser.get("/").status_code == 301
    assert api.browser.get("/v1/flows", secure=True).status_code == 401


def test_a_failure_of_ours_is_500_in_json_with_the_id_of_the_request(api, monkeypatch):
    def fail(reach):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("apps.api.views.flows.flows_of", fail)
    answer = api.call("GET", "flows", status=500)
    assert answer.codes == ["internal_error"]
    assert answer.headers["X-Request-Id"] in answer.message
    assert "secret" not in answer.message


def test_a_host_that_is_not_ours_is_400_in_json(api):
    assert api.call("GET", "flows", status=400, headers={"Host": "evil.example"}).codes == ["bad_request"]


# --- pages -----------------------------------------------------------------------------------------------------------
def test_a_list_is_paged_by_limit_and_skip_with_a_link_to_the_next_page(api, account):
    for name in "abcde":
        make_integration(account, name=name)
    names, path = [], "/v1/integrations?limit=2&environment=production"
    while path:
        answer = api.call("GET", path)
        names.append("".join(found["name"] for found in answer.json))
        path = next_of(answer)
    assert names == ["ab", "cd", "e"]
    assert [found["name"] for found in api.call("GET", "integrations", page=2, pageSize=2).json] == ["c", "d"]
    assert api.call("GET", "integrations", skip=5).json == []


def next_of(answer) -> str:
    links = [part.split("; ") for part in answer.headers.get("Link", "").split(", ") if part]
    return next((address.strip("<>").removeprefix("http://testserver") for address, rel in links if "next" in rel), "")


def test_flows_always_have_a_link_and_integrations_only_when_there_is_more(api, flow):
    assert 'rel="first"' in api.call("GET", "flows").headers["Link"]
    assert "Link" not in api.call("GET", "integrations").headers


def test_include_and_exclude_choose_fields_by_dot_paths(api, flow):
    (only,) = api.call("GET", "flows", include="name,pageProcessors.type").json
    assert only == {"_id": only["_id"], "name": flow.name, "pageProcessors": [{"type": "import"}]}
    (rest,) = api.call("GET", "flows", exclude="name,pageProcessors.type").json
    assert "name" not in rest
    assert "type" not in rest["pageProcessors"][0]
    assert "_importId" in rest["pageProcessors"][0]
    assert api.call("GET", "flows", include="name", exclude="key", status=400).codes == ["invalid_query"]


def test_lists_can_be_narrowed_to_an_environment(api, account):
    make_integration(account, name="Real")
    make_integration(account, name="Trial", environment="sandbox")
    assert [found["name"] for found in api.call("GET", "integrations", environment="sandbox").json] == ["Trial"]
    assert len(api.call("GET", "integrations").json) == 2


def test_who_has_roles_in_single_integrations_sees_only_those(account):
    seen, unseen = make_flow(account), make_flow(account)
    member = make_member(account)
    member.role = ""
    member.save()
    member.roles.create(account=account, integration=seen.integration, role=Role.MONITOR)
    api = api_of(member)
    assert [found["key"] for found in api.call("GET", "flows").json] == [seen.key]
    api.call("GET", f"flows/{wire_id(Kind.FLOW, unseen.pk)}", status=404)


# --- times -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T12:00:00.000Z",
        "2026-03-02T12:00:00Z",
        "2026-03-02T12:00",
        "2026-03-02T13:00:00+01:00",
        "2026-03-02T13:00:00 01:00",
        "1772452800000",
    ],
)
def test_times_are_read_in_every_form(text):
    assert written(read_moment(text)) == "2026-03-02T12:00:00.000Z"


def test_a_plain_date_is_its_midnight_and_nonsense_is_refused():
    assert read_moment("2026-03-02") == datetime(2026, 3, 2, tzinfo=UTC)
    for text in ("", "yesterday", "2026-13-01", "999999999999999999"):
        with pytest.raises(ValueError, match=r".*"):
            read_moment(text)


# --- the throttle ----------------------------------------------------------------------------------------------------
def test_the_bucket_of_an_account_is_empty_after_a_thousand_calls_in_any_process(account):
    now = 1_800_000_000.0
    allowed = 0
    while not throttling.booked_call(account.pk, now):
        allowed += 1
        if allowed % 100 == 0:
            throttling._counted.clear()  # as another process would see it
    assert 980 <= allowed <= 1020
    assert throttling.booked_call(account.pk, now) > now
    throttling._counted.clear()
    later = [throttling.booked_call(account.pk, now + 1) == 0 for _ in range(400)]
    assert 280 <= sum(later) <= 340  # 300 a second come back


def test_a_slow_caller_costs_no_write(account, django_assert_num_queries):
    with django_assert_num_queries(0):
        for second in range(100):
            assert throttling.booked_call(account.pk, 1_800_000_000.0 + second / 15) == 0


def test_too_many_calls_are_429_with_whole_seconds_to_wait(api, monkeypatch):
    monkeypatch.setattr(throttling, "booked_call", lambda account, now: now + 1.5)
    answer = api.call("GET", "flows", status=429)
    assert answer.codes == ["rate_limited"]
    assert answer.headers["Retry-After"] == "2"
