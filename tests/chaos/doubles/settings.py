"""The product's settings, and an engine that is wrong on purpose: CHAOS_DOUBLE names which."""

import os

from config.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, f"tests.chaos.doubles.apps.{os.environ['CHAOS_DOUBLE']}"]  # noqa: F405
