"""The attempts of a run that failed and was run again: one run on every page, told apart where it matters."""

from collections import defaultdict
from collections.abc import Iterable

from apps.runs.models import Run
from apps.runs.statuses import RunKind


def attempts_of(runs: Iterable[Run]) -> dict[int, list[Run]]:
    """Run id -> all attempts of that run in order, for those that have several. At most one query."""
    several = [run for run in runs if run.attempts > 1 and run.kind == RunKind.FLOW]
    if not several:
        return {}
    rows = Run.objects.of(several[0].account_id).filter(
        root_run__in={run.root_run_id for run in several}, kind=RunKind.FLOW
    )
    found: dict[int | None, list[Run]] = defaultdict(list)
    for run in rows.order_by("attempt"):
        found[run.root_run_id].append(run)
    return {run.pk: found[run.root_run_id] for run in several}
