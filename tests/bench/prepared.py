"""Django set up on the benchmark's database, and a flow under test."""

import tempfile
from pathlib import Path

import django


def prepare() -> None:
    """Set Django up and migrate. Call after DATABASE_URL is set."""
    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    settings.DEBUG = False  # else Django keeps every query in memory
    settings.DATA_DIR = Path(tempfile.mkdtemp(prefix="flowmend-bench-"))
    settings.FILES_ROOT = settings.DATA_DIR / "files"
    settings.SQLITE_ROOT = settings.DATA_DIR / "databases"
    settings.EGRESS_ALLOW_NETS = ["127.0.0.0/8"]
    call_command("migrate", verbosity=0, interactive=False)
