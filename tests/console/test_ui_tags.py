"""The template tags of the design guide."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.template import Context, Template

from apps.console.context import Preferences
from apps.console.statuses import GROUPS, LOOKS

NOW = datetime(2026, 11, 20, 14, 4, 22, tzinfo=UTC)


def shown(source: str, **context: object) -> str:
    return Template("{% load ui %}" + source).render(Context({"now": NOW} | context))


@pytest.mark.parametrize("key", LOOKS)
def test_every_status_shows_shape_word_and_color(key: str) -> None:
    look = LOOKS[key]
    html = shown("{% status key %}", key=key)
    assert f'class="badge {look.role}"' in html
    assert f"icons.svg#{look.icon}" in html
    assert look.word in html


def test_no_status_looks_different_in_two_groups() -> None:
    looks = [(key, look) for group in GROUPS.values() for key, look in group.items()]
    assert {key for key, look in looks if LOOKS[key] != look} == set()


def test_a_status_without_a_look_is_refused() -> None:
    with pytest.raises(KeyError, match="sleeping"):
        shown("{% status 'sleeping' %}")


def test_a_status_may_carry_its_own_words() -> None:
    assert "Canceled by T. Wrona" in shown("{% status 'canceled' 'Canceled by T. Wrona' plain=True %}")


def test_a_live_count_is_a_link_named_by_what_it_counts() -> None:
    html = shown("{% live 1204 '/errors/' 'open errors' bad=True %}")
    assert html == '<a class="cnt live bad" href="/errors/" aria-label="1,204 open errors">1,204</a>'


def test_a_snapshot_says_that_it_is_one() -> None:
    assert 'aria-label="11 errors (snapshot)"' in shown("{% snap 11 '/runs/' 'errors' %}")


@pytest.mark.parametrize("tag", ["live 0 '/errors/' 'open errors'", "snap 0 '/runs/' 'runs'", "snap None"])
def test_zero_is_grey_text_and_no_link(tag: str) -> None:
    assert shown("{% " + tag + " %}") == '<span class="zero">0</span>'


def test_text_from_records_is_escaped_in_every_tag() -> None:
    evil = '"><script>'
    source = (
        "{% live 1 e e %}{% snap 1 e e %}{% status 'open' e %}{% icon e e %}{% app e e %}{% hist v e %}{% spark v e %}"
    )
    html = shown(source, e=evil, v=[1, 2])
    assert "<script>" not in html


@pytest.mark.parametrize(("kind", "symbol"), [("sql", "database"), ("http", "globe"), ("something-new", "plug")])
def test_an_application_is_shown_by_its_connectors_kind(kind: str, symbol: str) -> None:
    assert f"#{symbol}" in shown("{% app kind %}", kind=kind)


def test_the_strip_of_runs_tells_its_counts_to_a_screen_reader() -> None:
    html = shown("{% runstrip 'oowfc' %}")
    assert 'aria-label="Last 5 runs: 2 completed, 1 with errors, 1 failed, 1 canceled"' in html


def test_a_run_strip_tells_status_by_height() -> None:
    heights = {letter: re.findall(r' height="(\d+)"', shown("{% runstrip l %}", l=letter))[1:] for letter in "owfc"}
    assert heights == {"o": ["6"], "w": ["6", "4"], "f": ["16"], "c": ["3"]}


def test_page_squares_show_done_errors_work_and_waiting() -> None:
    html = shown("{% pages 3 1 6 failed %}", failed=[1])
    assert [html.count(f'class="{role}"') for role in ("ok", "warn", "run", "wait")] == [2, 1, 1, 3]
    assert 'aria-label="Pages: 3 done, 1 of them with errors, 1 in work, 2 waiting"' in html


def test_a_long_run_has_at_most_32_squares_that_keep_its_errors() -> None:
    html = shown("{% pages 500 2 1000 failed %}", failed=[77])
    assert html.count('height="10"') + html.count('height="9"') == 32
    assert html.count('class="warn"') == 1


def test_more_pages_done_than_were_estimated_are_shown_as_done() -> None:
    assert shown("{% pages 5 0 3 %}").count('class="ok"') == 5


def test_a_histogram_names_its_maximum() -> None:
    assert 'aria-label="Errors per hour, at most 1,200"' in shown("{% hist v 'Errors per hour' %}", v=[0, 1200, 3])


@pytest.mark.parametrize("values", [[], [4]])
def test_a_line_of_fewer_than_two_values_is_left_out(values: list[int]) -> None:
    assert shown("{% spark values %}", values=values) == ""


def test_a_histogram_of_nothing_is_empty() -> None:
    assert "<rect" not in shown("{% hist v 'Errors per hour' %}", v=[])


def test_a_time_is_absolute_by_default_with_its_age_in_the_title() -> None:
    html = shown("{% when moment %}", moment=NOW - timedelta(minutes=4))
    assert html == '<time datetime="2026-11-20T14:00:22+00:00" title="4 min ago">20 Nov 14:00:22</time>'


def test_a_member_who_prefers_ages_gets_the_absolute_time_in_the_title() -> None:
    prefs = Preferences(times="relative", time_zone="Europe/Berlin")
    html = shown("{% when moment %}", moment=NOW - timedelta(minutes=4), prefs=prefs)
    assert 'datetime="2026-11-20T15:00:22+01:00" title="20 Nov 15:00:22 CET" data-age' in html
    assert ">4 min ago<" in html


def test_a_time_that_has_not_come_says_so() -> None:
    assert shown("{% when None none='not yet' %}") == '<span class="dimmer">not yet</span>'


def test_a_countdown_carries_the_moment_for_the_browser() -> None:
    html = shown("{% countdown moment %}", moment=NOW + timedelta(seconds=48))
    assert html == '<time datetime="2026-11-20T14:05:10+00:00" data-at>0:48</time>'


def test_filters_write_counts_and_durations() -> None:
    assert shown("{{ 61804|count }} {{ 400|duration }}") == "61,804 6 min 40 s"
