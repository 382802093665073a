"""Webhooks and their deliveries. The secret is answered once, when it is made."""

from rest_framework import serializers

from apps.api.serializers.base import Answer, AnyJson, Body, Moment, WireId
from apps.core.ids import Kind
from apps.webhooks.models import DeliveryStatus, Event


class WebhookAnswer(Answer):
    """An address that is told what happens."""

    _id = WireId(Kind.WEBHOOK, source="pk")
    url = serializers.CharField()
    events = serializers.ListField(child=serializers.ChoiceField(choices=Event.choices))
    _integrationId = WireId(
        Kind.INTEGRATION, source="integration_id", required=False, help_text="Absent: those of all integrations."
    )
    enabled = serializers.BooleanField()
    createdAt = Moment(source="created_at")


class NewWebhookAnswer(WebhookAnswer):
    secret = serializers.CharField(help_text="What its requests are signed with. It is not shown again.")


class WebhookBody(Body):
    url = serializers.CharField(max_length=2000)
    events = serializers.ListField(child=serializers.CharField(max_length=24), max_length=20)
    _integrationId = WireId(Kind.INTEGRATION, required=False, allow_null=True, help_text="Absent: all integrations.")
    enabled = serializers.BooleanField(required=False)
    secret = serializers.CharField(
        required=False, max_length=200, help_text="What to sign with; absent: one is made, or the one before stays."
    )


class DeliveryAnswer(Answer):
    """One event on its way to a webhook, with the last answer to it."""

    _id = WireId(Kind.WEBHOOK_DELIVERY, source="pk")
    eventId = serializers.CharField(source="event_id", help_text="The same at each attempt: Flowmend-Event-Id.")
    type = serializers.CharField(source="event")
    status = serializers.ChoiceField(choices=DeliveryStatus.choices)
    attempts = serializers.IntegerField()
    nextAt = Moment(source="next_at", required=False)
    lastStatus = serializers.IntegerField(source="last_status", required=False)
    lastAnswer = serializers.CharField(source="last_answer", required=False)
    createdAt = Moment(source="created_at")
    endedAt = Moment(source="ended_at", required=False)
    payload = AnyJson(source="content", help_text="What is sent.")
