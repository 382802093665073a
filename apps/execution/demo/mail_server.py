"""The mail server of the demo's shop: a small part of SMTP (RFC 5321), on loopback, into a folder.

Every message that it takes becomes one .eml file. Mailboxes that were closed are refused, as real servers do.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

CLOSED = frozenset({"former.owner@stationgarage.example.org", "a.long.gone@alderarchitects.example.org"})
"""Mailboxes that there once were."""
LARGEST_BYTES = 1_000_000
LONGEST_LINE = 2_000
MOST_RECIPIENTS = 100
PATIENCE_S = 60.0
END_OF_LINE = b"\r\n"


class HungUp(Exception):  # noqa: N818 (an end of a conversation, not a mistake)
    """The client is gone, silent for too long, or talks without an end."""


@dataclass
class Conversation:
    """One connection: the envelope so far, and where messages are kept."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    folder: Path
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)
    is_over: bool = False

    async def run(self) -> None:
        self.say("220 demo shop ESMTP")
        try:
            while not self.is_over:
                await self.writer.drain()
                verb, _, rest = (await self.line()).decode("utf-8", "replace").strip().partition(" ")
                if verb.upper() == "DATA" and self.recipients:
                    await self.take_message()
                else:
                    self.say(self.answer(verb.upper(), rest))
            await self.writer.drain()
        except (HungUp, ConnectionError):
            pass
        finally:
            self.writer.close()

    def say(self, text: str) -> None:
        self.writer.write(text.encode() + END_OF_LINE)

    async def line(self) -> bytes:
        """The next line without its end. Raises HungUp."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return (await self.reader.readuntil(END_OF_LINE))[: -len(END_OF_LINE)]
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise HungUp from error

    # --- commands ----------------------------------------------------------------------------------------------------
    def answer(self, verb: str, rest: str) -> str:
        command = COMMANDS.get(verb)
        return command(self, rest) if command else f"502 {verb[:20]} is no command that this server knows"

    def hello(self, rest: str) -> str:
        self.forget()
        return "250 demo shop"

    def extended_hello(self, rest: str) -> str:
        self.forget()
        return f"250-demo shop\r\n250 SIZE {LARGEST_BYTES}"

    def mail_from(self, rest: str) -> str:
        address = address_in(rest, "FROM:")
        if address is None:
            return "501 MAIL FROM:<address> is needed"
        self.forget()
        self.sender = address
        return "250 OK"

    def recipient(self, rest: str) -> str:
        address = address_in(rest, "TO:")
        if self.sender is None:
            return "503 MAIL comes first"
        if not address or "@" not in address:
            return "501 RCPT TO:<address> is needed"
        if address.lower() in CLOSED:
            return f"550 5.1.1 <{address}>: this mailbox was closed"
        if len(self.recipients) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        self.recipients.append(address)
        return "250 OK"

    def no_recipient(self, rest: str) -> str:
        return "503 RCPT comes first"

    def reset(self, rest: str) -> str:
        self.forget()
        return "250 OK"

    def nothing(self, rest: str) -> str:
        return "250 OK"

    def quit(self, rest: str) -> str:
        self.is_over = True
        return "221 Bye"

    def forget(self) -> None:
        self.sender, self.recipients = None, []

    # --- messages ----------------------------------------------------------------------------------------------------
    async def take_message(self) -> None:
        """A message that is too large is read to its end and refused; one without an end ends the conversation."""
        self.say("354 End with a line of one dot")
        await self.writer.drain()
        lines: list[bytes] = []
        size = 0
        while (line := await self.line()) != b".":
            size += len(line) + len(END_OF_LINE)
            if size > 10 * LARGEST_BYTES:
                raise HungUp
            if size <= LARGEST_BYTES:
                lines.append(line.removeprefix(b"."))
        if size > LARGEST_BYTES:
            self.say(f"552 5.3.4 A message has at most {LARGEST_BYTES} bytes")
        else:
            self.say(f"250 2.0.0 Kept as {keep(self.folder, END_OF_LINE.join([*lines, b'']))}")
        self.forget()


COMMANDS: dict[str, Callable[[Conversation, str], str]] = {
    "HELO": Conversation.hello,
    "EHLO": Conversation.extended_hello,
    "MAIL": Conversation.mail_from,
    "RCPT": Conversation.recipient,
    "DATA": Conversation.no_recipient,
    "RSET": Conversation.reset,
    "NOOP": Conversation.nothing,
    "QUIT": Conversation.quit,
}


def address_in(rest: str, word: str) -> str | None:
    """`a@b.org` of `FROM:<a@b.org> SIZE=9`; "" for `<>`; None where there is none."""
    text = rest.strip()
    if not text.upper().startswith(word):
        return None
    address, bracket, _ = text[len(word) :].lstrip().removeprefix("<").partition(">")
    return address if bracket and address.isprintable() and " " not in address else None


def keep(folder: Path, content: bytes) -> str:
    """The name of the new file, which holds the whole message as soon as it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid4().hex
    (folder / f"{name}.part").write_bytes(content)
    (folder / f"{name}.part").rename(folder / f"{name}.eml")
    return f"{name}.eml"


async def start_mail_server(port: int, folder: Path) -> asyncio.Server:
    """Listens on loopback; port 0 takes a free one."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Conversation(reader, writer, folder).run()

    return await asyncio.start_server(converse, "127.0.0.1", port, limit=LONGEST_LINE)
