"""The pages of connections: list, one connection, making, editing, testing, deleting."""

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import AuditEntry, Member, MemberRole, Role
from apps.connectors.base import Ping
from apps.connectors.files.connector import FilesConnector
from apps.core.clock import wall_now
from apps.flows.models import Connection, Step
from apps.flows.secrets import read_secrets
from apps.runs import trying
from apps.runs.models import Run
from apps.runs.waking import waiting_reason
from tests.console.scenes import Scene
from tests.console.screens import html_of, text_of
from tests.factories import make_account, make_connection, make_run

MOST_QUERIES = 12
SERVER = {"database": "postgresql", "host": "db.example.org", "name": "stock", "user": "flow"}
PAGES = ["", "edit/", "delete"]


@pytest.fixture
def warehouse(scene: Scene) -> Connection:
    Connection.unscoped.filter(name="Warehouse").update(config=SERVER)
    return Connection.unscoped.get(name="Warehouse")


@pytest.fixture
def inbox(scene: Scene, settings: Any, tmp_path: Any) -> Connection:
    """A folder of files that is there."""
    settings.FILES_ROOT = tmp_path
    (tmp_path / str(scene.account.pk)).mkdir()
    return make_connection(scene.account, name="Inbox", kind="file")


def address(connection: Connection, page: str = "") -> str:
    return f"/connections/{connection.pk}/{page}"


def filled(**fields: Any) -> dict[str, Any]:
    """What a browser sends: each field of the config with its prefix; `name_` is the connection's own name."""
    name = fields.pop("name_", None)
    sent = {f"config-{field}": value for field, value in fields.items()}
    return sent | ({"connection-name": name} if name is not None else {})


def promote(user: Any) -> None:
    """Deleting is an administrator's."""
    Member.unscoped.filter(user=user).update(role=Role.ADMINISTRATOR)


def posted(client: Client, path: str, data: dict[str, Any], status: int = 302) -> str:
    answer = client.post(path, data)
    assert answer.status_code == status, answer.content.decode()[:2000]
    return answer.content.decode()


# --- the list -------------------------------------------------------------------------------------------------------
def test_connections_tell_state_use_and_last_error_and_never_a_secret(client: Client, scene: Scene) -> None:
    make_connection(
        scene.account, name="Archive", state="offline", offline_since=wall_now() - timedelta(hours=1),
        last_error="connection refused", secrets={"password": "hunter2"}, config={"host": "db.internal"},
    )  # fmt: skip
    make_connection(make_account(), name="Theirs")
    make_connection(scene.account, name="Toy", environment="sandbox")
    html = html_of(client, "/connections/")
    assert html.index("Archive") < html.index("Warehouse")  # what is offline stands first
    assert "connection refused" in html
    assert '<span class="sub">Wildlife strikes</span>' in html
    assert "SQL database" in html
    for absent in ("hunter2", "Theirs", "Toy"):
        assert absent not in html


def test_the_number_of_flows_leads_to_them(client: Client, scene: Scene) -> None:
    used = Connection.unscoped.get(name="Warehouse")
    assert f'href="{address(used)}#used-by">1 flow</a>' in html_of(client, "/connections/")
    assert 'id="used-by"' in html_of(client, address(used))


@pytest.mark.parametrize(("asked", "told"), [("ware", "Warehouse"), ("sql", "Warehouse"), ("none", "No connection")])
def test_connections_are_found_by_name_and_type(client: Client, scene: Scene, asked: str, told: str) -> None:
    assert told in html_of(client, f"/connections/?q={asked}")


def test_the_list_takes_the_same_queries_for_many_connections(client: Client, scene: Scene) -> None:
    for _ in range(5):
        make_connection(scene.account)
    with CaptureQueriesContext(database) as few:
        html_of(client, "/connections/")
    assert len(few) <= MOST_QUERIES


# --- one connection -------------------------------------------------------------------------------------------------
def test_a_connection_tells_its_settings_its_users_and_its_last_error(client: Client, warehouse: Connection) -> None:
    Connection.unscoped.filter(pk=warehouse.pk).update(last_error="password authentication failed")
    with CaptureQueriesContext(database) as queries:
        words = text_of(html_of(client, address(warehouse)))
    assert len(queries) <= MOST_QUERIES
    for told in ("db.example.org", "password authentication failed", "Wildlife strikes", "Birds and airports",
                 "Password not set", "Lock time-out (seconds) as the installation", "Never tested"):  # fmt: skip
        assert told in words


def test_a_manager_finds_the_way_to_edit_and_an_administrator_the_one_to_delete(
    client: Client, warehouse: Connection, mara: Any
) -> None:
    edit, delete = (f'href="{address(warehouse, page)}"' for page in ("edit/", "delete"))
    html = html_of(client, address(warehouse))
    assert (edit in html, delete in html) == (True, False)
    assert client.post(address(warehouse, "delete")).status_code == 403
    promote(mara)
    assert delete in html_of(client, address(warehouse))
    assert "Maintainer Flowmend" in text_of(html)


def test_a_header_that_holds_a_credential_is_not_shown(client: Client, scene: Scene) -> None:
    config = {"base_url": "https://api.example.org", "headers": {"Authorization": "hunter-22", "X-Shop": "pine"}}
    html = html_of(client, address(make_connection(scene.account, kind="http", config=config)))
    assert "X-Shop: pine" in html
    assert "hunter-22" not in html


def test_a_connection_whose_connector_is_gone_says_so(client: Client, scene: Scene) -> None:
    html = html_of(client, address(make_connection(scene.account, kind="telex")))
    assert "The connector telex is not installed." in html


@pytest.mark.parametrize("page", PAGES)
def test_what_is_out_of_reach_is_not_there(client: Client, scene: Scene, page: str) -> None:
    theirs = make_connection(make_account())
    elsewhere = make_connection(scene.account, environment="sandbox")
    for path in (address(theirs, page), address(elsewhere, page), f"/connections/{2**63}/{page}"):
        assert client.get(path).status_code == 404
    assert client.post(address(theirs, "test")).status_code == 404
    assert client.post(address(theirs, "delete")).status_code == 404


# --- making and editing ---------------------------------------------------------------------------------------------
def test_each_kind_is_offered_with_what_it_can_do(client: Client, scene: Scene) -> None:
    words = text_of(html_of(client, "/connections/new/"))
    for told in ("HTTP API export, lookup, import", "Files export, import", "SQL database", "Webhook export"):
        assert told in words


def test_a_kind_whose_library_is_missing_says_how_to_install_it(
    client: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = "Install it with: pip install 'flowmend[files]'"
    monkeypatch.setattr(FilesConnector, "missing", classmethod(lambda cls: how))
    for path in ("/connections/new/", "/connections/new/file/"):
        assert "pip install &#x27;flowmend[files]&#x27;" in html_of(client, path)
    assert 'href="/connections/new/file/"' not in html_of(client, "/connections/new/")
    assert "is not installed" in posted(client, "/connections/new/file/", filled(name_="Inbox"), 200)
    assert not Connection.unscoped.filter(name="Inbox").exists()


def test_a_connection_is_made_with_what_differs_from_the_usual(client: Client, scene: Scene) -> None:
    data = filled(name_="Stock", **SERVER, port="", sslmode="require", password="hunter2", synchronous_commit="on")
    posted(client, "/connections/new/sql/", data)
    made = Connection.unscoped.get(name="Stock")
    assert (made.config, made.environment) == ({**SERVER, "sslmode": "require"}, "production")
    assert read_secrets(made) == {"password": "hunter2"}
    entry = AuditEntry.unscoped.get(act="connection.set", object_id=made.pk)
    assert entry.member.user.username == "mara"
    assert "hunter2" not in str(entry.after)


def test_numbers_lists_and_pairs_are_stored_as_such(client: Client, scene: Scene) -> None:
    data = filled(
        name_="Shop", base_url="https://api.example.org/v1", auth="none", key_in="header", client_in="header",
        headers="X-Shop: pine\nAccept: a/b; q=1", max_concurrency="4", max_rate="2.5", verify_tls="on",
    )  # fmt: skip
    posted(client, "/connections/new/http/", data)
    made = Connection.unscoped.get(name="Shop")
    assert made.config == {
        "base_url": "https://api.example.org/v1",
        "headers": {"X-Shop": "pine", "Accept": "a/b; q=1"},
        "max_concurrency": 4,
        "max_rate": 2.5,
    }
    assert (made.max_concurrency, made.max_rate) == (4, 2.5)
    form = html_of(client, address(made, "edit/"))
    shown = re.search(r'id="id_config-headers"[^>]*>\s*([^<]*)</textarea>', form)
    assert shown
    assert sorted(shown[1].splitlines()) == ["Accept: a/b; q=1", "X-Shop: pine"]
    assert 'name="config-max_concurrency" value="4" min="1" max="256"' in form


def test_after_how_many_failures_it_is_offline_is_set_and_shown(client: Client, inbox: Connection) -> None:
    posted(client, address(inbox, "edit/"), filled(offline_after="5"))
    assert Connection.unscoped.get(pk=inbox.pk).offline_after == 5
    assert "Offline after (failures) 5" in text_of(html_of(client, address(inbox)))
    posted(client, address(inbox, "edit/"), filled(offline_after="0"), 422)
    assert Connection.unscoped.get(pk=inbox.pk).offline_after == 5


def test_mistakes_stand_at_their_fields_in_words_and_nothing_is_stored(client: Client, scene: Scene) -> None:
    data = filled(name_="Stock", database="postgresql", port="99999", statement_timeout_s="soon", password="hunter2")
    html = posted(client, "/connections/new/sql/", data, 422)
    assert 'id="id_config-port_error"' in html
    assert "This must be at most 65535, but it is the number 99999." in html
    assert "This must be a number, not the text &quot;soon&quot;." in html
    assert "Secrets are never sent back: enter them once more." in html
    assert "hunter2" not in html
    assert 'value="Stock"' in html
    assert not Connection.unscoped.filter(name="Stock").exists()


def test_a_mistake_between_fields_stands_above_and_marks_the_empty_ones(client: Client, scene: Scene) -> None:
    html = posted(client, "/connections/new/sql/", filled(name_="Stock", database="postgresql", host="db"), 422)
    assert "connection needs name, user." in html
    assert 'id="id_config-name_error"' in html
    assert 'id="id_config-user_error"' in html
    assert 'id="id_config-host_error"' not in html


def test_a_line_of_pairs_without_a_colon_is_told_with_its_number(client: Client, scene: Scene) -> None:
    data = filled(name_="Shop", base_url="https://api.example.org", auth="none", headers="X-Shop: pine\nnonsense")
    html = posted(client, "/connections/new/http/", data, 422)
    assert "Line 2 has no name and colon: write name: value." in html


@pytest.mark.parametrize(("name", "told"), [("Warehouse", "There is a connection Warehouse already"),
                                            ("  ", "A name is one line of printable text.")])  # fmt: skip
def test_a_name_must_be_free_and_readable(client: Client, warehouse: Connection, name: str, told: str) -> None:
    assert told in posted(client, "/connections/new/file/", filled(name_=name), 422)
    assert Connection.unscoped.get(name="Warehouse").kind == "sql"


def test_the_same_name_may_stand_in_the_other_environment(client: Client, warehouse: Connection) -> None:
    client.post("/environment/choose/", {"environment": "sandbox"})
    posted(client, "/connections/new/file/", filled(name_="Warehouse"))
    assert Connection.unscoped.filter(name="Warehouse").values_list("environment", flat=True).count() == 2


def test_an_empty_secret_keeps_the_stored_one_and_a_tick_removes_it(client: Client, scene: Scene) -> None:
    stock = make_connection(scene.account, config=SERVER, secrets={"password": "hunter2"})
    form = html_of(client, address(stock, "edit/"))
    assert "A value is set; leave this empty to keep it." in form
    assert "hunter2" not in form
    posted(client, address(stock, "edit/"), filled(**SERVER, synchronous_commit="on"))
    assert read_secrets(Connection.unscoped.get(pk=stock.pk)) == {"password": "hunter2"}
    both = filled(**SERVER, **{"password": "new", "password-remove": "on"})
    assert "not both" in posted(client, address(stock, "edit/"), both, 422)
    posted(client, address(stock, "edit/"), filled(**SERVER, **{"password-remove": "on"}))
    assert read_secrets(Connection.unscoped.get(pk=stock.pk)) == {}


def test_secrets_that_no_key_opens_can_be_set_again(client: Client, scene: Scene) -> None:
    stock = make_connection(scene.account, config=SERVER, secrets={"password": "hunter2"})
    Connection.unscoped.filter(pk=stock.pk).update(secrets=b"gAAAA-nothing")
    assert "cannot be read with the keys in FIELD_KEYS" in html_of(client, address(stock, "edit/"))
    assert "cannot be read" in html_of(client, address(stock))
    posted(client, address(stock, "edit/"), filled(**SERVER, password="another", synchronous_commit="on"))
    assert read_secrets(Connection.unscoped.get(pk=stock.pk)) == {"password": "another"}


def test_an_edit_leaves_the_state_that_workers_wrote_meanwhile(client: Client, warehouse: Connection) -> None:
    Connection.unscoped.filter(pk=warehouse.pk).update(state="offline", failures=3)
    posted(client, address(warehouse, "edit/"), filled(**SERVER | {"host": "db2"}, synchronous_commit="on"))
    after = Connection.unscoped.get(pk=warehouse.pk)
    assert (after.config["host"], after.state, after.failures) == ("db2", "offline", 3)


# --- the test -------------------------------------------------------------------------------------------------------
def test_a_test_tells_what_it_tried_and_found_and_keeps_it(client: Client, inbox: Connection) -> None:
    answer = client.post(address(inbox, "test"), follow=True)
    words = text_of(answer.content.decode())
    assert "Inbox answers" in words
    assert "Open the account&#x27;s own folder and look into it" in words
    assert "Readable and writable, 0 files." in words
    inbox.refresh_from_db()
    assert (inbox.state, inbox.last_error) == ("online", "")
    entry = AuditEntry.unscoped.get(act="connection.test")
    assert (entry.object_id, entry.after["ok"], entry.member.user.username) == (inbox.pk, True, "mara")


def test_a_test_without_an_answer_is_the_last_error_and_takes_no_connection_offline(
    client: Client, inbox: Connection
) -> None:
    Connection.unscoped.filter(pk=inbox.pk).update(config={"folder": "nowhere"}, state="online")
    answer = client.post(address(inbox, "test"), {"next": "/connections/"}, follow=True)
    assert answer.redirect_chain[-1][0] == "/connections/"
    assert "The test of Inbox failed: The folder nowhere" in answer.content.decode()
    inbox.refresh_from_db()
    assert inbox.state == "online"
    assert "The folder nowhere of this connection does not exist" in inbox.last_error
    assert "Failed</span>" in html_of(client, address(inbox))


def test_a_test_that_hangs_ends_in_time(client: Client, inbox: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def hang(connector: Any) -> Ping:
        never.wait(5)
        return Ping(True, "", "")

    monkeypatch.setattr(FilesConnector, "ping", hang)
    monkeypatch.setattr(trying, "LONGEST_TEST_S", 0.2)
    page = client.post(address(inbox, "test"), follow=True).content.decode()
    never.set()
    assert "No answer within" in page


def test_a_connector_that_fails_itself_is_told_without_a_trace(
    client: Client, inbox: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connector: Any) -> Ping:
        raise KeyError("inner workings")

    monkeypatch.setattr(FilesConnector, "ping", fail)
    page = client.post(address(inbox, "test"), follow=True).content.decode()
    assert "The connector itself failed (KeyError)." in page
    assert "inner workings" not in page


def test_an_offline_connection_that_answers_is_back_and_wakes_what_waited(
    client: Client, scene: Scene, inbox: Connection
) -> None:
    later = wall_now() + timedelta(hours=1)
    Connection.unscoped.filter(pk=inbox.pk).update(state="offline", offline_since=wall_now(), probe_at=later)
    run = make_run(scene.strikes, status="running", wait_reason=waiting_reason("Inbox") + " away", not_before=later)
    client.post(address(inbox, "test"))
    inbox.refresh_from_db()
    assert (inbox.state, inbox.offline_since) == ("online", None)
    assert Run.unscoped.get(pk=run.pk).not_before < later
    assert AuditEntry.unscoped.filter(act="connection.online", object_id=inbox.pk).exists()


def test_a_connection_that_cannot_be_opened_says_why(client: Client, scene: Scene) -> None:
    broken = make_connection(scene.account, name="Broken", kind="sql", config={"database": "x"})
    page = client.post(address(broken, "test"), follow=True).content.decode()
    assert "This must be one of postgresql" in page


# --- deleting -------------------------------------------------------------------------------------------------------
def test_a_connection_in_use_is_not_deleted_and_the_flows_are_named(
    client: Client, warehouse: Connection, mara: Any
) -> None:
    promote(mara)
    assert "Wildlife strikes" in html_of(client, address(warehouse, "delete"))
    page = client.post(address(warehouse, "delete"), follow=True).content.decode()
    assert "The connection Warehouse is used by Wildlife strikes, so it cannot be deleted." in page
    assert Connection.unscoped.filter(pk=warehouse.pk).exists()


def test_a_connection_that_only_removed_steps_name_is_deleted(client: Client, warehouse: Connection, mara: Any) -> None:
    promote(mara)
    Step.unscoped.filter(connection=warehouse).update(removed_at=wall_now())
    assert "No flow uses this connection." in html_of(client, address(warehouse, "delete"))
    page = client.post(address(warehouse, "delete"), follow=True).content.decode()
    assert "Connection Warehouse is deleted." in page
    assert not Connection.unscoped.filter(pk=warehouse.pk).exists()
    entry = AuditEntry.unscoped.get(act="connection.delete")
    assert (entry.object_id, entry.before["name"]) == (warehouse.pk, "Warehouse")


# --- rights ---------------------------------------------------------------------------------------------------------
def test_a_monitor_sees_connections_and_changes_none(client: Client, warehouse: Connection, mara: Any) -> None:
    Member.unscoped.filter(user=mara).update(role=Role.MONITOR)
    for path in ("/connections/", address(warehouse)):
        assert 'disabled title="It takes the role manager"' in html_of(client, path)
    for path in (
        "/connections/new/",
        "/connections/new/file/",
        address(warehouse, "edit/"),
    ):
        assert "it takes the role Manager" in html_of(client, path, 403)
        assert client.post(path).status_code == 403
    assert "it takes the role Administrator" in html_of(client, address(warehouse, "delete"), 403)
    assert client.post(address(warehouse, "test")).status_code == 403


def test_who_has_a_role_in_one_integration_reads_its_connections_only(
    client: Client, scene: Scene, warehouse: Connection, mara: Any
) -> None:
    other = make_connection(scene.account, name="Secretive")
    member = Member.unscoped.get(user=mara)
    Member.unscoped.filter(pk=member.pk).update(role="")
    MemberRole.unscoped.create(account=scene.account, member=member, integration=scene.shop, role=Role.MANAGER)
    assert "Secretive" not in html_of(client, "/connections/")
    assert client.get(address(other)).status_code == 404
    assert "Wildlife strikes" in html_of(client, address(warehouse))
    assert client.get(address(warehouse, "edit/")).status_code == 403


def test_a_test_needs_a_post(client: Client, warehouse: Connection) -> None:
    assert client.get(address(warehouse, "test")).status_code == 405
