"""With DEBUG=0 Flowmend refuses the settings that only a newcomer on loopback may have, and names each one."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]", "::1", "testserver"})
CONSOLE_MAIL = "django.core.mail.backends.console.EmailBackend"


def newcomer_settings() -> list[str]:
    """One sentence for each setting that is still a newcomer's; empty when the house may open its doors."""
    found = (_secret_key(), _field_keys(), _allowed_hosts(), _mail(), _public_url())
    return [sentence for sentence in found if sentence]


def refuse_newcomer_settings() -> None:
    """Raises `ImproperlyConfigured` that lists every newcomer's setting, in production, if there is one."""
    if settings.IS_NEWCOMER:
        return
    problems = newcomer_settings()
    if problems:
        raise ImproperlyConfigured(
            "DEBUG is 0, but these settings are still a newcomer's: "
            + " ".join(f"({n}) {p}" for n, p in enumerate(problems, 1))
        )


@checks.register(checks.Tags.security)
def check_newcomer_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """The same refusal for `manage.py check`; beside it a word about SQLite."""
    if settings.IS_NEWCOMER:
        return []
    errors: list[checks.CheckMessage] = [checks.Error(text, id="flowmend.E001") for text in newcomer_settings()]
    return errors + _sqlite()


def _sqlite() -> list[checks.CheckMessage]:
    if not settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        return []
    return [
        checks.Info(
            "The database is SQLite: good for one machine. DATABASE_URL names a PostgreSQL.", id="flowmend.I001"
        )
    ]


def _secret_key() -> str:
    if settings.SECRET_KEY != settings.NEWCOMER_SECRET_KEY:
        return ""
    return "SECRET_KEY is the published default: set it to a long random text."


def _field_keys() -> str:
    if not settings.FIELD_KEYS:
        return "FIELD_KEYS is empty: set it to a random text; it encrypts the secrets of connections."
    if settings.FIELD_KEYS[0] != settings.NEWCOMER_FIELD_KEY:  # behind another key it only decrypts, until rotation
        return ""
    return "FIELD_KEYS starts with the published default: put a random text of your own first and run rotate_keys."


def _allowed_hosts() -> str:
    if "*" in settings.ALLOWED_HOSTS:
        return "ALLOWED_HOSTS is *: name the hosts that people type."
    if set(settings.ALLOWED_HOSTS) - LOOPBACK_HOSTS:
        return ""
    return "ALLOWED_HOSTS names loopback only: add the host that people type."


def _mail() -> str:
    if settings.EMAIL_BACKEND != CONSOLE_MAIL:
        return ""
    return "EMAIL_BACKEND prints mail to the terminal: set django.core.mail.backends.smtp.EmailBackend and EMAIL_HOST."


def _public_url() -> str:
    address = urlsplit(settings.PUBLIC_URL)
    if address.scheme == "https" and address.hostname and address.hostname not in LOOPBACK_HOSTS:
        return ""
    return f"PUBLIC_URL is {settings.PUBLIC_URL}: set the https address that links in mails shall have."
