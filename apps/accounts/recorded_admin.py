"""What is edited in the admin stands in the account's audit log as well."""

from typing import Any

from django.contrib.admin.models import LogEntry
from django.http import HttpRequest

from apps.accounts.models import Account
from apps.accounts.selectors import membership
from apps.accounts.services import SYSTEM, Actor, record_audit
from apps.core.admin import HouseAdmin


class RecordedAdmin(HouseAdmin):
    """Additions, changes and deletions are recorded with who made them and which fields, never with their values.

    A superuser who is no member of the account is recorded by name.
    """

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        self._record(request, obj, "add", message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        self._record(request, obj, "change", message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for row in queryset:
            self._record(request, row, "delete", [])
        return super().log_deletions(request, queryset)

    def _record(self, request: HttpRequest, row: Any, verb: str, message: Any) -> None:
        account = row.pk if isinstance(row, Account) else row.account_id
        member = membership(request.user, account)
        fields = [name for part in message for change in part.values() for name in change.get("fields", [])]
        record_audit(
            account=account,
            actor=Actor.member(member) if member else SYSTEM,
            act=f"{row._meta.model_name}.{verb}",
            target=row,
            after={"fields": fields, "in": "admin"} | ({} if member else {"by": request.user.get_username()}),
        )
