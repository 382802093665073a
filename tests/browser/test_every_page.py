"""Every page keeps the promises of the design guide: one line in PAGES puts a new page under them."""

from pathlib import Path
from typing import Any

import pytest

from tests.browser.driver import Driver

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

THEMES = ("light", "dark")
SIGNED_OUT_PAGES = ["/login/", "/login/?next=/design/"]
PAGES = [
    "/",
    "/design/",
    "/design/?toast",
]


def problems_of(driver: Driver, path: str, folder: Path | None) -> list[str]:
    return [problem for theme in THEMES for problem in driver.inspect(path, theme=theme, shots=folder)]


@pytest.mark.parametrize("path", SIGNED_OUT_PAGES)
def test_a_page_before_signing_in_is_accessible_fits_and_obeys_the_policy(
    driver: Driver, shot_folder: Path | None, path: str
) -> None:
    assert problems_of(driver, path, shot_folder) == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_fits_and_obeys_the_policy(
    signed_in: Driver, settings: Any, shot_folder: Path | None, path: str
) -> None:
    settings.DEBUG = True  # the page /design/ exists only then
    assert problems_of(signed_in, path, shot_folder) == []
