"""Our additions: the account's inbox, acts on all errors that match a filter, root causes, a record's journey."""

# names of the API that the framework has too, as attributes: fields are taken out of the class before
# mypy: disable-error-code="assignment"

from rest_framework import serializers

from apps.api.serializers.base import Answer, AnyJson, Body, Moment, WireId
from apps.core.ids import Kind
from apps.errors.journey import EventKind
from apps.errors.states import BulkKind, CauseState, Classification


class FilterBody(Body):
    filter = AnyJson(help_text="Names and values of the query of /errors; a name that is not known is refused.")
    dryRun = serializers.BooleanField(required=False, help_text="Only tell what would be done.")
    force = serializers.BooleanField(
        required=False, help_text="Of a retry: also send resolved errors of whose record a newer version went through."
    )


class ReasonAnswer(Answer):
    reason = serializers.CharField()
    count = serializers.IntegerField()


class PlanAnswer(Answer):
    """What an act does, or would do, to the errors that match."""

    count = serializers.IntegerField(help_text="Errors that match.")
    eligible = serializers.IntegerField(help_text="Of them, those to which it is done.")
    notEligible = ReasonAnswer(many=True)
    wentThrough = serializers.IntegerField(help_text="Of them, those of whose record a newer version succeeded.")
    dryRun = serializers.BooleanField()
    _actId = WireId(Kind.BULK_ACT, required=False, help_text="GET /errors/acts/{_actId} tells how far it is.")


class ActAnswer(Answer):
    _id = WireId(Kind.BULK_ACT, source="act.pk")
    act = serializers.ChoiceField(BulkKind.choices, source="act.act")
    count = serializers.IntegerField(source="act.count")
    done = serializers.IntegerField(source="act.done")
    createdAt = Moment(source="act.created_at")
    endedAt = Moment(source="act.ended_at", required=False)
    results = ReasonAnswer(many=True, help_text="What came of the errors so far.")
    _jobIds = serializers.ListField(child=WireId(Kind.RUN), source="runs", help_text="The retries that it began.")


class RootCauseAnswer(Answer):
    _id = WireId(Kind.CAUSE, source="cause.pk")
    message = serializers.CharField(source="cause.pattern", help_text="Its varying parts left out.")
    source = serializers.CharField(source="cause.source")
    code = serializers.CharField(source="cause.code", allow_blank=True)
    classification = serializers.ChoiceField(Classification.choices, source="cause.classification")
    classifiedBy = serializers.ChoiceField(["rule", "user"])
    state = serializers.ChoiceField(CauseState.choices, source="cause.state")
    snoozedUntil = Moment(source="cause.snoozed_until", required=False)
    _flowId = WireId(Kind.FLOW, source="cause.flow_id")
    _expOrImpId = WireId(Kind.STEP, source="cause.step_id")
    mergedIds = serializers.ListField(child=WireId(Kind.CAUSE), source="merged", help_text="Those merged into it.")
    numOpenError = serializers.IntegerField(source="open_errors")
    numError = serializers.IntegerField(source="total_errors")
    firstSeenAt = Moment(source="first_seen_at")
    lastSeenAt = Moment(source="last_seen_at")
    assignedTo = serializers.CharField(source="cause.assignee.user.email", required=False)


class EventAnswer(Answer):
    at = Moment()
    event = serializers.ChoiceField([kind.name.lower() for kind in EventKind])
    errorId = WireId(Kind.ERROR, source="error.pk")
    _flowId = WireId(Kind.FLOW, source="error.flow_id")
    _expOrImpId = WireId(Kind.STEP, source="error.step_id")
    _flowJobId = WireId(Kind.RUN, source="job", required=False)
    message = serializers.CharField(required=False, help_text="Of a failure.")
    outcome = serializers.CharField(source="word", required=False)
    text = serializers.CharField(required=False)
    by = serializers.CharField(required=False, help_text="A member's e-mail address, or a rule such as Known@3.")


class JourneyAnswer(Answer):
    traceKey = serializers.CharField()
    numError = serializers.IntegerField()
    numOpenError = serializers.IntegerField()
    events = EventAnswer(many=True, help_text="The newest first.")
    nextPageURL = serializers.CharField(required=False)
