"""Which of the servers that tests use answer on loopback, and which tests need one.

A newcomer's machine has no PostgreSQL, Redis or MariaDB: there the tests that need one are left out, and the report
says so. In CI nothing is left out, nor where DATABASE_URL names a PostgreSQL, but for MariaDB: a missing server fails.
"""

import os
import socket

import pytest

PORTS = {"postgresql": 5432, "redis": 6379, "mariadb": 3306}
ADDRESS = "127.0.0.1"


def needs(item: pytest.Item, service: str) -> bool:
    """Whether the test says so: by marker, by the name of a fixture, or as a case of a parametrized test."""
    case = item.callspec.id if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ""
    fixtures = getattr(item, "fixturenames", ())
    return item.get_closest_marker(service) is not None or service in case or any(service in name for name in fixtures)


def answers(service: str) -> bool:
    try:
        socket.create_connection((ADDRESS, PORTS[service]), timeout=1).close()
    except OSError:
        return False
    return True


def missing() -> list[str]:
    """The services that tests may do without here, because they do not answer."""
    if os.environ.get("CI"):
        return []
    is_whole = os.environ.get("DATABASE_URL", "").startswith("postgres")
    return [service for service in PORTS if not (is_whole and service != "mariadb") and not answers(service)]
