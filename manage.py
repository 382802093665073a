#!/usr/bin/env python3
"""Flowmend's command line: `manage.py help` lists the commands."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import OperationalError


def main() -> None:
    """Settings that are wrong and a database that is away are the operator's to mend: a sentence, not a trace."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"Flowmend does not start: {error}")
    except OperationalError as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"Flowmend's own database does not answer, or is not there: {error}\nDATABASE_URL says where it is.")


if __name__ == "__main__":
    main()
