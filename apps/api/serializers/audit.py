"""The audit log."""

from rest_framework import serializers

from apps.api.selectors.audit import SOURCES
from apps.api.serializers.base import Answer, AnyJson, Moment, WireId
from apps.api.serializers.members import UserAnswer
from apps.core.ids import Kind


class ChangeAnswer(Answer):
    """One field before and after."""

    fieldPath = serializers.CharField(source="path")
    oldValue = AnyJson(source="old")
    newValue = AnyJson(source="new")


class AuditAnswer(Answer):
    """Who did what to which object, and when."""

    _id = WireId(Kind.AUDIT, source="entry.pk")
    time = Moment(source="entry.at")
    source = serializers.ChoiceField(choices=list(SOURCES.values()))  # type: ignore[assignment]
    event = serializers.CharField(source="entry.act", help_text="Such as flow.apply.")
    resourceType = serializers.CharField(source="entry.object_kind")
    _resourceId = serializers.CharField(source="resource_id", required=False)
    byUser = UserAnswer(source="user", required=False)
    fieldChanges = ChangeAnswer(many=True, source="changes")
