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


def test_a_negotiated_timeout_doubles_until_the_peer_has_answered() -> None:
    """Its address may be forged, and then nobody has asked for anything."""
    timer = RetransmitTimer(POLICY)
    timer.fix(9)
    timer.sent(0.0)
    waits = []
    while timer.expired(timer.deadline):
        before = timer.deadline
        timer.rearm(before)
        waits.append(timer.deadline - before)
    assert waits == [18.0, 36.0]
    timer.progressed(60.0)
    timer.sent(60.0)
    assert timer.deadline == 69.0
    assert timer.expired(69.0)
    timer.rearm(69.0)
    assert timer.deadline == 78.0


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


# The probe.


@pytest.mark.rfc("8985 7.2")
def test_a_probe_is_due_when_nearly_every_answer_would_have_come() -> None:
    timer = answered(0.04)
    timer.sent(1.0)
    assert timer.due_at == pytest.approx(1.0 + 0.04 + 4 * 0.02)
    assert timer.deadline == pytest.approx(1.0 + POLICY.floor)


def test_a_probe_has_a_floor() -> None:
    timer = answered(0.0001, 0.0001)
    timer.sent(1.0)
    assert timer.due_at == pytest.approx(1.0 + POLICY.probe_floor)


def test_no_probe_before_the_first_round_trip_was_measured() -> None:
    timer = RetransmitTimer(POLICY)
    timer.sent(1.0)
    assert timer.due_at == timer.deadline


def test_no_probe_where_it_would_come_with_the_timeout() -> None:
    timer = answered(0.1)
    timer.sent(1.0)
    assert timer.due_at == timer.deadline == pytest.approx(1.3)


@pytest.mark.rfc("2349")
def test_no_probe_where_a_timeout_was_negotiated() -> None:
    for fixed_first in (True, False):
        timer = RetransmitTimer(POLICY) if fixed_first else answered(0.001)
        timer.fix(3)
        for now in (1.0, 2.0, 3.0):
            timer.sent(now)
            assert timer.due_at == timer.deadline == now + 3.0
            timer.progressed(now + 0.001)


def test_no_probe_where_the_policy_leaves_no_choice() -> None:
    """A client that was told how long to wait, and does not tell the server."""
    timer = answered(0.001, policy=RetransmitPolicy(initial=2.0, floor=2.0, ceiling=2.0))
    timer.sent(1.0)
    assert timer.due_at == timer.deadline == 3.0


def test_after_a_probe_all_is_sent_again_sooner_but_not_at_once() -> None:
    timer = answered(0.0001, 0.0001)
    timer.sent(1.0)
    timer.probed(1.02)
    assert timer.due_at == timer.deadline == pytest.approx(1.02 + 2 * POLICY.probe_floor)
    slow = answered(0.04)
    slow.sent(1.0)
    slow.probed(1.12)
    assert slow.deadline == pytest.approx(1.2)


@pytest.mark.rfc("6298 3")
def test_probes_that_are_too_quick_come_later_each_time() -> None:
    """The round trip has become 50 ms: what is probed gives no sample, and yet it is learnt."""
    timer = answered(0.0001, 0.0001)
    now, probes, again = 1.0, 0, 0
    for _ in range(20):
        timer.sent(now)
        end = now + 0.05
        if timer.due_at < end and timer.due_at < timer.deadline:
            probes += 1
            timer.probed(timer.due_at)
        if timer.deadline < end:
            again += 1
            assert timer.expired(timer.deadline)
            timer.rearm(timer.deadline)
        timer.progressed(end)
        now = end
    assert probes <= 3
    assert again == 0
    assert timer.round_trip is not None
    assert timer.round_trip > 0.03


def test_after_a_timeout_there_is_no_probe_until_there_is_a_sample() -> None:
    timer = answered(0.0001, 0.0001)
    timer.sent(1.0)
    assert timer.expired(1.2)
    timer.rearm(1.2)
    assert timer.due_at == timer.deadline
    timer.progressed(1.3)
    timer.sent(1.3)
    assert timer.due_at == timer.deadline
    timer.progressed(1.31)
    timer.sent(1.31)
    assert timer.due_at < timer.deadline


def test_an_answer_is_late_when_nearly_all_come_earlier() -> None:
    timer = answered(0.04)
    timer.sent(1.0)
    assert not timer.is_late(1.11)
    assert timer.is_late(1.13)


def test_an_answer_to_what_was_sent_again_is_late() -> None:
    timer = answered(0.0001, 0.0001)
    timer.sent(1.0)
    assert not timer.is_late(1.0001)
    assert timer.expired(1.2)
    timer.rearm(1.2)
    assert timer.is_late(1.2001)
    timer.progressed(1.2001)
    timer.sent(1.2001)
    assert not timer.is_late(1.2002)


def test_before_the_first_sample_no_answer_is_late() -> None:
    timer = RetransmitTimer(POLICY)
    timer.sent(1.0)
    assert not timer.is_late(1.9)


# Silence of ours.


def given_up_at(timer: RetransmitTimer) -> float:
    while timer.expired(timer.deadline):
        timer.rearm(timer.deadline)
    return timer.deadline


def test_what_was_our_silence_is_not_held_against_the_peer() -> None:
    timer = answered(0.1)
    timer.sent(0.0)
    timer.stop()
    timer.excuse(100.0)
    timer.sent(100.0)
    assert given_up_at(timer) >= 100.0 + POLICY.silence_max


def test_the_silence_of_the_peer_before_it_still_counts() -> None:
    timer = answered(0.1)
    timer.sent(0.0)
    while timer.deadline < 20.0:
        assert timer.expired(timer.deadline)
        timer.rearm(timer.deadline)
    asked_last, pause = timer.deadline - timer.interval, 100.0
    timer.stop()
    timer.excuse(asked_last + pause)
    timer.sent(asked_last + pause)
    assert given_up_at(timer) - pause <= POLICY.silence_max + POLICY.ceiling


def test_an_answer_during_the_pause_is_no_answer_from_the_future() -> None:
    timer = answered(0.1)
    timer.sent(1.0)
    timer.stop()
    timer.progressed(50.0)
    timer.excuse(101.0)
    timer.sent(101.0)
    assert timer.progressed_at == 101.0


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


def test_going_on_is_an_answer_and_something_new_in_one() -> None:
    """For each way of time: sampled, too soon for another sample, and not to be sampled at all."""
    short, long = answered(0.1), answered(0.1)
    now = 0.0
    for elapsed, unsampled in ((0.3, False), (0.001, False), (0.5, False), (0.5, True)):
        for timer in (short, long):
            timer.sent(now)
            if unsampled:
                timer.forgo_sample()
        now += elapsed
        short.went_on(now)
        long.progressed(now)
        long.sent(now)
        assert (short.deadline, short.due_at, short.interval) == (
            long.deadline,
            long.due_at,
            long.interval,
        )
        assert (short.round_trip, short.progressed_at) == (long.round_trip, now)
        assert short.retries == long.retries == 0


def test_the_bounds_that_hold_if_nothing_else_is_said() -> None:
    assert RetransmitPolicy() == RetransmitPolicy(
        initial=1.0,
        floor=0.2,
        ceiling=5.0,
        retries=5,
        silence_max=30.0,
        retries_unanswered=2,
        probe_floor=0.02,
    )
