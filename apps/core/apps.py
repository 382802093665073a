from pathlib import Path

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from apps.core import checks, lookups  # noqa: F401 - they register
from apps.core.postgresql import read_moments_quickly


class CoreConfig(AppConfig):
    name = "apps.core"

    def ready(self) -> None:
        checks.refuse_newcomer_settings()
        make_database_folder()
        read_moments_quickly()


def make_database_folder() -> None:
    """SQLite makes its file, but not the folder around it; raises `ImproperlyConfigured` where we may not either."""
    database = settings.DATABASES["default"]
    if not database["ENGINE"].endswith("sqlite3") or str(database["NAME"]).startswith((":", "file:")):
        return
    folder = Path(database["NAME"]).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"The folder of the database, {folder}, cannot be made: {error.strerror}."
        ) from error
