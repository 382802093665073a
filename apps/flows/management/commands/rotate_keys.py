"""`manage.py rotate_keys`: seals every stored secret with the newest key of FIELD_KEYS."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core.crypto import SecretUnreadableError, current_key_id
from apps.flows.hooks import rotate_hook
from apps.flows.models import Connection, Hook
from apps.flows.secrets import rotate_secrets
from apps.webhooks.models import Webhook
from apps.webhooks.services import rotate_webhook


class Command(BaseCommand):
    help = "Seals every stored secret with the newest key of FIELD_KEYS; the older keys may go afterwards."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only tell how many secrets an older key sealed")

    def handle(self, *args: Any, **options: Any) -> None:
        sealed_before = Connection.unscoped.exclude(secrets=None).exclude(secrets_key_id=current_key_id())
        if options["dry_run"]:
            self.stdout.write(f"{sealed_before.count()} connections to seal with key {current_key_id()}.")
            return
        rotated, unreadable = self._rotate(sealed_before)
        self.stdout.write(f"{rotated} connections sealed with key {current_key_id()}.")
        self._rotate_addresses()
        if unreadable:
            raise CommandError("These connections cannot be read with any key in FIELD_KEYS: " + ", ".join(unreadable))

    def _rotate_addresses(self) -> None:
        hooks = list(Hook.unscoped.exclude(key_id=current_key_id()).order_by("pk"))
        webhooks = list(Webhook.unscoped.exclude(secret_key_id=current_key_id()).order_by("pk"))
        try:
            rotated = sum(rotate_hook(hook) for hook in hooks)
            signing = sum(rotate_webhook(webhook) for webhook in webhooks)
        except SecretUnreadableError as error:
            raise CommandError(f"A webhook address or its secret cannot be sealed anew: {error}") from error
        if hooks:
            self.stdout.write(f"{rotated} webhook addresses sealed with key {current_key_id()}.")
        if webhooks:
            self.stdout.write(f"{signing} secrets of webhooks sealed with key {current_key_id()}.")

    def _rotate(self, connections: Any) -> tuple[int, list[str]]:
        rotated, unreadable = 0, []
        for connection in connections.order_by("pk"):
            try:
                rotated += rotate_secrets(connection)
            except SecretUnreadableError:
                unreadable.append(f"{connection.name} (account {connection.account_id})")
        return rotated, unreadable
