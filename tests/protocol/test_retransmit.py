from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.protocol.retransmit import SENDS_UNANSWERED_MAX, RetransmitPolicy, RetransmitTimer

POLICY = RetransmitPolicy()


def answered(*round_trips: float, policy: RetransmitPolicy = POLICY) -> RetransmitTimer:
    """Return a timer that has seen these round trips, the last one ending at time 0."""
    timer = RetransmitTimer(policy)
    for ago, round_trip in zip(range(len(round_trips) - 1, -1, -1), round_trips, strict=True):
        timer.sent(-ago - round_trip)
        timer.progressed(float(-ago))
    return timer


def test_nothing_is_due_before_something_is_sent() -> None:
    timer = RetransmitTimer(POLICY)
    assert timer.deadline == math.inf
    assert timer.round_trip is None
    assert not timer.answered


def test_the_first_interval_is_that_of_the_policy() -> None:
    timer = RetransmitTimer(RetransmitPolicy(initial=0.7))
    timer.sent(10.0)
    assert timer.deadline == pytest.approx(10.7)


@pytest.mark.rfc("6298 2.2")
def test_the_first_sample_gives_three_round_trips() -> None:
    timer = answered(0.1)
    assert timer.round_trip == pytest.approx(0.1)
    assert timer.interval == pytest.approx(0.1 + 4 * 0.05)


@pytest.mark.rfc("6298 2.3")
def test_later_samples_are_smoothed() -> None:
    timer = answered(0.4, 0.8)
    variation = 0.2 + (0.4 - 0.2) / 4
    assert timer.round_trip == pytest.approx(0.4 + 0.4 / 8)
    assert timer.interval == pytest.approx(0.45 + 4 * variation)


@pytest.mark.rfc("6298 2.4")
def test_the_interval_has_a_floor_and_a_ceiling() -> None:
    assert answered(0.0001, 0.0001).interval == POLICY.floor
    assert answered(60.0).interval == POLICY.ceiling


@pytest.mark.rfc("6298 5.5")
def test_each_timeout_doubles_the_interval_up_to_the_ceiling() -> None:
    timer = answered(0.1)
    intervals = []
    for _ in range(6):
        assert timer.expired(0.0)
        timer.rearm(0.0)
        intervals.append(timer.deadline)
    assert intervals == pytest.approx([0.6, 1.2, 2.4, 4.8, 5.0, 5.0])


@pytest.mark.rfc("6298 3")
def test_what_was_sent_twice_gives_no_sample() -> None:
    timer = answered(0.1)
    timer.sent(0.0)
    assert timer.expired(0.3)
    timer.rearm(0.3)
    timer.progressed(0.301)
    assert timer.round_trip == pytest.approx(0.1)
    timer.sent(1.0)
    timer.forgo_sample()
    timer.progressed(5.0)
    assert timer.round_trip == pytest.approx(0.1)


@pytest.mark.rfc("6298 5.5")
def test_a_doubled_interval_stays_until_there_is_a_sample() -> None:
    """Karn's other half: or where the round trip is longer, everything is sent twice for ever."""
    timer = answered(0.1)
    now = sent_twice = 0.0
    for _ in range(50):  # the round trip has become a second
        timer.sent(now)
        while timer.deadline < now + 1.0:
            sent_twice += 1
            assert timer.expired(timer.deadline)
            timer.rearm(timer.deadline)
        now += 1.0
        timer.progressed(now)
    assert sent_twice < 10
    assert timer.interval > 1.0


def test_a_sample_ends_the_doubling() -> None:
    timer = answered(0.1)
    assert timer.expired(0.0)
    timer.sent(1.0)
    timer.progressed(1.1)
    assert timer.interval < 0.4


def test_what_is_rearmed_waits_a_whole_interval() -> None:
    timer = answered(0.1)
    timer.sent(0.0)
    timer.rearm(0.25)
    assert timer.deadline == pytest.approx(0.25 + timer.interval)


@pytest.mark.rfc("2349")
@pytest.mark.rule("R1")
def test_a_negotiated_timeout_is_obeyed_as_it_is() -> None:
    timer = answered(0.1)
    timer.fix(3)
    timer.sent(0.0)
    assert timer.deadline == 3.0
    assert timer.expired(3.0)
    timer.rearm(3.0)
    assert timer.deadline == 6.0
    timer.sent(6.0)
    timer.progressed(6.1)
    assert timer.interval == 3.0


def test_a_stopped_timer_is_due_never() -> None:
    timer = answered(0.1)
    timer.sent(0.0)
    timer.stop()
    assert timer.deadline == math.inf
    timer.progressed(9.0)
    assert timer.round_trip == pytest.approx(0.1)


def sends_until_given_up(timer: RetransmitTimer) -> tuple[int, float]:
    """Return how many datagrams go out, the first included, and when it is over."""
    timer.sent(0.0)
    sends = 1
    while timer.expired(timer.deadline):
        sends += 1
        timer.rearm(timer.deadline)
    return sends, timer.deadline


@pytest.mark.parametrize("retries", [0, 2, 5, 100])
def test_a_peer_that_never_answers_gets_few_datagrams(retries: int) -> None:
    timer = RetransmitTimer(RetransmitPolicy(retries=retries))
    sends, _ = sends_until_given_up(timer)
    assert sends == min(retries + 1, SENDS_UNANSWERED_MAX)


def test_a_client_may_ask_more_often() -> None:
    timer = RetransmitTimer(RetransmitPolicy(retries=60, retries_unanswered=60))
    assert sends_until_given_up(timer)[0] == 61


def test_a_peer_that_has_answered_is_given_up_by_retries_and_silence() -> None:
    """GRUB stops for half a minute while it unpacks."""
    timer = answered(0.1)
    sends, end = sends_until_given_up(timer)
    assert sends > POLICY.retries
    assert POLICY.silence_max <= end <= POLICY.silence_max + POLICY.ceiling
    patient = answered(0.1, policy=RetransmitPolicy(retries=20))
    assert sends_until_given_up(patient)[0] == 21


def test_progress_restarts_the_count() -> None:
    timer = answered(0.1)
    for _ in range(4):
        assert timer.expired(0.0)
    assert timer.retries == 4
    timer.progressed(100.0)
    assert timer.retries == 0
    for _ in range(8):
        assert timer.expired(110.0)


@given(st.lists(st.floats(0.0, 100.0), max_size=20))
def test_the_interval_is_always_within_its_bounds(round_trips: list[float]) -> None:
    timer = answered(*round_trips)
    for _ in range(9):
        assert POLICY.floor <= timer.interval <= POLICY.ceiling
        assert timer.expired(-1000.0) or not timer.answered
