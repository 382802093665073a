"""The arguments of `manage.py flow`, each with a sentence for what it cannot read."""

import json
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils.dateparse import parse_date, parse_datetime


def time_argument(text: str) -> datetime:
    """A time, or a date for its first moment; without a zone where none is named."""
    try:
        day = parse_date(text)
        found = datetime(day.year, day.month, day.day) if day else parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no time: write 2026-01-31T08:00:00Z or 2026-01-31.")
    return found


def json_argument(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ArgumentTypeError(f"this is not JSON ({error}); a text needs its quotes: '\"2026-01-31\"'.") from None
    if value is None:
        raise ArgumentTypeError("to forget the checkpoint use --clear.")
    return value


def parameter_argument(text: str) -> tuple[str, Any]:
    """`name=value`; the value is read as JSON where it is JSON, else it is text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ArgumentTypeError(f"{text!r} is no parameter: write name=value.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def count_argument(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 10_000:
        raise ArgumentTypeError("write a number from 1 to 10000.")
    return int(text)


def key_argument(parser: CommandParser) -> None:
    parser.add_argument("key", metavar="KEY", help="The flow's key.")


def apply_arguments(parser: CommandParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="YAML files; - reads the input.")
    parser.add_argument("--expect-revision", type=int, help="Refuse if the flow is at another revision by now.")


def export_arguments(parser: CommandParser) -> None:
    key_argument(parser)
    parser.add_argument("--revision", type=int, help="An older revision; the current one if left out.")


def run_arguments(parser: CommandParser) -> None:
    key_argument(parser)
    parser.add_argument("--wait", action="store_true", help="Watch the run until it ends.")
    parser.add_argument("--here", action="store_true", help="Do the work in this process, and watch it.")
    parser.add_argument("--from", dest="start", type=time_argument, help="Begin of the window (ISO time).")
    parser.add_argument("--to", dest="end", type=time_argument, help="End of the window (ISO time).")
    parser.add_argument("--param", action="append", default=[], type=parameter_argument, metavar="NAME=VALUE",
                        help="What expressions read as run.parameters.NAME; may be repeated.")  # fmt: skip


def cancel_arguments(parser: CommandParser) -> None:
    parser.add_argument("run", metavar="RUN", help="The run, such as r-12.")


def errors_arguments(parser: CommandParser) -> None:
    key_argument(parser)
    parser.add_argument("--step", help="Only the errors of this step.")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--open", action="store_true", help="Open errors (what is shown anyway).")
    which.add_argument("--resolved", action="store_true", help="Resolved errors.")
    parser.add_argument("--limit", type=count_argument, default=50, help="How many at most (50).")


def checkpoint_arguments(parser: CommandParser) -> None:
    key_argument(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--set", type=json_argument, metavar="JSON", help="Set it to this value.")
    which.add_argument("--clear", action="store_true", help="Forget it: the next run exports from the beginning.")


def address_arguments(parser: CommandParser) -> None:
    key_argument(parser)
    parser.add_argument("--renew", action="store_true", help="Make a new address; the one before stops working.")


def send_arguments(parser: CommandParser) -> None:
    key_argument(parser)
    parser.add_argument("file", metavar="FILE", help="A JSON object or array of objects; - reads the input.")


def no_arguments(parser: CommandParser) -> None:
    """`flow list` takes nothing of its own."""


ARGUMENTS: dict[str, Callable[[CommandParser], None]] = {
    "apply": apply_arguments,
    "export": export_arguments,
    "list": no_arguments,
    "run": run_arguments,
    "cancel": cancel_arguments,
    "errors": errors_arguments,
    "checkpoint": checkpoint_arguments,
    "address": address_arguments,
    "send": send_arguments,
}
