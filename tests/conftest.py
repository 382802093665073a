"""What every test may ask for. SQLite unless DATABASE_URL names a PostgreSQL; then the same tests run there."""

import gc
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from apps.accounts.models import Account
from apps.console import sharing
from apps.core import clock
from apps.flows.models import Flow
from tests import emptied, long_tests, migrated, own_database, services
from tests.audited import every_change_recorded
from tests.factories import make_account, make_flow, make_user

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

# a busy machine is slow, not wrong: no deadlines; in CI the same examples each time, so that red means changed code
hypothesis_settings.register_profile("here", deadline=None)
hypothesis_settings.register_profile(
    "ci", deadline=None, derandomize=True, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "here")


gc.disable()  # until all is collected: nothing of it is garbage, and looking through it takes seconds


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What drives a browser, or asks our database for nothing, is not even read where no such test is asked for."""
    wanted = config.getoption("markexpr")
    place = collection_path.relative_to(config.rootpath).as_posix() + "/" * collection_path.is_dir()
    without_browser = "not browser" in wanted and place == "tests/browser/"
    database_only = "database" in wanted and "not database" not in wanted and own_database.asks_nothing(place)
    return True if without_browser or database_only else None


@pytest.hookimpl(tryfirst=True)  # before the tests are chosen by marker
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is long and what asks our database. Leave out what needs a server that is not here; never in CI."""
    for item in items:
        if long_tests.is_long(item):
            item.add_marker(pytest.mark.long)
        if own_database.asks(item):
            item.add_marker("database")
    absent = services.missing()
    left_out = [item for item in items if any(services.needs(item, service) for service in absent)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_report_header() -> list[str]:
    return [f"{name} does not answer on loopback: the tests that need it are left out" for name in services.missing()]


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> None:
    """Hashing a password takes longer than most tests; how well it is hashed is Django's to test."""
    django_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session", autouse=True)
def _quick_disk() -> Iterator[None]:
    """What a sync to the disk promises shows in a power cut only, which no test can make."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _static_files_as_they_stand() -> None:
    """Names with a hash need a collectstatic first; the tests of static files do that, the others take the tree's."""
    django_settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"


@pytest.fixture(scope="session", autouse=True)
def _every_change_is_in_the_audit_log() -> Iterator[None]:
    with every_change_recorded():
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    migrated.begin_with_a_copy(connection)
    emptied.empty_by_deleting()


@pytest.fixture(autouse=True)
def _polls_share_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test asks for news right after it made some, and its rows have the ids of the test before."""
    monkeypatch.setattr(sharing, "SHARED_S", 0.0)


@pytest.fixture
def noon() -> Iterator[datetime]:
    """All clocks stand at noon of 2 March 2026, UTC."""
    with clock.frozen(NOON) as moment:
        yield moment


@pytest.fixture
def account(db: None) -> Account:
    return make_account()


@pytest.fixture
def flow(account: Account) -> Flow:
    return make_flow(account)


@pytest.fixture
def superuser(db: None) -> User:
    return make_user(is_staff=True, is_superuser=True)


@pytest.fixture
def admin_client(superuser: User) -> Client:
    client = Client()
    client.force_login(superuser)
    return client
