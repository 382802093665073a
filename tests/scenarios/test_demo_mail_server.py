"""The demo's mail server, spoken to as any client would: what it takes, what it refuses, and where it ends."""

import asyncio
from pathlib import Path

import pytest

from apps.execution.demo import mail_server
from apps.execution.demo.mail_server import CLOSED, LARGEST_BYTES, start_mail_server


def conversation(folder: Path, *said: bytes) -> list[str]:
    """The answers to what is said, each without its line end; "" where the server has hung up."""

    async def talk() -> list[str]:
        server = await start_mail_server(0, folder)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        answers = []
        async with server, asyncio.timeout(20):
            for line in (b"", *said):
                writer.write(line)
                await writer.drain()
                answers.append((await answer_of(reader)).decode())
            writer.close()
        return answers[1:]

    return asyncio.run(talk())


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readline()
    while line[3:4] == b"-":
        line = await reader.readline()
    return line.rstrip()


HELLO, FROM, TO = b"EHLO client\r\n", b"MAIL FROM:<shop@example.org> SIZE=20\r\n", b"RCPT TO:<ann@example.org>\r\n"


def test_a_message_is_kept_whole_in_a_file_of_its_own(tmp_path: Path) -> None:
    content = b"Subject: Hello\r\n\r\n..one dot at the start\r\n.\r\n"
    answers = conversation(tmp_path, HELLO, FROM, TO, b"DATA\r\n", content, b"QUIT\r\n")
    assert [answer[:3] for answer in answers] == ["250", "250", "250", "354", "250", "221"]
    (path,) = tmp_path.iterdir()
    assert path.suffix == ".eml"
    assert path.read_bytes() == b"Subject: Hello\r\n\r\n.one dot at the start\r\n"


def test_a_closed_mailbox_is_refused_and_the_next_recipient_is_not(tmp_path: Path) -> None:
    gone = f"RCPT TO:<{min(CLOSED).upper()}>\r\n".encode()
    answers = conversation(tmp_path, HELLO, FROM, gone, TO)
    assert answers[2].startswith("550 5.1.1")
    assert answers[3] == "250 OK"


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ([b"HELO client\r\n"], "250"),
        ([b"NOOP\r\n"], "250"),
        ([b"VRFY ann\r\n"], "502"),
        ([b"\r\n"], "502"),
        ([b"\xff\xfe\r\n"], "502"),
        ([b"RCPT TO:<ann@example.org>\r\n"], "503"),
        ([b"MAIL shop@example.org\r\n"], "501"),
        ([FROM, b"RCPT TO:<>\r\n"], "501"),
        ([FROM, b"DATA\r\n"], "503"),
        ([FROM, TO, b"RSET\r\n", b"DATA\r\n"], "503"),
    ],
)
def test_what_is_out_of_order_is_refused_and_the_conversation_goes_on(
    tmp_path: Path, said: list[bytes], answer: str
) -> None:
    *_, last, still_there = conversation(tmp_path, *said, b"NOOP\r\n")
    assert (last[:3], still_there) == (answer, "250 OK")


def test_a_message_that_is_too_large_is_refused_and_not_kept(tmp_path: Path) -> None:
    content = (b"x" * 998 + b"\r\n") * (LARGEST_BYTES // 1000 + 1) + b".\r\n"
    answers = conversation(tmp_path, HELLO, FROM, TO, b"DATA\r\n", content, b"NOOP\r\n")
    assert [answer[:3] for answer in answers[-2:]] == ["552", "250"]
    assert not list(tmp_path.iterdir())


def test_a_line_without_an_end_ends_the_conversation(tmp_path: Path) -> None:
    assert conversation(tmp_path, b"x" * 100_000) == [""]


def test_a_client_that_says_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_server, "PATIENCE_S", 0.05)
    assert conversation(tmp_path, b"") == [""]
