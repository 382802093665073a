"""What every answer that is not 2xx looks like."""

from rest_framework import serializers

from apps.api.serializers.base import Answer


class ProblemAnswer(Answer):
    code = serializers.CharField()
    message = serializers.CharField()
    field = serializers.CharField(required=False)


class FailureAnswer(Answer):
    errors = ProblemAnswer(many=True)  # type: ignore[assignment]
