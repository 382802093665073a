"""Flows, in the words of the API."""

from typing import Any

from rest_framework import serializers

from apps.api.serializers.base import Answer, AnyJson, Body, Moment, WireId
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
    parallelPages = serializers.IntegerField(
        source="flow.parallel_pages", help_text="Pages of a run that are at work at once; set by the definition."
    )
    key = serializers.CharField(source="flow.key")
    revision = serializers.IntegerField(source="flow.revision.number", allow_null=True)
    environment = serializers.CharField(source="flow.integration.environment")


class WholeFlowAnswer(FlowAnswer):
    """A flow with its definition."""

    definition = serializers.CharField(source="flow.revision.definition", required=False, help_text="YAML.")


class GeneratorBody(Body):
    _exportId = WireId(Kind.STEP)


class ProcessorBody(Body):
    type = serializers.CharField(required=False)
    _exportId = WireId(Kind.STEP, required=False)
    _importId = WireId(Kind.STEP, required=False)
    proceedOnFailure = serializers.BooleanField(required=False)
    responseMapping = AnyJson(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs.keys() & {"_exportId", "_importId"}) != 1:
            raise serializers.ValidationError("Name one step: either _exportId or _importId.")
        return attrs


class FlowBody(Body):
    """A flow, by its fields or by its definition; what is not said stays (PATCH), or is the usual (POST, PUT)."""

    name = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(max_length=10_000, allow_blank=True, allow_null=True, required=False)
    disabled = serializers.BooleanField(required=False, help_text="Not said: as it is; a new flow is disabled.")
    _integrationId = WireId(Kind.INTEGRATION, required=False)
    schedule = serializers.CharField(
        max_length=120, allow_blank=True, allow_null=True, required=False, help_text="Six fields, the first one ?."
    )
    timezone = serializers.CharField(max_length=64, allow_blank=True, allow_null=True, required=False)
    pageGenerators = GeneratorBody(many=True, required=False)
    pageProcessors = ProcessorBody(many=True, required=False)
    autoResolveMatchingTraceKeys = serializers.BooleanField(required=False)
    definition = AnyJson(
        required=False, help_text="The whole flow as YAML text or as an object; beside it only disabled."
    )

    def validate_definition(self, given: Any) -> Any:
        if not isinstance(given, str | dict):
            raise serializers.ValidationError("A definition is a YAML text or an object.")
        return given


class RunBody(Body):
    startDate = Moment(required=False, allow_null=True, help_text="Export from here on.")
    endDate = Moment(required=False, allow_null=True, help_text="Export up to here.")
    _exportIds = serializers.ListField(child=WireId(Kind.STEP), required=False, help_text="The flow's export.")


class RunStartedAnswer(Answer):
    _jobId = WireId(Kind.RUN, source="pk")


class CloneBody(Body):
    name = serializers.CharField(max_length=120, required=False)
    _integrationId = WireId(Kind.INTEGRATION, required=False)


class NamedAnswer(Answer):
    _id = serializers.CharField()
    name = serializers.CharField()


class DependenciesAnswer(Answer):
    """What the flow is made of and uses, and `flows`: those that call it or run after it."""

    integrations = NamedAnswer(many=True)
    connections = NamedAnswer(many=True)
    exports = NamedAnswer(many=True)
    imports = NamedAnswer(many=True)
    flows = NamedAnswer(many=True)


class LastExportAnswer(Answer):
    lastExportDateTime = Moment(source="at", allow_null=True, help_text="Null: nothing yet, or no time.")
    value = AnyJson(help_text="The checkpoint as the export keeps it.")
    lastModified = Moment(source="moved_at", required=False)


class LastExportBody(Body):
    lastExportDateTime = Moment(required=False, allow_null=True, help_text="Null: export from the beginning.")
    value = AnyJson(required=False, help_text="The checkpoint as the export keeps it, instead of a time.")
