"""Integrations."""

from rest_framework import serializers

from apps.api.serializers.base import Answer, Body, Moment, WireId
from apps.core.ids import Kind
from apps.flows.models import Environment


class IntegrationAnswer(Answer):
    """A named group of flows."""

    _id = WireId(Kind.INTEGRATION, source="pk")
    name = serializers.CharField()
    description = serializers.CharField()
    slug = serializers.CharField()
    environment = serializers.ChoiceField(choices=Environment.choices)
    sandbox = serializers.BooleanField(source="is_sandbox")
    createdAt = Moment(source="created_at")
    numFlows = serializers.IntegerField(source="flow_count")
    numOpenError = serializers.IntegerField(source="open_errors")


class IntegrationBody(Body):
    name = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(max_length=10_000, allow_blank=True, required=False)
    environment = serializers.ChoiceField(choices=Environment.choices, required=False)
