from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.protocol.blocks import number_of
from snowowl.protocol.window import ReceiveWindow, SendWindow


def sent(size: int, total: int, rollover: int = 0, base: int = 1) -> SendWindow:
    """Return a window that was sent as far as it goes."""
    window = SendWindow(size, total, rollover)
    window.base = window.next = base
    window.take(size)
    return window


@pytest.mark.rfc("1350 2")
def test_lock_step_has_one_block_in_flight() -> None:
    window = SendWindow(1, 3, 0)
    assert window.take(1) == (1, 1)
    assert window.take(1) == (2, 0)
    window.slide(1)
    assert window.take(1) == (2, 1)


@pytest.mark.rfc("7440 4")
def test_a_window_is_as_long_as_was_agreed_and_ends_with_the_file() -> None:
    window = SendWindow(4, 6, 0)
    assert window.take(4) == (1, 4)
    window.slide(4)
    assert window.take(4) == (5, 2)
    assert window.all_sent
    assert window.room == 0
    window.rewind()
    window.take(1)
    assert window.all_sent  # it was, before going back


def test_a_window_can_be_taken_in_bursts() -> None:
    window = SendWindow(5, 9, 0)
    taken = [(window.take(2), window.room, window.all_sent) for _ in range(3)]
    assert taken == [((1, 2), 3, False), ((3, 2), 1, False), ((5, 1), 0, False)]


def test_going_back_remembers_what_was_sent_twice() -> None:
    window = sent(4, 9)
    window.slide(1)
    assert window.rewind() == 3
    assert (window.base, window.next, window.twice) == (2, 2, 5)
    window.take(1)
    assert window.rewind() == 1  # after a shorter burst
    assert window.twice == 5


def test_what_was_sent_before_going_back_can_still_be_acknowledged() -> None:
    window = sent(4, 9)
    window.rewind()
    window.take(2)
    assert window.acknowledged_by(4) == 4
    assert window.acknowledged_by(5) is None
    window.slide(4)
    assert (window.base, window.next) == (5, 5)


@pytest.mark.parametrize("rollover", [0, 1])
@pytest.mark.parametrize("base", [1, 2, 65530, 65535, 65536, 65537, 131070])
@pytest.mark.parametrize("size", [1, 2, 8, 64, 32767])
def test_acks_of_blocks_in_flight_are_told_from_all_others(
    size: int, base: int, rollover: int
) -> None:
    window = sent(size, 10**6, rollover, base)
    for count in {0, 1, size // 2, size}:
        assert window.acknowledged_by(number_of(base - 1 + count, rollover)) == count
    for late in {1, 2, size - 1, size} - {0}:
        if base - 1 - late >= 0:  # late by up to a window: never taken for one of this window
            assert window.acknowledged_by(number_of(base - 1 - late, rollover)) is None
    assert window.acknowledged_by(number_of(base + size, rollover)) is None


@pytest.mark.rule("R11")
def test_a_number_that_does_not_exist_acknowledges_nothing() -> None:
    assert sent(4, 10**6, 1, 65534).acknowledged_by(0) is None


@pytest.mark.rfc("7440 3")
def test_a_window_of_all_numbers_still_works() -> None:
    window = sent(65535, 10**6, 0, 65536)
    assert window.acknowledged_by(number_of(65535, 0)) == 0
    assert window.acknowledged_by(number_of(65535 + 65535, 0)) == 65535


def received(size: int, expected: int, acked: int, rollover: int = 0) -> ReceiveWindow:
    window = ReceiveWindow(size, rollover)
    window.expected, window.acked = expected, acked
    return window


@pytest.mark.rfc("1350 2")
def test_lock_step_takes_the_next_block_only() -> None:
    window = received(1, 7, 6)
    assert window.ahead(7) == 0
    assert window.ahead(8) is None
    assert window.ahead(6) is None


@pytest.mark.rfc("7440 4")
def test_a_receiver_looks_no_further_than_the_window() -> None:
    window = received(4, 7, 5)
    assert [window.ahead(number) for number in (6, 7, 8, 9, 10)] == [None, 0, 1, 2, None]


@pytest.mark.rfc("7440 4")
def test_a_window_is_full_when_its_blocks_have_come() -> None:
    window = received(4, 9, 5)
    assert not window.filled
    window.expected = 10
    assert window.filled


@pytest.mark.parametrize(
    ("expected", "rollover", "last"),
    [(2, 0, 1), (65536, 0, 65535), (65537, 0, 0), (65536, 1, 65535), (65537, 1, 1)],
)
def test_the_last_block_received(expected: int, rollover: int, last: int) -> None:
    window = received(1, expected, expected - 1, rollover)
    assert [number for number in range(65536) if window.is_last(number)] == [last]


def test_before_the_first_block_none_is_the_last() -> None:
    window = received(4, 1, 0)
    assert not window.is_last(0)
    assert not window.is_last(65535)


@given(
    st.integers(1, 65534),
    st.integers(0, 200_000),
    st.integers(0, 70_000),
    st.sampled_from([0, 1]),
)
def test_a_block_from_the_last_window_is_never_taken_for_the_next(
    size: int, acked: int, late: int, rollover: int
) -> None:
    window = received(size, acked + 1, acked, rollover)
    index = window.expected - 1 - late % size
    if index >= 1:
        assert window.ahead(number_of(index, rollover)) != 0


def test_a_window_begins_with_the_first_block() -> None:
    receiving, sending = ReceiveWindow(4, 0), SendWindow(4, 9, 0)
    assert (receiving.expected, receiving.acked) == (1, 0)
    assert (sending.base, sending.next, sending.twice) == (1, 1, 0)


def test_all_is_sent_once_the_last_block_is() -> None:
    window = SendWindow(4, 5, 0)
    window.take(4)
    assert not window.all_sent
    window.slide(4)
    assert not window.all_sent  # the last block is the next
    window.take(1)
    assert window.all_sent
