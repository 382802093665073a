"""Connections. Their secrets go in and never come out."""

from rest_framework import serializers

from apps.api.serializers.base import Answer, AnyJson, Body, Moment, WireId
from apps.core.ids import Kind
from apps.flows.models import ConnectionState, Environment


class ConnectionAnswer(Answer):
    """An application's address; which secrets it has is told by name only."""

    _id = WireId(Kind.CONNECTION, source="pk")
    name = serializers.CharField()
    type = serializers.CharField(source="kind")
    environment = serializers.ChoiceField(choices=Environment.choices)
    sandbox = serializers.BooleanField(source="is_sandbox")
    offline = serializers.BooleanField(source="is_offline")
    state = serializers.ChoiceField(choices=ConnectionState.choices)
    offlineSince = Moment(source="offline_since", required=False)
    lastError = serializers.CharField(source="last_error", required=False)
    createdAt = Moment(source="created_at")
    config = AnyJson(help_text="Its plain fields.")


class ConnectionBody(Body):
    name = serializers.CharField(max_length=120, required=False)
    type = serializers.CharField(max_length=32, required=False, help_text="Such as http, sql or file.")
    environment = serializers.ChoiceField(choices=Environment.choices, required=False)
    config = serializers.DictField(required=False, help_text="Its plain fields, as its kind has them.")
    secrets = serializers.DictField(
        child=serializers.CharField(allow_null=True, trim_whitespace=False, max_length=100_000),
        required=False,
        help_text="Secrets to set by name; null takes one away. They are never answered.",
    )


class PingAnswer(Answer):
    """What a test found; without `errors` the connection answers."""

    code = serializers.IntegerField(help_text="200 if it answers, else 422.")
    message = serializers.CharField()
    tried = serializers.CharField()
    ms = serializers.IntegerField()
    errors = serializers.ListField(child=AnyJson(), required=False)  # type: ignore[assignment]
