"""How numbers, durations and moments read."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from apps.console import wording

NOW = datetime(2026, 11, 20, 14, 4, 22, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (1204, "1,204"), (3.1, "3.1"), (3.0, "3"), (412.4, "412"), (None, "")]
)
def test_a_count_has_thousands_separators_and_fractions_only_below_ten(number: float | None, text: str) -> None:
    assert wording.count_text(number) == text


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (0.4124, "412 ms"),
        (1.44, "1.4 s"),
        (9.97, "10 s"),
        (58, "58 s"),
        (60, "1 min"),
        (timedelta(minutes=6, seconds=40), "6 min 40 s"),
        (3599.7, "1 h"),
        (3900, "1 h 5 min"),
        (timedelta(days=2, hours=3, minutes=59), "2 d 3 h"),
        (-3, "0 ms"),
        (None, ""),
    ],
)
def test_a_duration_has_at_most_two_units(length: timedelta | float | None, text: str) -> None:
    assert wording.duration_text(length) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "now"), (40, "40 s ago"), (240, "4 min ago"), (32_400, "9 h ago"), (172_800, "2 d ago"), (-720, "in 12 min")],
)
def test_an_age_has_one_unit_and_tells_past_from_future(seconds: int, text: str) -> None:
    assert wording.age_text(NOW - timedelta(seconds=seconds), NOW) == text


def test_a_moment_is_told_in_the_readers_zone_without_the_current_year() -> None:
    assert wording.moment_text(datetime(2026, 11, 20, 14, 2, 41, tzinfo=UTC), NOW, BERLIN) == "20 Nov 15:02:41"


def test_a_moment_of_another_year_tells_its_year() -> None:
    assert wording.moment_text(datetime(2025, 1, 2, 9, 0, tzinfo=UTC), NOW, BERLIN) == "2 Jan 2025 10:00:00"


def test_the_year_is_that_of_the_readers_zone() -> None:
    eve = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    assert wording.moment_text(eve, eve, BERLIN) == "1 Jan 00:30:00"
    assert wording.moment_text(eve, NOW, BERLIN) == "1 Jan 2027 00:30:00"


def test_a_moment_can_carry_the_name_of_its_zone() -> None:
    text = wording.moment_text(datetime(2026, 7, 1, 10, 0, tzinfo=UTC), NOW, BERLIN, with_zone=True)
    assert text == "1 Jul 12:00:00 CEST"


@pytest.mark.parametrize(("seconds", "text"), [(48, "0:48"), (3725, "1:02:05"), (-5, "0:00")])
def test_a_countdown_ends_at_zero(seconds: int, text: str) -> None:
    assert wording.countdown_text(NOW + timedelta(seconds=seconds), NOW) == text


def test_a_zone_is_told_by_name_abbreviation_and_offset() -> None:
    assert wording.zone_text(BERLIN, NOW) == "Europe/Berlin (CET, UTC+01:00)"


@pytest.mark.parametrize(
    ("zone", "text"), [("UTC", "UTC"), ("Etc/UTC", "UTC"), ("Europe/Istanbul", "Europe/Istanbul (UTC+03:00)")]
)
def test_a_zone_is_told_without_saying_the_same_twice(zone: str, text: str) -> None:
    assert wording.zone_text(ZoneInfo(zone), NOW) == text
