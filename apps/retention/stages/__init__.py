"""The stages of a purge in their order: whoever points to a row goes before it."""

from collections.abc import Mapping

from apps.retention.models import PurgeKind
from apps.retention.stages.account import purge_account
from apps.retention.stages.base import Stage
from apps.retention.stages.beside import purge_beside
from apps.retention.stages.buckets import purge_buckets, purge_cause_buckets
from apps.retention.stages.causes import purge_causes
from apps.retention.stages.errors import purge_errors
from apps.retention.stages.removed_flows import purge_removed_flows
from apps.retention.stages.retry_data import purge_retry_data
from apps.retention.stages.runs import purge_runs

STAGES: Mapping[str, Mapping[str, Stage]] = {
    PurgeKind.RETENTION: {
        "errors": purge_errors,
        "retry_data": purge_retry_data,
        "runs": purge_runs,
        "beside": purge_beside,
        "buckets": purge_buckets,
        "cause_buckets": purge_cause_buckets,
        "causes": purge_causes,
        "removed_flows": purge_removed_flows,
    },
    PurgeKind.CLOSING: {
        "errors": purge_errors,
        "runs": purge_runs,
        "account": purge_account,
    },
}
STAGE_WORDS = {
    "errors": "Errors with their retry data",
    "retry_data": "Retry data beyond the limit of a step",
    "runs": "Runs with their requests, logs and pages",
    "beside": "What is kept beside runs and errors",
    "buckets": "Minutes and half hours of charts",
    "cause_buckets": "Half hours of root causes",
    "causes": "Root causes without errors",
    "removed_flows": "Flows that were removed",
    "account": "Everything else of the account",
}
