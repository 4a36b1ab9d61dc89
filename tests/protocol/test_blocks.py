from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.protocol.blocks import NEVER, blocks_in, distance, distance_back, number_of

indexes = st.one_of(
    st.integers(0, 300_000),
    st.builds(
        lambda turn, near: max(0, turn * 65536 + near), st.integers(0, 9), st.integers(-5, 5)
    ),
)
rollovers = st.sampled_from([0, 1])


@pytest.mark.rule("R11")
@pytest.mark.parametrize(
    ("index", "after_0", "after_1"),
    [
        (0, 0, 0),
        (1, 1, 1),
        (65535, 65535, 65535),
        (65536, 0, 1),
        (65537, 1, 2),
        (131070, 65534, 65535),
        (131071, 65535, 1),
        (131072, 0, 2),
    ],
)
def test_the_number_after_65535_is_0_or_1(index: int, after_0: int, after_1: int) -> None:
    assert number_of(index, 0) == after_0
    assert number_of(index, 1) == after_1


def naive_numbers(rollover: int, count: int) -> list[int]:
    """Count as a boot loader does."""
    numbers = [0]
    while len(numbers) < count:
        numbers.append(rollover if numbers[-1] == 65535 else numbers[-1] + 1)
    return numbers


@pytest.mark.parametrize("rollover", [0, 1])
def test_numbers_are_those_of_counting(rollover: int) -> None:
    numbers = naive_numbers(rollover, 140_000)
    assert [number_of(index, rollover) for index in range(140_000)] == numbers


@given(indexes, st.integers(0, 65534), rollovers)
def test_distance_finds_the_block_ahead(index: int, ahead: int, rollover: int) -> None:
    assert distance(index, number_of(index + ahead, rollover), rollover) == ahead


@given(indexes, st.integers(0, 65534), rollovers)
def test_distance_back_finds_the_block_behind(index: int, behind: int, rollover: int) -> None:
    if behind < index:  # block 0 does not exist
        assert distance_back(index, number_of(index - behind, rollover), rollover) == behind


@given(indexes, st.integers(0, 65535), rollovers)
def test_a_number_that_no_block_has_is_never_near(index: int, number: int, rollover: int) -> None:
    ahead = distance(index, number, rollover)
    if ahead == NEVER:
        assert rollover == 1
        assert number == 0
    else:
        assert number_of(index + ahead, rollover) == number
    back = distance_back(index, number, rollover)
    assert back == NEVER or number_of(index - back, rollover) == number


def test_nothing_is_behind_the_first_blocks() -> None:
    assert distance_back(1, 65535, 0) == NEVER
    assert distance_back(0, 1, 0) == NEVER
    assert distance_back(5, 6, 1) == NEVER
    assert distance_back(5, 0, 1) == NEVER
    assert distance_back(5, 0, 0) == 5
    assert distance_back(1, 65535, 1) == NEVER  # block 0 is none that has a number of the circle


@pytest.mark.rfc("1350 6")
@pytest.mark.parametrize(
    ("size", "count"), [(0, 1), (1, 1), (511, 1), (512, 2), (513, 2), (1023, 2), (1024, 3)]
)
def test_the_last_block_is_short_and_may_be_empty(size: int, count: int) -> None:
    assert blocks_in(size, 512) == count
