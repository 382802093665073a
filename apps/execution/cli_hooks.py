"""What the commands do with webhooks: show an address, send a test request."""

import sys
from pathlib import Path

from django.core.management.base import CommandError

from apps.connectors.webhook.body import UnfitBodyError
from apps.core.crypto import SecretUnreadableError
from apps.flows.hooks import hook_address, hook_of
from apps.flows.models import Flow, Hook
from apps.runs.arrivals import QueueFullError, Received, send_test


def chosen_hook(flow: Flow) -> Hook:
    """Raises CommandError where a flow's export is no webhook."""
    hook = hook_of(flow)
    if hook is None:
        raise CommandError(f"Flow {flow.key} has no address: its export is no webhook.")
    return hook


def address_of(hook: Hook) -> str:
    """Raises CommandError if no key opens it any more."""
    try:
        return hook_address(hook)
    except SecretUnreadableError as error:
        raise CommandError(f"{error} The address itself still works; --renew makes another one.") from error


def sent_test(flow: Flow, name: str) -> Received:
    """Send the content of a file. Raises CommandError with what is wrong with it."""
    try:
        body = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CommandError(f"The file {name} cannot be read: {why}.") from error
    try:
        return send_test(flow=flow, body=body)
    except (UnfitBodyError, QueueFullError) as error:
        raise CommandError(str(error)) from error
