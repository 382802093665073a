"""Which messages have the same shape, and so the same root cause."""

import pytest

from apps.errors.fingerprint import shape_of


@pytest.mark.parametrize(
    ("message", "shape"),
    [
        ("Order 4711 of ann@example.com was refused", "Order … of … was refused"),
        ('The value "red" is not known', "The value … is not known"),
        ("Key (id)=(5) already exists", "Key (id)… already exists"),
        ("Nothing happened on 2024-05-06T07:08:09Z", "Nothing happened on …"),
        ("3f446b81-ad2b-5f08-ad20-1606b0d24c57 is gone", "… is gone"),
        ("NOT NULL constraint failed: airport.state", "NOT NULL constraint failed: airport.state"),
        (
            'new row for relation "strike" violates check constraint "speed_2_low"',
            'new row for relation "strike" violates check constraint "speed_2_low"',
        ),
        (
            'null value in column "state" of relation "airport" violates not-null constraint',
            'null value in column "state" of relation "airport" violates not-null constraint',
        ),
        (
            'Step Find found nothing in table airport with iata "BAD" and state "LA", and it is required.',
            "Step Find found nothing in table airport with iata … and state …, and it is required.",
        ),
        ('Field cost: the text "12,5" is no number', "Field cost: the text … is no number"),
    ],
)
def test_the_shape_of_a_message(message: str, shape: str) -> None:
    assert shape_of(message) == shape
