"""Schedules on the wire: six fields, the first one (seconds) `?`; ours have the five behind it."""

from apps.api.failures import invalid

SECONDS = ("?", "0")
ANY = "?"


def cron_of(schedule: str) -> str:
    """Our five fields; blank for none. Raises a Refusal for another number of fields, or for seconds."""
    fields = schedule.split()
    if len(fields) == 6:
        if fields[0] not in SECONDS:
            raise invalid("A schedule begins with ?: flows are not started at a second of their own.", "schedule")
        fields = fields[1:]
    if fields and len(fields) != 5:
        raise invalid("A schedule has six fields: ? minute hour day month weekday.", "schedule")
    return " ".join("*" if field == ANY else field for field in fields)


def schedule_of(cron: str) -> str:
    """The same with the field for seconds; blank for none."""
    return f"{ANY} {cron}" if cron else ""
