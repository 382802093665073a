"""Errors, their retry data and requests, and what is sent to act on them."""

# names of the API that the framework has too, as attributes: fields are taken out of the class before
# mypy: disable-error-code="assignment"

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.api.serializers.base import Answer, AnyJson, Body, Moment, WireId
from apps.core.ids import Kind
from apps.errors.states import Classification, Reason

MOST_NAMED = 20_000
HEX_KEY = r"^[0-9a-f]{32}$"
HEX_ID = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
NAMED = {"oneOf": [HEX_ID, {"type": "object", "properties": {"errorId": HEX_ID, "id": HEX_ID}}]}


# --- errors ----------------------------------------------------------------------------------------------------------
class ErrorAnswer(Answer):
    errorId = WireId(Kind.ERROR)
    occurredAt = Moment()
    source = serializers.CharField()
    code = serializers.CharField(allow_blank=True)
    message = serializers.CharField()
    traceKey = serializers.CharField(allow_blank=True)
    oIndex = serializers.CharField(help_text="The step's position in its flow.")
    retryDataKey = serializers.RegexField(HEX_KEY, required=False, help_text="Absent: it cannot be retried.")
    _flowId = WireId(Kind.FLOW)
    _expOrImpId = WireId(Kind.STEP)
    _flowJobId = WireId(Kind.RUN)
    _rootCauseId = WireId(Kind.CAUSE)
    classification = serializers.ChoiceField(Classification.choices)
    classifiedBy = serializers.ChoiceField(["rule", "user"])
    reqAndResKey = WireId(Kind.CAPTURE, required=False)
    purgeAt = Moment(allow_null=True, help_text="null: it is kept, and no purge takes it.")
    retriable = serializers.BooleanField()
    attempts = serializers.IntegerField(help_text="How often it was tried again by itself.")
    assignedTo = serializers.CharField(required=False, help_text="The member's e-mail address.")
    tagIds = serializers.ListField(child=WireId(Kind.TAG), required=False)
    status = serializers.ChoiceField(["open", "retrying", "resolved"])
    _retryJobId = WireId(Kind.RUN, required=False, help_text="The retry that has it.")
    resolvedAt = Moment(required=False)
    resolvedBy = serializers.CharField(
        required=False, help_text="A member's e-mail address, a rule such as Known@3, or auto."
    )
    resolvedReason = serializers.ChoiceField(Reason.choices, required=False)


class OpenErrorsAnswer(Answer):
    errors = ErrorAnswer(many=True)
    nextPageURL = serializers.CharField(required=False)


class ResolvedErrorsAnswer(Answer):
    resolved = ErrorAnswer(many=True)
    nextPageURL = serializers.CharField(required=False)


class StepCountAnswer(Answer):
    _expOrImpId = WireId(Kind.STEP, source="step_id")
    numError = serializers.IntegerField(source="open_errors")
    lastErrorAt = Moment(source="last_error_at", allow_null=True)


class FlowErrorsAnswer(Answer):
    flowErrors = StepCountAnswer(many=True)


class FlowCountAnswer(Answer):
    _flowId = WireId(Kind.FLOW, source="flow_id")
    numError = serializers.IntegerField(source="open")
    lastErrorAt = Moment(source="last", allow_null=True)


# --- one error's data ------------------------------------------------------------------------------------------------
class RetryDataAnswer(Answer):
    data = AnyJson(help_text="The record that a retry sends; of a window what it exports again.")
    stage = serializers.CharField(help_text="Where the retry starts.")
    traceKey = serializers.CharField(allow_blank=True)
    version = serializers.IntegerField(help_text="1 is what failed; each edit adds one. If-Match takes it.")


class RetryDataBody(Body):
    data = AnyJson()


class RequestAnswer(Answer):
    method = serializers.CharField(allow_blank=True)
    status = serializers.CharField(allow_blank=True)
    sentAt = Moment(source="sent_at")
    ms = serializers.IntegerField(help_text="How long the answer took, in milliseconds.")
    request = AnyJson()
    response = AnyJson()


# --- acts ------------------------------------------------------------------------------------------------------------
@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "pattern": "^[0-9a-f]{24}$"},
            {"type": "object", "properties": {"errorId": {"type": "string"}}},
        ]
    }
)
class NamedError(serializers.Field):
    """An error's id, alone or as `errorId`, `id` or `_id` of an object."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, dict):
            data = next((data[name] for name in ("errorId", "id", "_id") if name in data), "")
        return WireId(Kind.ERROR).to_internal_value(data)

    def to_representation(self, value: int) -> str:
        return WireId(Kind.ERROR).to_representation(value)


class ErrorsBody(Body):
    """The errors that are meant: `errors` and `errorIds` are the same."""

    errors = serializers.ListField(child=NamedError(), required=False, max_length=MOST_NAMED)
    errorIds = serializers.ListField(child=NamedError(), required=False, max_length=MOST_NAMED)


class RetryBody(ErrorsBody):
    retryDataKeys = serializers.ListField(child=serializers.RegexField(HEX_KEY), required=False, max_length=MOST_NAMED)
    force = serializers.BooleanField(
        required=False, help_text="Also send resolved errors of whose record a newer version went through."
    )


class AssignBody(ErrorsBody):
    email = serializers.CharField(max_length=254, allow_blank=True, help_text="An active member's; blank: nobody.")


class TagErrorsBody(ErrorsBody):
    tagIds = serializers.ListField(child=WireId(Kind.TAG), max_length=100, help_text="These replace the ones before.")


# --- tags ------------------------------------------------------------------------------------------------------------
class TagAnswer(Answer):
    _id = WireId(Kind.TAG, source="pk")
    tagId = WireId(Kind.TAG, source="pk")
    tag = serializers.CharField(source="name")


class TagBody(Body):
    tag = serializers.CharField(max_length=64)
