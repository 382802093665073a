"""Jobs: runs, and what each step did in a run as its child job."""

from rest_framework import serializers

from apps.api.serializers.base import Answer, Body, Moment, WireId
from apps.core.ids import Kind
from apps.runs.statuses import RunOutcome, RunStatus

TYPES = ("flow", "retry", "export", "import")


class JobAnswer(Answer):
    _id = serializers.RegexField(r"^[0-9a-f]{24}$", help_text="Of a run, or of what one step did in it.")
    type = serializers.ChoiceField(TYPES)
    _integrationId = WireId(Kind.INTEGRATION)
    _flowId = WireId(Kind.FLOW)
    _exportId = WireId(Kind.STEP, required=False)
    _importId = WireId(Kind.STEP, required=False)
    _expOrImpId = WireId(Kind.STEP, required=False)
    _flowJobId = WireId(Kind.RUN, required=False, help_text="Of a child job: the run that it belongs to.")
    status = serializers.ChoiceField(RunStatus.choices)
    outcome = serializers.ChoiceField(RunOutcome.choices, required=False)
    createdAt = Moment()
    startedAt = Moment(required=False)
    endedAt = Moment(required=False)
    lastExecutedAt = Moment(required=False)
    lastModified = Moment()
    purgeAt = Moment()
    numError = serializers.IntegerField()
    numSuccess = serializers.IntegerField()
    numIgnore = serializers.IntegerField()
    numResolved = serializers.IntegerField(help_text="Of its errors, those that are resolved now.")
    numOpenError = serializers.IntegerField(help_text="Of its errors, those that are open now.")
    numExport = serializers.IntegerField(help_text="Records that were exported, or that came into the step.")
    numPagesGenerated = serializers.IntegerField()
    numPagesProcessed = serializers.IntegerField()
    doneExporting = serializers.BooleanField()
    oIndex = serializers.IntegerField(required=False, help_text="Of a child job: the step's position in its flow.")
    retriable = serializers.BooleanField(help_text="Whether it has open errors.")
    canceledBy = serializers.CharField(required=False, help_text="A member's e-mail address.")


class DiagnosticsAnswer(Answer):
    signedURL = serializers.URLField(help_text="Where the zip is; needs no token.")
    fileName = serializers.CharField()
    expiresAt = Moment(help_text="The address is good until then.")


class StatsAnswer(Answer):
    _flowId = WireId(Kind.FLOW, source="flow_id")
    numRuns = serializers.IntegerField(source="runs")
    numSuccess = serializers.IntegerField(source="success")
    numError = serializers.IntegerField(source="errors")
    numOpenError = serializers.IntegerField(source="open_errors")
    lastExecutedAt = Moment(source="last_executed_at", allow_null=True)


class StatsBody(Body):
    _flowIds = serializers.ListField(child=WireId(Kind.FLOW), required=False, max_length=1000)
    _integrationIds = serializers.ListField(child=WireId(Kind.INTEGRATION), required=False, max_length=1000)
    startDate = Moment(required=False)
    endDate = Moment(required=False)
