"""Acts on errors: resolve, mark as sent, reopen, retry, edit retry data. One error is a selection of one."""

from apps.errors.services.acts import (
    ActRefused,
    mark_sent,
    perform_act,
    reopen_errors,
    resolve_errors,
    retry_errors,
)
from apps.errors.services.editing import EditConflict, EditRefused, edit_retry_data
from apps.errors.services.planning import ActPlan, PlanLine, act_plan, retry_plan
from apps.errors.services.retries import end_unit_retry, release_waiting, start_due_retries

__all__ = [
    "ActPlan",
    "ActRefused",
    "EditConflict",
    "EditRefused",
    "PlanLine",
    "act_plan",
    "edit_retry_data",
    "end_unit_retry",
    "mark_sent",
    "perform_act",
    "release_waiting",
    "reopen_errors",
    "resolve_errors",
    "retry_errors",
    "retry_plan",
    "start_due_retries",
]
