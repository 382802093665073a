"""Every page keeps the promises of the design guide: one line in PAGES puts a new page under them."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from django.contrib.auth import get_user_model

from apps.accounts.invitations import hash_of, invite
from apps.accounts.members import Roles
from apps.accounts.models import Invitation, Member, Role
from apps.accounts.second_factors import begin_app
from apps.accounts.tokens import Scope, issue_token
from apps.core.clock import wall_now
from apps.engine.records import key_hash
from apps.errors.models import Error, ErrorTag, Tag
from apps.errors.rules.definition import Acts, Conditions, Definition
from apps.errors.rules.looking import look_by_rule
from apps.errors.services import edit_retry_data, retry_errors
from apps.errors.services.rules import save_rule, switch_rule
from apps.errors.services.uploads import keep_upload
from apps.errors.services.views import save_view
from apps.flows.models import Connection, Revision
from apps.flows.services import apply_definition, set_connection
from apps.notifications.channels import add_channel
from apps.notifications.models import MessageKind
from apps.notifications.services import Coverage, Target, send_test, subscribe
from apps.notifications.unsubscribing import unsubscribe_address
from apps.runs.waking import come_back
from apps.support.services import make_bundle
from apps.support.subjects import about_error
from apps.support.tickets import filled_in
from apps.webhooks.models import WebhookDelivery
from apps.webhooks.services import send_test as send_test_to
from tests.browser.drafts import draft_run
from tests.browser.driver import LOOKS, OTHER_LOOKS, Driver, Looks
from tests.console.scenes import Scene, make_scene, start_work
from tests.console.screens import furnish
from tests.console.test_connection_health import break_down, note_tests, token
from tests.factories import make_account, make_connection, make_member, make_retry_data, make_webhook

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize("looks", [LOOKS, OTHER_LOOKS], ids=["both layouts", "other looks"]),
]

SIGNED_OUT_PAGES = ["/login/", "/login/?next=/design/", "/login/password/"]
PAGES = [  # in curly brackets: ids of the scene; tests/console/test_pages.py tells which page is missing
    "/dashboard/completed/",
    "/dashboard/completed/?range=24h&sort=flow&flow=nothing",
    "/dashboard/running/",
    "/integrations/",
    "/integrations/?view=list",
    "/integrations/birds/flows/",
    "/integrations/birds/dashboard/completed/",
    "/integrations/birds/dashboard/running/",
    "/integrations/birds/connections/",
    "/integrations/birds/settings/",
    "/integrations/new/",
    "/integrations/?q=nowhere",
    "/analytics/",
    "/integrations/birds/analytics/?range=7d&tables=errors,ms",
    "/flows/{flow}/analytics/?range=1h",
    "/connections/",
    "/connections/new/",
    "/connections/new/http/",
    "/connections/{connection}/",
    "/connections/{away}/",
    "/connections/{connection}/edit/",
    "/connections/{connection}/delete",
    "/connections/{connection}/pause",
    "/settings/retention/",
    "/settings/retention/change/?days=30",
    "/settings/account/close/",
    "/flows/{flow}/",
    "/flows/{flow}/history/?open={run}",
    "/flows/{flow}/history/?range=1h&status=canceled&empty=hide",
    "/flows/{flow}/history/compare/?a={ended}&b={run}",
    "/flows/{listening}/address/",
    "/flows/{listening}/address/renew/",
    "/flows/{flow}/steps/{step}/",
    "/flows/{flow}/steps/{step}/mapping/",
    "/flows/{flow}/steps/{step}/log/",
    "/flows/{flow}/definition/",
    "/flows/{flow}/definition/?revision=1",
    "/flows/{flow}/definition/restore/?revision=1",
    "/flows/{flow}/settings/",
    "/flows/{flow}/checkpoint/",
    "/flows/{flow}/checkpoint/move/?value=17",
    "/flows/{flow}/steps/{step}/handling/",
    "/integrations/birds/flows/new/",
    "/flows/{flow}/definition/test/?again={test}&cause={cause}",
    "/flows/{flow}/tests/{test}/?stage=1",
    "/flows/{flow}/tests/{waiting_test}/",
    "/flows/{flow}/errors/?class=missing",
    "/flows/{flow}/steps/{step}/errors/open/",
    "/flows/{flow}/steps/{step}/errors/resolved/",
    "/flows/{flow}/steps/{step}/errors/retries/",
    "/flows/{flow}/errors/retries/",
    "/flows/{flow}/steps/{step}/errors/{error}/",
    "/flows/{flow}/steps/{step}/errors/{error}/data/",
    "/flows/{flow}/steps/{step}/errors/{error}/request/",
    "/flows/{flow}/steps/{step}/errors/{error}/response/",
    "/flows/{flow}/steps/{step}/errors/{error}/history/",
    "/runs/{run}/",
    "/runs/{run}/log/",
    "/runs/{retry}/",
    "/acts/{act}/",
    "/errors/retry?error={error}",
    "/errors/resolve?error={error}",
    "/errors/reopen?error={error}",
    "/errors/",
    "/errors/?view=causes&tab=snoozed",
    "/errors/?view=causes&class=value",
    "/errors/causes/{cause}/",
    "/errors/causes/{cause}/merge/",
    "/errors/edit?all=1&query=cause%3D{cause}%26state%3Dopen&upto={error}",
    "/errors/edit?error={error}&kind=set&field=altitude&value=300&step=preview",
    "/errors/edit-others?error={error}&version=2",
    "/errors/mark-sent?error={error}",
    "/errors/upload/",
    "/errors/upload/{upload}/",
    "/errors/?state=resolved&resolved_range=7d",
    "/flows/{flow}/steps/{step}/errors/open/?shown=in_doubt",
    "/flows/{flow}/steps/{step}/errors/{error}/notes/",
    "/flows/{flow}/steps/{step}/errors/open/?assignee=me&tag={tag}",
    "/errors/tags/",
    "/errors/tags/{tag}/delete",
    "/errors/views/",
    "/errors/?view=list",
    "/errors/?q=nothing&state=all&step={step}",
    "/settings/tokens/",
    "/settings/tokens/new/",
    "/settings/tokens/{token}/revoke/",
    "/settings/webhooks/",
    "/settings/webhooks/new/",
    "/settings/webhooks/{webhook}/",
    "/settings/webhooks/{webhook}/edit/",
    "/settings/webhooks/{webhook}/delete",
    "/integrations/birds/clone/",
    "/settings/rules/",
    "/settings/rules/new/",
    "/settings/rules/{rule}/?days=7",
    "/settings/rules/{rule}/edit/",
    "/settings/audit/",
    "/settings/notifications/",
    "/settings/notifications/deliveries/",
    "/settings/notifications/subscriptions/new/",
    "/settings/notifications/subscriptions/{subscription}/edit/",
    "/settings/notifications/channels/new/",
    "/settings/notifications/channels/{channel}/delete/",
    "/integrations/birds/notifications/",
    "/unsubscribe/{unwanted}/",
    "/settings/users/",
    "/settings/users/invite/",
    "/settings/users/transfer/",
    "/settings/users/{member}/",
    "/login/confirm/",
    "/profile/sign-in/",
    "/profile/sign-in/app/",
    "/profile/sign-in/password/",
    "/invitations/{invitation}/",
    "/profile/",
    "/help/",
    "/help/workers/",
    "/help/connector/",
    "/settings/support-bundle/",
    "/settings/support-bundle/?error={error}",
    "/settings/support-bundle/{bundle}/",
    "/settings/support-bundle/{bundle}/?file=samples/records.jsonl",
    "/settings/support-bundle/{bundle}/ticket/",
    "/records/?q=nothing",
    "/records/A-3/",
    "/design/",
    "/design/?toast",
]
HANDFULS = [PAGES[start::12] for start in range(12)]  # what stands on them is made once for several
PAGES_BEFORE_THE_FIRST_FLOW = [
    "/dashboard/completed/?first", "/integrations/?first", "/connections/?first", "/analytics/?first",
]  # fmt: skip
ARRIVALS = """
flow: arrivals
integration: birds
steps:
  - key: sender
    export: {connection: Sender}
  - key: note
    log: "{{ record.id }}"
"""


def test_the_pages_before_signing_in_are_accessible_fit_and_obey_the_policy(
    driver: Driver, shot_folder: Path | None, looks: Looks
) -> None:
    assert driver.inspect(*SIGNED_OUT_PAGES, looks=looks, shots=shot_folder) == []


def retried(scene: Scene) -> dict[str, int]:
    """A retry of the oldest error, with the ids of its run and of the act."""
    oldest = Error.objects.of(scene.account).earliest("pk")
    make_retry_data(oldest, b'{"id":"A-1","altitude":"high"}')
    act = retry_errors(account=scene.account, member=None, errors=Error.objects.of(scene.account).filter(pk=oldest.pk))
    oldest.refresh_from_db()
    return {"retry": oldest.retry_run_id or 0, "act": act.pk}


def edited(error: Error) -> dict[str, int]:
    """The error is in doubt and was edited once; a file changes it again."""
    Error.unscoped.filter(pk=error.pk).update(in_doubt=True)
    mara = Member.objects.of(error.account_id).get(user__username="mara")
    edit_retry_data(error=error, member=mara, text='{"id":"A-1","altitude":300}', expected_version=1)
    entry = {"error": str(error), "version": 2, "retry_data": {"id": "A-1", "altitude": 400}}
    content = orjson.dumps([entry, {"error": "nonsense"}])
    upload = keep_upload(account=mara.account, member=mara, name="errors.json", content=content)
    return {"upload": upload.pk}


def broken_down(scene: Scene) -> dict[str, int]:
    """A connection that was tested, went offline twice, and whose token ends soon."""
    away = make_connection(scene.account, name="Shop", kind="http", secrets={"bearer_token": token(wall_now())})
    note_tests(away, 40, 60)
    break_down(away)
    away.refresh_from_db()
    come_back(away)
    break_down(away)
    return {"away": away.pk}


def noted(error: Error) -> dict[str, int]:
    """The error is Mara's and has a tag, and she has a view of it."""
    mara = Member.objects.of(error.account_id).get(user__username="mara")
    tag = Tag.unscoped.create(account_id=error.account_id, name="supplier asked")
    ErrorTag.unscoped.create(account_id=error.account_id, error=error, tag=tag)
    Error.unscoped.filter(pk=error.pk).update(has_notes=True, assignee=mara, key_hash=key_hash(error.key))
    save_view(member=mara, name="Mine", query=f"tag={tag.pk}&assignee=me", is_shared=True)
    return {"tag": tag.pk}


def called() -> dict[str, int]:
    """A token of Mara's."""
    mara = Member.unscoped.get(user__username="mara")
    return {"token": issue_token(member=mara, name="Nightly report", scopes=[Scope.READ, Scope.ERRORS])[0].pk}


def told(scene: Scene) -> dict[str, int]:
    """A webhook with a delivery on its way and one that was given up."""
    webhook, mara = make_webhook(scene.account), Member.objects.of(scene.account).get(user__username="mara")
    send_test_to(webhook=webhook, member=mara)
    WebhookDelivery.unscoped.update(status="failed", attempts=10, last_status=503, last_answer="not now", next_at=None)
    send_test_to(webhook=webhook, member=mara)
    return {"webhook": webhook.pk}


def subscribed(scene: Scene) -> dict[str, Any]:
    """Mara is told of errors; a test message to a channel of the account is on its way."""
    mara = Member.objects.of(scene.account).get(user__username="mara")
    channel, _ = add_channel(account=scene.account, by=mara, name="Ops", kind="slack", address="https://example.org/x")
    mine = subscribe(
        account=scene.account, by=mara, target=Target(member=mara), coverage=Coverage("production"),
        choices={"errors": True},
    )  # fmt: skip
    send_test(by=mara, target=Target(channel=channel), environment="production")
    address = unsubscribe_address(mara, MessageKind.DIGEST)
    return {"subscription": mine.pk, "channel": channel.pk, "unwanted": address.rstrip("/").rpartition("/")[2]}


def ruled(scene: Scene) -> dict[str, int]:
    """A rule that meets every error of the application, and what it would have done with them."""
    mara = Member.objects.of(scene.account).get(user__username="mara")
    definition = Definition(Conditions(source="application"), Acts(retry=True))
    rule = save_rule(member=mara, name="Sent again", definition=definition)
    switch_rule(rule=rule, member=mara, mode="shadow", includes_open=True)
    look_by_rule(scene.account.pk, rule.pk)
    return {"rule": rule.pk}


def joined(scene: Scene) -> dict[str, Any]:
    """A member and one who is invited; Mara is setting up an authenticator app."""
    mara = Member.objects.of(scene.account).get(user__username="mara")
    begin_app(mara.user)
    member = make_member(scene.account, role=Role.MONITOR)
    invitation = invite(account=scene.account, email="ana@example.org", roles=Roles(Role.MANAGER), by=mara)
    Invitation.unscoped.filter(pk=invitation.pk).update(sha256=hash_of("a-link"))
    return {"member": member.pk, "invitation": "a-link"}


def listening(scene: Scene) -> dict[str, int]:
    """A flow that takes requests."""
    set_connection(account=scene.account, name="Sender", kind="webhook", config={"verification": "none"})
    return {"listening": apply_definition(account=scene.account, text=ARRIVALS).flow.pk}


def gathered(error: Error) -> dict[str, int]:
    """A support bundle of Mara's."""
    mara = Member.objects.of(error.account_id).get(user__username="mara")
    subject = about_error(Error.unscoped.select_related("flow__integration__account").get(pk=error.pk))
    return {"bundle": make_bundle(subject=subject, ticket=filled_in(subject), member=mara).pk}


def write_definition(scene: Scene) -> None:
    """Two revisions of a definition with a mistake, a warning and everything that a form shows."""
    flow = scene.strikes
    text = (
        f"# {flow.name}\nflow: {flow.key}\nintegration: birds\nschedule: '*/15 * * * *'\nsteps:\n"
        "  - key: source\n    export: {connection: Warehouse, query: SELECT 1 AS id}\n"
        "  - key: target\n    import: {connection: Warehouse, table: strikes}\n"
        "    on_error: {policy: retry, exceptions: {connection: fail}}\n"
    )
    Revision.unscoped.filter(flow=flow).update(definition=text)
    flow.revision = Revision.unscoped.create(
        account_id=flow.account_id, flow=flow, number=2, definition=text + "    attempts: 3\n", sha256=""
    )
    flow.save(update_fields=["revision"])


@pytest.mark.parametrize("paths", HANDFULS, ids=range(len(HANDFULS)))
def test_pages_are_accessible_fit_and_obey_the_policy(
    signed_in: Driver, settings: Any, shot_folder: Path | None, looks: Looks, paths: list[str]
) -> None:
    settings.DEBUG = True  # the page /design/ exists only then
    scene = make_scene(get_user_model().objects.get(username="mara"))
    Member.unscoped.filter(user__username="mara").update(role=Role.OWNER)  # there is no page that she may not see
    run = start_work(scene)
    error = Error.objects.of(scene.account).latest("pk")
    furnish(run, error)
    write_definition(scene)
    warehouse = Connection.objects.of(scene.account).get(name="Warehouse")
    ids = {
        "flow": scene.strikes.pk,
        "run": run.pk,
        "step": error.step_id,
        "error": error.pk,
        "cause": error.cause_id,
        "ended": Error.objects.of(scene.account).earliest("pk").run_id,
        "connection": warehouse.pk,
        **broken_down(scene),
        **retried(scene),
        **edited(error),
        **noted(error),
        **draft_run(error),
        **listening(scene),
        **gathered(error),
        **called(),
        **told(scene),
        **joined(scene),
        **ruled(scene),
        **subscribed(scene),
    }
    assert signed_in.inspect(*(path.format(**ids) for path in paths), looks=looks, shots=shot_folder) == []


def test_empty_pages_are_accessible_fit_and_obey_the_policy(
    signed_in: Driver, shot_folder: Path | None, looks: Looks
) -> None:
    make_account(owner=get_user_model().objects.get(username="mara"))
    assert signed_in.inspect(*PAGES_BEFORE_THE_FIRST_FLOW, looks=looks, shots=shot_folder) == []


def test_the_page_for_a_user_without_an_account_is_accessible_fits_and_obeys_the_policy(
    signed_in: Driver, shot_folder: Path | None, looks: Looks
) -> None:
    assert signed_in.inspect("/", looks=looks, shots=shot_folder) == []
