"""Edits of retry data: each is a version of its own, the original is kept, two editors cannot overwrite each other."""

from typing import Any

import orjson
from django.db import transaction

from apps.accounts.models import Member
from apps.accounts.permissions import Act, may
from apps.accounts.services import Actor, record_audit
from apps.connectors.files.json_exact import InexactError, check_exact, is_exact
from apps.errors.models import Error, RetryData, RetryVersion

LARGEST_RECORD = 10 * 1024 * 1024


class EditRefused(Exception):  # noqa: N818 (an answer, not a fault)
    """Text that is no record, or a member who may not edit; the message tells what to do."""


class EditConflict(EditRefused):
    """Somebody else edited the same retry data meanwhile."""


def edit_retry_data(*, error: Error, member: Member, text: str, expected_version: int) -> RetryData:
    """Store a new version of what a retry sends. Raises EditRefused, and EditConflict if it was edited meanwhile."""
    record = parse_record(text)
    with transaction.atomic():
        data: RetryData = RetryData.objects.of(error.account_id).select_for_update().get(error_id=error.pk)
        now = Error.objects.of(error.account_id).select_related("flow").get(pk=error.pk)  # a retry may have it by now
        refuse_unless_editable(now, data, member)
        if data.version != expected_version:
            raise EditConflict(f"Somebody else saved version {data.version} meanwhile. Look at it and save again.")
        if data.version == 1:
            _keep(data, None)  # the original, before the first edit
        data.record = orjson.dumps(record)
        data.version += 1
        data.generation += 1  # another content is another send
        data.save(update_fields=["record", "version", "generation"])
        _keep(data, member)
        record_audit(
            account=error.account_id, actor=Actor.member(member), act="retry_data.edit", target=error,
            after={"version": data.version},
        )  # fmt: skip
    return data


def _keep(data: RetryData, member: Member | None) -> None:
    RetryVersion(
        account_id=data.account_id, error_id=data.error_id, version=data.version, record=data.record, member=member
    ).save(force_insert=True)


def parse_record(text: str) -> dict[str, Any]:
    """The JSON object that a text holds. Raises EditRefused with line and column."""
    if len(text) > LARGEST_RECORD:
        raise EditRefused(f"Retry data may have {LARGEST_RECORD:,} characters. Yours have {len(text):,}.")
    try:
        record = orjson.loads(text)
        if not is_exact(text.encode(), record):
            check_exact(text.encode())
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise EditRefused(f"This is not JSON ({place}): {error.msg}. Nothing was saved.") from error
    except InexactError as error:
        raise EditRefused(f"Saving would change the record: {error}. Nothing was saved.") from error
    if not isinstance(record, dict):
        raise EditRefused("Retry data must be a JSON object, in curly brackets. Nothing was saved.")
    return record


def is_same_record(data: RetryData, text: str) -> bool:
    """Whether a text says what is stored already. Raises EditRefused for a text that is no record."""
    record = parse_record(text)
    try:
        return orjson.dumps(orjson.loads(bytes(data.record or b""))) == orjson.dumps(record)
    except orjson.JSONDecodeError:
        return False


def refuse_unless_editable(error: Error, data: RetryData, member: Member) -> None:
    """Raises EditRefused with the reason."""
    if not may(member, Act.EDIT_RETRY_DATA, integration_id=error.flow.integration_id):
        raise EditRefused("You need the role manager, or the permission to edit retry data.")
    if error.retry_run_id is not None:
        raise EditRefused(f"Retry r-{error.retry_run_id} has this error right now. Wait for its end, or cancel it.")
    if data.purged_at is not None:
        raise EditRefused("The retry data of this error were removed by the retention.")
