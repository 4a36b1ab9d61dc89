from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from snowowl.protocol.pace import (
    GAPS_MAX,
    PATIENCE,
    PATIENCE_FACTOR,
    PATIENCE_MAX,
    PATIENCE_MIN,
    PAUSE_MAX_SECONDS,
    PAUSE_MIN_SECONDS,
    Pace,
    pause_seconds,
)


def cut_off(pace: Pace, taken: int, times: int = 2) -> None:
    """Have a window fail that ends after `taken` blocks, as a buffer's overflow shows it."""
    for _ in range(times):
        pace.failed(taken, pace.burst, late=True)


def cut_to(burst: int, size: int) -> Pace:
    pace = Pace(size)
    cut_off(pace, burst)
    assert pace.burst == burst
    return pace


def gap(pace: Pace, taken: int, times: int = 1) -> None:
    """Have the peer report a gap at once."""
    for _ in range(times):
        pace.failed(taken, pace.burst, late=False)


def bursts_until_larger(pace: Pace) -> int:
    burst, passed = pace.burst, 0
    while pace.burst == burst:
        pace.passed(burst)
        passed += 1
        assert passed <= PATIENCE_MAX
    return passed


# Whole windows.


def test_a_window_leaves_at_once() -> None:
    pace = Pace(32)
    assert (pace.burst, pace.strained, pace.wary) == (32, False, False)


def test_where_silence_is_dear_the_last_block_leaves_by_itself_for_a_while() -> None:
    pace = Pace(32, cautious=True)
    assert (pace.burst, pace.strained, pace.wary) == (31, True, True)
    assert bursts_until_larger(pace) == PATIENCE_MIN
    assert (pace.burst, pace.strained, pace.wary) == (32, False, True)
    for _ in range(PATIENCE_MIN):
        pace.passed(32)
    assert not pace.wary


@pytest.mark.parametrize("cautious", [False, True])
def test_lock_step_has_nothing_to_shrink(*, cautious: bool) -> None:
    pace = Pace(1, cautious=cautious)
    pace.stalled()
    assert (pace.burst, pace.strained) == (1, False)


# What the peer takes.


@pytest.mark.parametrize(("size", "taken"), [(64, 13), (32, 29), (64, 2), (8, 2)])
def test_what_a_peer_took_twice_before_it_was_cut_off_is_what_it_takes(
    size: int, taken: int
) -> None:
    pace = Pace(size)
    cut_off(pace, taken)
    assert pace.burst == taken
    assert pace.strained


def test_once_is_chance_but_not_without_caution() -> None:
    """The peer may have said at once what it had, and that was lost."""
    pace = Pace(32)
    cut_off(pace, 13, times=1)
    assert pace.burst == 31
    pace.passed(32)
    cut_off(pace, 13, times=1)
    assert pace.burst == 31
    gap(pace, 20)
    cut_off(pace, 13, times=1)
    assert pace.burst == 31
    cut_off(pace, 11, times=1)
    assert pace.burst == 13


def test_a_last_block_is_lost_by_chance() -> None:
    pace = Pace(16)
    cut_off(pace, 15, times=GAPS_MAX - 1)
    assert pace.burst == 16


def test_the_end_of_a_file_is_no_cut() -> None:
    """A window of 5 blocks, where 16 would have been allowed."""
    pace = Pace(16)
    for _ in range(3):
        pace.failed(4, 5, late=True)
    assert pace.burst == 16


def test_what_a_later_burst_tells_is_late() -> None:
    pace = cut_to(8, 64)
    pace.failed(8 + 5, 16, late=False)  # in the second burst, and told at once
    pace.failed(8 + 5, 16, late=False)
    assert pace.burst == 8
    pace.failed(5, 16, late=False)  # in the first burst, and the second told of it
    pace.failed(4, 16, late=False)
    assert pace.burst == 5


def test_a_single_block_may_be_what_a_probe_brought() -> None:
    pace = Pace(64)
    bursts = []
    for _ in range(5):
        cut_off(pace, 1)
        bursts.append(pace.burst)
    assert bursts == [31, 15, 7, 3, 1]


def test_what_takes_nothing_at_all_gets_half_as_much() -> None:
    pace = Pace(32)
    bursts = []
    for _ in range(6):
        pace.stalled()
        bursts.append(pace.burst)
    assert bursts == [16, 8, 4, 2, 1, 1]
    assert pace.wary


# Chance.


def test_gaps_that_are_told_at_once_do_not_count_while_windows_get_through() -> None:
    pace = Pace(32)
    for _ in range(20):
        gap(pace, 10, times=GAPS_MAX - 1)
        assert pace.wary
        pace.passed(32)
    assert pace.burst == 32
    assert not pace.wary


def test_gaps_in_a_row_shrink_the_burst_on_trial() -> None:
    pace = Pace(32)
    gap(pace, 9, times=GAPS_MAX)
    assert pace.burst == 9


def test_a_smaller_burst_stays_if_more_gets_through() -> None:
    pace = Pace(32)
    gap(pace, 9, times=GAPS_MAX)
    pace.failed(9 * 18, 9 * 19, late=False)
    gap(pace, 5, times=GAPS_MAX - 2)
    assert pace.burst == 9
    gap(pace, 5)
    assert pace.burst < 9


def test_a_smaller_burst_is_given_up_if_no_more_gets_through() -> None:
    pace = Pace(32)
    gap(pace, 9, times=GAPS_MAX)
    gap(pace, 5, times=GAPS_MAX)
    assert pace.burst == 32
    gap(pace, 9, times=2 * GAPS_MAX)  # and not tried again so soon
    assert pace.burst == 32
    gap(pace, 9, times=GAPS_MAX)
    assert pace.burst == 9


def test_gaps_say_nothing_about_a_burst_of_one() -> None:
    pace = cut_to(2, 8)
    cut_off(pace, 0)
    assert pace.burst == 1
    gap(pace, 0, times=3 * GAPS_MAX)
    assert pace.burst == 1


@pytest.mark.parametrize("size", [16, 64])
def test_one_packet_lost_in_a_hundred_costs_no_pauses(size: int) -> None:
    strained = run(Pace(size), 100_000, size, lambda place: chance(0.01))
    assert strained < 0.02


def test_heavy_loss_by_chance_is_not_taken_for_a_small_buffer() -> None:
    assert run(Pace(64), 100_000, 64, lambda place: chance(0.05)) < 0.3


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("buffer", [1, 3, 13, 40])
def test_a_buffer_is_found_out_whatever_is_lost_besides(buffer: int, loss: float) -> None:
    pace = Pace(64)
    run(pace, 3_000, 64, lambda place: place >= buffer or chance(loss))
    counts = [pace.burst]
    for _ in range(50):
        run(pace, 500, 64, lambda place: place >= buffer or chance(loss))
        counts.append(pace.burst)
    assert buffer / 2 <= sorted(counts)[len(counts) // 2] <= buffer


_draws = random.Random(7)


def chance(probability: float) -> bool:
    return _draws.random() < probability


def run(pace: Pace, blocks: int, size: int, is_lost: Callable[[int], bool]) -> float:
    """Send so many blocks; return the part of them that left in less than whole windows.

    The peer reports a gap at the next block that it gets of the window, and a silence ends by a
    block that gets through.  `is_lost` is asked with each block's place in its burst.
    """
    done = strained = 0.0
    while done < blocks:
        burst = pace.burst
        was_strained = pace.strained
        taken, told = size, None
        for place in range(size):
            if is_lost(place % burst):
                taken = min(taken, place)
            elif taken < place:
                told = place
                break
        if told is None and taken < size:
            pace.failed(taken, size, late=True)
        elif told is not None:
            pace.failed(taken, min((told // burst + 1) * burst, size), late=False)
        elif pace.wary:
            pace.passed(size)
        done += max(1, taken)
        strained += max(1, taken) * was_strained
    return strained / done


# Growing again.


def test_below_what_failed_the_burst_grows_quickly() -> None:
    pace = cut_to(8, 64)
    assert bursts_until_larger(pace) == PATIENCE
    assert pace.burst == 16
    assert bursts_until_larger(pace) == PATIENCE
    assert pace.burst == 32


def test_what_failed_is_tried_again_with_patience_and_no_further_than_the_window() -> None:
    pace = cut_to(20, 33)
    sizes = []
    while pace.strained:
        sizes.append((pace.burst, bursts_until_larger(pace)))
    assert sizes == [(20, PATIENCE_MIN), (32, 2 * PATIENCE_MIN)]
    assert pace.burst == 33


def test_trying_in_vain_makes_patient() -> None:
    pace = cut_to(20, 32)
    waits = []
    for _ in range(6):
        waits.append(bursts_until_larger(pace))
        assert pace.burst == 31
        assert pace.wary
        cut_off(pace, 20)
        assert pace.burst == 20
    assert waits[:5] == [PATIENCE_MIN * PATIENCE_FACTOR**power for power in range(5)]
    assert waits[4:] == [PATIENCE_MAX, PATIENCE_MAX]


def test_what_fails_long_after_it_was_tried_was_not_tried_in_vain() -> None:
    pace = cut_to(20, 33)
    bursts_until_larger(pace)
    for _ in range(PATIENCE_MIN):
        pace.passed(32)
    cut_off(pace, 20)
    assert bursts_until_larger(pace) == PATIENCE_MIN


def test_bursts_get_through_before_a_gap_too() -> None:
    pace = cut_to(4, 64)
    pace.failed(4 * PATIENCE + 1, 4 * (PATIENCE + 1), late=False)
    assert pace.burst == 8


@pytest.mark.parametrize("size", [2, 3, 4])
def test_small_windows_shrink_to_one_block_and_grow_again(size: int) -> None:
    pace = Pace(size)
    pace.stalled()
    pace.stalled()
    assert pace.burst == 1
    while pace.strained:
        bursts_until_larger(pace)
    assert pace.burst == size


@pytest.mark.parametrize(
    ("round_trip", "pause"),
    [(None, PAUSE_MAX_SECONDS), (0.0, PAUSE_MIN_SECONDS), (0.005, 0.005), (3.0, PAUSE_MAX_SECONDS)],
)
def test_a_pause_is_a_round_trip_within_bounds(round_trip: float | None, pause: float) -> None:
    assert pause_seconds(round_trip) == pause
