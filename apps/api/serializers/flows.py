"""Flows, in the words of the API."""

from rest_framework import serializers

from apps.api.serializers.base import Answer, AnyJson, Moment, WireId
from apps.core.ids import Kind


class GeneratorAnswer(Answer):
    """Where records come from."""

    _exportId = WireId(Kind.STEP, source="export")


class ProcessorAnswer(Answer):
    """Where records go: a lookup is of the type export, too."""

    type = serializers.ChoiceField(choices=["export", "import"])
    _exportId = WireId(Kind.STEP, source="export", required=False)
    _importId = WireId(Kind.STEP, source="import", required=False)
    proceedOnFailure = serializers.BooleanField(source="goes_on", help_text="A failed record goes on to later steps.")
    responseMapping = AnyJson(source="mapping", required=False)


class FlowAnswer(Answer):
    """An ordered pipeline of steps."""

    _id = WireId(Kind.FLOW, source="flow.pk")
    name = serializers.CharField(source="flow.name")
    description = serializers.CharField(source="flow.description")
    disabled = serializers.BooleanField(source="is_disabled")
    _integrationId = WireId(Kind.INTEGRATION, source="flow.integration_id")
    schedule = serializers.CharField(required=False, help_text="Six fields, the first one ?.")
    timezone = serializers.CharField(source="flow.time_zone", required=False)
    pageGenerators = GeneratorAnswer(many=True, source="generators")
    pageProcessors = ProcessorAnswer(many=True, source="processors")
    autoResolveMatchingTraceKeys = serializers.BooleanField(source="flow.auto_resolve")
    lastExecutedAt = Moment(source="last_executed_at", required=False)
    createdAt = Moment(source="flow.created_at")
    lastModified = Moment(source="last_modified")
    numOpenError = serializers.IntegerField(source="open_errors")
    key = serializers.CharField(source="flow.key")
    revision = serializers.IntegerField(source="flow.revision.number", allow_null=True)
    environment = serializers.CharField(source="flow.integration.environment")
