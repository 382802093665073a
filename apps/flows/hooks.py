"""Webhook addresses: made when a definition is applied, and stable from then on."""

import secrets
from hashlib import sha256

from django.conf import settings

from apps.connectors.registry import CONNECTORS
from apps.core.crypto import current_key_id, decrypt, encrypt
from apps.flows.models import Flow, Hook, Step

KEY_BYTES = 24
PATH = "hooks/"
"""Where the addresses stand below the product's own."""


def ensure_hook(step: Step) -> Hook:
    """The address of an export step, made if it has none yet."""
    present = Hook.objects.of(step.account_id).filter(step=step).first()
    if present is not None:
        return present
    hook = Hook(account_id=step.account_id, flow_id=step.flow_id, step=step, **sealed_key())
    hook.save(force_insert=True)
    return hook


def sealed_key() -> dict[str, object]:
    """The columns of a new, unguessable key: its hash finds the step, the key itself is only there encrypted."""
    key = secrets.token_urlsafe(KEY_BYTES)
    return {"key_sha256": digest_of(key), "key_sealed": encrypt(key.encode()), "key_id": current_key_id()}


def digest_of(key: str) -> str:
    return sha256(key.encode("utf-8", "replace")).hexdigest()


def hook_of(flow: Flow) -> Hook | None:
    """The address of a flow's export, None if it is no webhook."""
    kinds = [kind for kind, connector in CONNECTORS.items() if connector.listens]
    hooks = Hook.objects.of(flow.account_id).filter(flow=flow, step__removed_at__isnull=True)
    hook: Hook | None = hooks.filter(step__connection__kind__in=kinds).first()
    return hook


def hook_address(hook: Hook) -> str:
    """The whole address. Raises SecretUnreadableError if no key of FIELD_KEYS opens it any more."""
    key = decrypt(bytes(hook.key_sealed), hook.key_id).decode()
    return f"{settings.PUBLIC_URL.rstrip('/')}/{PATH}{key}"


def rotate_hook(hook: Hook) -> bool:
    """Seal an address with the newest key; False if it is already, or was renewed meanwhile.

    Raises SecretUnreadableError.
    """
    if hook.key_id == current_key_id():
        return False
    key = decrypt(bytes(hook.key_sealed), hook.key_id)
    same = Hook.objects.of(hook.account_id).filter(pk=hook.pk, key_sha256=hook.key_sha256)
    return same.update(key_sealed=encrypt(key), key_id=current_key_id()) == 1
