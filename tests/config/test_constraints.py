"""Marks say what is wrong in the author's own terms."""

from __future__ import annotations

import math

import pytest

from snowowl.config.constraints import Check, Items, Range, check_text


@pytest.mark.parametrize("value", [8, 9, 100, 8.5])
def test_a_range_includes_its_ends(value: float) -> None:
    assert Range(8, 100).fault(value, value) is None


@pytest.mark.parametrize("value", [7, 101, 0, math.inf, -math.inf, math.nan, "9"])
def test_outside_of_a_range(value: object) -> None:
    assert (Range(8, 100).fault(value, "as given") or "").startswith("must be from 8 to 100, not")


def test_a_message_shows_the_value_as_it_was_given() -> None:
    assert Range(0, 1).fault(math.inf, 12) == "must be from 0 to 1, not 12"


def test_zero_may_stand_beside_a_range() -> None:
    mark = Range(68, 100, zero=True)
    assert mark.fault(0, 0) is None
    assert mark.fault(1, 1) == "must be from 68 to 100, or 0, not 1"


def test_items_counts() -> None:
    assert Items(1).fault((1,), None) is None
    assert Items(1).fault((), None) == "must have at least 1 element"
    assert Items(2).fault((1,), None) == "must have at least 2 elements"


def test_a_check_takes_the_message_of_the_function() -> None:
    assert Check(check_text).fault("a", "a") is None
    assert Check(check_text).fault("", "") == "must not be empty"


@pytest.mark.parametrize(
    ("text", "part"), [("a\0b", "NUL"), ("caf\udce9", "not valid UTF-8"), ("", "empty")]
)
def test_text_that_no_file_can_hold(text: str, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        check_text(text)
