"""The house guards itself: its floor plan, its tree and its dependencies, by the tests alone."""

import ast
import fnmatch
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
TOP_LEVEL = {"manage.py", "pyproject.toml", "README.md", "config", "apps", "templates", "static", "tests"}
OURS = ("apps", "config")
FOREIGN = re.compile(r"/vendor/|/data/|\.(woff2|xlsx|gz|png)$")  # other people's text, and what is no text
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN_TIME = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
EXTRAS = {
    name: [Requirement(line) for line in lines] for name, lines in PROJECT["project"]["optional-dependencies"].items()
}
DIRECT = [*RUN_TIME, *(wanted for extra in EXTRAS.values() for wanted in extra)]
MAIL = "templates/notification/mail.html:"  # a mail reaches its reader with no style but the one in its head
NOT_IMPORTED = {"tzdata"}  # zoneinfo reads it where the system has no time zones
# parts of what the other one hands out; it says itself which release of them it fits
BROUGHT_ALONG = {"pydantic-core": "pydantic", "yarl": "aiohttp", "multidict": "aiohttp"}


def ignored() -> list[str]:
    return [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]


def texts(*places: str) -> Iterator[tuple[str, str]]:
    """Name and text of each file that belongs to the tree, below these places."""
    for place in places:
        yield from texts_below(place)


@cache
def texts_below(place: str) -> list[tuple[str, str]]:
    start = ROOT / place
    paths = [start] if start.is_file() else sorted(files_below(start))
    named = [(path.relative_to(ROOT).as_posix(), path) for path in paths]
    return [(name, path.read_text(encoding="utf-8")) for name, path in named if not FOREIGN.search(name)]


def files_below(start: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(start):
        folders[:] = [name for name in folders if name != "vendor" and not is_ignored(name)]
        yield from (Path(folder, name) for name in files if not is_ignored(name))


@cache
def is_ignored(part: str) -> bool:
    return any(fnmatch.fnmatch(part, pattern) for pattern in ignored())


def lines_with(pattern: str, *places: str) -> list[str]:
    """`file:line` of each line in which the pattern is found."""
    found = re.compile(pattern)
    anywhere = re.compile(pattern, re.M)  # most files have none: they are looked through in one go
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts(*places)
        if anywhere.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if found.search(line)
    ]


def word(*halves: str) -> str:
    """A word that this file must not contain itself."""
    return "".join(halves)


def everywhere() -> list[str]:
    return [*sorted(TOP_LEVEL), ".ci", ".gitignore"]


# --- The floor plan --------------------------------------------------------------------------------------------------
def test_imports_go_down_only() -> None:
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_app_has_its_floor() -> None:
    layers = " | ".join(PROJECT["tool"]["importlinter"]["contracts"][0]["layers"])
    named = set(re.findall(r"\w+", layers))
    apps = {path.name for path in (ROOT / "apps").iterdir() if (path / "__init__.py").exists()}
    assert apps - named == set()


def test_no_import_stands_inside_a_function_to_break_a_circle() -> None:
    inside = [
        f"{name}:{statement.lineno}"
        for name, text in texts("apps")
        if name.endswith(".py") and re.search(r"^[ \t]+from apps", text, re.M)
        for function in ast.walk(ast.parse(text))
        if isinstance(function, ast.FunctionDef)
        for statement in ast.walk(function)
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("apps")
    ]
    assert inside == []


# --- The tree --------------------------------------------------------------------------------------------------------
def test_the_top_level_has_the_names_of_the_floor_plan_only() -> None:
    names = {path.name for path in ROOT.iterdir() if not path.name.startswith(".") and not is_ignored(path.name)}
    assert names - TOP_LEVEL == set()


def test_no_path_of_a_machine_is_in_the_tree() -> None:
    homes = "|".join((word("wo", "rk"), word("ro", "ot"), word("ho", "me"), word("Us", "ers"), word("fa", "rm")))
    assert lines_with(rf"(^|[^\w.\-/}}])/({homes})/\w", *everywhere()) == []


def test_no_package_registry_is_named_in_the_tree() -> None:
    hosts = "|".join((r"py" + r"pi\.org", "pythonho" + "sted", r"registry\.n" + "pm", "deb\\.deb" + "ian"))
    assert lines_with(hosts, *everywhere()) == []


def test_nothing_in_the_tree_is_called_unfinished() -> None:
    marks = "|".join(
        (word("TO", "DO"), word("FIX", "ME"), word("XX", "X"), word("HA", "CK"), word("NotImpl", "ementedError"))
    )
    phrases = "|".join(
        (
            word("pragma: no", " cover"),
            word("simplified for", " now"),
            word("for now", ","),
            word("place", "holder\\b(?!=)"),
        )
    )
    assert lines_with(rf"\b({marks})\b|{phrases}", *OURS, "templates", "static/js", ".ci") == []


def test_no_test_is_skipped_or_empty() -> None:
    pattern = "|".join(
        (r"mark\.(sk" + r"ip|xf" + r"ail)", r"pytest\.(sk" + r"ip|xf" + r"ail)\(", r"assert Tr" + r"ue\b")
    )
    assert lines_with(pattern, "tests") == []


def test_code_writes_no_unescaped_markup_and_no_inline_style() -> None:
    pattern = "|".join(
        (
            word("mark_", "safe"),
            r"\|\s*safe\b",
            r"\sstyle=\"|<style",
            r"\son[a-z]+=\"",
            "<script(?![^>]*src)",
        )
    )
    assert [line for line in lines_with(pattern, *OURS, "templates") if not line.startswith(MAIL)] == []


# --- Dependencies ----------------------------------------------------------------------------------------------------
def constraints() -> dict[str, str]:
    lines = [line for line in (ROOT / "config/constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.\-]+==[\w.]+", line)] == []
    return {canonicalize_name(name): number for name, number in (line.split("==") for line in lines)}


def brought() -> set[str]:
    """Every distribution that an installation with all extras brings to this machine."""
    found: set[str] = set()
    open_ones = [(wanted, extra) for wanted in DIRECT for extra in ("", *wanted.extras)]
    while open_ones:
        wanted, extra = open_ones.pop()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        if name in found and not wanted.extras:
            continue
        found.add(name)
        needed = [Requirement(line) for line in requires(name) or []]
        open_ones += [(need, own) for need in needed for own in ("", *wanted.extras)]
    return found


def test_what_an_installation_brings_has_an_exact_version_and_it_is_the_tested_one() -> None:
    exact = constraints()
    assert {name: version(name) for name in brought()} == {name: exact.get(name) for name in brought()}


def test_no_exact_version_is_kept_for_what_nobody_brings() -> None:
    builders = {canonicalize_name(Requirement(line).name) for line in PROJECT["build-system"]["requires"]}
    assert set(constraints()) - brought() - builders == set()


def test_each_range_of_a_direct_dependency_allows_the_exact_version() -> None:
    exact = constraints()
    builders = [Requirement(line) for line in PROJECT["build-system"]["requires"]]
    assert [
        str(wanted) for wanted in [*DIRECT, *builders] if exact[canonicalize_name(wanted.name)] not in wanted.specifier
    ] == []


def test_the_extra_for_tests_brings_what_every_other_extra_does() -> None:
    assert {str(wanted) for wants in EXTRAS.values() for wanted in wants} == {str(wanted) for wanted in EXTRAS["test"]}


@cache
def owners_of_modules() -> Mapping[str, list[str]]:
    """Reading what every installed distribution brings takes long."""
    return packages_distributions()


def modules_of(distribution: str) -> list[str]:
    return [module for module, owners in owners_of_modules().items() if distribution in map(canonicalize_name, owners)]


def test_every_direct_dependency_is_used() -> None:
    named = {
        module
        for _, text in texts(*OURS)
        for names in re.findall(r"^\s*(?:from|import) (\w+)|[\"'](\w+)[.\"]", text, re.M)
        for module in names
    }
    unused = {wanted.name for wanted in RUN_TIME if named.isdisjoint(modules_of(canonicalize_name(wanted.name)))}
    assert unused == NOT_IMPORTED


def test_every_foreign_module_that_is_imported_is_a_direct_dependency() -> None:
    imported = {
        match[1]
        for _, text in texts(*OURS)
        for match in re.finditer(r"^\s*(?:from|import) ([a-zA-Z_]\w*)", text, re.M)
        if match[1] not in sys.stdlib_module_names and match[1] not in OURS
    }
    at_run_time = [wanted for extra, wants in EXTRAS.items() if extra != "test" for wanted in wants]
    direct = {canonicalize_name(wanted.name) for wanted in [*RUN_TIME, *at_run_time]}
    owners = {module: canonicalize_name(owners_of_modules()[module][0]) for module in imported - {"__future__"}}
    assert {module for module, owner in owners.items() if BROUGHT_ALONG.get(owner, owner) not in direct} == set()


def test_ci_can_be_started() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)
