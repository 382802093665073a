"""Messages: who may get them, what no value can do to them, and what becomes of records as the mail server answers."""

import csv
import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from pydantic import ValidationError

from apps.connectors.base import Limits, Surroundings
from apps.connectors.email_messages.addresses import AddressError, parse_addresses
from apps.connectors.email_messages.config import EmailConfig, EmailImportOptions
from apps.connectors.email_messages.connector import EmailConnector
from apps.engine.ports import ConnectorError, Outage, Record, Repeats, Written
from tests.connectors.contract import silent_server
from tests.connectors.filing import batch_of
from tests.fakes.certificates import Authority
from tests.fakes.mail_server import MailServer, Taken, always, for_recipient, once

LIMITS = Limits(connect_s=1.0, read_s=1.0, total_s=2.0)
IMPATIENT = Limits(connect_s=0.3, read_s=0.3, total_s=0.6)
"""For servers that are sure to be waited for in vain."""
PLAIN: Record = {"to": "{{ record.email }}", "subject": "Order {{ record.id }}", "text": "Dear {{ record.name }}"}


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    with server.running():
        yield server


def people(count: int) -> list[Record]:
    return [{"id": n, "name": f"Person {n}", "email": f"person{n}@example.org"} for n in range(1, count + 1)]


def config_for(mail: MailServer, **fields: Any) -> EmailConfig:
    usual = {"host": mail.host, "port": mail.port, "security": "none", "sender": "Orders <orders@example.org>"}
    return EmailConfig.model_validate({**usual, "allowed_domains": ["example.org"], **fields})


@contextmanager
def opened(config: EmailConfig, root: Path = Path("/nowhere"), **more: Any) -> Iterator[EmailConnector]:
    nets = more.pop("nets", ("127.0.0.0/8",))
    connector = EmailConnector(config, Surroundings(7, root, root, nets, **{"limits": LIMITS, **more}))
    try:
        yield connector
    finally:
        connector.close()


def send(
    mail: MailServer, bodies: list[Record], *, now: datetime | None = None, limits: Limits = LIMITS, **options: Any
) -> Written:
    fields = {**PLAIN, **options.pop("options", {})}
    with opened(config_for(mail, **options), limits=limits) as connector:
        target = connector.open_import(EmailImportOptions.model_validate(fields))
        return target.write(batch_of(bodies, now=now or datetime.now(UTC)))


def text_in(taken: Taken) -> str:
    return str(taken.message.get_content()).replace("\r\n", "\n").rstrip("\n")


# --- messages --------------------------------------------------------------------------------------------------------
def test_each_record_becomes_a_message_over_one_connection(mail: MailServer) -> None:
    written = send(mail, people(3))

    assert mail.subjects == ["Order 1", "Order 2", "Order 3"]
    assert [taken.recipients for taken in mail.taken] == [(f"person{n}@example.org",) for n in (1, 2, 3)]
    assert mail.taken[0].sender == "orders@example.org"
    assert text_in(mail.taken[0]) == "Dear Person 1"
    assert mail.connections == 1
    assert written.failures == {}
    assert written.answers[0]["message_id"] == mail.taken[0].identity


def test_the_same_record_sent_again_has_the_same_message_id(mail: MailServer) -> None:
    send(mail, people(2))
    send(mail, people(2))
    assert [taken.identity for taken in mail.taken[:2]] == [taken.identity for taken in mail.taken[2:]]
    assert len({taken.identity for taken in mail.taken}) == 2


def test_a_page_becomes_one_message_with_its_records_as_csv(mail: MailServer) -> None:
    options = {
        "each": "page",
        "to": "all@example.org",
        "subject": "{{ record.count }} orders",
        "text": "{{ join([row.name for row in record.records], ', ') }}",
        "attach_csv": "orders.csv",
        "columns": ["id", "name"],
    }
    written = send(mail, people(2), options=options)

    (taken,) = mail.taken
    assert taken.subject == "2 orders"
    body, attachment = taken.message.iter_parts()
    assert body.get_content().strip() == "Person 1, Person 2"
    assert attachment.get_filename() == "orders.csv"
    rows = list(csv.reader(io.StringIO(attachment.get_content().removeprefix("\ufeff"))))
    assert rows == [["id", "name"], ["1", "Person 1"], ["2", "Person 2"]]
    assert written.answers.keys() == {0, 1}


@pytest.mark.parametrize("formula", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx"])
def test_a_spreadsheet_runs_no_value_of_an_attached_file(mail: MailServer, formula: str) -> None:
    send(mail, [{"email": "a@example.org", "id": 1, "name": "x", formula: formula}], options={"attach_csv": "a.csv"})
    attachment = next(iter(mail.taken[0].message.iter_attachments()))
    header, row = csv.reader(io.StringIO(attachment.get_content().removeprefix("\ufeff")))
    assert (header[3], row[3]) == (f"'{formula}", f"'{formula}")


def test_values_in_html_stand_there_as_text(mail: MailServer) -> None:
    html = '<a title="{{ record.name }}">{{ record.name }}</a>'
    send(mail, [{"id": 1, "email": "a@example.org", "name": "\"><script>x('&')</script>"}], options={"html": html})
    shown = mail.taken[0].message.get_body(("html",))
    safe = "&quot;&gt;&lt;script&gt;x(&#x27;&amp;&#x27;)&lt;/script&gt;"
    assert shown is not None
    assert shown.get_content().strip() == f'<a title="{safe}">{safe}</a>'


def test_an_author_may_let_values_bring_html(mail: MailServer) -> None:
    options = {"text": "", "html": "{{ record.name }}", "escape_html": False}
    send(mail, [{"id": 1, "email": "a@example.org", "name": "<b>bold</b>"}], options=options)
    assert mail.taken[0].message.get_content_type() == "text/html"
    assert mail.taken[0].message.get_content().strip() == "<b>bold</b>"


def test_copies_go_to_all_and_the_blind_ones_stand_in_no_header(mail: MailServer) -> None:
    options = {
        "cc": "b@example.org; Ünï <c@example.org>",
        "bcc": "secret@example.org",
        "reply_to": "help@elsewhere.org",
    }
    send(mail, people(1), options=options)
    (taken,) = mail.taken
    assert taken.recipients == ("person1@example.org", "b@example.org", "c@example.org", "secret@example.org")
    assert taken.message["Cc"] == "b@example.org, Ünï <c@example.org>"
    assert taken.message["Reply-To"] == "help@elsewhere.org"
    assert b"secret@example.org" not in taken.raw


@pytest.mark.parametrize(
    "text", [".", "..\n.\n..", "a\r.\r\nQUIT\r\n.\r", "\n.\nMAIL FROM:<x@example.org>\n", "x" * 5000]
)
def test_no_text_ends_a_message_before_its_end(mail: MailServer, text: str) -> None:
    records = [{"id": n, "email": "a@example.org", "name": text} for n in (1, 2)]
    assert send(mail, records, options={"text": "{{ record.name }}"}).failures == {}
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    assert [text_in(taken) for taken in mail.taken] == [expected.rstrip("\n")] * 2


@pytest.mark.parametrize("field", ["subject", "to", "cc", "reply_to", "attach_csv"])
def test_no_value_adds_a_header(mail: MailServer, field: str) -> None:
    values = [f"a@example.org{sign}Bcc: evil@example.org" for sign in ("\n", "\r", "\r\n", "\x00", "\u2028", "\x85")]
    options = {field: "{{ record.evil }}", **({} if field == "to" else {"to": "a@example.org"})}
    bodies: list[Record] = [{"id": 1, "name": "x", "evil": value} for value in [*values, "b@example.org"]]
    written = send(mail, bodies, options=options)
    assert all("holds a line break" in failure.message for failure in written.failures.values())
    assert written.failures.keys() == set(range(len(values)))
    assert len(mail.taken) == 1
    assert not any("evil" in part for taken in mail.taken for part in taken.recipients)


def test_a_record_that_no_message_can_be_made_of_fails_alone(mail: MailServer) -> None:
    bad: list[Record] = [
        {"id": 1, "email": "a@example.org"},
        {"id": 2, "name": "x", "email": ""},
        {"id": 3, "name": "x", "email": "no address"},
        {"id": 4, "name": "half \ud800", "email": "a@example.org"},
        {"id": 5, "name": "x", "email": "a@elsewhere.org"},
        {"id": 6, "name": "x" * 2_000_000, "email": "a@example.org"},
    ]
    written = send(mail, [*bad, *people(1)], max_mb=1)
    codes = ["mapping_missing", "recipient_missing", "address_refused", "not_writable", "address_refused"]
    assert [written.failures[index].code for index in range(5)] == codes
    assert written.failures[5].code in {"too_large", "mapping_limit"}
    assert mail.subjects == ["Order 1"]


# --- recipients ------------------------------------------------------------------------------------------------------
NO_ADDRESSES = (
    "a", "a@", "@b.org", "a b@c.org", "a@b..org", "a@-b.org", "<a@b.org", '"x <a@b.org>', "a@b.org>", "a@b.org c@d.org",
    "ä@b.org", "a@[1.2.3.4]", ".a@b.org",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_addresses(text)


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("a@b.org", ["a@b.org"]),
        (" a@b.org , , c@d.org; ", ["a@b.org", "c@d.org"]),
        ('"Doe, Ann" <Ann.Doe+x@B.org>', ["Ann.Doe+x@b.org"]),
        ("Ünï <a@exämple.org>", ["a@xn--exmple-cua.org"]),
        ("<a@localhost>", ["a@localhost"]),
    ],
)
def test_addresses_are_read_with_names_and_without(text: str, specs: list[str]) -> None:
    assert [address.spec for address in parse_addresses(text)] == specs


@pytest.mark.parametrize(
    ("allowed", "address", "is_sent"),
    [
        ("example.org", "a@example.org", True),
        ("example.org", "a@sub.example.org", False),
        ("example.org", "a@example.org.evil.net", False),
        ("example.org", "a@notexample.org", False),
        ("*.example.org", "a@deep.sub.example.org", True),
        ("*.example.org", "a@example.org", False),
        ("exämple.org", "a@EXÄMPLE.org", True),
    ],
)
def test_only_allowed_domains_are_written_to(mail: MailServer, allowed: str, address: str, is_sent: bool) -> None:
    written = send(mail, [{"id": 1, "name": "x", "email": address}], allowed_domains=[allowed])
    assert (len(mail.taken) == 1) is is_sent
    assert bool(written.failures) is not is_sent


def test_every_domain_is_for_the_operator_to_allow(mail: MailServer) -> None:
    config = config_for(mail, allowed_domains=["*"])
    options = EmailImportOptions.model_validate(PLAIN)
    with opened(config) as connector:
        with pytest.raises(ConnectorError, match="EMAIL_ANY_RECIPIENT"):
            connector.open_import(options)
        assert not connector.ping().is_ok
    with opened(config, any_recipient=True) as connector:
        connector.open_import(options).write(batch_of([{"id": 1, "name": "x", "email": "a@any.where"}]))
    assert mail.taken[0].recipients == ("a@any.where",)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"host": ""}, "needs a host"),
        ({"user": "u", "security": "tls"}, "needs a password"),
        ({"user": "u", "password": "p"}, "only sent over an encrypted connection"),
        ({"sender": "nobody"}, "no e-mail address"),
        ({"sender": "a@b.org\nBcc: c@d.org"}, "one line"),
        ({"allowed_domains": []}, "at least 1"),
        ({"allowed_domains": ["exa mple"]}, "no domain"),
        ({"ca": "no certificate"}, "PEM"),
    ],
)
def test_a_connection_that_could_not_work_is_refused(fields: Record, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        config_for(MailServer(), **{"port": 25, **fields})
    assert sentence in str(caught.value)


# --- what the server answers -----------------------------------------------------------------------------------------
def test_a_recipient_that_is_refused_is_an_error_of_that_record_only(mail: MailServer) -> None:
    mail.faults["RCPT"] = for_recipient("person2@example.org", "550 5.1.1 No such user")
    written = send(mail, people(3))
    failure = written.failures[1]
    assert mail.subjects == ["Order 1", "Order 3"]
    assert (failure.code, failure.classification, failure.unknown) == ("550", "missing", False)
    assert "person2@example.org, so it was sent to nobody: 550 5.1.1 No such user" in failure.message
    assert failure.capture is not None
    assert failure.capture.request["subject"] == "Order 2"


def test_a_message_with_one_refused_recipient_is_sent_to_none_of_them(mail: MailServer) -> None:
    mail.faults["RCPT"] = for_recipient("gone@example.org", "550 gone")
    written = send(mail, people(1), options={"cc": "gone@example.org"})
    assert written.failures.keys() == {0}
    assert mail.taken == []


@pytest.mark.parametrize(("answer", "classification"), [("552 too big", "too_large"), ("554 spam", "value")])
def test_a_refused_message_is_a_definite_error(mail: MailServer, answer: str, classification: str) -> None:
    mail.faults["DATA"] = once(answer)
    written = send(mail, people(2))
    assert (written.failures[0].code, written.failures[0].classification) == (answer[:3], classification)
    assert mail.subjects == ["Order 2"]


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
def test_a_message_that_is_put_off_waits_and_the_others_go_out(mail: MailServer, command: str) -> None:
    mail.faults[command] = once("451 4.7.1 Greylisted, come back later")
    written = send(mail, people(3))
    assert written.not_sent == {0: 60.0}
    assert "451 4.7.1 Greylisted" in written.reason
    assert written.failures == {}
    assert mail.subjects == ["Order 2", "Order 3"]


def test_a_message_that_is_put_off_for_too_long_is_an_intermittent_error(mail: MailServer) -> None:
    mail.faults["RCPT"] = always("452 mailbox full")
    written = send(mail, people(1), now=datetime.now(UTC) - timedelta(minutes=16))
    failure = written.failures[0]
    assert (failure.code, failure.classification, failure.unknown) == ("452", "intermittent", False)
    assert written.not_sent == {}


@pytest.mark.parametrize("answer", ["421 closing down", "451 not now"])
def test_a_server_that_takes_nothing_is_an_outage_and_makes_no_errors(mail: MailServer, answer: str) -> None:
    mail.faults["MAIL"] = always(answer)
    with pytest.raises(Outage) as caught:
        send(mail, people(3))
    assert answer in caught.value.message
    assert mail.taken == []


def test_a_server_that_closes_after_some_messages_gets_another_connection(mail: MailServer) -> None:
    counted: list[int] = []

    def every_second(server: MailServer, given: Any) -> str | None:
        counted.append(1)
        return "421 too many messages in this connection" if len(counted) % 3 == 0 else None

    mail.faults["MAIL"] = every_second
    written = send(mail, people(5))
    assert mail.subjects == [f"Order {n}" for n in range(1, 6)]
    assert (written.failures, written.not_sent) == ({}, {})
    assert mail.connections == 3


def test_when_the_server_goes_away_in_the_middle_the_rest_waits(mail: MailServer) -> None:
    mail.faults["MAIL"] = lambda server, given: "421 closing down" if server.taken else None
    written = send(mail, people(4))
    assert mail.subjects == ["Order 1"]
    assert written.not_sent == {1: 60.0, 2: 60.0, 3: 60.0}
    assert "421 closing down" in written.reason


def test_a_connection_lost_before_the_data_was_sent_is_not_sent(mail: MailServer) -> None:
    mail.faults["RCPT"] = always("drop")
    with pytest.raises(Outage):
        send(mail, people(2))
    assert mail.taken == []


@pytest.mark.parametrize("fault", ["drop", "hang"])
def test_an_answer_that_is_lost_after_the_final_dot_puts_that_message_in_doubt(mail: MailServer, fault: str) -> None:
    mail.faults["END"] = lambda server, given: fault if len(server.taken) == 2 else None
    begun = monotonic()
    written = send(mail, people(4), limits=IMPATIENT)
    assert written.failures.keys() == {1}
    assert written.failures[1].unknown
    assert "Look for its Message-ID" in written.failures[1].message
    assert written.not_sent.keys() == {2, 3}
    assert monotonic() - begun <= IMPATIENT.total_s + 1


def test_a_message_for_the_page_that_is_refused_is_an_error_of_each_record(mail: MailServer) -> None:
    mail.faults["DATA"] = always("554 no")
    options = {"each": "page", "to": "a@example.org", "subject": "Page", "text": "x"}
    assert send(mail, people(3), options=options).failures.keys() == {0, 1, 2}


def test_nothing_new_is_begun_once_the_engine_says_stop(mail: MailServer) -> None:
    with opened(config_for(mail)) as connector:
        target = connector.open_import(EmailImportOptions.model_validate(PLAIN))
        written = target.write(batch_of(people(4), stop=lambda: len(mail.taken) >= 2))
    assert written.not_sent == {2: 0.0, 3: 0.0}


# --- connections -----------------------------------------------------------------------------------------------------
def outage_of(config: EmailConfig, **more: Any) -> Outage:
    with opened(config, **more) as connector:
        target = connector.open_import(EmailImportOptions.model_validate(PLAIN))
        with pytest.raises(Outage) as caught:
            target.write(batch_of(people(2)))
    return caught.value


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_an_encrypted_server_is_verified_and_signed_in_to(tmp_path: Path, security: str) -> None:
    authority = Authority(tmp_path)
    mail = MailServer(user=("orders", "s3cret"))
    with mail.running(**{security: authority.context()}):
        facts = {"security": security, "ca": authority.pem, "user": "orders", "password": "s3cret"}
        assert send(mail, people(2), **facts).failures == {}
        with opened(config_for(mail, **facts)) as connector:
            assert "TLSv1.3, signed in as orders" in connector.ping().found
    assert len(mail.taken) == 2


def test_a_wrong_password_is_an_outage_that_does_not_show_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mail = MailServer(user=("orders", "s3cret"))
    with mail.running(starttls=authority.context()):
        config = config_for(mail, security="starttls", ca=authority.pem, user="orders", password="wr0ng-secret")
        outage = outage_of(config)
    assert outage.code == "535"
    assert "refused the sign-in: 535" in outage.message
    assert "wr0ng" not in outage.message


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize("fault", [{"days": -1}, {"name": "other.example.org"}, {"self_signed": True}])
def test_a_server_that_is_not_who_it_should_be_gets_nothing(tmp_path: Path, security: str, fault: Record) -> None:
    authority = Authority(tmp_path)
    mail = MailServer()
    with mail.running(**{security: authority.context(**fault)}):
        outage = outage_of(config_for(mail, security=security, ca=authority.pem))
    assert outage.code == "tls"
    assert "certificate was not accepted" in outage.message
    assert mail.taken == []


def test_a_server_without_starttls_gets_nothing_unencrypted(mail: MailServer) -> None:
    outage = outage_of(config_for(mail, security="starttls"))
    assert "does not offer STARTTLS" in outage.message
    assert mail.taken == []


def test_a_plain_server_is_no_server_of_tls(mail: MailServer) -> None:
    assert outage_of(config_for(mail, security="tls")).code in {"tls", "timeout", "connection_failed"}


def test_a_private_address_is_refused_unless_the_operator_allows_it(mail: MailServer) -> None:
    outage = outage_of(config_for(mail), nets=())
    assert outage.code == "blocked"
    assert "EGRESS_ALLOW_NETS" in outage.message


def test_a_host_that_is_not_there_is_an_outage(mail: MailServer) -> None:
    assert outage_of(config_for(mail, host="no-such-host.invalid")).code == "dns"
    assert "refused the connection" in outage_of(config_for(mail, port=1)).message


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    begun = monotonic()
    with silent_server() as port:
        outage = outage_of(config_for(MailServer(port=port)), limits=IMPATIENT)
    assert outage.code == "timeout" or "in time" in outage.message
    assert monotonic() - begun <= IMPATIENT.connect_s + 1


def test_a_server_that_drips_is_given_up_at_the_deadline() -> None:
    with dripping_server() as port:
        begun = monotonic()
        outage = outage_of(config_for(MailServer(port=port)), limits=IMPATIENT)
    assert "in time" in outage.message
    assert monotonic() - begun <= IMPATIENT.connect_s + 1


@contextmanager
def dripping_server() -> Iterator[int]:
    """A greeting that never ends: one letter every tenth of a second."""
    done = threading.Event()

    def drip(server: socket.socket) -> None:
        client, _ = server.accept()
        with client:
            while not done.wait(0.1):
                try:
                    client.send(b"2")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        done.set()
        thread.join(timeout=5)


# --- outboxes --------------------------------------------------------------------------------------------------------
def test_an_outbox_keeps_each_message_once_however_often_it_is_sent(tmp_path: Path) -> None:
    config = config_for(MailServer(port=25), delivery="folder", host="", folder="out/mail")
    for _ in range(2):
        with opened(config, tmp_path) as connector:
            target = connector.open_import(EmailImportOptions.model_validate(PLAIN))
            assert target.repeats is Repeats.SAFE
            written = target.write(batch_of(people(2)))
    kept = sorted((tmp_path / "7" / "out" / "mail").iterdir())
    assert [path.suffix for path in kept] == [".eml", ".eml"]
    assert written.answers[0]["reply"].startswith("kept as out/mail/")


def test_an_outbox_on_the_console_shows_messages(capsys: pytest.CaptureFixture[str]) -> None:
    with opened(config_for(MailServer(port=25), delivery="console", host="")) as connector:
        connector.open_import(EmailImportOptions.model_validate(PLAIN)).write(batch_of(people(1)))
    shown = capsys.readouterr().out
    assert "e-mail to person1@example.org" in shown
    assert "Dear Person 1" in shown


def test_smtp_says_that_a_repeat_happens_twice(mail: MailServer) -> None:
    with opened(config_for(mail)) as connector:
        assert connector.open_import(EmailImportOptions.model_validate(PLAIN)).repeats is Repeats.UNSAFE


@pytest.mark.parametrize("fields", [{"text": ""}, {"columns": ["id"]}, {"to": ""}, {"subject": "{{ nothing }}"}])
def test_a_step_that_could_send_nothing_is_refused(fields: Record) -> None:
    with pytest.raises(ValidationError):
        EmailImportOptions.model_validate({**PLAIN, **fields})
