"""A stranger with a support bundle: sees the failure happen in an account of his own, and learns no secret."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from apps.accounts.models import Account, Member
from apps.errors.models import Error
from apps.execution import reader
from apps.execution.demo.install import install_demo
from apps.execution.worker import work_slice
from apps.flows.models import Flow
from apps.flows.services import apply_definition, set_connection
from apps.runs.models import Run
from apps.runs.services import start_run
from apps.support.archive import unpacked
from apps.support.cleaning import cleaner_for
from apps.support.services import diagnostics
from apps.support.subjects import about_cause, about_error, about_flow, about_run
from tests.factories import make_account, make_member
from tests.fakes.http_peer import Peer, Seen, reply
from tests.scenarios.scene import Scene
from tests.scenarios.test_no_secret_leaks import CANARY, found_in, told

pytestmark = pytest.mark.django_db

DEFINITION = """
flow: orders
integration: trial
enabled: true
schedule: "0 6 * * *"
steps:
  - key: source
    export: {connection: files, path: in/*.jsonl}
    trace_key: "{{ record.id }}"
  - key: tidy
    map: {number: record.id, zip: record.zip}
  - key: send
    on_error: set_aside
    import: {connection: Shop, path: /orders, headers: {X-Api-Key: written by hand}}
    mapping: {number: record.number, postcode: record.zip, token: record.number}
"""


def refusing(one: Seen) -> object:
    """Tells back what it was sent, password and all."""
    sent = one.json
    if sent["postcode"]:
        return {"id": sent["number"]}
    return reply(422, {"message": f"Order {sent['number']} has no postcode", "seen": told(one)})


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    peer.on("/orders", refusing)
    with peer.running():
        yield peer


@pytest.fixture
def failed(sqlite_scene: Scene, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> Error:
    """The one error of a flow whose second order has no postcode."""
    monkeypatch.setattr(reader, "ReadAhead", reader.ReadInPlace)
    scene = sqlite_scene
    scene.write("in/a.jsonl", '{"id": 1, "zip": "1010"}\n{"id": 2, "zip": ""}\n{"id": 3, "zip": "4020"}\n')
    scene.connect("Shop", "http", base_url=peer.url, auth="basic", user="u", secrets={"password": CANARY})
    error = scene.only_error(scene.run(scene.apply(DEFINITION)))
    return Error.unscoped.select_related("flow__integration__account", "step", "cause", "run").get(pk=error.pk)


def bundle_of(subject: object, account: Account) -> dict[str, str]:
    member = Member.objects.of(account).select_related("user").first()
    return {name: content.decode() for name, content in unpacked(diagnostics(subject, member))}  # type: ignore[arg-type]


def test_a_stranger_sees_it_happen_with_the_bundle_alone(failed: Error) -> None:
    files = bundle_of(about_error(failed), failed.account)
    stranger = make_account("Stranger")
    for one in json.loads(files["connections.json"]):
        secrets = dict.fromkeys(one["secrets"], "a secret of my own")
        facts = {"name": one["name"], "kind": one["kind"], "config": one["config"], "secrets": secrets}
        set_connection(account=stranger, environment=one["environment"], **facts)
    set_connection(account=stranger, name="Bundle files", kind="file", config={})
    folder = Path(django_settings.FILES_ROOT) / str(stranger.pk)
    folder.mkdir(parents=True)
    (folder / "records.jsonl").write_text(files["samples/records.jsonl"])

    run = start_run(flow=apply_definition(account=stranger, text=files["reproduce.yaml"]).flow)
    while not Run.unscoped.get(pk=run.pk).is_ended:
        assert work_slice(run.pk)

    again = Error.objects.of(stranger).select_related("step", "cause").get()
    assert (again.step.key, again.key, again.cause.code) == (failed.step.key, failed.key, failed.cause.code)
    for message in (again.message, failed.message, files["ticket.txt"]):
        assert "Order 2 has no postcode" in message
    assert "4. The step Send fails" in files["ticket.txt"]


def test_no_secret_is_in_any_bundle_and_the_report_says_where_they_were(failed: Error) -> None:
    subjects = [about_error(failed), about_cause(failed.cause), about_run(failed.run), about_flow(failed.flow)]
    for subject in subjects:
        files = bundle_of(subject, failed.account)
        assert {name: found_in(text) for name, text in files.items() if found_in(text)} == {}
        assert "written by hand" not in "".join(files.values())
        report = files["redaction.txt"]
        for line in (
            "definition.yaml, line 14: X-Api-Key, once",
            "connections.json, line",
            f"samples/{failed}/request.json, line",
            f"samples/{failed}/response.json, line",
        ):
            assert line in report, (line, report)
        assert "token: record.number" in files["definition.yaml"]


def test_the_demo_has_no_secret_that_a_bundle_tells(tmp_path: Path, settings: object) -> None:
    settings.FILES_ROOT, settings.SQLITE_ROOT = tmp_path / "files", tmp_path / "db"  # type: ignore[attr-defined]
    settings.DEMO_DATABASE_URL = ""  # type: ignore[attr-defined]
    install_demo(applications_port=1, mail_port=2)
    account = Account.objects.get(name="Demo")
    secrets = cleaner_for(account).redactor._secrets
    assert len(secrets) > 2
    for flow in Flow.objects.of(account).select_related("integration__account", "revision"):
        for name, text in bundle_of(about_flow(flow), account).items():
            assert [secret for secret in secrets if secret in text] == [], (flow.key, name)


def test_another_member_of_the_account_is_named_in_his_own_ticket(failed: Error) -> None:
    member = make_member(failed.account)
    files = {name: content.decode() for name, content in unpacked(diagnostics(about_error(failed), member))}
    assert f"From: {member}" in files["ticket.txt"]
