"""The audit log as the API tells it."""

from dataclasses import dataclass

from django.contrib.auth.models import User

from apps.accounts.audit import FieldChange, changes_of
from apps.accounts.models import ActorKind, AuditEntry
from apps.core.ids import Kind, wire_id

KINDS = {kind.name.lower(): kind for kind in Kind}
"""Most entries are about an object whose model is named as its kind of id is."""
SOURCES = {
    ActorKind.MEMBER.value: "ui",
    ActorKind.TOKEN.value: "api",
    ActorKind.RULE.value: "rule",
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
    def changes(self) -> list[FieldChange]:
        return changes_of(self.entry)
