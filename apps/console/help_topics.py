"""The troubleshooting guide: its topics in the order in which to check them, and which one fits an error.

Three levels: the integration's own logic (most failures), a connector's own failure, and Flowmend itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    INTEGRATION = "Integration logic"
    CONNECTOR = "Component runtime"
    PLATFORM = "Platform"


@dataclass(frozen=True)
class Topic:
    """A page of the guide; its text is the template `help/topics/<slug>.html`. `summary` is one sentence."""

    slug: str
    level: Level
    title: str
    summary: str

    @property
    def template(self) -> str:
        return f"help/topics/{self.slug}.html"


LEVELS: Mapping[Level, str] = {
    Level.INTEGRATION: "What a flow reads, how it changes it, and where it writes. Nearly all errors are here: check "
    "in this order.",
    Level.CONNECTOR: "The code of a connector failed, not the application that it talks to.",
    Level.PLATFORM: "Flowmend itself: its queue, workers, database and disk.",
}
TOPICS = {
    topic.slug: topic
    for topic in (
        Topic("application-up", Level.INTEGRATION, "Is the application up?",
              "Test the connection: does the application answer, at the address that the connection has?"),
        Topic("credentials", Level.INTEGRATION, "Are the credentials valid?",
              "The application answers and refuses: a password, token or right has changed or ended."),
        Topic("answer-structure", Level.INTEGRATION, "Is the answer built as expected?",
              "Fields were renamed, moved or left out in what the application sends."),
        Topic("mapping", Level.INTEGRATION, "Does the mapping fit the record?",
              "A value has a type, length or format that the destination does not take."),
        Topic("duplicates", Level.INTEGRATION, "Is the record there already?",
              "The destination has a record with this key, so it refuses another."),
        Topic("limits", Level.INTEGRATION, "Is a limit reached?",
              "The application takes fewer requests, or smaller ones, than the flow sends."),
        Topic("empty-fields", Level.INTEGRATION, "No error, but empty fields",
              "A mapping reads a field that the record does not have, and nobody said that it is required."),
        Topic("test-run", Level.INTEGRATION, "Step-by-step test run",
              "A test run shows the record after every step, and changes nothing outside."),
        Topic("hand-over", Level.INTEGRATION, "Nothing helped: a new ticket",
              "What to gather so that somebody else can go on where you stopped."),
        Topic("connector", Level.CONNECTOR, "A connector failed itself",
              "Look into the log of its step, then ask the connector's maintainer."),
        Topic("queue", Level.PLATFORM, "Runs stay in the queue",
              "Runs wait for a worker, for an earlier run of their flow, or for a connection."),
        Topic("workers", Level.PLATFORM, "Workers are down",
              "No worker gives a sign of life, or one died during a run."),
        Topic("database", Level.PLATFORM, "The database is slow or away",
              "Pages are slow, or all answer with an error."),
        Topic("disk", Level.PLATFORM, "The disk is full",
              "Nothing can be stored: runs wait and go on by themselves once there is room."),
        Topic("notifications", Level.PLATFORM, "No mail came, or too many",
              "Who is told what and when, and where it says why a message did not arrive."),
    )
}  # fmt: skip
REFUSED = ("401", "403", "407", "28")
"""How the codes of refused credentials begin: HTTP statuses, and the class 28 of SQLSTATE."""
BY_INTERNAL_CODE = {
    "worker_died": "workers",
    "books_differ": "database",
    "definition_outdated": "test-run",
    "run_stopped": "test-run",
    "not_sent": "queue",
    "no_listener": "application-up",
}
BY_CLASS = {
    "intermittent": "application-up",
    "rate_limit": "limits",
    "too_large": "limits",
    "duplicate": "duplicates",
    "parse": "answer-structure",
    "value": "mapping",
}
READING = ("application", "resource", "lookup", "connection")


def topic_for(source: str, code: str, classification: str) -> Topic:
    """Where to look first for an error of this source, code and class."""
    return TOPICS[_slug_for(source, code, classification)]


def _slug_for(source: str, code: str, classification: str) -> str:
    if source == "internal":
        return BY_INTERNAL_CODE.get(code, "connector")
    if classification == "connection":
        return "credentials" if code.startswith(REFUSED) else "application-up"
    if classification in BY_CLASS:
        return BY_CLASS[classification]
    return "answer-structure" if source in READING else "mapping"
