"""Every promise of reliability, by its number: what it says, what plays it, and how often."""

from collections.abc import Mapping
from dataclasses import dataclass, field

OURS = ("sqlite", "postgresql", "redis")


@dataclass(frozen=True)
class Promise:
    """Played by a `Story`, named by its place, or shown by `tests`: arguments of pytest.

    `times` it is hurt unless told; `at_length` in the long suite.
    """

    says: str
    story: str = ""
    tests: tuple[str, ...] = ()
    times: int = 10
    at_length: int = 10
    setups: tuple[str, ...] = ("sqlite",)
    environment: Mapping[str, str] = field(default_factory=dict)


def played(says: str, story: str, times: int, at_length: int, *setups: str, **environment: str) -> Promise:
    return Promise(says, f"tests.chaos.{story}", (), times, at_length, setups or OURS, environment)


def shown(says: str, *tests: str) -> Promise:
    return Promise(says, tests=tests)


PROMISES: Mapping[str, Promise] = {
    "P1": played("every record ends in exactly one state: kill -9", "kills.Kills", 50, 1000),
    "P1-pages": played("the same with pages of a run at work at once", "machines.KilledAtOnce", 20, 200, WORKERS="4"),
    "P2": played("no undetected duplicate with a key or PUT: 2 % of answers lost", "kills.LostAnswers", 20, 200),
    "P3": played("no key: a repeat only where somebody said so", "kills.WithoutKey", 20, 200),
    "P4": shown(
        "the checkpoint is never ahead of what is durable",
        "tests/scenarios/test_resume.py",
        "tests/retention/test_purge.py::test_a_purge_that_dies_at_any_statement_leaves_right_books_and_goes_on",
        "tests/notifications/test_digests.py::test_a_window_whose_worker_dies_is_ended_whole_by_another",
    ),
    "P5": shown(
        "a failed run can be retried from its own window",
        "tests/execution/test_interleavings.py",
        "tests/scenarios/test_retry_table_meanwhile.py",
    ),
    "P6": played("one worker acts on a run: frozen beyond the lease, 20 hints", "frozen.Frozen", 10, 50, WORKERS="4"),
    "P6-machines": played(
        "the same with pages at work on two machines, one of which is cut off",
        "machines.Machines", 5, 30, "redis", WORKERS="4",
    ),
    "P7": played(
        "a dead worker is noticed: p50 45 s, max 90 s",
        "frozen.Noticed", 8, 20, "sqlite", "postgresql", LEASE_SECONDS="30", WORKERS="4",
    ),
    "P8": played("loss of all queue content loses nothing", "cuts.LostQueue", 10, 50, "own-redis"),
    "P9": played("database restarts and cut connections", "cuts.LostDatabase", 10, 100, "own-postgresql"),
    "P10": played('"database is locked" never reaches anybody', "crowd.Crowd", 10_000, 100_000, "sqlite"),
    "P11": played("a full disk corrupts nothing and is over by itself", "disk.FullDisk", 3, 20, "small-disk"),
    "P12": played("bulk acts are whole or resumable: 10,000 errors", "acts.Acts", 6, 40),
    "P13": shown(
        "every bad answer is a classified error within its deadline",
        "tests/connectors/test_http_hostile.py",
        "tests/connectors/test_sql_session.py",
        "tests/scenarios/test_failing_targets.py",
    ),
    "P14": shown("auto-retry times survive restarts", "tests/scenarios/test_auto_retry_table.py"),
    "P15": shown(
        "Retry-After is honoured by every worker",
        "tests/connectors/test_http_gate.py",
        "tests/connectors/test_http_import.py",
    ),
    "P16": shown(
        "resume is not fooled by a source that changed",
        "tests/scenarios/test_resume.py",
        "-k", "changed",
    ),
    "P17": shown("a bad record is not a bad page", "tests/scenarios/test_bad_records.py"),
    "P18": played("each tick at most one run: several dispatchers", "ticks.Ticks", 10, 100),
    "P19": played("each error in exactly one digest: mail faults", "mails.Mails", 40, 300, "sqlite", "postgresql"),
    "P20": played("SIGTERM within 10 s, rolling restarts lose nothing", "kills.RollingRestarts", 5, 100),
    "P21": shown("nothing is dropped silently: kept + purged = created", "tests/retention/test_purge.py"),
}  # fmt: skip
