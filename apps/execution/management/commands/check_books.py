"""`manage.py check_books`: every kept counter against what it counts; exit status 1 and a list on any difference."""

import argparse
import json
import sys
from typing import Any

from django.core.management.base import BaseCommand

from apps.execution.check_books import CHECKS, differences


class Command(BaseCommand):
    help = "Compares every kept counter with what it counts."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the differences as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        found = list(differences())
        if options["json"]:
            self.stdout.write(json.dumps([{"what": d.what, "kept": d.kept, "counted": d.counted} for d in found]))
        else:
            for difference in found:
                self.stdout.write(str(difference))
            verdict = f"{len(found)} counters differ." if found else f"The books are right ({len(CHECKS)} checks)."
            self.stdout.write(verdict)
        if found:
            sys.exit(1)
