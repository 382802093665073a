"""What an answer says about each of the records that were sent with one request."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.connectors.http.documents import MISSING, DocumentError, parse, parse_path, value_at
from apps.connectors.http.options import HttpImportOptions
from apps.connectors.http.reading import cut, detail_in, detail_of, shown, status_sentence, status_words
from apps.connectors.http.requests import as_text
from apps.connectors.http.wire import Answer, Request

UNREAD: Any = object()
GOOD, REFUSED, LOST, LATER = "good", "refused", "lost", "later"
USUAL_STATUS = parse_path("status")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`good`: it arrived, `answer` is what came back. `refused`, `lost` (nobody can say), `later` (asked to wait)."""

    kind: str
    answer: Any = None
    code: str = ""
    message: str = ""


class Judge:
    """Reads answers by the options of an import."""

    def __init__(self, options: HttpImportOptions) -> None:
        self._options = options
        self._accepted = frozenset(options.accept_statuses)
        self._is_batch = options.batch_size > 1
        self._results = None if options.results_path is None else parse_path(options.results_path)
        self._status = parse_path(options.status_path)
        self._success = parse_path(options.success_path)
        self._error = parse_path(options.error_path)
        self._code = parse_path(options.code_path)
        self._match_sent = parse_path(options.match_sent)
        self._match_result = parse_path(options.match_result)
        self._looks_inside = bool(self._success or self._error)

    def verdicts(self, request: Request, answer: Answer, bodies: Sequence[Any]) -> list[Verdict]:
        """One for each body, in order."""
        document = document_in(answer)
        if self._is_batch:
            results = self._result_list(answer, document)
            if results is not None:
                return self._matched(results, bodies)
            if answer.is_good and (self._results is not None or answer.status == 207):
                where = f'at "{self._options.results_path}"' if self._options.results_path else "in its answer"
                return [lost(f"The application gave no list of results {where}")] * len(bodies)
        return [self._whole(request, answer, document)] * len(bodies)

    # --- one answer for all ------------------------------------------------------------------------------------------
    def _whole(self, request: Request, answer: Answer, document: Any) -> Verdict:
        if not self._is_accepted(answer.status):
            detail = self._error_text(document) or detail_of(answer)
            code = self._code_of(document) or str(answer.status)
            return Verdict(REFUSED, document, code, status_sentence(request, answer, detail))
        if self._looks_inside:
            if document is UNREAD:
                return lost("The answer cannot be read, so it cannot be said whether the record was taken")
            return self._inside(document)
        if document is UNREAD or not answer.body:
            document = {"status": answer.status, "location": answer.headers.get("Location")}
        return Verdict(GOOD, document)

    def _inside(self, document: Any) -> Verdict:
        """By the fields that tell of success and failure."""
        said = value_at(document, self._success) if self._success else True
        if said is MISSING:
            return lost(f'The answer does not say at "{self._options.success_path}" whether it went well')
        error = value_at(document, self._error) if self._error else None
        is_good = said in self._options.success_values if self._options.success_values else is_true(said)
        if is_good and error in (None, MISSING, "", False, [], {}):
            return Verdict(GOOD, document)
        text = self._error_text(document) or detail_in(document) or "The application says that it did not go well."
        return Verdict(REFUSED, document, self._code_of(document) or "rejected", text)

    # --- a list of results -------------------------------------------------------------------------------------------
    def _result_list(self, answer: Answer, document: Any) -> list[Any] | None:
        if self._results is None and answer.status != 207:
            return None
        found = value_at(document, self._results or ()) if document is not UNREAD else None
        return found if isinstance(found, list) else None

    def _matched(self, results: list[Any], bodies: Sequence[Any]) -> list[Verdict]:
        if self._match_sent:
            return self._matched_by_field(results, bodies)
        if len(results) > len(bodies):
            text = f"The application gave {len(results)} results for {len(bodies)} records, so none can be told apart"
            return [lost(text)] * len(bodies)
        judged = [self._single(result) for result in results]
        missing = f"The application gave only {len(results)} results for {len(bodies)} records, and none for this one"
        return judged + [lost(missing)] * (len(bodies) - len(results))

    def _matched_by_field(self, results: list[Any], bodies: Sequence[Any]) -> list[Verdict]:
        waiting: defaultdict[str, deque[Any]] = defaultdict(deque)
        for result in results:
            waiting[as_text(known(value_at(result, self._match_result)))].append(result)
        judged = []
        for body in bodies:
            name = as_text(known(value_at(body, self._match_sent)))
            found = waiting[name].popleft() if name and waiting[name] else MISSING
            missing = f'The answer holds no result whose {self._options.match_result} is "{name[:80]}"'
            judged.append(lost(missing) if found is MISSING else self._single(found))
        return judged

    def _single(self, result: Any) -> Verdict:
        """By the status that the result holds, then by its fields."""
        status = as_status(value_at(result, self._status or USUAL_STATUS))
        if self._status and status is None:
            return lost(f'A result holds no status at "{self._options.status_path}"')
        if status in (429, 503):
            return Verdict(LATER, result)
        if status is not None and not self._is_accepted(status):
            detail = self._error_text(result) or detail_in(result)
            code = self._code_of(result) or str(status)
            return Verdict(REFUSED, result, code, f"{status} {status_words(status)}{': ' if detail else ''}{detail}")
        return self._inside(result) if self._looks_inside else Verdict(GOOD, result)

    # --- pieces ------------------------------------------------------------------------------------------------------
    def _is_accepted(self, status: int) -> bool:
        return 200 <= status < 300 or status in self._accepted

    def _error_text(self, document: Any) -> str:
        found = value_at(document, self._error) if self._error else None
        if found in (None, MISSING, "", False, [], {}):
            return ""
        if isinstance(found, dict):
            return detail_in(found) or cut(as_text(found))
        return cut("; ".join(text_of(part) for part in found) if isinstance(found, list) else shown(found))

    def _code_of(self, document: Any) -> str:
        found = value_at(document, self._code) if self._code else None
        return str(found)[:100] if isinstance(found, str | int) and not isinstance(found, bool) else ""


def document_in(answer: Answer) -> Any:
    """The JSON of an answer, None for an empty one, UNREAD for what is none."""
    if not answer.body:
        return None
    if answer.fault is not None:
        return UNREAD
    try:
        return parse(answer.body, answer.headers.get("Content-Type", "")).root
    except DocumentError:
        return UNREAD


def lost(why: str) -> Verdict:
    return Verdict(LOST, None, "lost", f"{why}.")


def text_of(part: Any) -> str:
    return (detail_in(part) if isinstance(part, dict) else "") or shown(part)


def is_true(value: Any) -> bool:
    return value not in (None, False, 0, "", "false", "False", "0", "no", "error", [], {})


def known(value: Any) -> Any:
    return None if value is MISSING else value


def as_status(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
        return value
    if isinstance(value, str) and value[:3].isdigit() and 100 <= int(value[:3]) <= 599 and not value[3:4].isdigit():
        return int(value[:3])
    return None
