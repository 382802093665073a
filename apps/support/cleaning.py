"""Takes secrets out of the files of a bundle, and keeps the account of what was hidden where."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
from django.conf import settings

from apps.accounts.models import Account
from apps.connectors.redaction import HIDDEN, Redactor
from apps.core.crypto import SecretUnreadableError
from apps.core.text import storable, storable_value
from apps.flows.hooks import hook_address
from apps.flows.models import Connection, Hook, Share
from apps.flows.secrets import read_secrets
from apps.flows.sharing import token_of
from apps.notifications.channels import address_of
from apps.notifications.models import Channel
from apps.support.definitions import without_secrets
from apps.webhooks.models import Webhook
from apps.webhooks.services import read_secret

IN_TEXT = "in the text"
LONG_PART = 16
_NAMED = re.compile(rf"([A-Za-z0-9_.\-]{{2,60}})[\"']?\s*[:=]\s*[\"']?(?:[A-Za-z]+ )?{re.escape(HIDDEN)}")


@dataclass(frozen=True, slots=True)
class Hidden:
    """What was hidden in a file under one name: how often, and in which line for the first time."""

    file: str
    field: str
    times: int
    line: int


@dataclass
class Cleaner:
    """Cleans each file with everything that is secret in the account, and remembers what it hid.

    `unread` names connections whose secrets no key opens: of those only names of fields tell what is secret.
    """

    redactor: Redactor
    unread: list[str] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)

    def learn(self, secrets: Iterable[str]) -> None:
        for secret in secrets:
            self.redactor.add(secret)

    def text(self, file: str, text: str) -> bytes:
        return self._noted(file, self.redactor.text(storable(text)[0]))

    def json(self, file: str, value: Any) -> bytes:
        clean = self.redactor.value(storable_value(value)[0])
        return self._noted(file, orjson.dumps(clean, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")

    def lines(self, file: str, values: Iterable[Any]) -> bytes:
        """JSON, a value a line."""
        clean = [orjson.dumps(self.redactor.value(storable_value(value)[0]), default=str).decode() for value in values]
        return self._noted(file, "".join(f"{line}\n" for line in clean))

    def definition(self, file: str, text: str) -> bytes:
        return self.text(file, without_secrets(text))

    def _noted(self, file: str, text: str) -> bytes:
        self.hidden += hidden_in(file, text)
        return text.encode()


def hidden_in(file: str, text: str) -> list[Hidden]:
    """By the names that stand before what was hidden, in the order in which they come first."""
    found: dict[str, Hidden] = {}
    for number, line in enumerate(text.split("\n"), 1):
        names = [match[1] for match in _NAMED.finditer(line)]
        names += [IN_TEXT] * (line.count(HIDDEN) - len(names))
        for name in names:
            before = found.get(name, Hidden(file, name, 0, number))
            found[name] = Hidden(file, name, before.times + 1, before.line)
    return list(found.values())


def cleaner_for(account: Account) -> Cleaner:
    """Knows the secrets of all connections, addresses and webhooks of an account, and those of the operator."""
    cleaner = Cleaner(Redactor(own_secrets()))
    for name, read in secrets_of(account):
        try:
            cleaner.learn(read())
        except SecretUnreadableError:
            cleaner.unread.append(name)
    return cleaner


def secrets_of(account: Account) -> Iterator[tuple[str, Callable[[], Iterable[str]]]]:
    """Each thing that keeps secrets: its name, and what reads them or raises SecretUnreadableError."""
    for connection in Connection.objects.of(account).order_by("pk"):
        yield connection.name, partial(connection_secrets, connection)
    for share in Share.objects.of(account).order_by("pk"):
        yield share.key, partial(token_secrets, share)
    for hook in Hook.objects.of(account).order_by("pk"):
        yield str(hook), partial(hook_secrets, hook)
    for webhook in Webhook.objects.of(account).order_by("pk"):
        yield str(webhook), partial(webhook_secrets, webhook)
    for channel in Channel.objects.of(account).order_by("pk"):
        yield str(channel), partial(channel_secrets, channel)


def connection_secrets(connection: Connection) -> list[str]:
    return list(read_secrets(connection).values())


def hook_secrets(hook: Hook) -> list[str]:
    return [hook_address(hook).rsplit("/", 1)[1]]


def webhook_secrets(webhook: Webhook) -> list[str]:
    return [read_secret(webhook), *long_parts(webhook.url)]


def channel_secrets(channel: Channel) -> list[str]:
    address = address_of(channel)
    return [address.secret, *long_parts(address.url)]


def token_secrets(share: Share) -> list[str]:
    token = token_of(share)
    return [token.access, token.refresh] if token else []


def long_parts(url: str) -> list[str]:
    """What in an address is no word of a language, so that it may be what opens it."""
    return [part for part in re.split(r"[/?&=#]", url)[3:] if len(part) >= LONG_PART]


def own_secrets() -> list[str]:
    """What the operator keeps from everybody: keys, and passwords of database, queue and mail server."""
    addresses = [settings.REDIS_URL, settings.DEMO_DATABASE_URL]
    passwords = [urlsplit(address).password or "" for address in addresses]
    databases = [str(database.get("PASSWORD") or "") for database in settings.DATABASES.values()]
    found = [settings.SECRET_KEY, *settings.FIELD_KEYS, settings.EMAIL_HOST_PASSWORD, *databases]
    return [*found, *passwords, *map(unquote, passwords)]
