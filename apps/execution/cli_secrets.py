"""Secrets for connections from a prompt, a file or the environment: never from the command line itself.

What stands on a command line stays in the shell's history and can be seen by every user of the machine.
"""

import os
import sys
from collections.abc import Callable, Sequence
from getpass import getpass
from pathlib import Path

from django.core.management.base import CommandError


def read_secret_values(given: Sequence[str], ask: Callable[[str], str] = getpass) -> dict[str, str]:
    """The secrets by field: `password` asks, `password=@file` reads a file, `password=env:NAME` a variable."""
    return dict(read_secret(text, ask) for text in given)


def read_secret(text: str, ask: Callable[[str], str]) -> tuple[str, str]:
    field, equals, source = text.partition("=")
    if not equals:
        return field, asked(field, ask)
    if source.startswith("@"):
        return field, from_file(field, source[1:])
    if source.startswith("env:"):
        return field, from_environment(field, source.removeprefix("env:"))
    raise CommandError(
        f"The secret {field} must not stand on the command line, where others can read it. Write --secret {field} "
        f"to be asked for it, --secret {field}=@FILE or --secret {field}=env:NAME."
    )


def asked(field: str, ask: Callable[[str], str]) -> str:
    if not sys.stdin.isatty() and ask is getpass:
        raise CommandError(
            f"There is no terminal to ask for {field} on: use --secret {field}=@FILE or {field}=env:NAME."
        )
    return some(field, ask(f"{field}: "), "nothing was typed")


def from_file(field: str, name: str) -> str:
    try:
        return some(field, Path(name).read_text().rstrip("\r\n"), f"the file {name} is empty")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
        raise CommandError(f"The secret {field} cannot be read from {name}: {why}.") from None


def from_environment(field: str, name: str) -> str:
    return some(field, os.environ.get(name, ""), f"the variable {name} is not set")


def some(field: str, value: str, why: str) -> str:
    if not value:
        raise CommandError(f"The secret {field} is empty: {why}.")
    return value
