"""Ways to get a message out: what became of it, and the way over SMTP."""

import re
import smtplib
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from apps.connectors.base import Limits, Surroundings
from apps.connectors.egress import Egress, EgressRefusedError, ResolveError
from apps.connectors.email_messages.config import EmailConfig
from apps.connectors.email_messages.message import Letter
from apps.connectors.email_messages.wire import TimedSmtp, tls_context
from apps.connectors.redaction import redact
from apps.engine.ports import Classification, ErrorSource, Outage, Repeats

CLOSING = 421
LONGEST_REPLY = 500
_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")
_LEADING_DOTS = re.compile(rb"(?m)^\.")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class Fate(StrEnum):
    """What became of a message."""

    SENT = "sent"
    REFUSED = "refused"  # a definite no: it was not accepted and will not be
    PUT_OFF = "put off"  # not accepted now; the server's word concerns this message
    NOT_SENT = "not sent"  # the connection or the server as a whole: nothing of it was accepted
    UNKNOWN = "unknown"  # everything was sent, and no answer came


@dataclass(frozen=True, slots=True)
class Outcome:
    """The fate of one message; `code` and `reply` are the server's, `recipient` the one that it speaks of."""

    fate: Fate
    code: int = 0
    reply: str = ""
    recipient: str = ""


class Post(Protocol):
    """A way to get messages out."""

    repeats: Repeats

    def deliver(self, letter: Letter) -> Outcome:
        """Raises Outage when there is no way to send now, ConnectorError for what will not pass by itself."""

    def check(self) -> str:
        """Try the way without a message; what was found, as a sentence. Raises like `deliver`."""

    def close(self) -> None: ...


class SmtpPost:
    """Sends over one connection, opened by the first message and kept until `close`."""

    repeats = Repeats.UNSAFE

    def __init__(self, config: EmailConfig, surroundings: Surroundings) -> None:
        self._config = config
        self._limits: Limits = config.limits(surroundings.limits)
        self._egress = Egress(surroundings.allow_nets)
        self._smtp: TimedSmtp | None = None
        self._sent = 0

    def deliver(self, letter: Letter) -> Outcome:
        """A server that closes a connection after some messages gets another one."""
        outcome = self._deliver(letter)
        if outcome.fate is Fate.NOT_SENT and self._smtp is None and self._sent:
            outcome = self._deliver(letter)
        return outcome

    def check(self) -> str:
        smtp = self._opened()
        under = f" under {smtp.tls_version()}" if smtp.tls_version() else " without encryption"
        signed = f", signed in as {self._config.user}" if self._config.user else ""
        return f"Connected to {self._place()}{under}{signed}. It takes messages."

    def close(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            with suppress(OSError, smtplib.SMTPException):
                smtp.deadline.step_s = min(1.0, smtp.deadline.step_s)
                smtp.quit()
            smtp.close()

    # --- one message -------------------------------------------------------------------------------------------------
    def _deliver(self, letter: Letter) -> Outcome:
        smtp = self._opened()
        smtp.allow_message()
        try:
            refused = self._envelope(smtp, letter)
            if refused is not None:
                return refused
            smtp.send(_LEADING_DOTS.sub(b"..", letter.content))
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            return Outcome(Fate.NOT_SENT, reply=in_words(error))
        return self._end(smtp)

    def _envelope(self, smtp: TimedSmtp, letter: Letter) -> Outcome | None:
        """Sender, recipients and the beginning of the data; None if all were accepted, else nothing is sent to any."""
        outcome = self._judged(smtp.mail(letter.sender), concerns_message=False)
        for recipient in letter.recipients if outcome is None else ():
            outcome = self._judged(smtp.rcpt(recipient), recipient)
            if outcome is not None:
                break
        if outcome is None:
            code, text = smtp.docmd("DATA")
            outcome = None if code == 354 else self._judged((code, text)) or self._no_data(code, text)
        if outcome is not None and self._smtp is not None:
            smtp.rset()
        return outcome

    def _end(self, smtp: TimedSmtp) -> Outcome:
        """From the final dot on the message may have arrived, whatever happens to the connection."""
        try:
            smtp.send(b".\r\n")
            code, text = smtp.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            return Outcome(Fate.UNKNOWN, reply=in_words(error))
        refused = self._judged((code, text))
        if refused is not None:
            return refused
        self._sent += 1
        return Outcome(Fate.SENT, code, self._reply(text))

    def _judged(
        self, answer: tuple[int, bytes], recipient: str = "", *, concerns_message: bool = True
    ) -> Outcome | None:
        """None for a yes (2xx). Anything that SMTP does not know counts as put off."""
        code, text = answer
        if 200 <= code < 300:
            return None
        if code == CLOSING:
            self._drop()
            return Outcome(Fate.NOT_SENT, code, self._reply(text))
        if 500 <= code < 600:
            return Outcome(Fate.REFUSED, code, self._reply(text), recipient)
        fate = Fate.PUT_OFF if concerns_message else Fate.NOT_SENT
        return Outcome(fate, code, self._reply(text), recipient)

    def _no_data(self, code: int, text: bytes) -> Outcome:
        return Outcome(Fate.REFUSED, code, self._reply(text))

    def _reply(self, text: bytes) -> str:
        """The server's words on one line; a server that repeats the password does not get it into an error."""
        line = _CONTROL.sub(" ", text.decode("utf-8", "replace")).strip()[:LONGEST_REPLY]
        password = self._config.password
        return str(redact(line, [password.get_secret_value()])) if password else line

    # --- the connection ----------------------------------------------------------------------------------------------
    def _opened(self) -> TimedSmtp:
        if self._smtp is None:
            self._sent = 0
            self._smtp = self._open()
        return self._smtp

    def _open(self) -> TimedSmtp:
        config = self._config
        try:
            addresses = self._egress.addresses(config.host, config.port_number, self._limits.connect_s)
        except ResolveError as error:
            raise self._outage("dns", str(error)) from error
        except EgressRefusedError as error:
            raise self._outage("blocked", str(error)) from error
        return self._first_that_opens(addresses)

    def _first_that_opens(self, addresses: Iterable[str]) -> TimedSmtp:
        last: Outage | None = None
        for address in addresses:
            try:
                return self._open_at(address)
            except ssl.SSLError as error:
                raise self._outage("tls", f"its encryption was refused: {in_words(error)}") from error
            except Outage:
                raise
            except (OSError, smtplib.SMTPException) as error:
                last = self._outage(code_of(error), self._words_of(error))
        assert last is not None, "a host has at least one address"
        raise last

    def _open_at(self, address: str) -> TimedSmtp:
        config = self._config
        name = socket.gethostname()
        own_name = name if _HOST_NAME.fullmatch(name) else "localhost"
        smtp = TimedSmtp(config.host, address, self._limits, tls_context(config.ca), own_name=own_name)
        try:
            smtp.greet(config.port_number, is_tls=config.security == "tls")
            smtp.ehlo_or_helo_if_needed()
            if config.security == "starttls":
                self._encrypt(smtp)
            if config.user and config.password:
                smtp.login(config.user, config.password.get_secret_value())
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _encrypt(self, smtp: TimedSmtp) -> None:
        if not smtp.has_extn("starttls"):
            text = "it does not offer STARTTLS, and nothing is sent to it unencrypted. Choose another encryption."
            raise self._outage("tls", text)
        smtp.encrypt()
        smtp.ehlo()

    def _outage(self, code: str, why: str) -> Outage:
        text = f"The mail server {self._place()} could not be used: {why.rstrip('.')}."
        return Outage(code, text, classification=Classification.CONNECTION, source=ErrorSource.CONNECTION)

    def _words_of(self, error: Exception) -> str:
        if isinstance(error, smtplib.SMTPAuthenticationError):
            return f"it refused the sign-in: {error.smtp_code} {self._reply(as_bytes(error.smtp_error))}"
        if isinstance(error, smtplib.SMTPResponseException):
            return f"it answered {error.smtp_code} {self._reply(as_bytes(error.smtp_error))}"
        return in_words(error)

    def _place(self) -> str:
        return f"{self._config.host}:{self._config.port_number}"

    def _drop(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None


def as_bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def code_of(error: Exception) -> str:
    """A word of ours, or the server's own number."""
    if isinstance(error, smtplib.SMTPResponseException):
        return str(error.smtp_code)
    return "timeout" if isinstance(error, TimeoutError) else "connection_failed"


def in_words(error: Exception) -> str:
    """What went wrong with a connection, without the words of a program."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate was not accepted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "TLS could not be agreed on with it"
    if isinstance(error, TimeoutError) or "timed out" in str(error) or "deadline" in str(error):
        return "it did not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "it refused the connection"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "it offers no way to sign in that Flowmend knows"
    if isinstance(error, OSError) and error.strerror and not isinstance(error, smtplib.SMTPException):
        return error.strerror
    return "the connection was closed"
