"""`python -m tests.bench V1 [--rounds 5] [--records 100000]`: each figure beside its anchor, in the same run.

A benchmark prints what it measures as it goes; its last line is one JSON object: name, ours, anchor, ratio, goal.
"""

import argparse
import json
import os
import platform
import sys

from tests.bench.database import own_database

RECORDS = {
    "V1": 100_000, "V2": 20_000, "V9": 50_000, "memory": 100_000, "errors": 1_000_000, "scopes": 20_000,
    "clicks": 20_000, "pages": 1_000_000, "analytics": 17_520, "api": 1_000_000, "polling": 1_000_000,
    "paging": 1_000_000, "purge": 5_000_000, "digests": 10_000,
}  # fmt: skip
"""Each benchmark, and how much it is meant for."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help=", ".join(RECORDS))
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds; the median counts (default 5)")
    parser.add_argument(
        "--records",
        type=int,
        help=f"records of a round, or errors ({', '.join(f'{k}: {n:,}' for k, n in RECORDS.items())})",
    )
    parser.add_argument("--pages", default="", help="of `errors` only the pages whose names begin with this")
    options = parser.parse_args()
    with own_database("bench") as url:
        os.environ["DATABASE_URL"] = url
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        from tests.bench.prepared import prepare

        prepare()
        print(f"# Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
        for name in options.names:
            print(json.dumps(run(name, options)), flush=True)
    return 0


def run(name: str, options: argparse.Namespace) -> dict[str, object]:
    """Run one benchmark by name; raises SystemExit for an unknown one."""
    from tests.bench import (
        analytics,
        api,
        clicks,
        digests,
        errors,
        http,
        load,
        memory,
        pages,
        paging,
        parallel,
        polling,
        purge,
        scopes,
    )

    benchmarks = {
        "V1": load.measure,
        "V2": http.measure,
        "V9": parallel.measure,
        "memory": memory.measure,
        "errors": errors.measure,
        "scopes": scopes.measure,
        "clicks": clicks.measure,
        "pages": pages.measure,
        "analytics": analytics.measure,
        "api": api.measure,
        "polling": polling.measure,
        "paging": paging.measure,
        "purge": purge.measure,
        "digests": digests.measure,
    }
    if name not in benchmarks:
        raise SystemExit(f"There is no benchmark {name}. There are: {', '.join(benchmarks)}.")
    chosen = {"only": options.pages} if name == "errors" else {}
    return benchmarks[name](rounds=options.rounds, records=options.records or RECORDS[name], **chosen)


if __name__ == "__main__":
    sys.exit(main())
