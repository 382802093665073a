"""What the runs learned about connections: online once a page went through, the last error while one waits."""

from collections.abc import Iterable

from django.db.models import F, Q

from apps.core.text import short, storable
from apps.flows.models import Connection, ConnectionState

LONGEST_ERROR = 1_000


def note_outage(*, account_id: int, environment: str, name: str, message: str) -> None:
    """A connection could not be reached; part of the transaction that puts the run aside."""
    mine = Connection.objects.of(account_id).filter(environment=environment, name=name)
    mine.update(failures=F("failures") + 1, last_error=short(storable(message)[0], LONGEST_ERROR))


def note_success(*, account_id: int, environment: str, names: Iterable[str]) -> None:
    """Work through these connections went well; writes only where that is news."""
    mine = Connection.objects.of(account_id).filter(environment=environment, name__in=sorted(set(names)))
    news = Q(state=ConnectionState.NEVER) | Q(failures__gt=0)
    mine.filter(news).exclude(state=ConnectionState.OFFLINE).update(
        state=ConnectionState.ONLINE, failures=0, last_error=""
    )
