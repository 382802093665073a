"""The import: a message for each record or for each page, and what the mail server's answers mean for the records."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from hashlib import sha256
from time import perf_counter

from apps.connectors.email_messages.config import EmailConfig, EmailImportOptions
from apps.connectors.email_messages.message import Composer, Letter, LetterError
from apps.connectors.email_messages.post import Fate, Outcome, Post
from apps.engine.ports import Batch, Built, Capture, Classification, ErrorSource, Failure, Outage, Record, Written

PUT_OFF_WAIT_S = 60.0
"""How long a message waits that the server put off, and all of them where it wants none now."""
CODE_CLASSES = {
    530: Classification.CONNECTION,
    535: Classification.CONNECTION,
    550: Classification.MISSING,
    551: Classification.MISSING,
    552: Classification.TOO_LARGE,
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What one message speaks of: places in the batch, what its templates read, the rows of its CSV file."""

    places: tuple[int, ...]
    record: Record
    rows: Sequence[Record]
    key: str


@dataclass(slots=True)
class Round:
    """One batch on its way out. `wait_s` once nothing more goes out in it."""

    batch: Batch
    written: Written = field(default_factory=Written)
    wait_s: float | None = None
    is_untouched: bool = True

    def leave(self, subject: Subject, wait_s: float) -> None:
        self.written.not_sent.update(dict.fromkeys(subject.places, wait_s))

    def fail(self, subject: Subject, failure: Failure) -> None:
        self.written.failures.update(dict.fromkeys(subject.places, failure))

    def halt(self, subject: Subject, wait_s: float, why: str) -> None:
        self.wait_s = wait_s
        self.written.reason = why
        self.leave(subject, wait_s)


class EmailTarget:
    """SMTP recognises no repeat: what was cut or lost its answer is in doubt. Outboxes recognise it."""

    transactional = False

    def __init__(self, config: EmailConfig, options: EmailImportOptions, post: Post) -> None:
        self.repeats = post.repeats
        self._composer = Composer(config, options)
        self._options = options
        self._post = post

    def write(self, batch: Batch) -> Written:
        """One connection for the batch. A message goes to all its recipients or to none."""
        going = Round(batch)
        try:
            for subject in self._subjects(batch):
                self._write(going, subject)
        finally:
            self._post.close()
        return going.written

    def _subjects(self, batch: Batch) -> Iterator[Subject]:
        return subjects_of(batch, self._options.each)

    def _write(self, going: Round, subject: Subject) -> None:
        if going.wait_s is not None or going.batch.stop():
            going.leave(subject, going.wait_s or 0.0)
            return
        try:
            letter = self._composer.compose(subject.record, subject.rows, subject.key, going.batch.scope)
        except LetterError as error:
            going.fail(subject, error.failure)
            return
        self._deliver(going, subject, letter)

    def _deliver(self, going: Round, subject: Subject, letter: Letter) -> None:
        begun, sent_at = perf_counter(), datetime.now(UTC)
        try:
            outcome = self._post.deliver(letter)
            if outcome.fate is Fate.NOT_SENT:
                raise wants_nothing(outcome)
        except Outage as outage:
            if going.is_untouched:
                raise
            going.halt(subject, max(PUT_OFF_WAIT_S, outage.retry_after_s or 0), outage.message)
            return
        going.is_untouched = False
        capture = captured(letter, outcome, sent_at, round((perf_counter() - begun) * 1000))
        self._book(going, subject, letter, outcome, capture)

    def _book(self, going: Round, subject: Subject, letter: Letter, outcome: Outcome, capture: Capture) -> None:
        if outcome.fate is Fate.SENT:
            answer = {"message_id": letter.message_id, "recipients": list(letter.recipients), "reply": outcome.reply}
            going.written.answers.update(dict.fromkeys(subject.places, answer))
        elif outcome.fate is Fate.UNKNOWN:
            going.fail(subject, lost(outcome, capture))
            going.wait_s = PUT_OFF_WAIT_S  # a server that loses answers puts no more messages in doubt
        elif outcome.fate is Fate.PUT_OFF and self._is_patient(going.batch):
            going.leave(subject, PUT_OFF_WAIT_S)
            going.written.reason = refused(outcome, capture).message
        else:
            going.fail(subject, refused(outcome, capture))

    def _is_patient(self, batch: Batch) -> bool:
        """Whether a message that is put off is tried again. A page keeps its `now`, however often it is sent."""
        age_s = (datetime.now(UTC) - batch.scope.now).total_seconds()
        return age_s < self._options.patience_s


def subjects_of(batch: Batch, each: str) -> Iterator[Subject]:
    """The messages that a batch makes: one for each record, or one for all of them."""
    count = len(batch.bodies)
    if each == "record":
        for index, body in enumerate(batch.bodies):
            yield Subject((index,), body, [body], batch.keys(index))
    elif count:
        keys = "".join(batch.keys(index) for index in range(count))
        record = {"records": list(batch.bodies), "count": count}
        yield Subject(tuple(range(count)), record, batch.bodies, sha256(keys.encode()).hexdigest())


def built(composer: Composer, each: str, batch: Batch) -> Built:
    """The messages as they would be sent: recipients, subject, text, and the names of attachments."""
    made = Built()
    for subject in subjects_of(batch, each):
        try:
            letter = composer.compose(subject.record, subject.rows, subject.key, batch.scope)
        except LetterError as error:
            made.failures.update(dict.fromkeys(subject.places, error.failure))
        else:
            made.requests.update(dict.fromkeys(subject.places, shown(letter)))
    return made


def shown(letter: Letter) -> Record:
    message = message_from_bytes(letter.content, policy=default)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    return {
        "from": letter.sender,
        "to": list(letter.recipients),
        "subject": letter.subject,
        "text": text.get_content() if text is not None else "",
        **({"html": html.get_content()} if html is not None else {}),
        "attachments": [part.get_filename() or "" for part in message.iter_attachments()],
    }


def wants_nothing(outcome: Outcome) -> Outage:
    """The server, or the connection to it, and not this message."""
    said = f"{outcome.code} {outcome.reply}".strip() if outcome.code else outcome.reply
    return Outage(
        str(outcome.code or "connection_lost"),
        f"The mail server takes no messages at present: {said.rstrip('.')}.",
        classification=Classification.INTERMITTENT,
        source=ErrorSource.CONNECTION,
        retry_after_s=PUT_OFF_WAIT_S,
    )


def refused(outcome: Outcome, capture: Capture) -> Failure:
    whom = f"the recipient {outcome.recipient}" if outcome.recipient else "the message"
    verb = "did not accept" if outcome.fate is Fate.PUT_OFF else "refused"
    temporary = Classification.INTERMITTENT if outcome.fate is Fate.PUT_OFF else Classification.VALUE
    return Failure(
        ErrorSource.APPLICATION,
        str(outcome.code),
        f"The mail server {verb} {whom}, so it was sent to nobody: {outcome.code} {outcome.reply}",
        CODE_CLASSES.get(outcome.code, temporary),
        retry_after_s=PUT_OFF_WAIT_S if outcome.fate is Fate.PUT_OFF else None,
        capture=capture,
    )


def lost(outcome: Outcome, capture: Capture) -> Failure:
    return Failure(
        ErrorSource.CONNECTION,
        "answer_lost",
        f"The message was sent, and then {outcome.reply or 'the connection was lost'}: the mail server may have "
        "accepted it. Look for its Message-ID there; then mark it as sent, or retry it.",
        Classification.INTERMITTENT,
        unknown=True,
        capture=capture,
    )


def captured(letter: Letter, outcome: Outcome, sent_at: datetime, ms: int) -> Capture:
    """What was sent and answered, the content aside."""
    request = {
        "from": letter.sender,
        "to": list(letter.recipients),
        "subject": letter.subject,
        "message_id": letter.message_id,
        "bytes": len(letter.content),
    }
    answer = {"code": outcome.code or None, "reply": outcome.reply}
    return Capture("SMTP", outcome.code or None, request, answer, sent_at, ms)
