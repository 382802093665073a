"""What the demo must come to, read from its files by plain Python: no engine, no expressions, no database."""

import csv
import datetime as dt
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

DEMO = Path(__file__).resolve().parents[2] / "apps" / "execution" / "demo"
AIRBORNE = {"Climb", "Descent", "Approach"}
STRIKE_COLUMNS = (
    "flown_on", "airport", "operator", "aircraft", "phase", "time_of_day", "species", "size", "damage", "speed_kmh",
    "repair_cents", "other_cents", "total_cents",
)  # fmt: skip

Row = tuple[Any, ...]


@dataclass
class Expected:
    """How many records come in, are ignored and fail, each failure under its reason, and the rows that go through."""

    came_in: int = 0
    ignored: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    successes: int = 0
    rows: list[Row] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return self.reasons.total()


def lines(name: str) -> list[dict[str, str]]:
    with (DEMO / "data" / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def expected_airports() -> Expected:
    found = Expected()
    for line in lines("airports.csv"):
        found.came_in += 1
        if line["country"] != "USA":
            found.ignored += 1
        elif line["state"] == "NA":
            found.reasons["state"] += 1
        else:
            name = " ".join(line["name"].split())
            city = line["name"] if line["city"] == "NA" else line["city"]
            position = float(line["latitude"]), float(line["longitude"])
            found.rows.append((line["iata"], name, city, line["state"], *position))
    found.successes = len(found.rows)
    return found


def expected_earthquakes() -> Expected:
    found = Expected()
    for event in json.loads((DEMO / "data" / "earthquakes.json").read_bytes())["features"]:
        facts = event["properties"]
        found.came_in += 1
        if facts["type"] != "earthquake":
            found.ignored += 1
        elif facts["rms"] is None:
            found.reasons["misfit_s"] += 1
        else:
            found.rows.append((event["id"], facts["mag"], event["geometry"]["coordinates"][2], facts["rms"]))
    found.successes = len(found.rows)
    return found


def expected_strikes() -> Expected:
    """Reports are taken in the order of the file: of two reports of one strike the first one stays."""
    codes = yaml.safe_load((DEMO / "flows" / "wildlife-strikes.yaml").read_text())["settings"]["airports"]
    known = {row[0] for row in expected_airports().rows}
    found = Expected()
    kept: dict[Row, Row] = {}  # the whole line of each report in the table, and what makes it one strike
    strikes: set[Row] = set()
    for line in lines("birdstrikes.csv"):
        found.came_in += 1
        if dt.date.fromisoformat(line["Flight Date"]) < dt.date(1995, 1, 1):
            found.ignored += 1
            continue
        row = strike_row(line, codes)
        strike = (row[1], row[2], row[0], row[3], row[6], row[5], row[4])
        report = tuple(line.values())
        if reason := refusal(row, known) or ("duplicate" if strike in strikes and report not in kept else ""):
            found.reasons[reason] += 1
            continue
        found.successes += 1
        strikes.add(strike)
        kept[report] = row
    found.rows = list(kept.values())
    return found


def strike_row(line: dict[str, str], codes: dict[str, str]) -> Row:
    knots = line["Speed IAS in knots"]
    return (
        line["Flight Date"],
        codes[line["Airport Name"]],
        line["Aircraft Airline Operator"].replace("*", ""),
        " ".join(line["Aircraft Make Model"].split()),
        line["Phase of flight"],
        line["Time of day"],
        line["Wildlife Species"],
        line["Wildlife Size"],
        None if line["Effect Amount of damage"] == "None" else line["Effect Amount of damage"],
        round(int(knots) * 1.852, 1) if knots else None,
        int(line["Cost Repair"]) * 100,
        int(line["Cost Other"]) * 100,
        int(line["Cost Total $"]) * 100,
    )


def refusal(row: Row, known: set[str]) -> str:
    """Why a report cannot go through, whatever else is in the table; "" if it can. In the order of the steps."""
    _, airport, operator, _, phase, _, _, _, damage, speed, repair, other, total = row
    if airport not in known:
        return "lookup_empty"
    if operator == "UNKNOWN":
        return "operator"
    if damage not in {None, "Minor", "Medium", "Substantial"}:
        return "damage_is_a_known_class"
    if total != repair + other:
        return "total_is_the_sum"
    if repair and damage is None:
        return "no_repair_without_damage"
    return "flying_aircraft_moves" if speed == 0 and phase in AIRBORNE else ""
