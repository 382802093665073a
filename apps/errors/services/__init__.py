"""Acts on errors: resolve, mark as sent, reopen, retry, edit retry data. One error is a selection of one."""

from apps.errors.services.acts import (
    ActRefused,
    delete_errors,
    mark_sent,
    perform_act,
    reopen_errors,
    resolve_errors,
    retry_errors,
)
from apps.errors.services.editing import EditConflict, EditRefused, edit_retry_data
from apps.errors.services.planning import ActPlan, PlanLine, act_plan, retry_plan
from apps.errors.services.retries import cancel_attempts, start_due_retries
from apps.errors.services.retry_ends import POSTPONED, end_unit_retry, postpone_waiting, release_waiting

__all__ = [
    "POSTPONED",
    "ActPlan",
    "ActRefused",
    "EditConflict",
    "EditRefused",
    "PlanLine",
    "act_plan",
    "cancel_attempts",
    "delete_errors",
    "edit_retry_data",
    "end_unit_retry",
    "mark_sent",
    "perform_act",
    "postpone_waiting",
    "release_waiting",
    "reopen_errors",
    "resolve_errors",
    "retry_errors",
    "retry_plan",
    "start_due_retries",
]
