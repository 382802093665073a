"""Outboxes: messages that are kept in a folder or shown, instead of being sent."""

import os
import sys
from hashlib import sha256

from apps.connectors.base import Surroundings
from apps.connectors.email_messages.config import EmailConfig
from apps.connectors.email_messages.message import Letter
from apps.connectors.email_messages.post import Fate, Outcome
from apps.connectors.files.faults import file_fault
from apps.connectors.files.parts import write_beside
from apps.connectors.files.root import Root
from apps.engine.ports import Repeats


class FolderPost:
    """One .eml file for each message, named by its Message-ID: the same message again is the same file."""

    repeats = Repeats.SAFE

    def __init__(self, config: EmailConfig, surroundings: Surroundings) -> None:
        self._base = surroundings.files_root / str(surroundings.account)
        self._folder = config.folder or "outbox"
        self._root: Root | None = None

    def deliver(self, letter: Letter) -> Outcome:
        name = f"{sha256(letter.message_id.encode()).hexdigest()[:32]}.eml"
        try:
            with self._opened().directory([]) as fd:
                os.rename(write_beside(fd, name, [letter.content]), name, src_dir_fd=fd, dst_dir_fd=fd)
                os.fsync(fd)
        except OSError as error:
            raise file_fault(error, "The message", "kept") from error
        return Outcome(Fate.SENT, reply=f"kept as {self._folder}/{name}")

    def check(self) -> str:
        try:
            with self._opened().directory([]) as fd:
                kept = sum(name.endswith(".eml") for name in os.listdir(fd))
        except OSError as error:
            raise file_fault(error, f"The folder {self._folder}", "opened") from error
        return f"Messages are kept in the folder {self._folder}, which holds {kept} of them; none is sent."

    def close(self) -> None:
        if self._root is not None:
            self._root.close()
            self._root = None

    def _opened(self) -> Root:
        if self._root is None:
            self._root = Root(self._base, self._folder, create=True)
        return self._root


class ConsolePost:
    """Messages are written to the output of the worker."""

    repeats = Repeats.SAFE

    def deliver(self, letter: Letter) -> Outcome:
        text = letter.content.decode("ascii", "replace").replace("\r\n", "\n")
        sys.stdout.write(f"--- e-mail to {', '.join(letter.recipients)}\n{text}\n---\n")
        sys.stdout.flush()
        return Outcome(Fate.SENT, reply="shown")

    def check(self) -> str:
        return "Messages are shown in the output of the worker; none is sent."

    def close(self) -> None:
        """Nothing is held open."""
