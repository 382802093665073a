"""What webhooks are told of a page's errors: one event for all that it opened, one for all causes that came back."""

from collections.abc import Sequence
from typing import Any

from apps.core.ids import Kind, wire_id
from apps.errors.facts import Book, NewError
from apps.errors.models import Cause
from apps.webhooks.models import Event
from apps.webhooks.services import NAMED_AT_MOST, announce


def announce_errors(book: Book, new: Sequence[NewError]) -> None:
    opened = [error.id for error in new if error.is_open]
    if opened:
        facts = {"numError": len(opened), "errorIds": ids(Kind.ERROR, opened)}
        _announce(book, Event.ERROR_OPENED, facts)


def announce_regressed(book: Book, causes: Sequence[Cause]) -> None:
    if causes:
        facts = {"numRootCause": len(causes), "_rootCauseIds": ids(Kind.CAUSE, [cause.pk for cause in causes])}
        _announce(book, Event.CAUSE_REGRESSED, facts)


def ids(kind: Kind, keys: Sequence[int]) -> list[str]:
    """The first of them; how many they are is told beside."""
    return [wire_id(kind, key) for key in keys[:NAMED_AT_MOST]]


def _announce(book: Book, event: Event, facts: dict[str, Any]) -> None:
    place = {
        "_integrationId": wire_id(Kind.INTEGRATION, book.integration),
        "_flowId": wire_id(Kind.FLOW, book.flow),
        "_jobId": wire_id(Kind.RUN, book.run),
    }
    announce(account=book.account, event=event, facts=place | facts, integrations=[book.integration])
