"""Writes of integrations, connections, flows, revisions and checkpoints; every act leaves an audit entry."""

from apps.flows.services.applying import AppliedRevision, RevisionConflictError, apply_definition, revision_diff
from apps.flows.services.checkpoints import move_checkpoint
from apps.flows.services.connecting import ConnectionRefused, set_connection, set_secrets
from apps.flows.services.health import note_outage, note_success, offline_among
from apps.flows.services.hooks import renew_hook
from apps.flows.services.switching import disable_flow, enable_flow

__all__ = [
    "AppliedRevision",
    "ConnectionRefused",
    "RevisionConflictError",
    "apply_definition",
    "disable_flow",
    "enable_flow",
    "move_checkpoint",
    "note_outage",
    "note_success",
    "offline_among",
    "renew_hook",
    "revision_diff",
    "set_connection",
    "set_secrets",
]
