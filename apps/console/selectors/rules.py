"""Rules as the console shows them: what each looks for and does in words, what it met, what it would have met."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q

from apps.accounts.models import Account, Member
from apps.accounts.selectors import person
from apps.core.clock import wall_now
from apps.core.pagination import KeysetPage, keyset_page
from apps.errors.models import Error, Rule, RuleHit, RuleRevision, Tag
from apps.errors.rule_models import HitState
from apps.errors.rules.definition import WAYS, Definition
from apps.errors.states import Classification
from apps.flows.models import Flow, Integration
from apps.notifications.models import Channel

CLASSES = dict(Classification.choices)
PAGE_SIZE = 25
MOST_REVISIONS = 20


@dataclass(frozen=True)
class Names:
    """What the ids in definitions are called; one query each for five kinds, whatever the number of rules."""

    flows: Mapping[int, str]
    integrations: Mapping[int, str]
    tags: Mapping[int, str]
    members: Mapping[int, str]
    channels: Mapping[int, str]


def names_of(account: Account) -> Names:
    members = Member.objects.of(account).select_related("user")
    return Names(
        dict(Flow.objects.of(account).values_list("pk", "name")),
        dict(Integration.objects.of(account).values_list("pk", "name")),
        dict(Tag.objects.of(account).values_list("pk", "name")),
        {member.pk: person(member) for member in members},
        dict(Channel.objects.of(account).values_list("pk", "name")),
    )


@dataclass(frozen=True)
class RuleRow:
    """`acted` and `met`: hits of the last seven days."""

    rule: Rule
    looks_for: Sequence[str]
    does: Sequence[str]
    acted: int = 0
    met: int = 0


def rule_rows(account: Account, environment: str) -> list[RuleRow]:
    """All rules of an environment, by name."""
    rules = Rule.objects.of(account).filter(environment=environment, removed_at__isnull=True)
    names, week = names_of(account), wall_now() - timedelta(days=7)
    hits = RuleHit.objects.of(account).filter(at__gte=week).order_by().values("rule")
    acted = Count("pk", filter=Q(state=HitState.ACTED))
    counts = {row["rule"]: (row["acted"], row["met"]) for row in hits.annotate(acted=acted, met=Count("pk"))}
    return [
        RuleRow(rule, *words_of(rule, names), *counts.get(rule.pk, (0, 0)))
        for rule in rules.select_related("revision__member__user").order_by("name")
    ]


def words_of(rule: Rule, names: Names) -> tuple[list[str], list[str]]:
    """(what it looks for, what it does), a phrase each."""
    assert rule.revision is not None, "a rule is made with a revision"
    definition = Definition.of(rule.revision.definition)
    return conditions_words(definition, names), acts_words(definition, names)


def conditions_words(definition: Definition, names: Names) -> list[str]:
    wanted = definition.conditions
    found = [f"integration {names.integrations.get(wanted.integration, 'that is gone')}"] if wanted.integration else []
    found += [f"flow {names.flows.get(wanted.flow, 'that is gone')}"] if wanted.flow else []
    found += [f"class {CLASSES[wanted.classification]}"] if wanted.classification else []
    found += [f"source {wanted.source}"] if wanted.source else []
    found += [f"code {wanted.code}"] if wanted.code else []
    found += [f"text “{wanted.text}”"] if wanted.text else []
    found += [field_words(definition)] if wanted.field else []
    found += [f"open for {wanted.older_than_minutes:,} min"] if wanted.older_than_minutes else []
    return found + ([f"{wanted.at_least:,} or more of its root cause open"] if wanted.at_least else [])


def field_words(definition: Definition) -> str:
    wanted = definition.conditions
    value = "" if wanted.way == "missing" else f" {wanted.value or 'blank'}"
    return f"{wanted.field} {WAYS[wanted.way]}{value}"


def acts_words(definition: Definition, names: Names) -> list[str]:
    acts = definition.acts
    found = [f"tag {', '.join(names.tags.get(tag, 'that is gone') for tag in acts.tags)}"] if acts.tags else []
    found += [f"assign to {names.members.get(acts.assignee, 'nobody')}"] if acts.assignee else []
    found += [f"set {change['field']} to {value_text(change['value'])}" for change in acts.changes]
    found += ["retry"] if acts.retry else []
    found += ["resolve"] if acts.resolve else []
    found += [f"snooze its root cause for {acts.snooze_hours:,} h"] if acts.snooze_hours else []
    found += ["disable the flow"] if acts.disable_flow else []
    told = [names.members.get(member, "a member who is gone") for member in acts.notify_members]
    told += [names.channels.get(channel, "a channel that is gone") for channel in acts.notify_channels]
    return found + ([f"notify {', '.join(told)}"] if told else [])


def value_text(value: Any) -> str:
    """A value as a member would type it: a text that reads like JSON in quotes."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value, ensure_ascii=False)


# --- one rule --------------------------------------------------------------------------------------------------------
def revisions_of(rule: Rule) -> list[RuleRevision]:
    """The newest ones, each with who saved it."""
    rows = RuleRevision.objects.of(rule.account_id).filter(rule=rule).select_related("member__user")
    return list(rows.order_by("-number")[:MOST_REVISIONS])


@dataclass(frozen=True)
class HitRow:
    """`error` is None for one that was removed since."""

    hit: RuleHit
    error: Error | None

    @property
    def look(self) -> str:
        return f"hit_{self.hit.state}"


def hit_page(
    rule: Rule, *, state: str = "", since: datetime | None = None, cursor: str = ""
) -> tuple["KeysetPage[RuleHit]", list[HitRow]]:
    """What the rule met (and did, since when), newest first. Raises BadCursorError."""
    hits = RuleHit.objects.of(rule.account_id).filter(rule=rule).select_related("revision")
    wanted = {name: value for name, value in {"state": state, "at__gte": since}.items() if value}
    page = keyset_page(hits.filter(**wanted), cursor=cursor, size=PAGE_SIZE)
    rows = Error.objects.of(rule.account_id).filter(pk__in=[hit.error_id for hit in page.rows])
    errors = {error.pk: error for error in rows.select_related("flow", "step", "cause").defer("effects")}
    return page, [HitRow(hit, errors.get(hit.error_id)) for hit in page.rows]


def acted_this_hour(rule: Rule) -> int:
    since = wall_now() - timedelta(hours=1)
    return RuleHit.objects.of(rule.account_id).filter(rule=rule, state=HitState.ACTED, at__gt=since).count()
