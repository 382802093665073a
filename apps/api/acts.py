"""Acts on errors that a call names by their ids: all of them are there, or nothing is done."""

from collections.abc import Iterable
from typing import Any

from apps.api.caller import Caller
from apps.api.failures import Refusal, conflict, invalid
from apps.core.ids import WrongIdError, parse_retry_data_key
from apps.errors.models import BulkAct
from apps.errors.querysets import RESOLVED, RETRYING, ErrorQuerySet
from apps.errors.services import perform_act, retry_errors, retry_plan
from apps.errors.services.planning import RETRIED_ALREADY
from apps.errors.states import Passed
from apps.runs.models import Run

DONE_IN_THE_CALL = 1_000
"""Acts on more errors go on in a worker behind the answer."""

REFUSALS = {
    "its retry data are gone": (422, "retry_data_expired"),
    "is older than the retention": (422, "retry_data_expired"),
    "its flow is disabled": (422, "flow_disabled"),
    "its step was removed": (409, "step_removed"),
}
ADVICE = {
    "its retry data are gone": "The retry data of these errors are gone: the retention removed them.",
    "is older than the retention": "These errors are older than the retention.",
    "its flow is disabled": "The flow is disabled. Enable it first, then retry.",
    "its step was removed": "The step of these errors was removed from the flow.",
}


def named_ids(body: dict[str, Any]) -> list[int]:
    """The keys of the errors that a body names. Raises a Refusal where it names none."""
    ids = list(dict.fromkeys([*body.get("errors", ()), *body.get("errorIds", ())]))
    if not ids:
        raise invalid("Name the errors: errorIds is a list of their ids.", "errorIds")
    return ids


def retried_ids(body: dict[str, Any]) -> list[int]:
    """The same, of errors that may also be named by their retry data."""
    keys = body.get("retryDataKeys", ())
    if not keys:
        return named_ids(body)
    try:
        own = [parse_retry_data_key(key) for key in keys]
    except WrongIdError as error:
        raise not_found(str(error)) from error
    return list(dict.fromkeys([*own, *body.get("errors", ()), *body.get("errorIds", ())]))


def named_errors(rows: ErrorQuerySet, ids: Iterable[int]) -> ErrorQuerySet:
    """Those of `rows` with these ids; raises a Refusal if one of them is not there, so that nothing is half done."""
    wanted = set(ids)
    found = rows.filter(pk__in=wanted)
    missing = len(wanted) - found.count()
    if missing:
        raise not_found(f"{missing:,} of the {len(wanted):,} errors that you name are not here. Nothing was done.")
    return found


def not_found(message: str) -> Refusal:
    return invalid(message, code="retry_data_not_found")


def finished(act: BulkAct) -> BulkAct:
    """An act of ordinary size is done before its call is answered."""
    if act.ended_at is None and act.count <= DONE_IN_THE_CALL:
        perform_act(act.account_id, act.pk)
    return act


# --- retry -----------------------------------------------------------------------------------------------------------
def retry(caller: Caller, errors: ErrorQuerySet, *, is_forced: bool = False) -> Run:
    """Retry the errors; the run that has them, or the first of several. Raises a Refusal where none can be retried."""
    plan = retry_plan(account=caller.account, errors=errors, includes_resolved=True)
    if not plan.eligible:
        return _under_way(caller, errors) or _refuse([why for why, _ in plan.left_alone])
    act = begin_retry(caller, errors, is_forced=is_forced)
    perform_act(act.account_id, act.pk, most_chunks=1)
    act.refresh_from_db()
    runs = Run.objects.of(caller.account).filter(pk__in=list(act.options.get("runs", {}).values()))
    found: Run | None = runs.select_related("flow__integration").order_by("pk").first()
    return found or _under_way(caller, errors) or _refuse(["changed meanwhile"])


def begin_retry(caller: Caller, errors: ErrorQuerySet, *, is_forced: bool) -> BulkAct:
    """Retry the errors, resolved ones too; raises a Refusal where that would bring back what a newer success passed."""
    if not is_forced and errors.filter(RESOLVED, passed_outcome=Passed.SUCCESS).exists():
        raise conflict(
            "A newer version of some of these records went through already. Send force: true to retry all the same.",
            "newer_success",
        )
    return retry_errors(
        account=caller.account, member=caller.member, errors=errors, includes_resolved=True, is_forced=is_forced
    )


def _under_way(caller: Caller, errors: ErrorQuerySet) -> Run | None:
    """The retry that has these errors already: a second one is not queued."""
    runs = Run.objects.of(caller.account).filter(pk__in=errors.filter(RETRYING).order_by().values("retry_run"))
    found: Run | None = runs.select_related("flow__integration").order_by("pk").first()
    return found


def _refuse(reasons: list[str]) -> Run:
    why = next((reason for reason in reasons if reason in REFUSALS), reasons[0] if reasons else RETRIED_ALREADY)
    status, code = REFUSALS.get(why, (409, "conflict"))
    raise Refusal(status, code, ADVICE.get(why, f"Nothing can be retried: {why}."))
