"""The audit log as the API tells it."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet

from apps.accounts.models import Account, ActorKind, AuditEntry
from apps.core.ids import Kind, wire_id

KINDS = {kind.name.lower(): kind for kind in Kind}
"""Most entries are about an object whose model is named as its kind of id is."""
SOURCES = {
    ActorKind.MEMBER.value: "ui",
    ActorKind.TOKEN.value: "api",
    ActorKind.COMMAND.value: "command",
    ActorKind.SYSTEM.value: "system",
}


@dataclass(frozen=True, slots=True)
class EntryFacts:
    """An entry as it is answered."""

    entry: AuditEntry

    @property
    def source(self) -> str:
        return SOURCES[self.entry.actor_kind]

    @property
    def user(self) -> User | None:
        return self.entry.member.user if self.entry.member else None

    @property
    def resource_id(self) -> str:
        """Blank for an object that has no id on the wire."""
        kind, key = KINDS.get(self.entry.object_kind), self.entry.object_id
        return wire_id(kind, key) if kind is not None and key else ""

    @property
    def changes(self) -> list[dict[str, Any]]:
        """The fields that differ; `before` and `after` never hold a secret."""
        before, after = fields_of(self.entry.before), fields_of(self.entry.after)
        return [
            {"path": name, "old": before.get(name), "new": after.get(name)}
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        ]


def fields_of(facts: Any) -> dict[str, Any]:
    return facts if isinstance(facts, dict) else {}


def entries_of(account: Account) -> "QuerySet[Any]":
    """Newest first, each with its member and user."""
    return AuditEntry.objects.of(account).select_related("member__user").order_by("-id")
