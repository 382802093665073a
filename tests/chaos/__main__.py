"""`python -m tests.chaos --kills 50 --setup sqlite|postgresql|redis [--seed N]`: kill -9 anything, lose nothing.

Starts the real product, keeps flows running, kills random processes of it (supervisor, workers, the queue's helpers,
dispatcher, web) by a seeded plan, waits until every run has ended, and audits target, errors and books. The exit status
is the verdict: 0 only if all holds.
"""

import argparse
import random
import sys
import time

from tests.chaos.setups import SETUPS, stage


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="how many processes are killed (default 50)")
    parser.add_argument("--setup", choices=sorted(SETUPS), default="sqlite", help="database and queue of the product")
    parser.add_argument("--seed", type=int, default=None, help="repeats the plan of an earlier call")
    parser.add_argument("--patience", type=float, default=180, help="seconds that the runs may take to end afterwards")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}, setup {options.setup}, {options.kills} kills", flush=True)
    with stage(options.setup) as environment:
        from tests.chaos.story import Story

        started = time.monotonic()
        verdict = Story(environment, random.Random(seed)).play(options.kills, options.patience)
        print(f"{time.monotonic() - started:.0f} s; longest time without a page: {verdict.longest_pause_s:.1f} s")
    for fault in verdict.faults:
        print(f"FAULT {fault}")
    word = "holds" if not verdict.faults else "BROKEN"
    print(f"verdict: {word}: {verdict.summary} (seed {seed}, setup {options.setup}, {verdict.kills} kills)", flush=True)
    return 0 if not verdict.faults else 1


if __name__ == "__main__":
    sys.exit(main())
