"""A flow's schedule as a person would say it; what has no short sentence is shown as it is written."""

import re

from apps.flows.models import Flow

WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EVERY = re.compile(r"\*/(\d+)")


def schedule_text(flow: Flow) -> str:
    """`Every 15 minutes`, `Daily at 06:30`, `Monday to Friday at 06:30`, `After Load airports`, `Run by hand`."""
    if flow.cron:
        zone = f" {flow.time_zone}" if flow.time_zone and flow.time_zone != "UTC" else ""
        return cron_text(flow.cron) + (zone if " at " in cron_text(flow.cron) else "")
    return f"After {name_of_first(flow)}" if flow.run_after_id else "Run by hand"


def name_of_first(flow: Flow) -> str:
    """The flow that this one runs after; not by name where it is of another integration, which the reader may not see.

    The caller has selected `run_after` with the flow.
    """
    first = flow.run_after
    return first.name if first is not None and first.integration_id == flow.integration_id else "another flow"


def cron_text(cron: str) -> str:
    """The sentence of a cron expression of five fields; "Schedule 5 4 1 2 *" for the unusual."""
    fields = cron.split()
    if len(fields) != 5:
        return f"Schedule {cron}"
    minute, hour, day, month, weekday = fields
    if (day, month, weekday) == ("*", "*", "*") and (words := _frequent(minute, hour)):
        return words
    days = _days(weekday) if (day, month) == ("*", "*") else ""
    if days and minute.isdigit() and hour.isdigit():
        return f"{days} at {int(hour):02}:{int(minute):02}"
    return f"Schedule {cron}"


def _frequent(minute: str, hour: str) -> str:
    if hour == "*":
        return _each_hour(minute)
    every = _EVERY.fullmatch(hour)
    return f"Every {every[1]} hours" if every and minute.isdigit() else ""


def _each_hour(minute: str) -> str:
    if minute in ("*", "*/1"):
        return "Every minute"
    if every := _EVERY.fullmatch(minute):
        return f"Every {every[1]} minutes"
    if minute == "0":
        return "Every hour"
    return f"Every hour, {int(minute)} min past" if minute.isdigit() else ""


def _days(weekday: str) -> str:
    if weekday == "*":
        return "Daily"
    first, dash, last = weekday.partition("-")
    if not (first.isdigit() and int(first) < len(WEEKDAYS)):
        return ""
    if not dash:
        return f"Every {WEEKDAYS[int(first)]}"
    return f"{WEEKDAYS[int(first)]} to {WEEKDAYS[int(last)]}" if last.isdigit() and int(last) < len(WEEKDAYS) else ""
