"""Times of PostgreSQL are read by us: the same values as Django's own loader gives, whatever the server writes."""

from datetime import UTC

import psycopg
import pytest
from django.conf import settings
from django.db.backends.postgresql.psycopg_any import BaseTzLoader, get_adapters_template
from psycopg.postgres import types

from apps.core.postgresql import MomentLoader

OID = types["timestamptz"].oid


class DjangosLoader(BaseTzLoader):
    timezone = UTC


@pytest.mark.parametrize(
    "text",
    [
        b"2026-03-02 12:00:00+00",
        b"2026-03-02 12:00:00.5+00",
        b"2026-03-02 12:00:00.123456+00",
        b"0001-01-01 00:00:00+00",
        b"9999-12-31 23:59:59.999999+00",
    ],
)
def test_a_time_is_read_as_django_reads_it(text: bytes) -> None:
    found = MomentLoader(OID).load(text)
    assert found == DjangosLoader(OID).load(text)
    assert found.tzinfo is UTC


@pytest.mark.parametrize("text", [b"0044-03-15 12:00:00+00 BC", b"infinity", b"10000-01-01 00:00:00+00"])
def test_a_time_that_python_cannot_hold_is_refused_in_the_drivers_words(text: bytes) -> None:
    with pytest.raises(psycopg.DataError) as theirs:
        DjangosLoader(OID).load(text)
    with pytest.raises(psycopg.DataError) as ours:
        MomentLoader(OID).load(text)
    assert str(ours.value) == str(theirs.value)


def test_all_connections_read_times_so() -> None:
    adapters = get_adapters_template(settings.USE_TZ, UTC)
    assert adapters.get_loader(OID, psycopg.pq.Format.TEXT) is MomentLoader
