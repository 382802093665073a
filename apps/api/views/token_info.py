"""Who a token belongs to."""

from typing import Any

from django.urls import path

from apps.api.caller import Caller
from apps.api.operations import ApiView, operation
from apps.api.serializers.token_info import TokenInfoAnswer


class TokenInfo(ApiView):
    @operation(answer=TokenInfoAnswer, scope=None)
    def get(self, request: Any) -> Caller:
        """The user and scope of the token. A quick way to find out whether it is good."""
        return self.caller


urls = [path("tokenInfo", TokenInfo.as_view(), name="token-info")]
