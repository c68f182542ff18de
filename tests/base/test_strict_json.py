"""JSON from outside: what is not of the form that a class names is refused, and where is said."""

from typing import NamedTuple, NotRequired, TypedDict

import pytest

from mlp_tf.base import strict_json


class Point(NamedTuple):
    """A form with all kinds of fields."""

    x: int
    shape: tuple[int, ...]
    name: str | None = None
    more: dict[str, float] = {}  # noqa: RUF012


class Row(TypedDict):
    """A form that stays a dictionary."""

    cost: float
    note: NotRequired[str]


def conform(text, form):
    return strict_json.conform(strict_json.parse(text), form)


def test_what_is_of_its_form_comes_back_in_the_forms_own_types():
    assert conform('{"x": 3, "shape": [1, 2], "other": []}', Point) == Point(3, (1, 2))
    assert conform('[{"cost": 1, "note": "a"}, {"cost": 2.5}]', list[Row]) == [{"cost": 1, "note": "a"}, {"cost": 2.5}]


@pytest.mark.parametrize(
    ("text", "form", "message"),
    [
        ("[]", Point, "it is a list, but must be an object"),
        ('{"x": 1}', Point, "it lacks shape"),
        ('{"x": true, "shape": []}', Point, "x is true, but must be a whole number from 0"),
        ('{"x": 1.0, "shape": []}', Point, "x is 1.0, but must be a whole number from 0"),
        ('{"x": -1, "shape": []}', Point, "x is -1, but must be a whole number from 0"),
        ('{"x": 1, "shape": [1, "2"]}', Point, r'shape\[1\] is "2", but must be a whole number'),
        ('{"x": 1, "shape": [], "name": 5}', Point, "name is 5, but must be a string or null"),
        ('{"x": 1, "shape": [], "more": {"a": {}}}', Point, "more.a is a dict, but must be a finite number"),
        ("1e400", float, "it is Infinity, but must be a finite number"),
        (f"1{400 * '0'}", float, r"it is 1000\d*\.\.\., but must be a finite number"),
        ('[{"cost": 1, "note": 2}]', list[Row], r"\[0\].note is 2, but must be a string"),
        ("[{}]", list[Row], r"\[0\] lacks cost"),
    ],
)
def test_what_is_not_of_its_form_is_named_with_its_place(text, form, message):
    with pytest.raises(ValueError, match=message):
        conform(text, form)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "-Infinity", "[" * 100_000, "{", "", b"\xff", f"1{5000 * '0'}"])
def test_text_that_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011  (each in its own words)
        strict_json.parse(text)
