"""What a rule would have met in the past days, before it is switched on. Reads only."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.accounts.models import Account
from apps.core.clock import read_now
from apps.errors.models import Error
from apps.errors.rules.definition import Conditions
from apps.errors.rules.matching import past_matches, with_field

DAYS = (7, 30)
MOST_LOOKED_AT = 10_000
SAMPLE = 10


@dataclass(frozen=True)
class BackTest:
    """`matched` of the newest errors that were looked at; `busiest` is the most within one hour of the clock; `bursts`
    is in how many minutes each flow had some, which is how often a rule that notifies would have done so at least."""

    days: int
    matched: int
    is_more: bool
    busiest: int
    causes: int
    flows: int
    still_open: int
    bursts: int
    sample: Sequence[Error]


def back_test(
    account: Account, environment: str, conditions: Conditions, days: int, *, now: datetime | None = None
) -> BackTest:
    """At most 10,000 errors are looked at, the newest first."""
    moment = now or read_now()
    rows = past_matches(account, environment, conditions, moment - timedelta(days=days), moment)
    facts = list(
        rows.order_by("-pk").values_list("pk", "occurred_at", "cause_id", "flow_id", "state")[: MOST_LOOKED_AT + 1]
    )
    met = set(with_field(account, conditions, [fact[0] for fact in facts[:MOST_LOOKED_AT]]))
    found = [fact for fact in facts if fact[0] in met]
    hours = Counter(int(at.timestamp()) // 3600 for _, at, *_ in found)
    newest = [fact[0] for fact in found[:SAMPLE]]
    sample = Error.objects.of(account).filter(pk__in=newest).select_related("cause", "step", "flow").order_by("-pk")
    return BackTest(
        days,
        len(found),
        len(facts) > MOST_LOOKED_AT,
        max(hours.values(), default=0),
        len({cause for _, _, cause, _, _ in found}),
        len({flow for _, _, _, flow, _ in found}),
        sum(state == "open" for *_, state in found),
        len({(flow, int(at.timestamp()) // 60) for _, at, _, flow, _ in found}),
        list(sample.defer("effects")),
    )
