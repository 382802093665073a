"""Writes of integrations, connections, flows, revisions and checkpoints; every act leaves an audit entry."""

from apps.flows.services.applying import AppliedRevision, RevisionConflictError, apply_definition, revision_diff
from apps.flows.services.checkpoints import move_checkpoint
from apps.flows.services.connecting import ConnectionRefused, delete_connection, set_connection, set_secrets
from apps.flows.services.grouping import IntegrationRefused, change_integration, create_integration
from apps.flows.services.health import note_outage, note_success, offline_among
from apps.flows.services.hooks import renew_hook
from apps.flows.services.installing import install_error_automation, lacks_error_automation
from apps.flows.services.pausing import enabled_flows_on, pause_flows, paused_on, resume_flows
from apps.flows.services.removing import FlowRefused, delete_integration, flows_that_need, remove_flow
from apps.flows.services.switching import disable_flow, enable_flow

__all__ = [
    "AppliedRevision",
    "ConnectionRefused",
    "FlowRefused",
    "IntegrationRefused",
    "RevisionConflictError",
    "apply_definition",
    "change_integration",
    "create_integration",
    "delete_connection",
    "delete_integration",
    "disable_flow",
    "enable_flow",
    "enabled_flows_on",
    "flows_that_need",
    "install_error_automation",
    "lacks_error_automation",
    "move_checkpoint",
    "note_outage",
    "note_success",
    "offline_among",
    "pause_flows",
    "paused_on",
    "remove_flow",
    "renew_hook",
    "resume_flows",
    "revision_diff",
    "set_connection",
    "set_secrets",
]
