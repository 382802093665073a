"""A real SMTP server on loopback with a list inside; `faults` make it refuse, hang, or go away at a given place."""

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

logging.getLogger("mail.log").setLevel(logging.CRITICAL)

Fault = Callable[["MailServer", Any], str | None]
"""Looks at what came (the recipient, or the message) and says what the server answers; None: what it always does."""


@dataclass(frozen=True)
class Taken:
    """A message that the server accepted."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=default)  # type: ignore[return-value]

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def identity(self) -> str:
        return str(self.message["Message-ID"])


@dataclass
class MailServer:
    """`faults` by the command at which they strike: MAIL, RCPT, DATA, or END for the time after the final dot."""

    host: str = "127.0.0.1"
    port: int = 0
    taken: list[Taken] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    connections: int = 0
    user: tuple[str, str] | None = None

    @property
    def subjects(self) -> list[str]:
        return [taken.subject for taken in self.taken]

    @contextmanager
    def running(self, *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None) -> Iterator[None]:
        more: dict[str, Any] = {"tls_context": starttls, "require_starttls": starttls is not None}
        if self.user is not None:
            more |= {"authenticator": self._authenticate, "auth_required": True, "auth_require_tls": tls is None}
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        opening = loop.create_server(lambda: SMTP(Handler(self), loop=loop, **more), self.host, 0, ssl=tls)
        server = asyncio.run_coroutine_threadsafe(opening, loop).result(timeout=10)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            loop.call_soon_threadsafe(server.close)
            asyncio.run_coroutine_threadsafe(cancel_all(), loop).result(timeout=10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout=10)
            loop.close()

    def _authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == self.user
        return AuthResult(success=good, handled=good)

    def fault(self, command: str, given: Any) -> str | None:
        strike = self.faults.get(command)
        return strike(self, given) if strike else None


async def cancel_all() -> None:
    """End the connections that hang."""
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Handler:
    """What aiosmtpd asks at each command."""

    def __init__(self, mail: MailServer) -> None:
        self.mail = mail

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str, responses: Any) -> Any:
        self.mail.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        said = await self._struck("MAIL", server, address)
        if said is None:
            envelope.mail_from = address
        return said or "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        said = await self._struck("RCPT", server, address)
        if said is None:
            envelope.rcpt_tos.append(address)
        return said or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        taken = Taken(envelope.mail_from, tuple(envelope.rcpt_tos), bytes(envelope.content))
        said = await self._struck("DATA", server, taken)
        if said is not None:
            return said
        self.mail.taken.append(taken)
        return await self._struck("END", server, taken) or "250 Message accepted"

    async def _struck(self, command: str, server: Any, given: Any) -> str | None:
        said = self.mail.fault(command, given)
        if said == "hang":
            await asyncio.sleep(30)
        elif said == "drop":
            server.transport.abort()
        return said


def once(answer: str) -> Fault:
    """Strikes the first time only."""
    left = [answer]
    return lambda mail, given: left.pop() if left else None


def always(answer: str) -> Fault:
    return lambda mail, given: answer


def for_recipient(address: str, answer: str) -> Fault:
    return lambda mail, given: answer if given == address else None
