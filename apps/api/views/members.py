"""The members with whom the account is shared (`ashares`)."""

from typing import Any

from django.urls import path

from apps.accounts.reach import Reach
from apps.api.operations import ApiView, operation
from apps.api.paging import PAGING, Listed, page_of
from apps.api.selectors.members import members_of, with_levels
from apps.api.serializers.members import MemberAnswer


class MemberList(ApiView):
    @operation(query=PAGING, answer=MemberAnswer, many=True)
    def get(self, request: Any) -> Listed:
        """The account's members; the owner is not listed."""
        return listed_members(self, self.caller.reach)


class MembersOfIntegration(ApiView):
    @operation(query=PAGING, answer=MemberAnswer, many=True)
    def get(self, request: Any, integration_id: str) -> Listed:
        """The members who see one integration; the owner is not listed."""
        found = self.caller.integration(integration_id)
        return listed_members(self, self.caller.reach.within(found.pk))


def listed_members(view: ApiView, reach: Reach) -> Listed:
    page = page_of(view.request, members_of(reach), view.query)
    return Listed(with_levels(page.rows, reach), page.headers)


urls = [
    path("ashares", MemberList.as_view(), name="member-list"),
    path("integrations/<str:integration_id>/ashares", MembersOfIntegration.as_view(), name="integration-members"),
]
