"""The audit log as the console lists it: its filters, a page of it, and where its objects are."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import Model, QuerySet
from django.http import QueryDict
from django.urls import reverse

from apps.accounts.audit import FieldChange, actor_text, changes_of, entries_of
from apps.accounts.models import Account, ActorKind, AuditEntry, Member, Token
from apps.accounts.selectors import person
from apps.console.admin_places import PLACES
from apps.console.context import address_of
from apps.console.selectors.error_filters import key_of
from apps.console.spans import Span
from apps.core.pagination import KeysetPage, keyset_page
from apps.core.text import storable
from apps.webhooks.models import Webhook

PAGE_SIZE = 50
CHOICES_OF = 2_000
"""The newest entries whose acts and kinds are offered as choices."""
LONGEST_WORD = 64
LISTED: Mapping[type[Model], str] = {Member: "console:member-list", Token: "console:token-list"}
"""Objects without a page of their own, and the page that lists them."""
ACCOUNT = "account"
NAMED: Sequence[type[Model]] = (*PLACES, *LISTED, Webhook)
BY_KIND: Mapping[str, type[Model]] = {str(model._meta.model_name): model for model in NAMED}
NOUNS = {"bulkact": "act on errors", "savedview": "saved view", "testrun": "test run", "cause": "root cause"}


@dataclass(frozen=True)
class AuditFilter:
    """What is asked for. `who` is a member's id or a kind of actor; `thing` the id of an object of that `kind`."""

    who: str = ""
    act: str = ""
    kind: str = ""
    thing: str = ""
    span: Span = field(default_factory=Span)

    @property
    def is_on(self) -> bool:
        return bool(self.who or self.act or self.kind or self.thing or self.span.name)

    def conditions(self) -> dict[str, object] | None:
        """Keywords for `filter()`; None where nothing can match."""
        kind = self.who if self.who in ActorKind.values else ""
        member, is_nobody = key_of("" if kind else self.who)
        thing, is_nothing = key_of(self.thing)
        if is_nobody or is_nothing:
            return None
        found: dict[str, object] = {"actor_kind": kind, "member": member, "act": self.act}
        found |= {"object_kind": self.kind, "object_id": thing}
        found |= {"at__gte": self.span.since, "at__lt": self.span.until}
        return {name: value for name, value in found.items() if value not in (None, "")}


def filter_of(query: QueryDict, span: Span) -> AuditFilter:
    who, act, kind, thing = (
        storable(query.get(name, ""))[0].strip()[:LONGEST_WORD] for name in ("who", "act", "kind", "object")
    )
    return AuditFilter(who, act, kind, thing, span)


def matching(account: Account, wanted: AuditFilter) -> "QuerySet[AuditEntry]":
    rows = entries_of(account).select_related("token")
    conditions = wanted.conditions()
    return rows.none() if conditions is None else rows.filter(**conditions)


@dataclass(frozen=True)
class Choices:
    """(value, label) of each filter, by what the newest entries say."""

    who: Sequence[tuple[str, str]]
    acts: Sequence[tuple[str, str]]
    kinds: Sequence[tuple[str, str]]


def choices_of(account: Account) -> Choices:
    """Two queries."""
    newest = AuditEntry.objects.of(account).order_by("-id").values_list("act", "object_kind")[:CHOICES_OF]
    acts, kinds = ({row[place] for row in newest} for place in (0, 1))
    members = Member.objects.of(account).select_related("user")
    named = [(str(member.pk), person(member)) for member in members]
    return Choices(
        [*sorted(named, key=lambda choice: choice[1]), *((str(k), str(label)) for k, label in ActorKind.choices)],
        [(act, act_text(act)) for act in sorted(acts)],
        [(kind, noun_of(kind)) for kind in sorted(kinds)],
    )


def noun_of(kind: str) -> str:
    """`root cause`: an object's kind as people say it."""
    model = BY_KIND.get(kind)
    return NOUNS.get(kind) or (str(model._meta.verbose_name) if model else kind)


def act_text(act: str) -> str:
    """`flow.enable` -> `Enable flow`."""
    noun, _, verb = act.partition(".")
    return f"{verb} {noun_of(noun)}".replace("_", " ").strip().capitalize()


# --- a page ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Row:
    """One entry with its object: `name` is blank for one that is gone, `href` where it has no page."""

    entry: AuditEntry
    name: str = ""
    href: str = ""

    @property
    def who(self) -> str:
        return actor_text(self.entry)

    @property
    def who_href(self) -> str:
        """The page of the rule that acted."""
        revision = self.entry.rule_revision
        return reverse("console:rule", args=[revision.rule_id]) if revision is not None else ""

    @property
    def act(self) -> str:
        return act_text(self.entry.act)

    @property
    def noun(self) -> str:
        return noun_of(self.entry.object_kind)

    @property
    def changes(self) -> list[FieldChange]:
        return changes_of(self.entry)


def audit_page(account: Account, wanted: AuditFilter, *, cursor: str) -> "KeysetPage[AuditEntry]":
    """One query. Raises BadCursorError."""
    return keyset_page(matching(account, wanted), cursor=cursor, size=PAGE_SIZE)


def with_objects(account: Account, entries: Iterable[AuditEntry]) -> list[Row]:
    """The entries with their objects as they are now; one query a kind."""
    entries = list(entries)
    wanted: dict[str, set[int]] = defaultdict(set)
    for entry in entries:
        if entry.object_kind in BY_KIND and entry.object_id:
            wanted[entry.object_kind].add(entry.object_id)
    found = {(kind, row.pk): row for kind, keys in wanted.items() for row in objects_of(account, kind, keys)}
    return [row_of(entry, found.get((entry.object_kind, entry.object_id or 0))) for entry in entries]


def objects_of(account: Account, kind: str, keys: Iterable[int]) -> Iterable[Model]:
    model = BY_KIND[kind]
    needs = PLACES[model].needs if model in PLACES else ()
    rows = model.objects.of(account).filter(pk__in=keys)  # type: ignore[attr-defined]
    return rows.select_related(*needs, *(("user",) if model is Member else ()))


def row_of(entry: AuditEntry, thing: Model | None) -> Row:
    if entry.object_kind == ACCOUNT:
        return Row(entry, "this account")
    if thing is None:
        return Row(entry)
    place = PLACES.get(type(thing))
    listed = LISTED.get(type(thing), "")
    return Row(entry, str(thing), place.address(thing) if place else listed and address_of(listed))
