"""What the commands of `manage.py` share: which account, how to answer, and a sentence instead of a trace."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error as DatabaseError
from django.utils.text import slugify

from apps.accounts.models import Account
from apps.engine.ports import ConnectorError
from apps.flows.definition import Mistake, MistakesError
from apps.flows.definition.mistakes import did_you_mean
from apps.flows.models import Flow
from apps.runs.services import RunRefused

Options = Mapping[str, Any]
Row = dict[str, Any]


class AccountCommand(BaseCommand):
    """A command with subcommands that each work within one account.

    A subcommand is a method that takes the account and the options; its answer goes out by `answer`. Exit status: 0
    done, 1 refused or failed (a sentence on the error output), 2 wrong usage.
    """

    def subcommands(self) -> Mapping[str, Callable[[Account, Options], None]]:
        raise AssertionError("every command names its subcommands")

    def fill(self, name: str, parser: CommandParser) -> None:
        """Add the arguments of a subcommand."""

    def add_arguments(self, parser: CommandParser) -> None:
        inner = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        for name, method in self.subcommands().items():
            sentence = (method.__doc__ or "").split("\n")[0]
            one = inner.add_parser(name, help=sentence, description=sentence)
            one.add_argument("--account", help="Name or number of the account; not needed while there is only one.")
            one.add_argument("--json", action="store_true", help="Answer with JSON.")
            self.fill(name, one)

    def handle(self, *args: Any, **options: Any) -> None:
        self.as_json = bool(options["json"])
        try:
            self.subcommands()[options["act"]](chosen_account(options["account"]), options)
        except (RunRefused, ConnectorError) as error:
            raise CommandError(str(error)) from error
        except MistakesError as error:
            raise CommandError("\n".join(map(str, error.mistakes))) from error
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader of our output (head, less) has gone
        except DatabaseError as error:
            raise CommandError(f"Flowmend's own database does not answer as it should: {first_line(error)}. "
                               "Is it running, and is manage.py migrate done?") from error  # fmt: skip

    def answer(self, data: Any, lines: Sequence[str]) -> None:
        """Write the data as JSON if that was asked for, else the lines."""
        if self.as_json:
            self.stdout.write(json.dumps(data, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False))
        else:
            for line in lines:
                self.stdout.write(line)


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def chosen_account(text: str | None) -> Account:
    """The account that was named by number or name, or the only one. Raises CommandError."""
    accounts = list(Account.objects.filter(closed_at__isnull=True).order_by("pk"))
    if not accounts:
        raise CommandError("There is no account yet. Start the product once (manage.py up), or make one in the admin.")
    if text is None:
        if len(accounts) == 1:
            return accounts[0]
        raise CommandError(f"There are several accounts: say which with --account. {named(accounts)}")
    for account in accounts:
        if text in {str(account.pk), account.name, slugify(account.name)}:
            return account
    raise CommandError(f"There is no account {text}. {named(accounts)}")


def named(accounts: Sequence[Account]) -> str:
    shown = ", ".join(f"{account.pk} ({account.name})" for account in accounts[:20])
    return f"There {'is' if len(accounts) == 1 else 'are'} {shown}."


def chosen_flow(account: Account, key: str) -> Flow:
    """Raises CommandError with the flows that come closest."""
    flows = Flow.objects.of(account).filter(removed_at__isnull=True).select_related("integration", "revision")
    flow = flows.filter(key=key).first() if "\x00" not in key else None
    if flow is None:
        hint = did_you_mean(key, flows.values_list("key", flat=True))
        raise CommandError(f"There is no flow {key} in the account {account.name}" + (f" ({hint})." if hint else "."))
    flow.account = account
    return flow


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text in aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def mistake_line(name: str, mistake: Mistake) -> str:
    """`file:line place: message (hint)`."""
    return f"{name}:{mistake.line} {mistake}" if mistake.line else f"{name}: {mistake}"
