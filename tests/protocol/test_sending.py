"""The sender of DATA, as a server's side of an RRQ; what it shares with a client's WRQ."""

from __future__ import annotations

import math

import pytest

from snowowl.protocol.actions import SendBlocks
from snowowl.protocol.blocks import number_of
from snowowl.protocol.events import (
    ContentPaused,
    ContentReady,
    DatagramsReceived,
    TimerExpired,
)
from snowowl.protocol.negotiation import Policy
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.pace import PATIENCE, PATIENCE_MIN, PAUSE_MAX_SECONDS, PAUSE_MIN_SECONDS
from snowowl.protocol.sending import Sending
from snowowl.testing.playbook import UNFINISHED, Playbook, ack, blocks, data, error, oack
from tests.protocol.sendings import ROUND_TRIP, lock_step, silent, windowed
from tests.protocol.stories import feed, putting, reading, sending_window, sent_up_to

# Lock-step.


@pytest.mark.rfc("1350 2")
def test_each_ack_asks_for_the_next_block() -> None:
    story = lock_step(1024).receives(ack(2)).sends(blocks(3, 1))
    assert story.transfer.octets == 1024
    story.receives(ack(3)).does_nothing().ends(OutcomeKind.COMPLETED).done()
    assert story.transfer.octets == 1024


@pytest.mark.rule("R6")
@pytest.mark.rfc("1123 4.2.3.1")
def test_in_lock_step_a_duplicate_ack_never_causes_data() -> None:
    story = lock_step()
    for _ in range(5):
        story.receives(ack(1)).does_nothing()
    story.receives(ack(0)).does_nothing().is_due(0.15).expires().sends(blocks(2, 1))
    story.receives(ack(1)).does_nothing().is_due(0.05).expires().sends(blocks(2, 1))
    story.receives(ack(1)).does_nothing().done()


@pytest.mark.rfc("1350 6")
def test_only_the_timer_sends_a_block_again() -> None:
    story = lock_step().expires().sends(blocks(2, 1)).expires().sends(blocks(2, 1))
    assert story.transfer.retransmitted == 2
    story.receives(ack(2)).sends(blocks(3, 1)).done()


@pytest.mark.rfc("1350 6")
@pytest.mark.parametrize("size", [0, 1024])
def test_an_empty_last_block_is_sent_again_like_any_other(size: int) -> None:
    story = Playbook(reading(size)).starts().sends(blocks(1, 1))
    last = size // 512 + 1
    for index in range(1, last):
        story.receives(ack(index)).sends(blocks(index + 1, 1))
    story.expires().sends(blocks(last, 1)).receives(ack(last)).does_nothing()
    story.ends(OutcomeKind.COMPLETED).done()


def test_acks_of_blocks_that_were_not_sent_mean_nothing() -> None:
    lock_step().receives(ack(3), ack(4), ack(65535)).does_nothing().receives(ack(2)).sends(
        blocks(3, 1)
    ).done()


@pytest.mark.parametrize(
    "noise",
    [b"", b"\0", b"\0\4", b"\0\4\0", b"\1\4\0\2", b"\0\7\0\2", data(2), oack(blksize=8), b"\0\5\0"],
)
def test_one_odd_packet_is_no_reason_to_end(noise: bytes) -> None:
    lock_step().receives(noise).does_nothing().receives(ack(2)).sends(blocks(3, 1)).done()


def test_padding_after_an_ack_does_no_harm() -> None:
    lock_step().receives(ack(2) + b"\0\0\0\0").sends(blocks(3, 1)).done()


@pytest.mark.rfc("2347")
def test_only_ack_0_answers_an_oack() -> None:
    (
        Playbook(reading(99, blksize=8))
        .starts()
        .sends(oack(blksize=8))
        .receives(ack(1), ack(65535), data(1), oack(blksize=8))
        .does_nothing()
        .receives(ack(0))
        .sends(blocks(1, 1))
        .receives(ack(0))
        .does_nothing()
        .done()
    )


@pytest.mark.rfc("2347")
def test_an_oack_is_sent_again_until_it_is_answered() -> None:
    (
        Playbook(reading(99, blksize=8))
        .starts()
        .sends(oack(blksize=8))
        .expires()
        .sends(oack(blksize=8))
        .expires()
        .sends(oack(blksize=8))
        .receives(ack(0))
        .sends(blocks(1, 1))
        .done()
    )


@pytest.mark.rule("R11")
@pytest.mark.parametrize(("rollover", "number"), [(0, 0), (1, 1)])
def test_lock_step_goes_on_after_block_65535(rollover: int, number: int) -> None:
    transfer = reading(66000 * 8, Policy(rollover=rollover), blksize=8)
    transfer.start(0.0)
    feed(transfer, ack(0))
    sent_up_to(transfer, 65533)
    feed(transfer, ack(65533))
    story = Playbook(transfer).happens(ContentPaused(65534)).happens(ContentReady(0.1))
    story.sends(blocks(65534, 1)).receives(ack(65534)).sends(blocks(65535, 1))
    story.receives(ack(65535)).sends(blocks(65536, 1))
    story.receives(ack(65535)).does_nothing()
    story.receives(ack(number)).sends(blocks(65537, 1))
    story.receives(ack(number)).does_nothing()
    story.receives(ack(number + 1)).sends(blocks(65538, 1)).done()


# Windows.


@pytest.mark.rfc("7440 4")
def test_a_window_is_sent_whole_and_acknowledged_whole() -> None:
    story = windowed(4, 71).receives(ack(4)).sends(blocks(5, 4))
    story.receives(ack(8)).sends(blocks(9, 1)).receives(ack(9)).does_nothing()
    story.ends(OutcomeKind.COMPLETED).done()
    assert story.transfer.retransmitted == 0


@pytest.mark.rfc("7440 4")
def test_an_ack_inside_the_window_goes_on_from_there_at_once() -> None:
    """U-Boot acknowledges its last good block at the first gap."""
    story = windowed().receives(ack(2)).sends(blocks(3, 4)).receives(ack(6)).sends(blocks(7, 4))
    assert story.transfer.retransmitted == 2
    story.done()


@pytest.mark.rule("R6")
@pytest.mark.rfc("7440 4")
def test_one_ack_for_each_packet_out_of_order_sends_the_window_once() -> None:
    """EDK2: block 5 of the window 5 to 8 is lost, each of the others is answered by ACK 4."""
    story = windowed().receives(ack(4)).sends(blocks(5, 4)).after(0.01)
    story.receives(ack(4)).sends(blocks(5, 4)).receives(ack(4), ack(4)).does_nothing()
    story.receives(ack(8)).sends(blocks(9, 4)).done()


@pytest.mark.rule("R6")
@pytest.mark.rfc("7440 4")
def test_the_first_window_too_is_sent_again_when_the_peer_asks_for_it() -> None:
    """All of the first window is lost but its last block, which EDK2 answers by ACK 0."""
    windowed().receives(ack(0)).sends(blocks(1, 4)).receives(ack(0)).does_nothing().done()


@pytest.mark.rule("R6")
def test_a_window_is_sent_again_once_for_each_timeout() -> None:
    story = silent(windowed(), 1, 4).sends(blocks(1, 4)).receives(ack(0), ack(0)).does_nothing()
    story.expires().sends(blocks(1, 2)).receives(ack(0)).does_nothing().done()  # now in bursts


@pytest.mark.rule("R6")
@pytest.mark.rfc("1123 4.2.3.1")
def test_a_window_that_went_out_twice_does_not_double_the_next() -> None:
    """The Sorcerer's Apprentice with a window: both copies are acknowledged."""
    story = windowed().receives(ack(4)).sends(blocks(5, 4))
    story.receives(ack(4)).sends(blocks(5, 4))  # the network doubled the ACK
    story.receives(ack(8)).sends(blocks(9, 4))
    story.receives(ack(8)).does_nothing()  # this one is for the second copy
    story.receives(ack(12)).sends(blocks(13, 4))
    story.receives(ack(12)).sends(blocks(13, 4)).done()  # and this one asks for block 13


@pytest.mark.rule("R6")
def test_a_timer_that_was_too_quick_does_not_double_the_next_window() -> None:
    story = silent(windowed().receives(ack(4)).sends(blocks(5, 4)), 5, 8).sends(blocks(5, 4))
    story.receives(ack(8)).sends(blocks(9, 4)).receives(ack(8)).does_nothing().done()


@pytest.mark.rule("R6")
def test_an_oack_that_went_out_twice_does_not_double_the_first_window() -> None:
    story = Playbook(reading(199, blksize=8, windowsize=4)).starts()
    story.sends(oack(blksize=8, windowsize=4)).expires().sends(oack(blksize=8, windowsize=4))
    story.receives(ack(0)).sends(blocks(1, 4)).receives(ack(0)).does_nothing().done()


@pytest.mark.rfc("7440 4")
def test_a_receiver_that_counts_from_its_old_window_does_not_fall_out_of_step() -> None:
    """U-Boot lost block 4 of 4, asks for it after its timeout, and still acknowledges block 4.

    That ACK is no complaint about block 5: sent twice, the copies would cause such an ACK in every
    window from there on.
    """
    story = windowed().after(0.16).receives(ack(3)).sends(blocks(4, 4))
    story.receives(ack(4)).sends(blocks(8, 1)).receives(ack(8)).sends(blocks(9, 4)).done()
    assert story.transfer.retransmitted == 1


def test_a_receiver_that_counts_anew_may_lose_the_block_after_its_old_window() -> None:
    """It reports block 3 at once, and so counts from there: then block 5 is missing, too."""
    story = windowed().receives(ack(2)).sends(blocks(3, 4))
    story.receives(ack(4)).sends(blocks(5, 4)).done()


def test_the_last_window_may_be_acknowledged_in_parts() -> None:
    story = Playbook(sending_window(23, 4)).at(0.1).receives(ack(2)).sends(blocks(3, 1))
    story.receives(ack(3)).does_nothing().ends(OutcomeKind.COMPLETED).done()


def test_at_the_end_of_the_file_nothing_new_may_be_left_to_send() -> None:
    """Block 3 of 5 was lost, and block 3 is where the old window ended too."""
    story = Playbook(sending_window(39, 3)).at(0.1).receives(ack(2)).sends(blocks(3, 3))
    silent(story.receives(ack(3)).does_nothing(), 4, 5).sends(blocks(4, 2)).done()


@pytest.mark.rule("R11")
@pytest.mark.parametrize("rollover", [0, 1])
@pytest.mark.parametrize("windowsize", [5, 64])
def test_windows_cross_block_65535(windowsize: int, rollover: int) -> None:
    transfer = reading(70000 * 8, Policy(rollover=rollover), blksize=8, windowsize=windowsize)
    transfer.start(0.0)
    feed(transfer, ack(0))
    acked = 65536 - 3 * windowsize
    sent_up_to(transfer, acked)
    transfer.window.take(windowsize)
    while acked < 66000:
        acked += windowsize
        (action,) = transfer.handle(DatagramsReceived(ack(number_of(acked, rollover)), 4, 0.1))
        assert action == SendBlocks(acked + 1, windowsize)
        late = ack(number_of(acked - windowsize, rollover))
        assert not transfer.handle(DatagramsReceived(late, 4, 0.1))
    assert transfer.retransmitted == 0


@pytest.mark.rfc("7440 3")
def test_the_largest_window_of_all() -> None:
    """A server may grant a client of ours what it asked for."""
    transfer = putting(150_000 * 8, blksize=8, windowsize=65535)
    transfer.start(0.0)
    story = Playbook(transfer).receives(oack(blksize=8, windowsize=65535)).sends(blocks(1, 65535))
    story.receives(ack(65535)).sends(blocks(65536, 65535))
    story.receives(ack(65535)).sends(blocks(65536, 65535))  # block 65536 was lost
    story.receives(ack(65534)).sends(blocks(131071, 150_001 - 131070))
    story.receives(ack(150_001 & 0xFFFF)).does_nothing().ends(OutcomeKind.COMPLETED).done()


# Bursts.

ROUND_TRIP_PAUSE = PAUSE_MAX_SECONDS  # as ROUND_TRIP is longer


def cautious(windowsize: int, size: int = 199, timeout: int = 5) -> Playbook:
    """Tell of a read with a negotiated timeout, up to the end of its first window."""
    assert PAUSE_MIN_SECONDS < ROUND_TRIP_PAUSE < ROUND_TRIP
    options = {"blksize": 8, "windowsize": windowsize, "timeout": timeout}
    story = Playbook(reading(size, **options)).starts().sends(oack(**options)).after(ROUND_TRIP)
    story.receives(ack(0)).sends(blocks(1, windowsize - 1)).expires().sends(blocks(windowsize, 1))
    return story


def stalled(windowsize: int = 8) -> Playbook:
    """Tell of a peer that is there and gets no window whole."""
    story = windowed(windowsize, 9999).receives(ack(windowsize))
    story.sends(blocks(windowsize + 1, windowsize))
    silent(story, windowsize + 1, 2 * windowsize).sends(blocks(windowsize + 1, windowsize))
    return story.receives(ack(windowsize)).does_nothing()


def test_a_window_that_does_not_get_through_leaves_in_bursts() -> None:
    """U-Boot with 32 buffers, which repeats one ACK whatever is sent at once."""
    story = stalled().expires().sends(blocks(9, 4))
    pause = story.transfer.deadline - story._now
    assert PAUSE_MIN_SECONDS <= pause <= ROUND_TRIP
    story.expires().sends(blocks(13, 3)).expires().sends(blocks(16, 1))
    story.receives(ack(16)).sends(blocks(17, 4)).expires().sends(blocks(21, 3)).done()


def test_the_last_block_of_a_window_in_bursts_leaves_by_itself() -> None:
    """Else there may be nothing that makes the peer tell what is missing of the burst before it."""
    story = cautious(8)
    for first in (9, 17):
        story.receives(ack(first - 1)).sends(blocks(first, 7)).is_due(ROUND_TRIP_PAUSE)
        story.expires().sends(blocks(first + 7, 1)).is_due(5.0)
    story.done()


def test_the_last_block_of_a_file_too() -> None:
    story = cautious(8, 79).receives(ack(8)).sends(blocks(9, 1)).expires().sends(blocks(10, 1))
    story.receives(ack(10)).does_nothing().ends(OutcomeKind.COMPLETED).done()


def test_with_a_timeout_of_seconds_a_small_buffer_costs_none() -> None:
    """It holds 3 blocks.  The eighth tells what is missing, and so does the one after it."""
    story = cautious(8).receives(ack(3)).does_nothing().is_due(2 * ROUND_TRIP_PAUSE)
    story.expires().sends(blocks(4, 7)).expires().sends(blocks(11, 1))
    story.receives(ack(6)).does_nothing().expires().sends(blocks(7, 3)).is_due(ROUND_TRIP_PAUSE)
    assert story._now < 0.5
    story.done()


def test_a_peer_that_is_not_heard_gets_less_until_it_is() -> None:
    """It may be one that reports no gap, with a small buffer; or the cable was pulled out."""
    story = silent(windowed(8).receives(ack(8)).sends(blocks(9, 8)), 9, 16).sends(blocks(9, 8))
    for burst in (4, 2, 1):
        story.expires().sends(blocks(9, burst))
        while story.transfer.deadline < story.transfer._timer.deadline:
            story.happens(TimerExpired(story.transfer.deadline))
            story._told = True
    story.receives(ack(16)).sends(blocks(17, 1)).done()


def test_what_was_heard_before_the_peer_went_on_does_not_count() -> None:
    story = windowed(8).receives(ack(8)).sends(blocks(9, 8)).receives(ack(8)).sends(blocks(9, 8))
    story.receives(ack(16)).sends(blocks(17, 8))
    silent(story, 17, 24).sends(blocks(17, 8)).done()


def test_bursts_grow_again_while_windows_get_through() -> None:
    story = stalled().expires().sends(blocks(9, 4))
    transfer, now, sizes = story.transfer, story._now, []
    assert isinstance(transfer, Sending)
    for _ in range(PATIENCE + PATIENCE_MIN):
        while transfer.window.room:
            now = transfer.deadline
            transfer.handle(TimerExpired(now))
        now += 0.01
        event = DatagramsReceived(ack(transfer.window.next - 1), 4, now)
        (action,) = transfer.handle(event)
        assert isinstance(action, SendBlocks)
        sizes.append(action.count)
    shrunk, spared = sizes.index(7), sizes.index(8) - sizes.index(7)
    assert sizes == [4] * shrunk + [7] * spared + [8] * (len(sizes) - shrunk - spared)
    assert shrunk < PATIENCE
    assert spared == PATIENCE_MIN
    story.done()


def test_a_gap_inside_a_burst_goes_on_from_there_when_the_burst_was_taken() -> None:
    story = stalled().expires().sends(blocks(9, 4)).receives(ack(10)).does_nothing()
    story.is_due(2 * ROUND_TRIP_PAUSE).expires().sends(blocks(11, 4))
    story.expires().sends(blocks(15, 3)).done()


def test_a_gap_while_content_is_paused_waits_for_it() -> None:
    story = stalled().expires().sends(blocks(9, 4)).happens(ContentPaused(13)).does_nothing()
    story.receives(ack(10)).does_nothing()
    assert story.transfer.deadline == math.inf
    story.happens(ContentReady(story._now)).sends(blocks(11, 4)).done()


def test_a_pause_of_content_between_bursts_stops_them() -> None:
    story = stalled().expires().sends(blocks(9, 4)).happens(ContentPaused(11)).does_nothing()
    assert story.transfer.deadline == math.inf
    story.happens(ContentReady(story._now + 1)).sends(blocks(11, 4)).done()


# The timer.


def test_the_round_trip_is_not_measured_by_what_the_timer_sent_again() -> None:
    story = silent(windowed(), 1, 4).sends(blocks(1, 4)).after(0.001).receives(ack(4))
    story.sends(blocks(5, 4))
    assert story.transfer._timer.round_trip == pytest.approx(ROUND_TRIP)
    story.is_due(0.4).after(ROUND_TRIP).receives(ack(8)).sends(blocks(9, 4))
    story.is_due(0.125).done()


def test_silence_is_probed_by_what_makes_the_peer_speak() -> None:
    """The end of the window was lost: the last block shows that, and what follows is sent at once."""
    story = windowed(8).is_due(3 * ROUND_TRIP).expires().sends(blocks(1, 1), blocks(8, 1))
    assert story.transfer.retransmitted == 2
    story.receives(ack(7)).sends(blocks(8, 8)).receives(ack(15)).sends(blocks(16, 8)).done()


def test_there_is_one_probe_in_a_silence() -> None:
    story = windowed().expires().sends(blocks(1, 1), blocks(4, 1)).expires().sends(blocks(1, 4))
    story.expires().sends(blocks(1, 2)).done()


def test_a_probe_that_only_repeats_is_no_complaint() -> None:
    """The ACK was late, and the receiver says it again for the copy of the last block."""
    story = windowed().expires().sends(blocks(1, 1), blocks(4, 1)).receives(ack(4))
    story.sends(blocks(5, 4)).receives(ack(4)).does_nothing()
    story.receives(ack(8)).sends(blocks(9, 4)).receives(ack(8)).sends(blocks(9, 4)).done()


def test_a_probe_after_which_the_first_block_is_missing() -> None:
    story = windowed().expires().sends(blocks(1, 1), blocks(4, 1)).receives(ack(0))
    story.sends(blocks(1, 4)).done()


def test_what_was_probed_gives_no_round_trip() -> None:
    story = windowed().expires().sends(blocks(1, 1), blocks(4, 1)).receives(ack(4))
    story.sends(blocks(5, 4))
    assert story.transfer._timer.round_trip == pytest.approx(ROUND_TRIP)
    story.done()


def test_where_nothing_was_measured_there_is_no_probe() -> None:
    story = Playbook(reading(2000)).starts().sends(blocks(1, 1)).is_due(1.0).expires()
    story.sends(blocks(1, 1)).receives(ack(1)).sends(blocks(2, 1)).is_due(2.0).done()


def test_a_peer_that_says_unknown_tid_gets_no_probe() -> None:
    lock_step().receives(error(5)).does_nothing().is_due(0.2).done()


def test_in_bursts_unknown_tid_does_not_put_off_the_next() -> None:
    story = stalled().expires().sends(blocks(9, 4)).receives(error(5)).does_nothing()
    story.expires().sends(blocks(13, 3)).done()


def test_a_window_that_fails_again_and_again_is_no_reason_to_slow_down() -> None:
    """Gaps that are reported at once give round trips too: no window may get through whole."""
    story = silent(windowed(4, 999), 1, 4).sends(blocks(1, 4)).is_due(0.4).after(ROUND_TRIP)
    story.receives(ack(3)).sends(blocks(4, 4)).is_due(0.4).after(ROUND_TRIP)
    story.receives(ack(5)).sends(blocks(6, 4)).is_due(0.125).done()


def test_a_negotiated_timeout_is_obeyed() -> None:
    """Nothing is sent again any sooner, not even as a probe."""
    story = cautious(4, timeout=3).is_due(3.0).expires().sends(blocks(1, 3))
    story.expires().sends(blocks(4, 1)).is_due(3.0)
    story.receives(ack(4)).sends(blocks(5, 3)).expires().sends(blocks(8, 1)).is_due(3.0).done()


def test_in_lock_step_too() -> None:
    story = Playbook(reading(2000, timeout=3)).starts().sends(oack(timeout=3)).receives(ack(0))
    story.sends(blocks(1, 1)).is_due(3.0).expires().sends(blocks(1, 1)).is_due(3.0).done()


# Pauses of content.


def test_blocks_that_are_not_in_memory_yet_are_sent_when_they_are() -> None:
    story = windowed().happens(ContentPaused(3)).does_nothing()
    assert story.transfer.deadline == math.inf
    story.receives(ack(1)).does_nothing().receives(ack(1)).does_nothing()
    story.receives(ack(2)).does_nothing()
    assert story.transfer.deadline == math.inf
    story.at(1.0).happens(TimerExpired(1.0)).does_nothing()
    story.happens(ContentReady(1.0)).sends(blocks(3, 4)).receives(ack(6)).sends(blocks(7, 4)).done()


def test_a_pause_is_not_taken_for_a_round_trip() -> None:
    story = windowed().happens(ContentPaused(3)).does_nothing().receives(ack(1)).does_nothing()
    story.after(9.0).receives(ack(2)).does_nothing()
    assert story.transfer._timer.round_trip == pytest.approx(ROUND_TRIP)
    story.happens(ContentReady(9.1)).sends(blocks(3, 4)).done()


def test_a_pause_can_come_before_the_first_ack() -> None:
    story = Playbook(reading(99, blksize=8)).starts().sends(oack(blksize=8))
    story.happens(ContentPaused(1)).does_nothing().receives(ack(0)).does_nothing()
    assert story.transfer.deadline == math.inf
    story.happens(ContentReady(0.1)).sends(blocks(1, 1)).done()


def test_a_pause_asks_for_what_was_lost_no_sooner() -> None:
    story = windowed().happens(ContentPaused(5)).does_nothing().receives(ack(0)).does_nothing()
    silent(story.happens(ContentReady(0.2)).does_nothing(), 1, 4).sends(blocks(1, 4)).done()


def test_a_probe_that_is_not_in_memory_any_more() -> None:
    story = windowed().expires().sends(blocks(1, 1), blocks(4, 1))
    story.happens(ContentPaused(1)).does_nothing().happens(ContentPaused(4)).does_nothing()
    story.happens(ContentReady(0.9)).sends(blocks(1, 4)).done()


def test_a_pause_of_ours_is_no_silence_of_the_peer() -> None:
    """A minute on our disk, and yet half a minute of patience with the peer."""
    story = lock_step(99999).happens(ContentPaused(2)).does_nothing().after(60.0)
    story.happens(ContentReady(story._now)).sends(blocks(2, 1))
    end = story._now + 29.9
    while story.transfer.deadline < end:
        story.expires().sends(blocks(2, 1))
    story.at(end).receives(ack(2)).sends(blocks(3, 1)).done()


def test_a_peer_that_is_gone_is_given_up_however_slow_our_disk_is() -> None:
    """Each time that the block is sent again, its octets must be read again."""
    transfer = lock_step(99999).transfer
    now = pauses = 0.0
    UNFINISHED.clear()
    while not transfer.finished:
        now = max(now, transfer.deadline)
        if transfer.handle(TimerExpired(now)):
            transfer.handle(ContentPaused(2))
            now, pauses = now + 9.0, pauses + 9.0
            transfer.handle(ContentReady(now))
    assert now - pauses < 45.0
