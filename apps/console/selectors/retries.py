"""Retries as pages show them: what of an error may be acted on, its retry data to edit, the retries of a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from apps.console.json_view import laid_out, visible
from apps.console.text_diff import MOST_COMPARED, DiffLine, diff_lines
from apps.core.clock import wall_now
from apps.errors.models import Error, RetryData, RetryVersion
from apps.errors.services.planning import REOPENED, RETRIED_ALREADY, retry_conditions, with_why_not
from apps.errors.states import ErrorState, ErrorUnit

MOST_EDITED = 1_000_000  # bytes: a larger record is not edited in a page
MOST_VERSIONS = 50
SENTENCES = {
    "its retry data are gone": "The retry data of this error were removed by the retention",
    "is older than the retention": "This error is older than the account's retention",
    "its step was removed": "Its step was removed from the flow",
    "its flow is disabled": "The flow is disabled: start it first",
}


@dataclass(frozen=True)
class Possible:
    """Why an act on one error is not possible now; "" where it is."""

    retry: str
    resolve: str
    reopen: str
    edit: str
    mark_sent: str


def possible_acts(error: Error, *, may_edit: bool) -> Possible:
    """One query. `error` has its flow at hand."""
    conditions = retry_conditions(error.flow.account, includes_resolved=True, now=wall_now())
    rows = with_why_not(Error.objects.of(error.account_id).filter(pk=error.pk), conditions)
    why_not = rows.values_list("why_not", flat=True).first() or ""
    busy = f"Retry r-{error.retry_run_id} has this error right now" if error.retry_run_id else ""
    is_open = error.state == ErrorState.OPEN
    may_reopen = error.reason in REOPENED
    return Possible(
        retry=busy if why_not == RETRIED_ALREADY else SENTENCES.get(why_not, why_not),
        resolve=busy or ("" if is_open else "This error is resolved"),
        reopen=busy or ("" if may_reopen else "Only what was resolved by somebody or auto-resolved can be reopened"),
        edit=_why_not_edit(error, why_not, busy, may_edit=may_edit),
        mark_sent=busy or ("" if is_open and error.in_doubt else "This error is not in doubt"),
    )


def _why_not_edit(error: Error, why_not: str, busy: str, *, may_edit: bool) -> str:
    if not may_edit:
        return "Needs the role manager, or the permission to edit retry data"
    if error.unit != ErrorUnit.RECORD:
        return f"This error concerns a {error.get_unit_display().lower()}, not a record: there is nothing to edit"
    gone = "its retry data are gone"
    return busy or (SENTENCES[gone] if why_not == gone else "")


# --- the editor ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Changes:
    """What differs between two versions of retry data; `newer` is None for a text that is not saved."""

    older: int
    newer: int | None
    lines: Sequence[DiffLine]
    is_too_large: bool = False

    @property
    def count(self) -> int:
        """Lines that were added, or taken away without another in their place."""
        added = sum(line.sign == "+" for line in self.lines)
        return max(added, sum(line.sign == "-" for line in self.lines))


@dataclass(frozen=True)
class Editor:
    """Retry data in a field. `unsaved` is a text that was refused, `problem` says why."""

    data: RetryData
    pair: tuple[int, int] | None = None
    unsaved: str | None = None
    problem: str = ""
    is_conflict: bool = False

    @cached_property
    def stored(self) -> str:
        return laid_out(bytes(self.data.record or b""))

    @property
    def text(self) -> str:
        return self.stored if self.unsaved is None else self.unsaved

    @property
    def is_too_large(self) -> bool:
        return len(self.data.record or b"") > MOST_EDITED

    @property
    def lines(self) -> int:
        return self.text.count("\n") + 1

    @property
    def size(self) -> int:
        """Of what is stored, in bytes."""
        return len(self.data.record or b"")

    @cached_property
    def versions(self) -> list[RetryVersion]:
        """Newest first, the original last; empty if it was never edited."""
        if self.data.version == 1:
            return []
        rows = RetryVersion.objects.of(self.data.account_id).filter(error=self.data.error_id)
        return list(rows.select_related("member__user").order_by("-version")[:MOST_VERSIONS])

    @cached_property
    def changes(self) -> Changes | None:
        """Between two versions, the first and the newest unless others are named; or of a text that is not saved."""
        if self.is_conflict and self.unsaved is not None:
            return _changes(self.stored, self.unsaved, self.data.version, None)
        if not self.versions:
            return None
        texts = {version.version: bytes(version.record or b"") for version in self.versions}
        older, newer = self.pair or (min(texts), max(texts))
        if older not in texts or newer not in texts:
            older, newer = min(texts), max(texts)
        return _changes(laid_out(texts[older]), laid_out(texts[newer]), older, newer)


def _changes(before: str, after: str, older: int, newer: int | None) -> Changes:
    texts = [[visible(line) for line in text.splitlines()] for text in (before, after)]
    if sum(map(len, texts)) > MOST_COMPARED:
        return Changes(older, newer, [], is_too_large=True)
    return Changes(older, newer, diff_lines(*texts))
