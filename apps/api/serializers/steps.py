"""Exports (lookups are exports too) and imports: the steps of flows."""

from rest_framework import serializers

from apps.api.serializers.base import Answer, AnyJson, Body, WireId
from apps.core.ids import Kind


class StepAnswer(Answer):
    """A step of a flow that reads from or writes to an application."""

    _id = WireId(Kind.STEP, source="step.pk")
    name = serializers.CharField(source="step.name")
    key = serializers.CharField(source="step.key")
    _flowId = WireId(Kind.FLOW, source="step.flow_id")
    _integrationId = WireId(Kind.INTEGRATION, source="step.flow.integration_id")
    _connectionId = WireId(Kind.CONNECTION, source="step.connection_id", required=False)
    adaptorType = serializers.CharField(source="step.connection.kind", required=False, help_text="Such as http or sql.")
    oIndex = serializers.CharField(source="position", help_text="Its place in the flow.")
    numOpenError = serializers.IntegerField(source="open_errors")
    definition = AnyJson(source="part", help_text="What the flow's definition says of it.")


class ExportAnswer(StepAnswer):
    isLookup = serializers.BooleanField(source="is_lookup")
    pageSize = serializers.IntegerField(source="step.flow.page_size")


class ImportAnswer(StepAnswer):
    proceedOnFailure = serializers.BooleanField(source="goes_on")
    responseMapping = AnyJson(source="mapping", required=False)


class StepBody(Body):
    """Fields of a step. PUT replaces its definition, PATCH changes the named fields of it (null: taken out)."""

    _flowId = WireId(Kind.FLOW, required=False, help_text="Only for a new step: the flow that it is added to.")
    name = serializers.CharField(max_length=120, required=False)
    _connectionId = WireId(Kind.CONNECTION, required=False)
    definition = serializers.DictField(required=False)
