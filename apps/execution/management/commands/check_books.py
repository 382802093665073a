"""`manage.py check_books`: every kept counter against what it counts; exit status 1 while any differs.

`--mend` sets them right, and says what it changed.
"""

import argparse
import json
import sys
from typing import Any

from django.core.management.base import BaseCommand

from apps.execution.check_books import CHECKS, Difference, differences
from apps.execution.mend_books import mend


class Command(BaseCommand):
    help = "Compares every kept counter with what it counts."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--mend", action="store_true", help="set the counters right, and say what was changed")
        parser.add_argument("--json", action="store_true", help="print the differences as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        is_wrong = self._mend(as_json=options["json"]) if options["mend"] else self._check(as_json=options["json"])
        if is_wrong:
            sys.exit(1)

    def _check(self, *, as_json: bool) -> bool:
        found = list(differences())
        verdict = f"{len(found)} counters differ." if found else f"The books are right ({len(CHECKS)} checks)."
        self._tell([_facts(d) for d in found] if as_json else [*map(str, found), verdict])
        return bool(found)

    def _mend(self, *, as_json: bool) -> bool:
        found = list(mend())
        left = sum(not one.is_mended for one in found)
        verdict = f"{len(found) - left} counters were set right, {left} differences are left."
        facts = [_facts(one.difference) | {"mended": one.is_mended} for one in found]
        self._tell(facts if as_json else [*map(str, found), verdict])
        return left > 0

    def _tell(self, lines: list[Any]) -> None:
        if lines and isinstance(lines[0], str):
            self.stdout.writelines(f"{line}\n" for line in lines)
        else:
            self.stdout.write(json.dumps(lines))


def _facts(difference: Difference) -> dict[str, Any]:
    return {"what": difference.what, "kept": difference.kept, "counted": difference.counted}
