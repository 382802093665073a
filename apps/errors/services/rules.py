"""Making, changing, switching and removing rules; every act leaves an audit entry."""

from typing import Any

from django.db import transaction
from django.db.models import Max

from apps.accounts.models import Account, Member
from apps.accounts.permissions import Act, may
from apps.accounts.services import Actor, record_audit
from apps.core.clock import read_now
from apps.errors.models import Error, Rule, RuleRevision, Tag
from apps.errors.rule_models import RuleMode
from apps.errors.rules.definition import Definition, RuleRefused, check_definition
from apps.flows.models import Environment, Flow, Integration

LONGEST_NAME = 120
MOST_RULES = 100


@transaction.atomic
def save_rule(
    *, member: Member, name: str, definition: Definition, environment: str = Environment.PRODUCTION,
    rule: Rule | None = None,
) -> Rule:  # fmt: skip
    """Make a rule, switched off, or give one another revision; what is the same as before leaves nothing.

    Raises RuleRefused with what is wrong.
    """
    _refuse_unless_editor(member)
    account = Account.objects.select_for_update(no_key=True).get(
        pk=member.account_id
    )  # names and numbers are counted up
    cleaned = _free_name(account, name, rule)
    check_definition(definition)
    _refuse_strangers(account, definition)
    if rule is None:
        return _make(account, member, cleaned, environment, definition)
    locked: Rule = Rule.objects.of(account).select_for_update(of=("self",)).select_related("revision").get(pk=rule.pk)
    before = _facts(locked)
    locked.name = cleaned
    if locked.revision is None or Definition.of(locked.revision.definition).stored() != definition.stored():
        locked.revision = _revise(locked, definition, member)
        _look_soon(locked)
    if _facts(locked) != before:
        locked.save(update_fields=["name", "revision", "look_again_at"])
        _record(locked, member, "rule.change", before, _facts(locked))
    return locked


def _make(account: Account, member: Member, name: str, environment: str, definition: Definition) -> Rule:
    if Rule.objects.of(account).filter(removed_at__isnull=True).count() >= MOST_RULES:
        raise RuleRefused(f"Up to {MOST_RULES} rules. Remove one that you do not need any more.")
    rule = Rule(account=account, name=name, environment=environment)
    rule.save(force_insert=True)
    rule.revision = _revise(rule, definition, member)
    rule.save(update_fields=["revision"])
    _record(rule, member, "rule.create", None, _facts(rule) | {"environment": environment})
    return rule


def _revise(rule: Rule, definition: Definition, member: Member) -> RuleRevision:
    number = rule.revision.number + 1 if rule.revision is not None else 1
    made = RuleRevision(
        account_id=rule.account_id, rule=rule, number=number, definition=definition.stored(), member=member
    )
    made.save(force_insert=True)
    return made


@transaction.atomic
def switch_rule(*, rule: Rule, member: Member, mode: str, includes_open: bool = False) -> Rule:
    """Off, shadow (it looks, and does nothing) or on. One that was off begins with the errors that open from now on,
    or with all that are open now. Raises RuleRefused."""
    _refuse_unless_editor(member)
    if mode not in RuleMode.values:
        raise RuleRefused("A rule is off, in shadow mode, or on.")
    locked: Rule = Rule.objects.of(rule.account_id).select_for_update().get(pk=rule.pk)
    if locked.removed_at is not None:
        raise RuleRefused(f"The rule {locked.name} was removed.")
    before = locked.mode
    if before == mode:
        return locked
    if before == RuleMode.OFF:
        _begin_at(locked, 0 if includes_open else _newest(locked.account_id))
    _look_soon(locked)
    locked.mode = mode
    locked.save(update_fields=["mode", "settled_to", "swept_to", "looked_to", "look_again_at"])
    _record(locked, member, "rule.switch", {"mode": before}, {"mode": mode, "includes_open": includes_open})
    return locked


def _newest(account: int) -> int:
    return Error.objects.of(account).aggregate(newest=Max("pk"))["newest"] or 0


def _begin_at(rule: Rule, error: int) -> None:
    rule.settled_to = rule.swept_to = rule.looked_to = error
    rule.look_again_at = None


def _look_soon(rule: Rule) -> None:
    """It may have waited for the end of an hour whose limit is another now."""
    if rule.look_again_at is not None:
        rule.look_again_at = read_now()


@transaction.atomic
def remove_rule(*, rule: Rule, member: Member) -> None:
    """It does nothing any more and is listed no more; what it did stays in the audit log."""
    _refuse_unless_editor(member)
    present = Rule.objects.of(rule.account_id).filter(pk=rule.pk, removed_at__isnull=True)
    if present.update(removed_at=read_now(), mode=RuleMode.OFF):
        _record(rule, member, "rule.remove", _facts(rule), None)


def _record(rule: Rule, member: Member, act: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
    record_audit(account=rule.account_id, actor=Actor.member(member), act=act, target=rule, before=before, after=after)


def _facts(rule: Rule) -> dict[str, Any]:
    if rule.revision is None:
        return {"name": rule.name}
    definition = rule.revision.definition
    said = {part: {name: value for name, value in definition[part].items() if value} for part in ("conditions", "acts")}
    return {"name": rule.name, "revision": rule.revision.number, **definition, **said}


def _refuse_unless_editor(member: Member) -> None:
    if not may(member, Act.EDIT_RULES):
        raise RuleRefused("Rules are made by those with the role manager in the whole account.")


def _free_name(account: Account, name: str, rule: Rule | None) -> str:
    cleaned = " ".join(name.replace("\x00", "").split())
    if not cleaned or len(cleaned) > LONGEST_NAME:
        raise RuleRefused(f"The name of a rule has 1 to {LONGEST_NAME} characters. Yours has {len(cleaned)}.")
    others = Rule.objects.of(account).filter(name__iexact=cleaned, removed_at__isnull=True)
    if others.exclude(pk=rule.pk if rule is not None else None).exists():
        raise RuleRefused(f"There is a rule {cleaned} already. Choose another name.")
    return cleaned


def _refuse_strangers(account: Account, definition: Definition) -> None:
    """What a rule names is the account's own."""
    conditions, acts = definition.conditions, definition.acts
    if conditions.flow and not Flow.objects.of(account).filter(pk=conditions.flow).exists():
        raise RuleRefused("There is no such flow.")
    if conditions.integration and not Integration.objects.of(account).filter(pk=conditions.integration).exists():
        raise RuleRefused("There is no such integration.")
    if Tag.objects.of(account).filter(pk__in=acts.tags).count() != len(set(acts.tags)):
        raise RuleRefused("One of the tags is not there any more.")
    active = Member.objects.of(account).filter(disabled_at__isnull=True)
    if acts.assignee is not None and not active.filter(pk=acts.assignee).exists():
        raise RuleRefused("Errors are assigned to active members of this account only.")
    if active.filter(pk__in=acts.notify_members).count() != len(set(acts.notify_members)):
        raise RuleRefused("Only active members of this account are notified.")
