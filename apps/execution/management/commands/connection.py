"""`manage.py connection`: list, set and test connections."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from apps.accounts.models import Account
from apps.core.crypto import SecretUnreadableError
from apps.execution.cli import AccountCommand, Options, table
from apps.execution.cli_facts import connection_row
from apps.execution.cli_secrets import read_secret_values
from apps.flows.definition import MistakesError
from apps.flows.definition.document import read_document
from apps.flows.definition.mistakes import did_you_mean
from apps.flows.models import Connection, Environment
from apps.flows.secrets import secret_names
from apps.flows.services import set_connection
from apps.runs.trying import try_connection


class Command(AccountCommand):
    help = "Lists, sets and tests connections. Secrets are read from a prompt, a file or the environment."

    def subcommands(self) -> Mapping[str, Any]:
        return {"list": self.list_connections, "set": self.set_one, "test": self.test}

    def fill(self, name: str, parser: CommandParser) -> None:
        if name == "list":
            return
        parser.add_argument("name", metavar="NAME", help="The connection's name.")
        parser.add_argument("--environment", choices=Environment.values, default=Environment.PRODUCTION.value)
        if name == "set":
            set_arguments(parser)

    def list_connections(self, account: Account, options: Options) -> None:
        """List the account's connections, their secrets by name only."""
        found = Connection.objects.of(account).order_by("environment", "name")
        rows = [connection_row(connection, names_of_secrets(connection)) for connection in found]
        head = ["CONNECTION", "ENVIRONMENT", "KIND", "STATE", "SECRETS"]
        cells = [[r["name"], r["environment"], r["kind"], r["state"], ", ".join(r["secrets"]) or "-"] for r in rows]
        nothing = "There is no connection yet: manage.py connection set NAME --kind KIND"
        self.answer(rows, table([head, *cells]) if rows else [nothing])

    def set_one(self, account: Account, options: Options) -> None:
        """Make a connection, or change some of its fields and secrets."""
        present = find(account, options)
        kind = options["kind"] or (present.kind if present else None)
        if kind is None:
            raise CommandError(f"There is no connection {options['name']} yet: say its kind with --kind.")
        connection = set_connection(
            account=account,
            name=options["name"],
            kind=kind,
            config=config_of(options, present),
            secrets=read_secret_values(options["secret"]),
            environment=options["environment"],
        )
        word = "changed" if present else "made"
        row = connection_row(connection, names_of_secrets(connection))
        self.answer(row, [f"{connection.name} ({connection.kind}, {connection.environment}) is {word}."])

    def test(self, account: Account, options: Options) -> None:
        """Try a connection for up to 10 seconds; the exit status is 1 if it does not answer."""
        connection = find(account, options)
        if connection is None:
            names = Connection.objects.of(account).filter(environment=options["environment"])
            hint = did_you_mean(options["name"], names.values_list("name", flat=True))
            missing = f"There is no connection {options['name']} in the environment {options['environment']}"
            raise CommandError(missing + (f" ({hint})." if hint else "."))
        ping = try_connection(connection=connection)
        facts = {
            "connection": connection.name,
            "ok": ping.is_ok,
            "tried": ping.tried,
            "found": ping.found,
            "ms": ping.ms,
        }
        word = "answers" if ping.is_ok else "does not answer"
        self.answer(facts, [f"{connection.name} {word} ({ping.ms} ms). {ping.tried.rstrip('.')}: {ping.found}"])
        if not ping.is_ok:
            raise SystemExit(1)


def set_arguments(parser: CommandParser) -> None:
    parser.add_argument("--kind", help="The connector, such as sql or file; not needed for a change.")
    parser.add_argument(
        "--config", action="append", default=[], metavar="FIELD=VALUE", help="A field; may be repeated."
    )
    parser.add_argument("--config-file", metavar="FILE", help="All fields, as YAML or JSON.")
    parser.add_argument("--secret", action="append", default=[], metavar="FIELD[=@FILE|=env:NAME]",
                        help="A secret: asked for, or read from a file or a variable; may be repeated.")  # fmt: skip


def find(account: Account, options: Options) -> Connection | None:
    if "\x00" in options["name"]:
        return None
    return Connection.objects.of(account).filter(environment=options["environment"], name=options["name"]).first()


def names_of_secrets(connection: Connection) -> list[str]:
    try:
        return secret_names(connection)
    except SecretUnreadableError:
        return ["unreadable with the keys in FIELD_KEYS"]


def config_of(options: Options, present: Connection | None) -> dict[str, Any]:
    """A file replaces all fields, single fields are added to what is there; `FIELD=` takes one away."""
    if options["config_file"] is not None:
        config = config_in(options["config_file"])
    else:
        config = dict(present.config) if present and options["kind"] in {None, present.kind} else {}
    for text in options["config"]:
        name, equals, value = text.partition("=")
        if not equals:
            raise CommandError(f"{text!r} is no field: write FIELD=VALUE.")
        config[name] = value
        if not value:
            del config[name]
    return config


def config_in(name: str) -> dict[str, Any]:
    try:
        value = read_document(Path(name).read_text()).value
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            f"The file {name} cannot be read: {getattr(error, 'strerror', None) or 'no UTF-8 text'}."
        ) from None
    except MistakesError as error:
        raise CommandError(f"{name}: {error}") from None
    if not isinstance(value, dict):
        raise CommandError(f"{name}: the fields of a connection are needed, such as host: db.example.org.")
    return value
