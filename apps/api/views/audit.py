"""The account's audit log."""

from typing import Any

from django.urls import path

from apps.accounts.audit import entries_of
from apps.accounts.permissions import Act
from apps.api.operations import ApiView, operation
from apps.api.paging import PAGING, Listed, page_of
from apps.api.queries import moment, text, wire
from apps.api.selectors.audit import EntryFacts
from apps.api.serializers.audit import AuditAnswer
from apps.core.ids import Kind

FILTERS = (
    *PAGING,
    moment("from", "Only what was done at this time or later."),
    moment("to", "Only what was done at this time or earlier."),
    text("event", "Only this act, such as flow.apply.", 64),
    text("resourceType", "Only what was done to this kind of object, such as flow.", 32),
    wire("_resourceId", "Only what was done to this object.", *Kind),
    wire("byUser", "Only what this user did.", Kind.USER),
)
COLUMNS = {
    "from": "at__gte",
    "to": "at__lte",
    "event": "act",
    "resourceType": "object_kind",
    "_resourceId": "object_id",
    "byUser": "member__user",
}


class AuditList(ApiView):
    @operation(query=FILTERS, answer=AuditAnswer, many=True)
    def get(self, request: Any) -> Listed:
        """What was done in the account, by whom and when; newest first."""
        self.caller.require(Act.READ_AUDIT)
        chosen = {column: self.query[name] for name, column in COLUMNS.items() if name in self.query}
        page = page_of(request, entries_of(self.caller.account).filter(**chosen), self.query)
        return Listed([EntryFacts(entry) for entry in page.rows], page.headers)


urls = [path("audit", AuditList.as_view(), name="audit-list")]
