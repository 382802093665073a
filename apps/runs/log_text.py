"""The log of a run as plain text: a line of the file for each line of the log."""

from collections.abc import Iterable, Iterator
from datetime import tzinfo

from apps.core.ids import Kind, short_id
from apps.runs.models import RunLog


def text_lines(rows: Iterable[RunLog], zone: tzinfo) -> Iterator[str]:
    """In the order of the rows; times in `zone`, with its offset."""
    for row in rows:
        at = row.at.astimezone(zone).isoformat(timespec="milliseconds")
        step = f" [{row.step.name}]" if row.step else ""
        about = [f"record {row.key}"] if row.key else []
        about += [short_id(Kind.ERROR, row.error_id)] if row.error_id is not None else []
        behind = f" ({', '.join(about)})" if about else ""
        text = row.text.replace("\n", "\n    ")
        yield f"{at} {row.get_level_display().upper():7}{step} {text}{behind}\n"
