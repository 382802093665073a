"""What a token tells about itself."""

from rest_framework import serializers

from apps.api.serializers.base import Answer, Moment, WireId
from apps.core.ids import Kind


class TokenInfoAnswer(Answer):
    _userId = WireId(Kind.USER, source="member.user_id")
    _accountId = WireId(Kind.ACCOUNT, source="member.account_id")
    scope = serializers.CharField(source="scope_word", help_text="full, or custom: see scopes.")
    scopes = serializers.ListField(child=serializers.CharField(), source="token.scopes")
    role = serializers.CharField(source="member.role", help_text="Blank: it has roles in single integrations.")
    expiresAt = Moment(source="token.expires_at", required=False)
