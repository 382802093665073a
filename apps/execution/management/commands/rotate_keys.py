"""`manage.py rotate_keys`: seals every stored secret with the newest key of FIELD_KEYS."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet

from apps.accounts.models import AuthenticatorApp
from apps.accounts.second_factors import rotate_app
from apps.core.crypto import SecretUnreadableError, current_key_id
from apps.flows.hooks import rotate_hook
from apps.flows.models import Connection, Hook
from apps.flows.secrets import rotate_secrets
from apps.notifications.channels import rotate_channel
from apps.notifications.models import Channel
from apps.webhooks.models import Webhook
from apps.webhooks.services import rotate_webhook

PROGRESS_EVERY = 500


@dataclass(frozen=True)
class Kept:
    """Something that is kept sealed: in words, where, the column of its key, and who seals it anew."""

    what: str
    model: Any
    key_column: str
    rotate: Callable[[Any], bool]

    def sealed_before(self) -> "QuerySet[Any]":
        """What an older key sealed; a row without a key has no secret."""
        rows: QuerySet[Any] = self.model._default_manager.exclude(**{f"{self.key_column}__in": ["", current_key_id()]})
        return rows.order_by("pk")


SETS = (
    Kept("connections", Connection, "secrets_key_id", rotate_secrets),
    Kept("webhook addresses", Hook, "key_id", rotate_hook),
    Kept("secrets of webhooks", Webhook, "secret_key_id", rotate_webhook),
    Kept("addresses of channels", Channel, "key_id", rotate_channel),
    Kept("authenticator apps", AuthenticatorApp, "secret_key_id", rotate_app),
)


class Command(BaseCommand):
    help = "Seals every stored secret with the newest key of FIELD_KEYS; the older keys may go afterwards."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only tell how many secrets an older key sealed")

    def handle(self, *args: Any, **options: Any) -> None:
        unreadable: list[str] = []
        for kept in SETS:
            rows = kept.sealed_before()
            if options["dry_run"]:
                self.stdout.write(f"{rows.count()} {kept.what} to seal with key {current_key_id()}.")
            else:
                unreadable += self._rotate(kept, rows)
        if unreadable:
            raise CommandError("These cannot be read with any key in FIELD_KEYS: " + ", ".join(unreadable))

    def _rotate(self, kept: Kept, rows: "QuerySet[Any]") -> list[str]:
        """One set after the other, row by row: it may be stopped and begun again. Returns what cannot be read."""
        total, rotated, unreadable = rows.count(), 0, []
        for number, row in enumerate(rows.iterator(PROGRESS_EVERY), 1):
            try:
                rotated += kept.rotate(row)
            except SecretUnreadableError:
                unreadable.append(f"{kept.what}: {row}")
            if number % PROGRESS_EVERY == 0:
                self.stdout.write(f"{number:,} of {total:,} {kept.what} …")
        self.stdout.write(f"{rotated} {kept.what} sealed with key {current_key_id()}.")
        return unreadable
