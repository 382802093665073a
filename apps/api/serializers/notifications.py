"""Subscriptions: who is told what."""

from rest_framework import serializers

from apps.api.serializers.base import Answer, Moment, WireId
from apps.api.serializers.members import UserAnswer
from apps.core.ids import Kind
from apps.flows.models import Environment

TYPES = ["account", "integration", "flow"]


class NotificationAnswer(Answer):
    """One subscription, of a member (by e-mail) or of a channel."""

    _id = WireId(Kind.SUBSCRIPTION, source="pk")
    type = serializers.ChoiceField(choices=TYPES, help_text="What it is about.")
    _integrationId = WireId(Kind.INTEGRATION, source="integration_id", required=False)
    _flowId = WireId(Kind.FLOW, source="flow_id", required=False)
    environment = serializers.ChoiceField(choices=Environment.choices)
    subscribedByUser = UserAnswer(source="user", required=False)
    channel = serializers.CharField(source="channel_name", required=False)
    digest = serializers.BooleanField(source="errors")
    connections = serializers.BooleanField()
    failedRuns = serializers.BooleanField(source="failed_runs")
    moreNewErrors = serializers.IntegerField(source="more_new", required=False)
    moreOpenErrors = serializers.IntegerField(source="more_open", required=False)
    createdAt = Moment(source="created_at")
