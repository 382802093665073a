"""A worker's memory from 100,000 to 1,000,000 records: the peak of a process that does nothing else, in MB."""

import resource
import subprocess
import sys

GOAL_MB = 200


def measure(*, rounds: int, records: int) -> dict[str, object]:
    """Ours: the peak with ten times the records; anchor: with `records`. One process each."""
    small, large = peak_of(records), peak_of(records * 10)
    return {
        "name": "memory",
        "ours": large,
        "anchor": small,
        "ratio": round(large / small, 3),
        "goal": f"<= {GOAL_MB} MB",
    }


def peak_of(records: int) -> int:
    """Peak resident size in MB of a fresh process that runs the flow once."""
    code = f"from tests.bench.memory import run_once; run_once({records})"
    answer = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    peak = int(answer.stdout.split()[-1])
    print(f"{records:,} records: {peak} MB", flush=True)
    return peak


def run_once(records: int) -> None:
    from tests.bench.prepared import prepare

    prepare()
    from tests.bench.load import bench

    with bench(records) as world:
        world.run_ours()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
