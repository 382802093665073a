"""A checkpoint as a time: the moment up to which an incremental export has got, for those that count by time."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from apps.connectors.http.incremental import SINCE
from apps.connectors.sql.watermark import NAME, written_like
from apps.flows.models import Checkpoint, Step

FIELDS = {"http": SINCE, "sql": NAME}
"""By kind of connection: the field of the checkpoint that may be a time."""


def last_export_at(checkpoint: Checkpoint | None) -> datetime | None:
    """None: nothing was exported yet, or the export does not count by time."""
    sample = sample_of(checkpoint.value if checkpoint else None)
    if not isinstance(sample, str):
        return None
    try:
        moment = datetime.fromisoformat(sample)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def checkpoint_at(step: Step, checkpoint: Checkpoint | None, moment: datetime) -> dict[str, str]:
    """The checkpoint's value for a moment, written as the present one is. Raises ValueError with a sentence."""
    field = FIELDS.get(step.connection.kind) if step.connection else None
    if field is None:
        raise ValueError("This export does not count by time: set its checkpoint as a value.")
    sample = sample_of(checkpoint.value if checkpoint else None)
    if sample is None:
        return {field: moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
    if last_export_at(checkpoint) is None or not isinstance(sample, str):
        raise ValueError(f"This export counts by {sample!r}, which is no time: set its checkpoint as a value.")
    return {field: written_like(moment, sample)}


def sample_of(value: Any) -> Any:
    """What the export counts by, as it stands in a checkpoint's value."""
    if not isinstance(value, Mapping):
        return value
    return next((value[field] for field in FIELDS.values() if value.get(field) is not None), None)
