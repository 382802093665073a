"""Reading the audit log: its entries with who acted, and what each changed, field by field."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from apps.accounts.models import Account, ActorKind, AuditEntry
from apps.accounts.selectors import person


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field before and after; None: it was not there. Fields of objects have a path such as `config.base_url`."""

    path: str
    old: Any
    new: Any


def entries_of(account: Account) -> "QuerySet[AuditEntry]":
    """Newest first, each with its member and user."""
    rows: QuerySet[AuditEntry] = AuditEntry.objects.of(account)
    return rows.select_related("member__user", "rule_revision__rule").order_by("-id")


def changes_of(entry: AuditEntry) -> list[FieldChange]:
    """The fields that differ, by name; `before` and `after` never hold a secret."""
    before, after = dict(fields_of(entry.before)), dict(fields_of(entry.after))
    return [
        FieldChange(path, before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def fields_of(facts: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of what is no object itself."""
    if not isinstance(facts, Mapping):
        return
    for name, value in facts.items():
        if isinstance(value, Mapping) and value:
            yield from fields_of(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def actor_text(entry: AuditEntry) -> str:
    """A member's name; a rule with its revision, such as `Known time-outs@3`; what else acts by its kind."""
    if entry.member is not None:
        return person(entry.member)
    if entry.rule_revision is not None:
        return str(entry.rule_revision)
    return ActorKind(entry.actor_kind).label
