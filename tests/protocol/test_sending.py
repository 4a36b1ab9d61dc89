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
    PeerUnreachable,
    RequestRepeated,
    Stopped,
    TimerExpired,
)
from snowowl.protocol.negotiation import Policy, Terms
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.pace import PATIENCE_MIN, PAUSE_MIN_SECONDS
from snowowl.protocol.retransmit import RetransmitPolicy
from snowowl.protocol.sending import too_many_blocks
from snowowl.protocol.transfer import State
from tests.playbook import Playbook, ack, blocks, data, error, oack
from tests.protocol.stories import feed, putting, reading, sending_window, sent_up_to

ROUND_TRIP = 0.05


def lock_step(size: int = 2000) -> Playbook:
    """Tell of a read in lock-step, up to the answer to its first block."""
    return (
        Playbook(reading(size))
        .starts()
        .sends(blocks(1, 1))
        .after(ROUND_TRIP)
        .receives(ack(1))
        .sends(blocks(2, 1))
    )


def windowed(windowsize: int = 4, size: int = 199, **options: int) -> Playbook:
    """Tell of a read by windows of blocks of 8 octets, up to its first window."""
    return (
        Playbook(reading(size, blksize=8, windowsize=windowsize, **options))
        .starts()
        .sends(oack(blksize=8, windowsize=windowsize, **options))
        .after(ROUND_TRIP)
        .receives(ack(0))
        .sends(blocks(1, windowsize))
    )


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
    story.receives(ack(0)).does_nothing().is_due(0.2).expires().sends(blocks(2, 1))
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
def test_a_window_is_sent_again_once_for_each_timeout() -> None:
    story = windowed().expires().sends(blocks(1, 4)).receives(ack(0), ack(0)).does_nothing()
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
    story = windowed().receives(ack(4)).sends(blocks(5, 4)).expires().sends(blocks(5, 4))
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
    story = windowed().receives(ack(3)).sends(blocks(4, 4))
    story.receives(ack(4)).sends(blocks(8, 1)).receives(ack(8)).sends(blocks(9, 4)).done()
    assert story.transfer.retransmitted == 1


def test_the_last_window_may_be_acknowledged_in_parts() -> None:
    story = Playbook(sending_window(23, 4)).at(0.1).receives(ack(2)).sends(blocks(3, 1))
    story.receives(ack(3)).does_nothing().ends(OutcomeKind.COMPLETED).done()


def test_at_the_end_of_the_file_nothing_new_may_be_left_to_send() -> None:
    """Block 3 of 5 was lost, and block 3 is where the old window ended too."""
    story = Playbook(sending_window(39, 3)).at(0.1).receives(ack(2)).sends(blocks(3, 3))
    story.receives(ack(3)).does_nothing().expires().sends(blocks(4, 2)).done()


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


def stalled(windowsize: int = 8) -> Playbook:
    """Tell of a peer that is there and gets no window whole."""
    story = windowed(windowsize).receives(ack(windowsize)).sends(blocks(windowsize + 1, windowsize))
    story.expires().sends(blocks(windowsize + 1, windowsize))
    return story.receives(ack(windowsize)).does_nothing()


def test_a_window_that_does_not_get_through_leaves_in_bursts() -> None:
    """U-Boot with 32 buffers, which repeats one ACK whatever is sent at once."""
    story = stalled().expires().sends(blocks(9, 4))
    pause = story.transfer.deadline - story._now
    assert PAUSE_MIN_SECONDS <= pause <= ROUND_TRIP
    story.expires().sends(blocks(13, 4)).receives(ack(16)).sends(blocks(17, 4))
    story.expires().sends(blocks(21, 4)).receives(ack(24)).sends(blocks(25, 1)).done()


def test_a_peer_that_is_not_heard_says_nothing_about_bursts() -> None:
    """A cable that was pulled out for a while."""
    story = windowed(8).receives(ack(8)).sends(blocks(9, 8))
    for _ in range(5):
        story.expires().sends(blocks(9, 8))
    story.receives(ack(16)).sends(blocks(17, 8)).done()


def test_a_peer_that_was_heard_once_is_not_heard_for_ever() -> None:
    story = stalled().expires().sends(blocks(9, 4)).expires().sends(blocks(13, 4))
    story.expires().sends(blocks(9, 4)).expires().sends(blocks(13, 4)).done()


def test_bursts_grow_again_while_windows_get_through() -> None:
    transfer = sending_window(8 * 9999, 8)
    for _ in range(2):
        transfer.handle(TimerExpired(transfer.deadline))
        feed(transfer, ack(0), now=5.0)
    assert transfer.window.next == 5
    now, sizes = 10.0, []
    for index in range(PATIENCE_MIN + 1):
        transfer.handle(TimerExpired(transfer.deadline))
        now += 0.01
        (action,) = transfer.handle(DatagramsReceived(ack(8 * index + 8), 4, now))
        assert isinstance(action, SendBlocks)
        sizes.append(action.count)
    assert sizes == [4] * (PATIENCE_MIN - 1) + [8, 8]


def test_a_gap_inside_a_burst_goes_on_from_there() -> None:
    story = stalled().expires().sends(blocks(9, 4)).receives(ack(10)).sends(blocks(11, 4))
    story.expires().sends(blocks(15, 4)).done()


def test_a_pause_of_content_between_bursts_stops_them() -> None:
    story = stalled().expires().sends(blocks(9, 4)).happens(ContentPaused(11)).does_nothing()
    assert story.transfer.deadline == math.inf
    story.happens(ContentReady(story._now + 1)).sends(blocks(11, 4)).done()


# The timer.


def test_the_round_trip_is_not_measured_by_what_the_timer_sent_again() -> None:
    story = windowed().expires().sends(blocks(1, 4)).after(0.001).receives(ack(4))
    story.sends(blocks(5, 4))
    assert story.transfer._timer.round_trip == pytest.approx(ROUND_TRIP)
    story.is_due(0.4).after(ROUND_TRIP).receives(ack(8)).sends(blocks(9, 4)).is_due(0.2).done()


def test_a_window_that_fails_again_and_again_is_no_reason_to_slow_down() -> None:
    """Gaps that are reported at once give round trips too: no window may get through whole."""
    story = windowed(4, 999)
    story.expires().sends(blocks(1, 4)).is_due(0.4).after(ROUND_TRIP)
    story.receives(ack(1)).sends(blocks(2, 4)).is_due(0.4).after(ROUND_TRIP)
    story.receives(ack(3)).sends(blocks(4, 4)).is_due(0.2).done()


def test_a_negotiated_timeout_is_obeyed() -> None:
    story = windowed(4, timeout=3).is_due(3.0).expires().sends(blocks(1, 4)).is_due(3.0)
    story.receives(ack(4)).sends(blocks(5, 4)).is_due(3.0).done()


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
    story.happens(ContentReady(0.2)).does_nothing().expires().sends(blocks(1, 4)).done()


# The ends.


@pytest.mark.rule("R14")
def test_a_last_ack_that_is_lost_is_nearly_success() -> None:
    story = lock_step(600)
    while not story.transfer.finished:
        story.expires()
        if not story.transfer.finished:
            story.sends(blocks(2, 1))
    story.does_nothing().stands(State.COMPLETE).ends(OutcomeKind.UNCONFIRMED).done()


@pytest.mark.rule("R14")
def test_the_last_window_may_be_what_is_not_acknowledged() -> None:
    transfer = sending_window(31, 4)
    while not transfer.finished:
        transfer.handle(TimerExpired(transfer.deadline))
    assert transfer.outcome is not None
    assert transfer.outcome.kind is OutcomeKind.UNCONFIRMED


@pytest.mark.rule("R14")
def test_a_client_that_closes_its_port_at_the_end_has_the_file() -> None:
    event = PeerUnreachable(0.1)
    lock_step(600).happens(event).does_nothing().ends(OutcomeKind.UNCONFIRMED).done()
    lock_step(6000).happens(event).does_nothing().ends(OutcomeKind.UNREACHABLE).done()


def test_a_client_that_falls_silent_before_the_end_has_not() -> None:
    transfer = sending_window(39, 4)
    while not transfer.finished:
        transfer.handle(TimerExpired(transfer.deadline))
    assert transfer.outcome is not None
    assert transfer.outcome.kind is OutcomeKind.TIMED_OUT
    assert transfer.octets == 0


def test_the_empty_file_that_ipxe_acknowledges_by_ack_0_is_given_up_quietly() -> None:
    story = Playbook(reading(0)).starts().sends(blocks(1, 1))
    for _ in range(5):
        story.receives(ack(0)).does_nothing().expires().sends(blocks(1, 1))
    story.receives(ack(0)).does_nothing().expires().does_nothing()
    story.ends(OutcomeKind.UNCONFIRMED).done()


def test_a_peer_that_asks_for_the_next_file_has_this_one() -> None:
    superseded = Stopped(OutcomeKind.SUPERSEDED, "asked anew")
    lock_step(600).happens(superseded).does_nothing().ends(OutcomeKind.UNCONFIRMED).done()
    lock_step(6000).happens(superseded).does_nothing().ends(OutcomeKind.SUPERSEDED).done()
    stopped = Stopped(OutcomeKind.STOPPED, "bye", 0)
    lock_step(600).happens(stopped).sends(error(0, "bye")).ends(OutcomeKind.STOPPED, 0).done()


@pytest.mark.rule("R4")
def test_lwip_says_unknown_tid_and_goes_on() -> None:
    story = lock_step().receives(error(5, "Wrong block number")).does_nothing()
    story.receives(ack(2)).sends(blocks(3, 1)).expires().sends(blocks(3, 1)).done()


@pytest.mark.rfc("1350 4")
def test_a_peer_that_says_unknown_tid_and_falls_silent_is_dead() -> None:
    story = lock_step().receives(error(5)).does_nothing().expires().does_nothing()
    story.ends(OutcomeKind.ABORTED, 5).done()


@pytest.mark.rule("R14")
def test_a_peer_that_no_longer_knows_the_tid_at_the_end_has_the_file() -> None:
    story = lock_step(600).expires().sends(blocks(2, 1)).receives(error(5)).does_nothing()
    story.expires().does_nothing().ends(OutcomeKind.UNCONFIRMED).done()


@pytest.mark.rule("R5")
def test_a_request_that_comes_again_outlives_unknown_tid() -> None:
    story = Playbook(reading(2000)).starts().sends(blocks(1, 1)).receives(error(5)).does_nothing()
    story.happens(RequestRepeated(0.5)).sends(blocks(1, 1)).receives(ack(1)).sends(blocks(2, 1))
    story.expires().sends(blocks(2, 1)).done()


@pytest.mark.rfc("1350 7")
def test_any_other_error_ends_the_transfer() -> None:
    story = lock_step().receives(error(3, "disk full")).does_nothing()
    story.ends(OutcomeKind.ABORTED, 3, "disk full").done()


def test_progress_restarts_the_patience_with_a_slow_client() -> None:
    """GRUB stops for half a minute while it unpacks."""
    story = lock_step(99999)
    for index in range(2, 6):
        end = story._now + 29.0
        while story.transfer.deadline < end:
            story.expires().sends(blocks(index, 1))
        story.at(end).receives(ack(index)).sends(blocks(index + 1, 1))
    story.done()


@pytest.mark.rule("R11")
def test_a_file_of_too_many_blocks() -> None:
    assert not too_many_blocks(65535 * 8 - 1, Terms(blksize=8))
    assert too_many_blocks(65535 * 8, Terms(blksize=8))


def test_silence_before_any_answer_ends_early() -> None:
    policy = Policy(retransmit=RetransmitPolicy(retries=1))
    story = Playbook(reading(2000, policy)).starts().sends(blocks(1, 1))
    story.expires().sends(blocks(1, 1)).expires().does_nothing()
    story.ends(OutcomeKind.TIMED_OUT).done()


def test_a_repr_says_where_in_the_file_it_stands() -> None:
    assert "transferring base=1 next=5 total=25 deadline=" in repr(sending_window(199, 4))
