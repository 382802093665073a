"""Records that become e-mails: over a real SMTP server that refuses, goes away, and loses answers; with kills."""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.execution.journal import RunJournal
from apps.flows.definition import DefinitionError
from apps.flows.models import Flow
from apps.runs.models import Intent, Run
from tests.fakes.mail_server import MailServer, for_recipient, once
from tests.scenarios.scene import Scene

DEFINITION = """
flow: letters
integration: {{key: trial, name: Trial}}
enabled: true
page_size: 3
steps:
  - key: source
    export: {{connection: files, path: people.jsonl}}
  - key: send
    import:
      connection: post
      to: "{{{{ record.email }}}}"
      subject: "Order {{{{ record.id }}}}"
      text: "Dear {{{{ record.name }}}}"
{more}
"""


class Killed(BaseException):
    """The worker dies here."""


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    with server.running():
        yield server


def letters(scene: Scene, mail: MailServer, count: int = 5, more: str = "") -> Flow:
    scene.connect(
        "post",
        "email",
        host=mail.host,
        port=mail.port,
        security="none",
        sender="orders@example.org",
        allowed_domains=["example.org"],
    )
    rows = [f'{{"id": {n}, "name": "P {n}", "email": "p{n}@example.org"}}' for n in range(1, count + 1)]
    scene.write("people.jsonl", "\n".join(rows))
    return scene.apply(DEFINITION.format(more=more))


def test_a_run_sends_a_mail_for_each_record(sqlite_scene: Scene, mail: MailServer) -> None:
    run = sqlite_scene.run(letters(sqlite_scene, mail))
    assert (run.outcome, run.success) == ("completed", 5)
    assert mail.subjects == [f"Order {n}" for n in range(1, 6)]
    assert not Intent.unscoped.exists()


def test_a_refused_recipient_is_one_open_error(sqlite_scene: Scene, mail: MailServer) -> None:
    mail.faults["RCPT"] = for_recipient("p2@example.org", "550 5.1.1 No such user")
    run = sqlite_scene.run(letters(sqlite_scene, mail))
    error = sqlite_scene.only_error(run)
    assert (run.success, run.failed, error.cause.code, error.in_doubt) == (4, 1, "550", False)
    assert "p2@example.org" in error.message
    assert sqlite_scene.retry_data(error) == b'{"id":2,"name":"P 2","email":"p2@example.org"}'


def test_a_server_that_is_down_makes_the_run_wait_and_no_errors(sqlite_scene: Scene, mail: MailServer) -> None:
    mail.faults["MAIL"] = once("421 closing down")
    flow = letters(sqlite_scene, mail)
    waiting = sqlite_scene.run(flow)
    assert (waiting.status, mail.taken) == ("running", [])
    assert "421 closing down" in waiting.wait_reason

    run = sqlite_scene.work_to_the_end(waiting)
    assert (run.outcome, run.failed) == ("completed", 0)
    assert sorted(mail.subjects) == [f"Order {n}" for n in range(1, 6)]


def test_an_answer_that_is_lost_puts_the_record_in_doubt_and_it_is_not_sent_again(
    sqlite_scene: Scene, mail: MailServer
) -> None:
    mail.faults["END"] = lambda server, given: "drop" if len(server.taken) == 2 else None
    run = sqlite_scene.work_to_the_end(sqlite_scene.run(letters(sqlite_scene, mail)))
    error = sqlite_scene.only_error(run)
    assert (error.in_doubt, error.cause.code) == (True, "answer_lost")
    assert sorted(mail.subjects) == [f"Order {n}" for n in range(1, 6)]


@pytest.mark.parametrize("is_before", [True, False])
def test_a_worker_that_dies_while_it_sends_leaves_records_in_doubt_and_sends_none_twice(
    sqlite_scene: Scene, mail: MailServer, monkeypatch: pytest.MonkeyPatch, is_before: bool
) -> None:
    flow = letters(sqlite_scene, mail)
    commit = RunJournal.commit

    def dying(self: RunJournal, page: Any, result: Any) -> bool:
        if not is_before:
            commit(self, page, result)
        raise Killed

    monkeypatch.setattr(RunJournal, "commit", dying)
    with pytest.raises(Killed):
        sqlite_scene.run(flow)
    monkeypatch.setattr(RunJournal, "commit", commit)
    run = sqlite_scene.work_to_the_end(Run.unscoped.get())

    assert sorted(mail.subjects) == [f"Order {n}" for n in range(1, 6)]
    doubtful = [error.in_doubt for error in sqlite_scene.errors(run)]
    assert doubtful == ([True, True, True] if is_before else [])


def test_an_outbox_keeps_mails_in_the_folder_of_the_account(
    sqlite_scene: Scene, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = letters(sqlite_scene, mail)
    sqlite_scene.connect(
        "post", "email", delivery="folder", sender="orders@example.org", allowed_domains=["example.org"]
    )
    run = sqlite_scene.run(flow)
    assert (run.outcome, mail.taken) == ("completed", [])
    assert len(list((sqlite_scene.folder / "outbox").glob("*.eml"))) == 5


def test_what_the_server_answered_can_be_put_back_into_the_record(sqlite_scene: Scene, mail: MailServer) -> None:
    more = """    response_mapping: {mail: answer.message_id}
  - key: note
    log: "{{ record.id }} went out as {{ record.mail }}"
"""
    run = sqlite_scene.run(letters(sqlite_scene, mail, 1, more))
    assert f"1 went out as {mail.taken[0].identity}" in sqlite_scene.log(run)


def test_mistakes_in_a_step_that_sends_are_told_in_their_place(sqlite_scene: Scene, mail: MailServer) -> None:
    letters(sqlite_scene, mail)
    wrong = DEFINITION.format(more="      html: '{{ record.name'\n      bcc: '{{ recrd.x }}'\n      colums: [a]\n")
    with pytest.raises(DefinitionError) as caught:
        sqlite_scene.apply(wrong)
    places = {mistake.place for mistake in caught.value.mistakes}
    assert places == {"steps[1].import.html", "steps[1].import.bcc", "steps[1].import.colums"}


def test_mistakes_in_a_webhook_are_told_in_their_place(sqlite_scene: Scene) -> None:
    sqlite_scene.connect("sender", "webhook", verification="none")
    export = "{connection: sender, max_waiting: 0, window_s: soon, include_headers: [Cookie]}"
    with pytest.raises(DefinitionError) as caught:
        sqlite_scene.flow_of(export)
    places = {mistake.place for mistake in caught.value.mistakes}
    names = ("max_waiting", "window_s", "include_headers[0]")
    assert places == {f"steps[0].export.{name}" for name in names}
