"""Members of the account: the people with whom it is shared."""

from rest_framework import serializers

from apps.api.serializers.base import Answer, Moment, WireId
from apps.core.ids import Kind

LEVELS = ["owner", "administrator", "manage", "monitor"]


class UserAnswer(Answer):
    _id = WireId(Kind.USER, source="pk")
    email = serializers.CharField()
    name = serializers.CharField(source="get_full_name", required=False)


class IntegrationLevelAnswer(Answer):
    _integrationId = WireId(Kind.INTEGRATION, source="integration_id")
    accessLevel = serializers.ChoiceField(choices=LEVELS, source="level")


class MemberAnswer(Answer):
    """A member; the owner is not among them."""

    _id = WireId(Kind.MEMBER, source="member.pk")
    accessLevel = serializers.ChoiceField(choices=LEVELS, source="level", required=False, help_text="In the account.")
    integrationAccessLevel = IntegrationLevelAnswer(many=True, source="levels")
    accepted = serializers.BooleanField(source="is_accepted")
    disabled = serializers.BooleanField(source="is_disabled")
    lastSignIn = Moment(source="member.user.last_login", required=False)
    sharedWithUser = UserAnswer(source="member.user")
