"""Single fields of a definition's text are changed; everything else stays as it was written."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from apps.flows.definition import DefinitionError
from apps.flows.definition.document import read_document
from apps.flows.definition.rewriting import REMOVED, rewrite, value_at

TEXT = """\
# Strikes, every five minutes
flow: strikes
integration: {key: aviation, name: Aviation}   # a tile
schedule: "*/5 * * * *"

page_size: 500 # small pages

# what passes
steps:
  - key: source     # the reports
    export: {connection: files, path: a.csv}

  - key: load
    # the airport knows
    on_error:
      policy: retry   # it is slow at night
      seconds: 5
      attempts: 2
    import: {connection: warehouse, table: strikes,
             operation: insert}
    # the end
"""


def lines_changed(before: str, after: str) -> tuple[list[str], list[str]]:
    old, new = before.splitlines(), after.splitlines()
    return [line for line in old if line not in new], [line for line in new if line not in old]


@pytest.mark.parametrize(
    ("path", "value", "gone", "come"),
    [
        (("page_size",), 100, ["page_size: 500 # small pages"], ["page_size: 100 # small pages"]),
        (
            ("schedule",),
            {"cron": "0 6 * * *", "time_zone": "Europe/Berlin"},
            ['schedule: "*/5 * * * *"'],
            ["schedule: {cron: 0 6 * * *, time_zone: Europe/Berlin}"],
        ),
        (("schedule",), REMOVED, ['schedule: "*/5 * * * *"'], []),
        (("auto_resolve",), False, [], ["auto_resolve: false"]),
        (("steps", 1, "on_error", "attempts"), 4, ["      attempts: 2"], ["      attempts: 4"]),
        (
            ("steps", 1, "on_error"),
            {"policy": "retry", "seconds": 5, "attempts": 2, "backoff": True},
            [],
            ["      backoff: true"],
        ),
        (("steps", 1, "on_error", "policy"), "ignore", ["      policy: retry   # it is slow at night"],
         ["      policy: ignore   # it is slow at night"]),
        (("steps", 0, "trace_key"), "{{ record.id }}", [], ["    trace_key: '{{ record.id }}'"]),
        (
            ("steps", 1, "import", "operation"), "upsert",
            ["             operation: insert}"], ["             operation: upsert}"],
        ),
        (("steps", 1, "import", "keys"), ["id"], ["             operation: insert}"],
         ["             operation: insert, keys: [id]}"]),
    ],
)  # fmt: skip
def test_only_the_field_is_changed(path: Any, value: Any, gone: list[str], come: list[str]) -> None:
    after = rewrite(TEXT, {path: value})
    assert lines_changed(TEXT, after) == (gone, come)
    assert value_at(read_document(after).value, path) == value or value is REMOVED


def test_a_block_that_becomes_a_word_stands_on_one_line() -> None:
    after = rewrite(TEXT, {("steps", 1, "on_error"): "fail"})
    assert "    on_error: fail\n    import:" in after
    assert "# the airport knows" in after


def test_a_field_that_stands_behind_a_dash_is_taken_out() -> None:
    text = "steps:\n  - on_error: fail\n    key: load\n"
    assert rewrite(text, {("steps", 0, "on_error"): REMOVED}) == "steps:\n  - key: load\n"


def test_what_is_so_already_changes_nothing() -> None:
    assert rewrite(TEXT, {("page_size",): 500, ("overlap",): REMOVED}) == TEXT


def test_a_new_field_of_the_head_stands_before_settings_and_steps() -> None:
    text = "flow: a\npage_size: 5 # small\n\n# their names\nsettings:\n  a: 1\nsteps:\n  - key: b\n"
    after = rewrite(text, {("overlap",): "skip"})
    assert after.startswith("flow: a\npage_size: 5 # small\noverlap: skip\n\n# their names\nsettings:")


def test_a_new_field_of_the_head_stands_before_the_steps_and_their_comment() -> None:
    after = rewrite(TEXT, {("overlap",): "skip"})
    assert "page_size: 500 # small pages\noverlap: skip\n\n# what passes\nsteps:" in after


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("a: &x {b: 1}\nc: *x\n", ("c", "b"), 2),
        ("a: &x {b: 1}\nc: *x\n", ("c",), 2),
        ("a: &x 1\nc: *x\n", ("a",), 2),
        ("a: 1\n", ("b", "c"), 2),
        ("- 1\n", ("b",), 2),
    ],
)
def test_what_cannot_be_changed_alone_is_refused(text: str, path: Any, value: Any) -> None:
    with pytest.raises(DefinitionError, match=r"form cannot change"):
        rewrite(text, {path: value})


NAMES = st.sampled_from(["a", "b", "c", "no", "1", "x y"])
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 999), st.text(max_size=12).filter(lambda text: text.isprintable())
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)


@given(before=st.dictionaries(NAMES, VALUES, min_size=1), name=NAMES, value=VALUES, flow=st.booleans())
def test_whatever_is_asked_for_is_said_afterwards_or_refused(
    before: dict[str, Any], name: str, value: Any, flow: bool
) -> None:
    text = yaml.safe_dump(before, default_flow_style=flow, sort_keys=False, allow_unicode=True)
    try:
        after = rewrite(text, {(name,): value})
    except DefinitionError:
        return
    assert value_at(read_document(after).value, (name,)) == value
    others = {key: entry for key, entry in read_document(text).value.items() if key != name}
    assert {key: entry for key, entry in read_document(after).value.items() if key != name} == others
