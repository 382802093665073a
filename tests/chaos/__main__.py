"""Every promise of reliability by its number: hurt the product, lose nothing.

`python -m tests.chaos P1 P6 --setup sqlite --times 20 --seed 7` starts the real product, keeps flows running, hurts it
by a seeded plan, waits until every run has ended, and audits target, errors and books; promises that are shown by
ordinary tests run those. The exit status is the verdict: 0 only if all holds, 3 if not. `--kills N` alone is P1.

`list` tells the promises, `short` and `long` are suites, `broken` tries engines that are wrong on purpose, each of
which has to be caught.
"""

import argparse
import random
import subprocess
import sys
import time

from tests.chaos import suites
from tests.chaos.promises import PROMISES, Promise
from tests.chaos.setups import SETUPS, stage


def main() -> int:
    options = parsed()
    names = options.promises or ["P1"]
    if names == ["list"]:
        return tell()
    if names[0] in suites.SUITES:
        return suites.play(names[0], options.times, options.seed)
    if len(names) > 1:
        return suites.one_by_one([[name, *passed_on(options)] for name in names])
    promise = PROMISES[names[0]]
    if promise.tests:
        return subprocess.run([sys.executable, "-m", "pytest", "-q", *promise.tests]).returncode
    return play(names[0], promise, options)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [*PROMISES, "list", *suites.SUITES]
    parser.add_argument("promises", nargs="*", metavar="P", help=f"one or more of {', '.join(known)}")
    parser.add_argument("--times", "--kills", type=int, help="how often it is hurt")
    parser.add_argument("--setup", choices=sorted(SETUPS), help="database and queue of the product")
    parser.add_argument("--seed", type=int, help="repeats the plan of an earlier call")
    parser.add_argument("--patience", type=float, default=180, help="seconds that the runs may take to end afterwards")
    options = parser.parse_args()
    if unknown := [name for name in options.promises if name not in known]:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return options


def passed_on(options: argparse.Namespace) -> list[str]:
    given = {"--times": options.times, "--setup": options.setup, "--seed": options.seed, "--patience": options.patience}
    return [str(word) for name, value in given.items() if value is not None for word in (name, value)]


def tell() -> int:
    for name, promise in PROMISES.items():
        how = ", ".join(promise.setups) if promise.story else "pytest"
        print(f"{name:4} {promise.says} ({how})")
    return 0


def play(name: str, promise: Promise, options: argparse.Namespace) -> int:
    setup = options.setup or promise.setups[0]
    times = promise.times if options.times is None else options.times
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    call = f"{name} --setup {setup} --times {times} --seed {seed}"
    print(f"{call}: {promise.says}", flush=True)
    began = time.monotonic()
    with stage(setup, promise.environment) as laid:
        from django.utils.module_loading import import_string

        verdict = import_string(promise.story)(laid, random.Random(seed)).play(times, options.patience)
        if verdict.faults:
            print(laid.log.read_text(errors="replace")[-6000:])
    print(f"{time.monotonic() - began:.0f} s; {verdict.figures()}")
    for fault in verdict.faults:
        print(f"FAULT {fault}")
    word = "BROKEN" if verdict.faults else "holds"
    print(f"verdict: {word}: {verdict.summary} ({call}: {verdict.times} times)", flush=True)
    return suites.BROKEN if verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main())
