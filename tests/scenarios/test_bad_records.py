"""A bad record is not a bad page: whatever is wrong with a few records, exactly these become errors that open."""

import json

import orjson
import pytest

from apps.runs.statuses import RunOutcome, RunStatus
from tests.scenarios.scene import Scene, in_words

pytestmark = pytest.mark.django_db

DEEP = b"[" * 200 + b"]" * 200
# @ stands for the number of the record
BAD_LINES: dict[str, bytes] = {
    "NUL in a text": b'{"id": @, "amount": 1, "note": "a\\u0000b"}',
    "NUL byte": b'{"id": @, "amount": 1, "note": "a\x00b"}',
    "lone surrogate": b'{"id": @, "amount": 1, "note": "\\ud800"}',
    "broken UTF-8": b'{"id": @, "amount": 1, "note": "\xe4"}',
    "NaN": b'{"id": @, "amount": NaN}',
    "infinity": b'{"id": @, "amount": 1e999}',
    "huge whole number": b'{"id": @, "amount": 123456789012345678901234567890}',
    "too large for the column": b'{"id": @, "amount": 12345678901234}',
    "deep": b'{"id": @, "amount": 1, "note": ' + DEEP + b"}",
    "duplicate keys": b'{"id": @, "amount": 1, "amount": 2}',
    "text where a number belongs": b'{"id": @, "amount": "plenty"}',
    "a list where a number belongs": b'{"id": @, "amount": [1, 2]}',
    "null where there must be a value": b'{"id": @, "amount": null}',
    "no such field": b'{"id": @}',
    "refused by a constraint": b'{"id": @, "amount": -1}',
    "not an object": b"[@]",
    "no JSON": b'{"id": @, "amount": ',
}


def bad_line(kind: str, n: int) -> bytes:
    return BAD_LINES[kind].replace(b"@", str(n).encode())


def good_line(n: int) -> bytes:
    return orjson.dumps({"id": n, "amount": n % 1000, "note": "fine: as it should be"})


@pytest.mark.parametrize("kind", BAD_LINES)
def test_one_bad_record_among_good_ones_is_the_only_error(scene, kind):
    bad = bad_line(kind, 5)
    scene.write("a.jsonl", b"\n".join(bad if n == 5 else good_line(n) for n in range(10)))
    run = scene.run(scene.flow_of_file("a.jsonl"))

    error = scene.only_error(run)
    assert (run.status, run.outcome) == (RunStatus.COMPLETED, RunOutcome.COMPLETED_WITH_ERRORS)
    assert (run.records_in, run.success, run.failed) == (10, 9, 1)
    assert in_words([error.message]), error.message
    assert scene.loaded() == [n for n in range(10) if n != 5]
    assert opens(scene, error, bad)


def opens(scene: Scene, error, bad: bytes) -> bool:
    """The retry data is the record, or, where it is none, the row as it was received."""
    kept = scene.retry_data(error)
    return kept.removesuffix(b"\n") == bad if error.effects.get("place") else json.loads(kept)["id"] == error.ordinal


def test_a_field_of_ten_megabytes_goes_through(scene):
    big = "x" * 10_000_000
    scene.write("a.jsonl", b"\n".join([good_line(0), orjson.dumps({"id": 1, "amount": 1, "note": big}), good_line(2)]))
    run = scene.run(scene.flow_of_file("a.jsonl"))

    assert (run.outcome, scene.errors(run)) == (RunOutcome.COMPLETED, [])
    assert scene.place.rows("SELECT id, length(note) FROM orders WHERE id = 1") == [(1, 10_000_000)]


def test_a_bad_record_with_a_field_of_ten_megabytes_is_one_error_that_opens(scene):
    big = orjson.dumps({"id": 1, "amount": -1, "note": "x" * 10_000_000})
    scene.write("a.jsonl", b"\n".join([good_line(0), big, good_line(2)]))
    run = scene.run(scene.flow_of_file("a.jsonl"))

    error = scene.only_error(run)
    assert scene.loaded() == [0, 2]
    assert len(error.message) < 11_000
    assert json.loads(scene.retry_data(error))["id"] == 1


def test_a_record_beyond_the_limit_is_one_error_and_its_neighbours_go_through(scene):
    huge = b'{"id": 1, "amount": 1, "note": "' + b"x" * 40_000_000 + b'"}'
    scene.write("a.jsonl", b"\n".join([good_line(0), huge, good_line(2)]))
    run = scene.run(scene.flow_of_file("a.jsonl"))

    error = scene.only_error(run)
    assert (error.cause.code, error.cause.classification) == ("too_large", "too_large")
    assert scene.loaded() == [0, 2]


def test_one_percent_of_every_kind_of_bad_record_are_exactly_the_errors(scene):
    count, every = 6_800, 100  # four of each kind
    kinds = [BAD_LINES[kind] for kind in BAD_LINES]
    bad = {n: kinds[n // every % len(kinds)].replace(b"@", b"%d" % n) for n in range(every // 2, count, every)}
    scene.write("a.jsonl", b"\n".join(bad.get(n) or good_line(n) for n in range(count)))
    run = scene.run(scene.flow_of_file("a.jsonl", page_size=1000))

    errors = scene.errors(run)
    assert run.status == RunStatus.COMPLETED
    assert (run.records_in, run.success, run.failed) == (count, count - len(bad), len(bad))
    assert sorted(error.ordinal for error in errors) == list(bad)
    assert scene.loaded() == [n for n in range(count) if n not in bad]
    assert all(opens(scene, error, bad[error.ordinal]) for error in errors)
    assert in_words(error.message for error in errors)
    assert len({error.cause_id for error in errors}) <= len(kinds) + 2, "one root cause for each kind of mistake"
