"""Static files as people get them from `manage.py up`: collected, named after their content, compressed, kept."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import Client, override_settings

from apps.console.templatetags import ui
from config import settings as house

AS_SERVED = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "config.static_storage.StaticStorage"},
}
LINK = re.compile(r'(?:href|src)="(/static/[^"#]+)')


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What `manage.py up` collects before it starts the web server."""
    folder = tmp_path_factory.mktemp("static")
    with override_settings(STATIC_ROOT=folder, STORAGES=AS_SERVED):
        call_command("collectstatic", interactive=False, verbosity=0)
        ui._sprite.cache_clear()  # a server has one address of it for as long as it runs, this process two
        yield folder
    ui._sprite.cache_clear()


@pytest.fixture
def links(collected: Path, admin_client: Client) -> list[str]:
    return LINK.findall(admin_client.get("/").content.decode())


def test_whoever_does_not_ask_for_debug_pages_gets_hashed_and_compressed_files() -> None:
    assert (AS_SERVED["staticfiles"]["BACKEND"] == house.STATIC_STORAGE) is not house.DEBUG


def test_every_file_of_a_page_is_named_after_its_content_and_kept_for_ever(links: list[str]) -> None:
    assert any(".css" in link for link in links)
    assert any(".js" in link for link in links)
    client = Client()  # a second one would look through all that was collected again
    for link in links:
        answer = client.get(link)
        assert answer.status_code == 200, link
        assert re.search(r"\.[0-9a-f]{12}\.", link), link
        assert "immutable" in answer.headers["Cache-Control"], link


def test_a_style_sheet_goes_over_the_wire_compressed(links: list[str]) -> None:
    sheet = next(link for link in links if ".css" in link)
    client = Client()
    plain, packed = client.get(sheet), client.get(sheet, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(b"".join(packed)) < len(b"".join(plain)) / 2


def test_fonts_that_a_style_sheet_names_are_there_under_their_hashed_names(collected: Path) -> None:
    sheets = [path.read_text() for path in (collected / "css").glob("*.*.css")]
    fonts = set(re.findall(r'url\("?([^")]+\.woff2)', " ".join(sheets)))
    assert fonts
    assert all((collected / "css" / name).resolve().is_file() for name in fonts)


def test_a_script_imports_the_other_scripts_under_their_hashed_names(collected: Path) -> None:
    imports = [
        (name, script.parent / name)
        for script in (collected / "js").glob("*.????????????.js")
        for name in re.findall(r"""(?:from|import)\s*["'](\./[^"']+)""", script.read_text())
    ]
    assert imports
    assert all(target.is_file() and re.search(r"\.[0-9a-f]{12}\.js$", name) for name, target in imports)


def test_each_file_of_ours_is_collected(collected: Path) -> None:
    ours = Path(django_settings.BASE_DIR, "static")
    missing = [path for path in ours.rglob("*") if path.is_file() and not (collected / path.relative_to(ours)).exists()]
    assert missing == []


def test_an_unknown_static_file_is_the_page_that_says_so(collected: Path, settings: Any) -> None:
    answer = Client().get("/static/css/nothing.css")
    assert answer.status_code == 404
    assert "There is no such page" in answer.content.decode()
