"""What members do with root causes: correct the class, snooze, assign, merge. A merged group is meant as one.

Each cause keeps its own counts: merging only points members at their head, so taking a merge back loses nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet

from apps.accounts.models import Member
from apps.accounts.services import SYSTEM, Actor, record_audit
from apps.core.clock import read_now
from apps.errors.models import Assignment, BulkAct, Cause, Error
from apps.errors.querysets import OPEN, ErrorQuerySet
from apps.errors.schedule import MOST_ATTEMPTS, TRIED_AGAIN
from apps.errors.services.acts import begin_act
from apps.errors.services.counting import lock_states
from apps.errors.services.notes import refuse_stranger
from apps.errors.states import BulkKind, CauseState, Classification, ErrorUnit

LONGEST_SNOOZE = timedelta(days=180)
MOST_MERGED = 200


class CauseRefused(Exception):  # noqa: N818 (an answer, not a fault)
    """What cannot be done with a root cause; the message tells why."""


def head_of(cause: Cause) -> Cause:
    """The cause under which it is shown: itself, or the one that it was merged into."""
    return cause if cause.merged_into is None else cause.merged_into


def group_of(cause: Cause) -> "QuerySet[Cause]":
    """A cause, its head and all that were merged into that head."""
    head = cause.merged_into_id or cause.pk
    return Cause.objects.of(cause.account_id).filter(Q(pk=head) | Q(merged_into=head))


def errors_of(cause: Cause) -> ErrorQuerySet:
    """The errors of a cause and of all that it is merged with, in every state."""
    ids = list(group_of(cause).values_list("pk", flat=True))
    return Error.objects.of(cause.account_id).filter(cause__in=ids)


def _lock(causes: "QuerySet[Cause]", account: int) -> list[Cause]:
    """The causes, locked behind the states of their steps, as page commits do."""
    lock_states(account, set(causes.values_list("step_id", flat=True)))
    return list(causes.select_for_update().order_by("pk"))


# --- class -----------------------------------------------------------------------------------------------------------
def classify_cause(*, cause: Cause, member: Member, classification: str) -> BulkAct | None:
    """Correct the class of a cause: one row, and every error that comes takes it.

    Open errors are steered by a worker: their automatic attempts begin or end. None where there is nothing to steer.
    Raises CauseRefused for a word that is no class.
    """
    if classification not in Classification.values:
        raise CauseRefused(f"There is no class {classification[:20]!r}.")
    with transaction.atomic():
        causes = _lock(group_of(cause), cause.account_id)
        before = next(c.classification for c in causes if c.pk == cause.pk)
        rows = Cause.objects.of(cause.account_id).filter(pk__in=[c.pk for c in causes])
        rows.filter(classified_by__isnull=True).update(class_by_rule=F("classification"))
        rows.update(classification=classification, classified_by=member)
        record_audit(
            account=cause.account_id, actor=Actor.member(member), act="cause.classify", target=cause,
            before={"classification": before}, after={"classification": classification},
        )  # fmt: skip
    cause.classification, cause.classified_by = classification, member
    return _steer(cause, member)


def unclassify_cause(*, cause: Cause, member: Member) -> BulkAct | None:
    """Take a member's class back: the cause, and all that it is merged with, have the class of the rules again.

    Open errors are steered as by a correction. Raises CauseRefused where no member set a class.
    """
    with transaction.atomic():
        causes = [c for c in _lock(group_of(cause), cause.account_id) if c.classified_by_id is not None]
        if not causes:
            raise CauseRefused("The class is that of the rules already.")
        rows = Cause.objects.of(cause.account_id).filter(pk__in=[c.pk for c in causes])
        rows.exclude(class_by_rule="").update(classification=F("class_by_rule"))
        rows.update(classified_by=None, class_by_rule="")
        before = cause.classification
        cause.refresh_from_db(fields=["classification", "classified_by", "class_by_rule"])
        record_audit(
            account=cause.account_id, actor=Actor.member(member), act="cause.unclassify", target=cause,
            before={"classification": before}, after={"classification": cause.classification},
        )  # fmt: skip
    return _steer(cause, member)


def _steer(cause: Cause, member: Member) -> BulkAct | None:
    """Begin or end the automatic attempts of open errors whose classes have changed; None where there are none.

    The causes are read first: joined to 20,000 errors they took most of the click.
    """
    causes = group_of(cause).select_related("flow")
    facts = [(found.pk, found.classification, found.flow.is_auto_retrying) for found in causes]
    begins = Q(
        cause__in=[pk for pk, classification, is_on in facts if classification in TRIED_AGAIN and is_on],
        next_attempt_at__isnull=True, unit=ErrorUnit.RECORD, in_doubt=False, attempts__lt=MOST_ATTEMPTS,
    )  # fmt: skip
    ends = Q(
        cause__in=[pk for pk, classification, _ in facts if classification not in TRIED_AGAIN],
        next_attempt_at__isnull=False,
    )
    steered = errors_of(cause).filter(OPEN).filter(begins | ends)
    if not steered.exists():
        return None
    return begin_act(member.account, member, BulkKind.CLASSIFY, steered, {"classification": cause.classification})


# --- snooze ----------------------------------------------------------------------------------------------------------
def snooze_cause(
    *, cause: Cause, member: Member | None, until: datetime | None = None, errors: int | None = None
) -> None:
    """Out of sight until a time, or until that many more errors have come. Raises CauseRefused."""
    if until is None and errors is None:
        raise CauseRefused("Say until when to snooze, or for how many more errors.")
    if until is not None and not timedelta() < until - read_now() <= LONGEST_SNOOZE:
        raise CauseRefused(f"A snooze ends in the future, within {LONGEST_SNOOZE.days} days.")
    if errors is not None and not 1 <= errors <= 1_000_000:
        raise CauseRefused(f"Between 1 and 1,000,000 more errors. Yours is {errors:,}.")
    _set_state(cause, member, "cause.snooze", CauseState.SNOOZED, until, errors)


def wake_cause(*, cause: Cause, member: Member) -> None:
    """End a snooze before its time."""
    _set_state(cause, member, "cause.wake", CauseState.ONGOING, None, None)


def _set_state(
    cause: Cause, member: Member | None, act: str, state: str, until: datetime | None, errors: int | None
) -> None:
    head = head_of(cause)
    with transaction.atomic():
        _lock(Cause.objects.of(head.account_id).filter(pk=head.pk), head.account_id)
        rows = Cause.objects.of(head.account_id).filter(pk=head.pk)
        rows.update(state=state, snoozed_until=until, snooze_until_count=errors)
        after = {"state": state, "until": until.isoformat() if until else None, "errors": errors}
        record_audit(
            account=head.account_id, actor=Actor.member(member) if member else SYSTEM, act=act, target=head,
            before={"state": head.state}, after=after,
        )  # fmt: skip
    head.state, head.snoozed_until, head.snooze_until_count = state, until, errors


def is_awake(cause: Cause, now: datetime) -> bool:
    """Whether a cause is in sight: not snoozed, or its time has come."""
    is_over = cause.snoozed_until is not None and cause.snoozed_until <= now
    return cause.state != CauseState.SNOOZED or is_over


# --- assign ----------------------------------------------------------------------------------------------------------
@transaction.atomic
def assign_cause(*, cause: Cause, member: Member, assignee: Member | None) -> None:
    """Give a cause to a member, or to nobody; its errors keep their own assignees. Raises NoteRefused."""
    head = head_of(cause)
    refuse_stranger(member.account, assignee)
    Cause.objects.of(head.account_id).filter(pk=head.pk).update(assignee=assignee)
    Assignment.objects.of(head.account_id).filter(cause=head, mailed_at__isnull=True).delete()
    if assignee is not None and assignee != member:
        waiting = Assignment(account_id=head.account_id, cause=head, assignee=assignee, assigned_by=member)
        waiting.save(force_insert=True)
    record_audit(
        account=head.account_id, actor=Actor.member(member), act="cause.assign", target=head,
        before={"assignee": head.assignee_id}, after={"assignee": assignee.pk if assignee else None},
    )  # fmt: skip
    head.assignee = assignee


# --- merge -----------------------------------------------------------------------------------------------------------
def merge_causes(*, into: Cause, causes: Sequence[Cause], member: Member) -> BulkAct | None:
    """Show causes, of any step and flow, as one from now on: what comes to any of them comes to the group.

    A class that a member set on the head holds for all. Raises CauseRefused.
    """
    head = head_of(into)
    joining = [cause for cause in causes if (cause.merged_into_id or cause.pk) != head.pk]
    if not joining:
        raise CauseRefused("Choose another root cause: these are one already.")
    _refuse_unlike(head, joining)
    numbers = {cause.merged_into_id or cause.pk for cause in joining}
    with transaction.atomic():
        everyone = Q(pk__in=[head.pk, *numbers]) | Q(merged_into__in=[head.pk, *numbers])
        locked = _lock(Cause.objects.of(head.account_id).filter(everyone), head.account_id)
        if len(locked) > MOST_MERGED:
            raise CauseRefused(f"Up to {MOST_MERGED} root causes can be one. These are {len(locked):,}.")
        if next(c for c in locked if c.pk == head.pk).merged_into_id is not None:
            raise CauseRefused("Somebody merged this root cause into another one meanwhile. Look at it again.")
        members = [c.pk for c in locked if c.pk != head.pk]
        Cause.objects.of(head.account_id).filter(pk__in=members).update(merged_into=head)
        record_audit(
            account=head.account_id, actor=Actor.member(member), act="cause.merge", target=head,
            after={"causes": sorted(numbers)},
        )  # fmt: skip
    if head.classified_by_id is None:
        return None
    return classify_cause(cause=head, member=member, classification=head.classification)


def _refuse_unlike(head: Cause, joining: Sequence[Cause]) -> None:
    if any(cause.account_id != head.account_id for cause in joining):
        raise CauseRefused("This root cause belongs to another account.")
    environment = head.flow.integration.environment
    if any(cause.flow.integration.environment != environment for cause in joining):
        raise CauseRefused("Production and sandbox are kept apart: merge root causes of one of them.")


@transaction.atomic
def unmerge_cause(*, cause: Cause, member: Member) -> None:
    """Let a cause stand for itself again. Raises CauseRefused for one that is not merged."""
    rows = Cause.objects.of(cause.account_id).filter(pk=cause.pk, merged_into__isnull=False)
    _lock(rows, cause.account_id)
    before = cause.merged_into_id
    if not rows.update(merged_into=None, state=CauseState.ONGOING):
        raise CauseRefused("This root cause is not merged into another one.")
    record_audit(
        account=cause.account_id, actor=Actor.member(member), act="cause.unmerge", target=cause,
        before={"merged_into": before},
    )  # fmt: skip
    cause.merged_into = None
