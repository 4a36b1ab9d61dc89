from __future__ import annotations

import pytest

from snowowl.protocol.pace import (
    PATIENCE_MAX,
    PATIENCE_MIN,
    PAUSE_MAX_SECONDS,
    PAUSE_MIN_SECONDS,
    Pace,
    pause_seconds,
)


def time_out(pace: Pace) -> None:
    pace.failed(timed_out=True)


def stalled(size: int, times: int) -> Pace:
    pace = Pace(size)
    for _ in range(times):
        pace.failed(timed_out=True)
    return pace


def windows_until_larger(pace: Pace) -> int:
    burst, windows = pace.burst, 0
    while pace.burst == burst:
        pace.passed()
        windows += 1
    return windows


def test_a_window_leaves_at_once() -> None:
    assert Pace(32).burst == 32
    assert not Pace(32).strained


def test_one_timeout_is_chance() -> None:
    pace = Pace(32)
    seen = []
    for happened in (time_out, Pace.passed, time_out):
        happened(pace)
        seen.append((pace.burst, pace.strained))
    assert seen == [(32, True), (32, False), (32, True)]


def test_timeouts_in_a_row_shrink_the_burst_down_to_one_block() -> None:
    assert [stalled(32, times).burst for times in range(1, 7)] == [32, 16, 8, 4, 2, 1]


def test_if_single_blocks_fail_too_it_is_not_the_burst() -> None:
    """A link that loses every twentieth packet lets no window of 64 through whole."""
    pace = stalled(32, 7)
    assert pace.burst == 32
    pace.failed(timed_out=True)
    pace.failed(timed_out=True)
    assert pace.burst == 32


def test_gaps_shrink_the_burst_if_no_window_gets_through() -> None:
    pace = Pace(32)
    bursts = []
    for _ in range(16):
        pace.failed(timed_out=False)
        bursts.append(pace.burst)
    assert bursts == [32] * 7 + [16] * 4 + [8] * 4 + [4]


def test_gaps_by_chance_do_not() -> None:
    pace = Pace(32)
    for _ in range(20):
        for _ in range(7):
            pace.failed(timed_out=False)
        pace.passed()
    assert pace.burst == 32


def test_lock_step_has_nothing_to_shrink() -> None:
    assert stalled(1, 9).burst == 1


def test_the_burst_grows_again_after_a_while_and_no_further_than_the_window() -> None:
    pace = stalled(33, 3)
    assert pace.burst == 8
    assert windows_until_larger(pace) == PATIENCE_MIN
    assert pace.burst == 16
    assert pace.strained
    assert windows_until_larger(pace) == 2 * PATIENCE_MIN
    windows_until_larger(pace)
    assert pace.burst == 33
    assert not pace.strained


def test_growing_in_vain_makes_patient() -> None:
    pace = stalled(32, 2)
    waits = []
    for _ in range(12):
        waits.append(windows_until_larger(pace))
        pace.failed(timed_out=True)
        pace.failed(timed_out=True)
        assert pace.burst == 16
    assert waits[:3] == [PATIENCE_MIN, 2 * PATIENCE_MIN, 4 * PATIENCE_MIN]
    assert waits[-1] == PATIENCE_MAX


def test_a_stall_restarts_the_wait() -> None:
    pace = stalled(32, 2)
    for _ in range(PATIENCE_MIN - 1):
        pace.passed()
    pace.failed(timed_out=True)
    pace.failed(timed_out=True)
    assert pace.burst == 8
    assert windows_until_larger(pace) == PATIENCE_MIN


@pytest.mark.parametrize(
    ("round_trip", "pause"),
    [(None, PAUSE_MAX_SECONDS), (0.0, PAUSE_MIN_SECONDS), (0.005, 0.005), (3.0, PAUSE_MAX_SECONDS)],
)
def test_a_pause_is_a_round_trip_within_bounds(round_trip: float | None, pause: float) -> None:
    assert pause_seconds(round_trip) == pause
