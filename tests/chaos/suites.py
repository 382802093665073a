"""Many promises in one call: each in a process of its own, with a line for each at the end."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.promises import PROMISES

KILLS_BESIDE = 50
DOUBLES = {
    "CheckpointFirst": ("P1", 40),
    "NoFence": ("P6", 40),
    "NewKeys": ("P2", 40),
}
"""Engines that are wrong on purpose, the promise that each breaks, and within how many kills that has to be seen."""
A_GO = 10
BROKEN = 3
"""The exit status where a promise was seen not to hold; 1 is a harness that failed itself."""


@dataclass
class Part:
    """One command."""

    title: str
    command: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    began: float = 0.0

    def begin(self) -> None:
        self.began = time.monotonic()
        print(f"=== {self.title}", flush=True)
        self.process = subprocess.Popen(list(self.command), env={**os.environ, **self.environment})

    def end(self) -> int:
        """The exit status, once it has ended."""
        assert self.process is not None
        return self.process.wait()

    def told(self, status: int) -> str:
        return f"{'BROKEN' if status else 'holds':7} {time.monotonic() - self.began:6.0f} s  {self.title}"


def chaos(*words: object, **environment: str) -> Part:
    told = [str(word) for word in words]
    return Part(" ".join(told), [sys.executable, "-m", "tests.chaos", *told], environment)


def tests(title: str, *words: str) -> Part:
    return Part(title, [sys.executable, "-m", "pytest", "-q", *words])


# --- playing ---------------------------------------------------------------------------------------------------------
def one_by_one(commands: Sequence[Sequence[str]]) -> int:
    return in_turn([chaos(*command) for command in commands])


def in_turn(parts: Sequence[Part], beside: Sequence[Part] = ()) -> int:
    """All of them, whatever comes of the others; `beside` waits for leases more than it computes."""
    for part in beside:
        part.begin()
    lines, is_good = [], True
    for part in [*parts, *beside]:
        if part.process is None:
            part.begin()
        status = part.end()
        is_good &= status == 0
        lines.append(part.told(status))
    print("\n".join(["", *lines]), flush=True)
    return 0 if is_good else 1


def play(name: str, times: int | None, seed: int | None) -> int:
    return SUITES[name](times, seed)


def short(times: int | None, seed: int | None) -> int:
    """In five minutes: kills on SQLite beside the sweep, hostile answers, and who may do what."""
    kills = chaos("P1", "--times", times or KILLS_BESIDE, *seeded(seed))
    matrix = tests("who may do what, at every address", "tests/console/test_access.py", "tests/api/test_access.py")
    return in_turn([chaos("P4"), chaos("P13"), matrix], [kills])


def at_length(times: int | None, seed: int | None) -> int:
    """Every promise on every setup; takes most of a day. `times` is the most of each."""
    parts = []
    for name, promise in PROMISES.items():
        if promise.tests:
            parts.append(chaos(name))
            continue
        often = promise.at_length if times is None else min(times, promise.at_length)
        parts += [chaos(name, "--setup", setup, "--times", often, *seeded(seed)) for setup in promise.setups]
    return in_turn([*parts, chaos("broken", *seeded(seed))])


def broken(times: int | None, seed: int | None) -> int:
    """Each wrong engine in goes of ten, until one of them is caught."""
    caught = [is_caught(double, times, seed or 1) for double in DOUBLES]
    return 0 if all(caught) else 1


def is_caught(double: str, times: int | None, seed: int) -> bool:
    name, most = DOUBLES[double]
    for number in range(-(-(times or most) // A_GO)):
        part = chaos(
            name, "--times", A_GO, "--seed", seed + number, "--patience", 60,
            CHAOS_DOUBLE=double, DJANGO_SETTINGS_MODULE="tests.chaos.doubles.settings",
        )  # fmt: skip
        part.begin()
        status = part.end()
        if status == BROKEN:
            print(f"caught: {double} by {name} within {(number + 1) * A_GO} kills", flush=True)
            return True
        if status:
            return False
    print(f"NOT CAUGHT: {double} by {name}", flush=True)
    return False


def seeded(seed: int | None) -> list[object]:
    return [] if seed is None else ["--seed", seed]


SUITES = {"short": short, "long": at_length, "broken": broken}
