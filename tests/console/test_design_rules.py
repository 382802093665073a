"""Rules of the design guide that a reader of the sources can check."""

import hashlib
import re
from pathlib import Path

import pytest

from apps.console.context import PLACES
from apps.console.statuses import LOOKS
from apps.console.templatetags.ui import APPLICATION_ICONS

ROOT = Path(__file__).resolve().parents[2]
MAIL = ROOT / "templates" / "notification" / "mail.html"
"""The frame of an e-mail, which is no page: its reader has no style but the one in its head."""
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SHEETS = sorted((ROOT / "static" / "css").glob("*.css"))
SCRIPTS = sorted((ROOT / "static" / "js").glob("*.js"))
SYMBOLS = set(re.findall(r'<symbol id="([^"]+)"', (ROOT / "static" / "icons.svg").read_text()))
FORBIDDEN_IN_TEMPLATES = {
    "an inline style": r"\sstyle=|<style",
    "an inline handler": r"\son[a-z]+=",
    "an inline script": r"<script(?![^>]*\bsrc=)",
    "an unescaped value": r"\|\s*safe\b|autoescape off",
    "htmx code in an attribute": r"hx-on|hx-vals=.js:|hx-boost|hx-trigger=\"[^\"]*\[",
    "a link that leads nowhere": r'href="#"',
}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("what", FORBIDDEN_IN_TEMPLATES)
def test_no_template_has(what: str) -> None:
    found = {named(template): re.findall(FORBIDDEN_IN_TEMPLATES[what], template.read_text()) for template in TEMPLATES}
    allowed = {named(MAIL): ["<style"]} if what == "an inline style" else {}
    assert {template: places for template, places in found.items() if places} == allowed


def test_every_icon_that_is_named_is_in_the_sprite() -> None:
    in_templates = {name for path in TEMPLATES for name in re.findall(r'{% icon "([^"]+)"', path.read_text())}
    in_tables = {look.icon for look in LOOKS.values()} | {place.icon for place in PLACES}
    assert (in_templates | in_tables | set(APPLICATION_ICONS.values())) - SYMBOLS == set()


def test_only_the_tokens_name_colors() -> None:
    literals = {named(sheet): re.findall(r"#[0-9a-f]{3,8}\b|rgba?\(", sheet.read_text()) for sheet in SHEETS}
    assert {name: found for name, found in literals.items() if found and not name.endswith("tokens.css")} == {}


def test_every_token_that_is_used_is_defined() -> None:
    defined = set(re.findall(r"(--[a-z0-9-]+):", "".join(sheet.read_text() for sheet in SHEETS)))
    used = {name for sheet in SHEETS for name in re.findall(r"var\((--[a-z0-9-]+)", sheet.read_text())}
    assert used - defined == set()


def test_every_style_sheet_is_loaded_and_in_a_layer() -> None:
    document = (ROOT / "templates" / "document.html").read_text()
    assert [sheet.name for sheet in SHEETS if f"css/{sheet.name}" not in document] == []
    assert [sheet.name for sheet in SHEETS if "@layer" not in sheet.read_text()] == []


def test_scripts_make_no_code_from_text() -> None:
    pattern = r"\beval\(|new Function|innerHTML|setTimeout\(\s*[\"']|\.style\b"
    assert {named(script): re.findall(pattern, script.read_text()) for script in SCRIPTS} == {
        named(script): [] for script in SCRIPTS
    }


@pytest.mark.parametrize("folder", ["static/vendor", "tests/browser/vendor"])
def test_vendored_files_are_the_ones_that_the_readme_names(folder: str) -> None:
    home = ROOT / folder
    sums = dict(
        reversed(line.split("  ", 1))
        for line in (home / "README").read_text().splitlines()
        if re.match("[0-9a-f]{64}  ", line)
    )
    assert sums
    assert {name: hashlib.sha256((home / name).read_bytes()).hexdigest() for name in sums} == sums
