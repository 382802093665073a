"""The parts of a step, compiled: its expressions, its policy, the trace key of its records."""

from collections.abc import Mapping
from typing import Any

from apps.engine.expressions import Compiled, ExpressionError, compile_expression, compile_mapping, compile_template
from apps.engine.plan import OnError, Policy, WorkflowRetry
from apps.engine.ports import Classification, Record, Scope
from apps.engine.records import KeyOf, default_key
from apps.flows.definition.head import WorkflowRetryPart
from apps.flows.definition.models import (
    AnyStep,
    CallStep,
    ExportStep,
    FilterStep,
    Handled,
    ImportStep,
    LogStep,
    LookupStep,
    MapStep,
    OnErrorPart,
    StepPart,
)
from apps.flows.definition.texts import ANSWER_NAMES, FAILED_NAMES, KEY_NAMES, NAMES, PAYLOAD_NAMES
from apps.flows.definition.warnings import sends_now

LASTING = (Classification.VALUE, Classification.MISSING, Classification.PARSE, Classification.TOO_LARGE)
"""Classes of failures that the same record meets again: they are not tried again, unless the definition says so."""


def compiled_parts(step: AnyStep, names: frozenset[str] = NAMES) -> dict[str, Any]:
    """The compiled expressions of a step, by the node's fields; `names` are what they may read."""
    parts: dict[str, Any] = {
        "input_filter": condition(getattr(step, "input_filter", None), names),
        "output_filter": condition(getattr(step, "output_filter", None), names),
    }
    if isinstance(step, MapStep):
        parts |= {"mapping": compile_mapping(step.map, step.required, names), "keeps_record": step.keep}
    elif isinstance(step, ImportStep):
        parts |= import_parts(step, names)
    elif isinstance(step, CallStep):
        parts |= call_parts(step, names)
    elif isinstance(step, LookupStep):
        parts |= {"into": step.lookup.into, "is_list": step.lookup.is_many, "is_required": step.lookup.is_required}
    elif isinstance(step, FilterStep):
        parts["condition"] = compile_expression(step.filter, names)
    elif isinstance(step, LogStep):
        parts |= {"message": compile_template(step.log, names), "level": step.level}
    return parts


def import_parts(step: ImportStep, names: frozenset[str]) -> dict[str, Any]:
    return {
        "mapping": compile_mapping(step.mapping, step.required, names) if step.mapping else None,
        "response_mapping": answer_mapping(step.response_mapping, names),
        "sends_now": sends_now(step),
    }


def call_parts(step: CallStep, names: frozenset[str]) -> dict[str, Any]:
    """What goes into a sub-flow, and what its record puts into the caller's."""
    parameters = step.call.parameters
    return {
        "mapping": compile_mapping(parameters, names=names) if parameters else None,
        "response_mapping": answer_mapping(step.call.result, names),
    }


def answer_mapping(fields: Mapping[str, str] | None, names: frozenset[str]) -> Any:
    return compile_mapping(fields, names=names | ANSWER_NAMES) if fields else None


def condition(source: str | None, names: frozenset[str]) -> Compiled | None:
    return None if source is None else compile_expression(source, names)


def workflow_retry_of(part: WorkflowRetryPart | None) -> WorkflowRetry:
    if part is None:
        return WorkflowRetry()
    unique_id = compile_template(part.unique_id, PAYLOAD_NAMES) if part.unique_id is not None else None
    return WorkflowRetry(part.attempts, part.minutes, part.backoff, unique_id)


def policy_of(step: StepPart) -> Policy:
    part = step.on_error if isinstance(step, Handled) else OnErrorPart(policy="set_aside")
    return Policy(
        on_error=OnError(part.policy),
        seconds=part.seconds,
        attempts=part.attempts,
        backoff=part.backoff,
        then=OnError(part.final) if part.is_trying_again else OnError.FAIL,
        exceptions=exceptions_of(part),
        substitute=compile_mapping(part.substitute, names=FAILED_NAMES) if part.substitute else None,
        continue_on_error=isinstance(step, ImportStep) and step.continue_on_error,
        resends_unknown=isinstance(step, ImportStep) and getattr(step.use.options, "on_unknown", "") == "retry",
    )


def exceptions_of(part: OnErrorPart) -> dict[str, OnError]:
    """Class -> what is done about its failures, where that is not what the step's policy says."""
    lasting = {str(name): OnError(part.final) for name in LASTING} if part.policy == "retry" else {}
    return lasting | {name: OnError(answer) for name, answer in part.exceptions.items()}


# --- trace keys ------------------------------------------------------------------------------------------------------
def trace_key_of(export: ExportStep, scope: Scope) -> KeyOf:
    """How a record of this export is known again: by its template, else its connector's field, else a usual one."""
    assert export.export.connector is not None, "a definition without a mistake has its connectors"
    fallback = key_in_field(export.export.connector.default_trace_key(export.export.options))
    if export.trace_key is None:
        return fallback
    template = compile_template(export.trace_key, KEY_NAMES)

    def key_of(record: Record) -> str:
        try:
            return str(template(record, scope)).strip() or fallback(record)
        except ExpressionError:  # the record itself is not at fault: it is known by its usual key instead
            return fallback(record)

    return key_of


def key_in_field(name: str | None) -> KeyOf:
    if name is None:
        return default_key

    def key_of(record: Record) -> str:
        value = record.get(name)
        return default_key(record) if value is None or isinstance(value, dict | list) else str(value)

    return key_of
