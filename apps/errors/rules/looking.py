"""A rule looks at the errors that have opened since it last looked, in the order of their ids, and acts on some.

Page commits take ids and commit later, so an id below the newest may still appear: what is younger than `LATE` is
looked at again until it is settled. A hit is written in the transaction that begins the acts, and only once for an
error and a revision; the acts themselves are acts on errors like any others, which a worker finishes after a kill.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b

from django.db.models import Count, QuerySet

from apps.accounts.models import Member
from apps.accounts.services import acting_as_rule
from apps.core.bulk import in_array, insert_rows
from apps.core.clock import read_now
from apps.core.transactions import repeated
from apps.errors.models import BulkAct, Cause, Error, Rule, RuleHit, Tag
from apps.errors.querysets import OPEN
from apps.errors.rule_models import HitState, RuleMode
from apps.errors.rules.definition import Acts, Definition
from apps.errors.rules.matching import not_met_by, open_matches, with_field
from apps.errors.rules.telling import announce_met
from apps.errors.services.acts import EVERY, freeze_act, perform_act
from apps.errors.services.causes import is_awake, snooze_cause
from apps.errors.states import BulkKind
from apps.flows.models import Flow
from apps.flows.services import disable_flow

LATE = timedelta(minutes=5)
"""Longer than any page commit takes from its ids to its end."""
GATHERED = timedelta(days=1)
"""A rule about many errors of a root cause meets those that came up to a day before there were enough."""
AGAIN = timedelta(seconds=30)
CHUNK, MOST_CHUNKS = 500, 10


def look_by_rule(account_id: int, rule_id: int) -> int:
    """Look, and act on what is met; returns how many errors were met. May be called at any time, by anybody."""
    met, acts = _look(account_id, rule_id)
    for act in acts:
        perform_act(account_id, act)
    return met


# --- looking ---------------------------------------------------------------------------------------------------------
@repeated
def _look(account_id: int, rule_id: int) -> tuple[int, list[int]]:
    """One look, one transaction: hits, and acts that are begun but not yet done."""
    rules = Rule.objects.of(account_id).select_for_update(of=("self",)).filter(pk=rule_id, removed_at__isnull=True)
    rule = rules.exclude(mode=RuleMode.OFF).select_related("revision", "account").first()
    if rule is None or rule.revision is None:
        return 0, []
    now, definition = read_now(), Definition.of(rule.revision.definition)
    newest = _newest_open(account_id) or rule.looked_to
    matched, reached, is_through = _sweep(rule, definition, now)
    records = _records(rule, matched)
    guarded, free = _guarded(rule, definition, matched, records)
    taken, room_at = _within_limit(rule, definition, free, now)
    _write_hits(rule, definition, taken, guarded, records, now)
    if room_at is not None:
        _wait_for_room(rule, definition, now, newest=newest, left=free[len(taken)].pk, room_at=room_at)
    elif not is_through:
        _keep(rule, swept_to=reached, look_again_at=now)
    else:
        _settle(rule, definition, now, newest=newest)
    acts = _begin_acts(rule, definition.acts, taken) if rule.mode == RuleMode.ON and taken else []
    return len(taken) + len(guarded), [act.pk for act in acts]


def _newest_open(account_id: int) -> int | None:
    return Error.objects.of(account_id).filter(OPEN).order_by("-pk").values_list("pk", flat=True).first()


def _sweep(rule: Rule, definition: Definition, now: datetime) -> tuple[list[Error], int, bool]:
    """(errors that match and were not met yet, the id that was reached, whether that was the last candidate)."""
    rows = open_matches(rule.account_id, rule.environment, definition.conditions, now)
    rows = not_met_by(rows, rule.account_id, rule.revision_id or 0).order_by("pk").defer("message", "effects")
    reached, found = max(rule.swept_to, rule.settled_to), list[Error]()
    for _ in range(MOST_CHUNKS):
        chunk = list(rows.filter(pk__gt=reached)[:CHUNK])
        met = set(with_field(rule.account_id, definition.conditions, [error.pk for error in chunk]))
        found += [error for error in chunk if error.pk in met]
        if len(chunk) < CHUNK:
            return found, reached, True
        reached = chunk[-1].pk
    return found, reached, False


def _guarded(
    rule: Rule, definition: Definition, errors: list[Error], records: Mapping[int, int]
) -> tuple[list[Error], list[Error]]:
    """(errors whose record this rule has retried often enough, the others)."""
    if not definition.acts.retry:
        return [], errors
    hits = RuleHit.objects.of(rule.account_id).filter(rule=rule, is_retry=True, record__in=set(records.values()))
    counted = hits.order_by().values("record").annotate(number=Count("pk"))
    tries = Counter({row["record"]: row["number"] for row in counted})
    guarded, free = list[Error](), list[Error]()
    for error in errors:
        tries[records[error.pk]] += 1
        (guarded if tries[records[error.pk]] > definition.most_retries else free).append(error)
    return guarded, free


def _records(rule: Rule, errors: Sequence[Error]) -> dict[int, int]:
    """Error id -> what is the same for all errors of its record: a hash of its flow and key or, without a key, that of
    the error whose retry failed."""
    before = {error.previous_error_id for error in errors if error.key_hash is None and error.previous_error_id}
    hits = RuleHit.objects.of(rule.account_id).filter(rule=rule, error_id__in=before)
    known = dict(hits.values_list("error_id", "record"))
    return {
        error.pk: known.get(error.previous_error_id or 0, error.pk) if error.key_hash is None else keyed_record(error)
        for error in errors
    }


def keyed_record(error: Error) -> int:
    """A signed 64-bit hash: flows may use the same keys for records of different kinds."""
    name = f"{error.flow_id}:{error.key_hash}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big", signed=True)


def _within_limit(
    rule: Rule, definition: Definition, errors: list[Error], now: datetime
) -> tuple[list[Error], datetime | None]:
    """The errors that the limit of this hour leaves, the oldest first, and when there is room for the others."""
    if rule.mode != RuleMode.ON:
        return errors, None
    hour = timedelta(hours=1)
    acted = RuleHit.objects.of(rule.account_id).filter(rule=rule, state=HitState.ACTED, at__gt=now - hour)
    times = list(acted.order_by("at").values_list("at", flat=True))
    room = max(0, definition.acts_per_hour - len(times))
    if len(errors) <= room:
        return errors, None
    return errors[:room], (times[0] if times else now) + hour


def _write_hits(
    rule: Rule,
    definition: Definition,
    taken: Sequence[Error],
    guarded: Sequence[Error],
    records: Mapping[int, int],
    now: datetime,
) -> None:
    state = HitState.ACTED if rule.mode == RuleMode.ON else HitState.SHADOW
    is_retry = definition.acts.retry and rule.mode == RuleMode.ON
    met = [(error.pk, state, is_retry) for error in taken] + [(error.pk, HitState.GUARDED, False) for error in guarded]
    fields = ["account", "rule", "revision", "error", "record", "state", "is_retry", "at"]
    own = (rule.account_id, rule.pk, rule.revision_id)
    insert_rows(RuleHit, fields, [(*own, pk, records[pk], kind.value, again, now) for pk, kind, again in met])


# --- how far it has got ----------------------------------------------------------------------------------------------
def _keep(rule: Rule, **facts: object) -> None:
    Rule.objects.of(rule.account_id).filter(pk=rule.pk).update(hinted_at=None, **facts)


def _settle(rule: Rule, definition: Definition, now: datetime, *, newest: int) -> None:
    """All candidates were looked at: again in a while, for what is too young to be settled."""
    settled = _settled(rule, definition, now, newest)
    again = now + AGAIN if settled < newest else None
    looked = max(rule.looked_to, newest)
    _keep(rule, settled_to=settled, swept_to=settled, looked_to=looked, look_again_at=again)


def _wait_for_room(
    rule: Rule, definition: Definition, now: datetime, *, newest: int, left: int, room_at: datetime
) -> None:
    """The limit of the hour is used up: the next look begins with the first error that was left."""
    settled = max(rule.settled_to, min(_settled(rule, definition, now, newest), left - 1))
    looked = max(rule.looked_to, newest)
    _keep(rule, settled_to=settled, swept_to=settled, looked_to=looked, look_again_at=room_at)


def _settled(rule: Rule, definition: Definition, now: datetime, newest: int) -> int:
    """The id up to which nothing can still appear, grow old enough or become one of many."""
    lag = LATE + timedelta(minutes=definition.conditions.older_than_minutes)
    lag += GATHERED if definition.conditions.at_least else timedelta()
    rows = Error.objects.of(rule.account_id).filter(pk__gt=rule.settled_to, pk__lte=newest, occurred_at__gte=now - lag)
    young = rows.order_by("pk").values_list("pk", flat=True).first()
    return max(rule.settled_to, newest if young is None else young - 1)


# --- acting ----------------------------------------------------------------------------------------------------------
def _begin_acts(rule: Rule, acts: Acts, errors: Sequence[Error]) -> list[BulkAct]:
    """Begin what the rule does with these errors, as the rule; the caller performs it when this is committed."""
    assert rule.revision is not None, "only a rule with a revision acts"
    with acting_as_rule(rule.revision.pk):
        begun = [
            freeze_act(rule.account, None, kind, _rows(rule, errors), {**options, "rule": rule.revision.pk})
            for kind, options in _kinds_of(rule, acts)
        ]
        if acts.snooze_hours:
            _snooze(rule, acts, errors)
        if acts.disable_flow:
            _disable(rule, errors)
        if acts.told:
            announce_met(rule, errors)
    return begun


def _rows(rule: Rule, errors: Sequence[Error]) -> "QuerySet[Error]":
    condition, params = in_array("error.id", [error.pk for error in errors])
    return Error.objects.of(rule.account_id).extra(where=[condition], params=params)  # noqa: S610


def _kinds_of(rule: Rule, acts: Acts) -> list[tuple[str, dict[str, object]]]:
    """The acts on errors with their options; a tag or member that is gone is left out."""
    found: list[tuple[str, dict[str, object]]] = []
    tags = list(Tag.objects.of(rule.account_id).filter(pk__in=acts.tags).values_list("pk", flat=True))
    if tags:
        found.append((BulkKind.TAG, {"add": tags, "remove": []}))
    members = Member.objects.of(rule.account_id).filter(disabled_at__isnull=True)
    if acts.assignee is not None and members.filter(pk=acts.assignee).exists():
        found.append((BulkKind.ASSIGN, {"assignee": acts.assignee}))
    if acts.changes:
        changes = [change.as_options() for change in acts.as_changes()]
        found.append((BulkKind.EDIT, {"changes": changes, "retries": EVERY if acts.retry else 0}))
    elif acts.retry:
        found.append((BulkKind.RETRY, {}))
    elif acts.resolve:
        found.append((BulkKind.RESOLVE, {}))
    return found


def _snooze(rule: Rule, acts: Acts, errors: Sequence[Error]) -> None:
    now = read_now()
    causes = Cause.objects.of(rule.account_id).filter(pk__in={error.cause_id for error in errors})
    for cause in causes.select_related("merged_into").order_by("pk"):
        head = cause.merged_into or cause
        if is_awake(head, now):
            snooze_cause(cause=head, member=None, until=now + timedelta(hours=acts.snooze_hours))


def _disable(rule: Rule, errors: Sequence[Error]) -> None:
    for flow in Flow.objects.of(rule.account_id).filter(pk__in={error.flow_id for error in errors}).order_by("pk"):
        disable_flow(flow=flow)
