"""The live topics of a log: lines that have come are put on top, on the page of a log and in the drawer of a step."""

from collections.abc import Iterator, Sequence

from django.http import HttpRequest
from django.template.loader import render_to_string

from apps.accounts.permissions import Act
from apps.console.access import may_do
from apps.console.addresses import RunId
from apps.console.context import preferences_of
from apps.console.flow_topics import key_of
from apps.console.live import Told, topic
from apps.console.loaded import run_of
from apps.console.selectors.run_log import LogFilter, lines_between, log_filter, log_rows, newest_line
from apps.runs.models import Run, RunLog


def log_topic(run: Run, chosen: LogFilter) -> str:
    return f"log:{run.pk}.{chosen.text}"


def drawer_log_topic(run: Run, chosen: LogFilter) -> str:
    return f"drawer-log:{run.pk}.{chosen.text}"


def keep_newest(request: HttpRequest, lines: Sequence[RunLog]) -> None:
    """Remembers where the page began, so that what is written while it is made comes in live."""
    request.flowmend_newest_line = lines[0].pk if lines else 0  # type: ignore[attr-defined]


def newest_of(request: HttpRequest, run: Run, chosen: LogFilter) -> int:
    kept: int | None = getattr(request, "flowmend_newest_line", None)
    return newest_line(run, chosen) if kept is None else kept


@topic("log")
def log_told(request: HttpRequest, key: str) -> Told:
    """The page of a log; the state in its head follows the run."""
    return lines_told(request, key, "run/_log_live.html")


@topic("drawer-log")
def drawer_log_told(request: HttpRequest, key: str) -> Told:
    """The log of one step in its drawer."""
    return lines_told(request, key, "step/_log_live.html")


def lines_told(request: HttpRequest, key: str, template: str) -> Told:
    """The key is `<run>.<level>.<step>`; the version names the newest line."""
    run_text, _, rest = key.partition(".")
    level, _, step = rest.partition(".")
    run, chosen = run_of(request, key_of(RunId, run_text)), log_filter(level, step)
    newest = newest_of(request, run, chosen)

    def fragments(since: str) -> Iterator[str]:
        seen = since.partition("-")[0]
        last = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 19 else newest
        rows = log_rows(lines_between(run, chosen, last, newest)) if last < newest else []
        facts = {
            "rows": rows,
            "run": run,
            "prefs": preferences_of(request),
            "may_retry": may_do(request, Act.RETRY_ERRORS, run.integration_id),
        }
        yield render_to_string(template, facts)

    return Told(f"{newest}-{run.status}", fragments)
