"""The ticket of a bundle: what a member says about a problem, filled in as far as Flowmend knows it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Self

from django.db import models

from apps.connectors.redaction import Redactor
from apps.core.text import short
from apps.errors.models import Error
from apps.runs.models import Run
from apps.support.definitions import FILES_CONNECTION
from apps.support.subjects import Subject, SubjectKind

LONGEST_TITLE = 150
TEXTS = ("title", "description", "steps", "timeline")


class Priority(models.TextChoices):
    LOW = "low", "Low: a question, or a way around is known"
    NORMAL = "normal", "Normal: some records do not get through"
    HIGH = "high", "High: a flow does not work"
    URGENT = "urgent", "Urgent: the business stands still"


class Documentation(models.TextChoices):
    NOT_FOUND = "not_found", "I checked the documentation: not found"
    NOT_CLEAR = "not_clear", "I checked the documentation: not clear"


@dataclass(frozen=True)
class Ticket:
    title: str
    description: str
    steps: str = ""
    documentation: str = ""
    first_observed: datetime | None = None
    timeline: str = ""
    priority: str = Priority.NORMAL.value
    is_blocker: bool = False
    deadline: date | None = None

    @property
    def stored(self) -> dict[str, Any]:
        moments = {"first_observed": self.first_observed, "deadline": self.deadline}
        return asdict(self) | {name: moment and moment.isoformat() for name, moment in moments.items()}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """What `stored` was."""
        seen, due = stored["first_observed"], stored["deadline"]
        moments = {
            "first_observed": seen and datetime.fromisoformat(seen),
            "deadline": due and date.fromisoformat(due),
        }
        return cls(**{**stored, **moments})

    def cleaned(self, redactor: Redactor) -> Self:
        """The same without secrets that somebody pasted into it."""
        changes: dict[str, Any] = {name: redactor.text(getattr(self, name)) for name in TEXTS}
        return replace(self, **changes)


def filled_in(subject: Subject) -> Ticket:
    """The ticket as a member finds it: everything that Flowmend knows is there already."""
    sample = subject.samples[0] if subject.samples else None
    return Ticket(
        title=short(title_of(subject, sample), LONGEST_TITLE),
        description="\n".join(description_of(subject, sample)),
        steps="\n".join(steps_of(subject, sample)),
        first_observed=first_observed(subject, sample),
        timeline="\n".join(f"{moment_text(at)} {what}" for at, what in events_of(subject)),
    )


def title_of(subject: Subject, sample: Error | None) -> str:
    if sample is None:
        return f"{subject.flow.name}: "
    return f"{subject.flow.name}, {sample.step.name}: {' '.join(sample.message.split())}"


def description_of(subject: Subject, sample: Error | None) -> Iterator[str]:
    yield f"About {subject} in the flow {subject.flow.name}."
    if sample is not None:
        cause = sample.cause
        yield f"The step {sample.step.name} fails: {sample.message}"
        yield f"Its root cause c-{cause.pk} has {cause.open_errors:,} open errors, {cause.total_errors:,} in all."
    if subject.kind is SubjectKind.RUN and subject.run is not None:
        yield run_text(subject.run)


def steps_of(subject: Subject, sample: Error | None) -> Iterator[str]:
    """How a stranger sees it happen, with what is in the bundle."""
    yield "1. Make the connections that connections.json names, with secrets of your own."
    if sample is None:
        yield "2. Apply definition.yaml and run the flow."
        return
    yield f"2. Make a file connection named “{FILES_CONNECTION}”, and put samples/records.jsonl into its folder."
    yield "3. Apply reproduce.yaml, or definition.yaml where there is none, and run the flow."
    yield f"4. The step {sample.step.name} fails: {short(' '.join(sample.message.split()), 300)}"


def first_observed(subject: Subject, sample: Error | None) -> datetime | None:
    if subject.kind is SubjectKind.ERROR and sample is not None:
        return sample.occurred_at
    if sample is not None:
        return sample.cause.first_seen_at
    return subject.run.created_at if subject.run is not None else subject.since


def events_of(subject: Subject) -> list[tuple[datetime, str]]:
    """What is known to have happened, in order; no query beyond those of the subject."""
    found: list[tuple[datetime, str]] = []
    if subject.revision is not None:
        found.append((subject.revision.at, f"revision {subject.revision.number} of the definition was applied"))
    for run in subject.runs:
        found.append((run.created_at, f"run {run} was asked for ({run.get_trigger_display().lower()})"))
        found += [(run.started_at, f"run {run} began")] if run.started_at else []
        found += [(run.ended_at, f"run {run} ended: {outcome_text(run)}")] if run.ended_at else []
    for cause in {error.cause_id: error.cause for error in subject.samples}.values():
        found.append((cause.first_seen_at, f"root cause c-{cause.pk} was seen for the first time"))
        found.append((cause.last_seen_at, f"root cause c-{cause.pk} was seen last"))
    found += [(error.occurred_at, f"error {error} at the step {error.step.name}") for error in subject.samples]
    return sorted(set(found))


def run_text(run: Run) -> str:
    counts = f"{run.success:,} success, {run.ignored:,} ignored, {run.failed:,} errors"
    return f"Run {run}: {outcome_text(run)}; {run.records_in:,} records in, {counts}."


def outcome_text(run: Run) -> str:
    return (run.get_outcome_display() or run.get_status_display()).lower()


def ticket_text(ticket: Ticket, subject: Subject, *, member: str, screenshots: Sequence[str]) -> str:
    """The whole ticket as text, the required facts first."""
    revision = subject.revision
    head = [
        ("Title", ticket.title),
        ("Account", subject.account.name),
        ("Integration", subject.flow.integration.name),
        ("Flow", f"{subject.flow.name} ({subject.flow.key})"),
        ("Environment", subject.flow.integration.environment),
        ("Revision", str(revision.number) if revision else "none"),
        ("About", str(subject)),
        ("From", member),
        ("Priority", Priority(ticket.priority).label),
        ("Blocker", "yes" if ticket.is_blocker else "no"),
        ("Solution or workaround until", f"{ticket.deadline}" if ticket.deadline else "no deadline"),
        ("First observed", moment_text(ticket.first_observed) if ticket.first_observed else "not known"),
        ("Documentation", Documentation(ticket.documentation).label if ticket.documentation else "not checked"),
        ("Screenshots", ", ".join(screenshots) or "none"),
    ]
    parts = (
        ("Description", ticket.description),
        ("Steps to reproduce", ticket.steps),
        ("Time line, in UTC", ticket.timeline),
    )
    body = "".join(f"\n{title}\n{'-' * len(title)}\n{text.strip() or 'not told'}\n" for title, text in parts)
    return "".join(f"{name}: {value}\n" for name, value in head) + body


def moment_text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
