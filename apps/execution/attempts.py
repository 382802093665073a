"""What the attempts of one run have in common: the pages as they were exported, the payload's unique id, the keys."""

from hashlib import sha256

from django.db.models import Max

from apps.engine.expressions import ExpressionError
from apps.engine.loop import Fetched
from apps.engine.plan import Plan, scope_for
from apps.errors.models import Error
from apps.errors.states import ErrorUnit
from apps.runs.models import Page, Run
from apps.runs.statuses import RunKind

LONGEST_ID = 128


def is_as_exported(row: Page, cut_from: tuple[int, ...]) -> bool:
    """Whether a part holds its records as they were exported: the whole page, or what it was halved into."""
    return row.part == 0 or cut_from[:1] == (0,)


def unique_id_of(plan: Plan, facts: dict[str, object], fetched: Fetched) -> str:
    """What tells the payload of a run from others, by its first record; "" without a template or where it fails."""
    template = plan.workflow_retry.unique_id
    if template is None or not fetched.items:
        return ""
    try:
        text = str(template(fetched.items[0].record, scope_for(plan, facts, fetched.now))).strip()
    except ExpressionError:  # then nothing takes the place of this payload
        return ""
    return text if len(text) <= LONGEST_ID else sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def generations_of(run: Run) -> dict[int, int]:
    """Ordinal -> generation of the records that earlier attempts failed definitely: each is sent with a new key."""
    if run.attempt == 1:
        return {}
    attempts = Run.objects.of(run.account_id).filter(root_run=run.root_run_id, kind=RunKind.FLOW).exclude(pk=run.pk)
    failed = Error.objects.of(run.account_id).filter(
        run__in=list(attempts.values_list("pk", flat=True)), unit=ErrorUnit.RECORD, retry_data__generation__gt=0
    )
    return dict(failed.order_by().values_list("ordinal").annotate(Max("retry_data__generation")))
