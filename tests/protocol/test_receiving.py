"""The receiver of DATA, as a server's side of a WRQ; what it shares with a client's RRQ."""

from __future__ import annotations

import math

import pytest

from snowowl.protocol.actions import Commit
from snowowl.protocol.events import (
    ContentCommitted,
    ContentPaused,
    ContentReady,
    PeerUnreachable,
    TimerExpired,
)
from snowowl.protocol.negotiation import Policy
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.retransmit import RetransmitPolicy
from snowowl.protocol.transfer import State
from snowowl.testing.playbook import Playbook, ack, data, error, oack, stored
from tests.protocol.stories import (
    committing,
    dallying,
    feed,
    getting,
    received_up_to,
    writing,
)

FULL = b"12345678"
ROUND_TRIP = 0.05
COMMIT = Commit()


def lock_step(policy: Policy | None = None) -> Playbook:
    """Tell of an upload in lock-step, up to its first block."""
    return (
        Playbook(writing(policy or Policy(), blksize=8))
        .starts()
        .sends(oack(blksize=8))
        .after(ROUND_TRIP)
        .receives(data(1, FULL))
        .sends(stored(FULL), ack(1))
    )


def windowed(windowsize: int = 4) -> Playbook:
    """Tell of an upload by windows of blocks of 8 octets, up to its OACK."""
    return (
        Playbook(writing(blksize=8, windowsize=windowsize))
        .starts()
        .sends(oack(blksize=8, windowsize=windowsize))
        .after(ROUND_TRIP)
    )


# Lock-step.


@pytest.mark.rfc("1350 2")
@pytest.mark.rfc("1350 6")
def test_blocks_are_stored_and_acknowledged_until_a_short_one() -> None:
    story = lock_step().receives(data(2, FULL)).sends(stored(FULL), ack(2))
    assert story.transfer.octets == 16
    story.receives(data(3, b"end")).sends(stored(b"end"), COMMIT).stands(State.COMMITTING)
    assert story.transfer.deadline == math.inf
    story.happens(ContentCommitted(1.0)).sends(ack(3)).stands(State.DALLYING)
    story.ends(OutcomeKind.COMPLETED).done()
    assert story.transfer.octets == 19
    assert not story.transfer.finished


@pytest.mark.rfc("1350 6")
def test_the_last_block_may_be_empty() -> None:
    lock_step().receives(data(2)).sends(stored(b""), COMMIT).done()


@pytest.mark.rfc("1350 2")
def test_a_block_that_comes_again_is_acknowledged_again_and_not_stored() -> None:
    story = lock_step().receives(data(1, FULL)).sends(ack(1)).receives(data(1, FULL)).sends(ack(1))
    assert story.transfer.retransmitted == 2
    assert story.transfer.octets == 8
    story.receives(data(2, FULL)).sends(stored(FULL), ack(2)).done()


def test_older_and_later_blocks_mean_nothing_in_lock_step() -> None:
    story = lock_step().receives(data(2, FULL)).sends(stored(FULL), ack(2))
    story.receives(data(1, FULL), data(4, FULL), data(0, FULL)).does_nothing().done()


@pytest.mark.rfc("1350 5")
def test_a_block_that_is_too_long_is_refused() -> None:
    story = lock_step().receives(data(2, FULL + b"9"))
    story.sends(error(4, "DATA of 9 octets, but blksize is 8"))
    story.ends(OutcomeKind.REFUSED, 4).done()


@pytest.mark.parametrize(
    "noise",
    [
        b"",
        b"\0",
        b"\0\3\0",
        b"\1\3\0\2",
        b"\0\7\0\2",
        ack(1),
        oack(blksize=8),
        b"\0\5\0",
        b"\3\0\0\2",
    ],
)
def test_one_odd_packet_is_no_reason_to_end(noise: bytes) -> None:
    lock_step().receives(noise).does_nothing().receives(data(2, FULL)).sends(
        stored(FULL), ack(2)
    ).done()


@pytest.mark.rfc("1350 7")
def test_an_error_of_the_peer_ends_the_transfer() -> None:
    story = lock_step().receives(error(0, "gone")).does_nothing()
    story.ends(OutcomeKind.ABORTED, 0, "gone").done()


def test_in_lock_step_an_ack_is_repeated_no_sooner_than_after_a_second() -> None:
    """It helps only against senders that have the Sorcerer's Apprentice bug, and hurts with them."""
    story = lock_step()
    story.is_due(1.0).expires().sends(ack(1)).is_due(1.0).expires().sends(ack(1)).is_due(1.0)
    story.done()


@pytest.mark.rfc("2349")
def test_a_negotiated_timeout_is_obeyed() -> None:
    story = Playbook(writing(timeout=1, windowsize=2, blksize=8)).starts()
    story.sends(oack(timeout=1, windowsize=2, blksize=8)).is_due(1.0).at(0.5)
    story.receives(data(1, FULL)).sends(stored(FULL)).is_due(1.0).expires().sends(ack(1)).done()


@pytest.mark.rfc("1350 2")
def test_a_sender_that_falls_silent_is_given_up() -> None:
    story = lock_step()
    while not story.transfer.finished:
        story.expires()
        if not story.transfer.finished:
            story.sends(ack(1))
    story.does_nothing().ends(OutcomeKind.TIMED_OUT).done()
    assert story._now >= RetransmitPolicy().silence_max


def test_the_round_trip_is_not_measured_by_an_ack_that_was_sent_twice() -> None:
    """A sender that got no ACK waits first, and then goes on at once."""
    story = lock_step().after(0.9).receives(data(1, FULL)).sends(ack(1)).after(0.001)
    story.receives(data(2, FULL)).sends(stored(FULL), ack(2))
    assert story.transfer._timer.round_trip == pytest.approx(ROUND_TRIP)
    story.done()


@pytest.mark.rfc("2347")
def test_an_oack_that_is_lost_is_sent_again() -> None:
    windowed().expires().sends(oack(blksize=8, windowsize=4)).receives(data(1, FULL)).sends(
        stored(FULL)
    ).done()


# Block 65535.


def near_the_end_of_numbers(policy: Policy, **options: int) -> Playbook:
    """Tell of an upload that has come as far as block 65534."""
    transfer = writing(policy, blksize=8, **options)
    transfer.start(0.0)
    feed(transfer, data(1, FULL))
    received_up_to(transfer, 65534)
    return Playbook(transfer).at(0.5)


@pytest.mark.rule("R11")
@pytest.mark.parametrize("rollover", [0, 1])
@pytest.mark.parametrize("number", [0, 1])
def test_in_lock_step_the_block_after_65535_may_have_either_number(
    number: int, rollover: int
) -> None:
    """No RFC says which, and a sender in lock-step can mean nothing else."""
    story = near_the_end_of_numbers(Policy(rollover=rollover))
    story.receives(data(number, FULL)).does_nothing()
    story.receives(data(65535, FULL)).sends(stored(FULL), ack(65535))
    story.receives(data(65535, FULL)).sends(ack(65535))
    story.receives(data(number, FULL)).sends(stored(FULL), ack(number))
    story.receives(data(number, FULL)).sends(ack(number))
    story.receives(data(number + 1, b"end")).sends(stored(b"end"), COMMIT)
    story.happens(ContentCommitted(2.0)).sends(ack(number + 1)).done()
    assert story.transfer.terms.rollover == number


@pytest.mark.rule("R11")
@pytest.mark.parametrize(("options", "number"), [({"rollover": 0}, 1), ({"rollover": 1}, 0)])
def test_what_was_negotiated_holds_after_block_65535(options: dict[str, int], number: int) -> None:
    story = near_the_end_of_numbers(Policy(), **options)
    story.receives(data(65535, FULL)).sends(stored(FULL), ack(65535))
    story.receives(data(number, FULL)).does_nothing()
    story.receives(data(1 - number, FULL)).sends(stored(FULL), ack(1 - number)).done()


@pytest.mark.rule("R11")
def test_with_a_window_the_other_number_could_be_another_block() -> None:
    transfer = writing(blksize=8, windowsize=3)
    transfer.start(0.0)
    feed(transfer, data(1, FULL))
    received_up_to(transfer, 65535)
    story = Playbook(transfer)
    story.receives(data(1, FULL)).sends(ack(65535))  # block 65537, and 65536 is missing
    story.receives(data(0, FULL)).sends(stored(FULL)).done()


def test_an_ack_that_is_owed_puts_off_the_rollover() -> None:
    story = near_the_end_of_numbers(Policy()).happens(ContentPaused()).does_nothing()
    story.receives(data(65535, FULL)).sends(stored(FULL)).receives(data(1, FULL)).does_nothing()
    story.happens(ContentReady(0.6)).sends(ack(65535)).done()


# Windows.


@pytest.mark.rfc("7440 4")
def test_a_window_is_acknowledged_when_it_is_full() -> None:
    story = windowed(3)
    for index in (1, 2):
        story.receives(data(index, FULL)).sends(stored(FULL))
    story.receives(data(3, FULL)).sends(stored(FULL), ack(3))
    story.receives(data(4, b"end")).sends(stored(b"end"), COMMIT).done()


@pytest.mark.rfc("7440 4")
def test_a_run_of_blocks_is_stored_as_one() -> None:
    story = windowed(4).receives_at_once(*(data(index, FULL) for index in range(1, 7)))
    story.sends(stored(*[FULL] * 4), ack(4), stored(FULL, FULL))
    story.receives_at_once(data(7, FULL), data(8, b"end"))
    story.sends(stored(FULL, b"end"), COMMIT).done()


@pytest.mark.rfc("7440 4")
def test_the_first_gap_is_acknowledged_at_once_and_once() -> None:
    story = windowed(4).receives_at_once(data(1, FULL), data(3, FULL), data(4, FULL))
    story.sends(stored(FULL), ack(1)).receives(data(5, FULL)).does_nothing()
    story.receives_at_once(*(data(index, FULL) for index in range(2, 6)))
    story.sends(stored(*[FULL] * 4), ack(5)).done()


@pytest.mark.rfc("7440 4")
@pytest.mark.parametrize("again", [3, 4])
def test_a_gap_is_told_once_more_when_the_window_comes_again(again: int) -> None:
    """What was asked for is lost once more, or the ACK that asked for it was."""
    story = windowed(4).receives_at_once(data(1, FULL), data(3, FULL), data(4, FULL))
    story.sends(stored(FULL), ack(1)).receives(data(again, FULL)).sends(ack(1))
    story.receives(data(5, FULL)).does_nothing().done()


def test_a_block_before_a_gap_is_an_answer() -> None:
    """Several datagrams at once count as much as one by one."""
    story = windowed(4).receives_at_once(data(1, FULL), data(3, FULL))
    story.sends(stored(FULL), ack(1))
    assert story.transfer.answered
    story.done()


def test_a_gap_after_the_ack_of_its_window_repeats_that_ack() -> None:
    story = windowed(2).receives_at_once(data(1, FULL), data(2, FULL))
    story.sends(stored(FULL, FULL), ack(2)).receives(data(4, FULL)).sends(ack(2))
    assert story.transfer.retransmitted == 1
    story.done()


@pytest.mark.rfc("7440 4")
def test_the_first_block_of_all_may_be_what_is_missing() -> None:
    """Blocks of a window that only our OACK can have opened: the peer has the OACK."""
    story = windowed(4).receives(data(2, FULL)).sends(ack(0)).stands(State.TRANSFERRING)
    assert story.transfer.answered
    story.receives(data(3, FULL)).does_nothing()
    story.receives(data(1, FULL)).sends(stored(FULL)).done()


def test_blocks_past_the_window_mean_nothing() -> None:
    windowed(2).receives(data(3, FULL), data(9, FULL)).does_nothing().done()


def test_a_window_that_comes_again_is_acknowledged_once() -> None:
    window = [data(1, FULL), data(2, FULL), data(3, FULL)]
    story = windowed(3).receives_at_once(*window).sends(stored(*[FULL] * 3), ack(3))
    story.receives_at_once(*window).sends(ack(3)).done()


def test_the_tail_of_a_window_is_asked_for_after_a_while() -> None:
    story = windowed(4).receives(data(1, FULL)).sends(stored(FULL)).is_due(0.2)
    story.expires().sends(ack(1)).receives_at_once(*(data(index, FULL) for index in range(2, 6)))
    story.sends(stored(*[FULL] * 4), ack(5)).done()


def test_a_gap_may_be_found_again_after_its_ack_was_repeated() -> None:
    story = windowed(4).receives(data(2, FULL)).sends(ack(0)).expires().sends(ack(0))
    story.receives(data(2, FULL)).sends(ack(0)).done()


def test_parts_of_a_window_are_no_round_trip() -> None:
    """They come together; an interval made from that would repeat ACKs on every slow link."""
    story = windowed(64)
    for index in range(1, 64):
        story.after(0.0001).receives(data(index, FULL)).sends(stored(FULL))
    assert story.transfer._timer.round_trip == pytest.approx(ROUND_TRIP + 0.0001)
    story.done()


# Pauses.


def test_while_content_is_paused_nothing_is_acknowledged_and_nothing_is_due() -> None:
    story = lock_step().happens(ContentPaused()).does_nothing()
    assert story.transfer.deadline == math.inf
    story.receives(data(1, FULL)).does_nothing()
    story.receives(data(2, FULL)).sends(stored(FULL)).receives(data(2, FULL)).does_nothing()
    assert story.transfer.deadline == math.inf
    story.receives(data(3, FULL)).does_nothing()
    story.at(50.0).happens(ContentReady(50.0)).sends(ack(2)).is_due(1.0)
    story.happens(ContentPaused()).does_nothing().happens(ContentReady(50.0)).does_nothing().done()


def test_on_a_slow_link_an_ack_is_repeated_later() -> None:
    story = Playbook(writing(blksize=8)).starts().sends(oack(blksize=8)).after(0.9)
    story.receives(data(1, FULL)).sends(stored(FULL), ack(1)).is_due(2.7).done()


def test_a_pause_inside_a_window_stops_the_timer() -> None:
    story = windowed(4).receives(data(1, FULL)).sends(stored(FULL))
    story.happens(ContentPaused()).does_nothing().receives(data(2, FULL)).sends(stored(FULL))
    assert story.transfer.deadline == math.inf
    story.at(99.0).happens(ContentReady(99.0)).does_nothing().is_due(0.2)
    story.expires().sends(ack(2)).done()


def test_a_gap_that_is_found_in_a_pause_is_told_after_it() -> None:
    story = windowed(4).receives(data(1, FULL)).sends(stored(FULL))
    story.happens(ContentPaused()).does_nothing().receives(data(3, FULL)).does_nothing()
    story.happens(ContentReady(1.0)).sends(ack(1)).done()


def test_the_last_block_may_come_in_a_pause() -> None:
    story = lock_step().happens(ContentPaused()).does_nothing()
    story.receives(data(2, b"end")).sends(stored(b"end"), COMMIT)
    story.happens(ContentCommitted(1.0)).sends(ack(2)).receives(data(2, b"end")).sends(
        ack(2)
    ).done()


# The end.


@pytest.mark.rule("R14")
@pytest.mark.rfc("1350 6")
@pytest.mark.rfc("1123 4.2.3.1")
def test_a_last_ack_that_is_lost_is_sent_again_while_dallying() -> None:
    story = Playbook(dallying()).at(1.0).receives(data(1, b"all")).sends(ack(1))
    story.receives(data(1, b"all")).sends(ack(1)).receives(data(2)).does_nothing()
    story.receives(ack(1)).does_nothing()
    story.expires().does_nothing().stands(State.COMPLETE).ends(OutcomeKind.COMPLETED).done()


def test_dallying_ends_no_sooner_than_it_should() -> None:
    transfer = dallying()
    story = Playbook(transfer).at(1.0).happens(TimerExpired(1.0)).does_nothing()
    story.stands(State.DALLYING).done()


def test_a_window_that_comes_again_while_dallying_is_acknowledged_once() -> None:
    story = windowed(4).receives_at_once(data(1, FULL), data(2, FULL), data(3, b"end"))
    story.sends(stored(FULL, FULL, b"end"), COMMIT).happens(ContentCommitted(0.1)).sends(ack(3))
    story.receives_at_once(data(1, FULL), data(2, FULL), data(3, b"end")).sends(ack(3)).done()


def test_a_peer_that_closes_its_port_while_dallying_has_the_last_ack() -> None:
    story = Playbook(dallying()).happens(PeerUnreachable(0.1)).does_nothing()
    story.stands(State.COMPLETE).ends(OutcomeKind.COMPLETED).done()


def test_a_peer_that_closes_its_port_before_has_gone() -> None:
    story = lock_step().happens(PeerUnreachable(0.1)).does_nothing()
    story.ends(OutcomeKind.UNREACHABLE).done()


def test_nothing_is_acknowledged_before_it_is_on_disk() -> None:
    story = Playbook(committing()).at(1.0).receives(data(1, b"all"), error(0)).does_nothing()
    story.happens(ContentCommitted(2.0)).sends(ack(1)).done()


def test_what_is_committed_out_of_turn_is_ignored() -> None:
    story = lock_step().happens(ContentCommitted(0.1)).does_nothing()
    story.receives(data(2, FULL)).sends(stored(FULL), ack(2)).done()


def test_an_end_inside_a_batch_is_the_end() -> None:
    """Block 65536 for a policy without rollover, and an ERROR behind it, joined by the kernel."""
    story = near_the_end_of_numbers(Policy(rollover=None))
    story.receives(data(65535, FULL)).sends(stored(FULL), ack(65535))
    story.receives_at_once(data(0, FULL), error(0, "x"))
    story.sends(stored(FULL), error(3, "more than 65535 blocks of 8 octets"))
    story.ends(OutcomeKind.REFUSED, 3).done()


def test_an_error_inside_a_batch_is_the_end() -> None:
    story = lock_step().receives_at_once(error(0, "gone now"), data(2, FULL))
    story.does_nothing().ends(OutcomeKind.ABORTED, 0).done()


def test_a_client_receives_in_the_same_way() -> None:
    story = Playbook(getting()).starts().sends(b"\0\1f\0octet\0").receives(data(1, b"all"))
    story.sends(stored(b"all"), COMMIT).happens(ContentCommitted(0.1)).sends(ack(1)).done()


def test_a_gap_that_comes_with_noise_is_still_a_gap() -> None:
    story = windowed(4).receives_at_once(data(1, FULL), ack(1) + FULL, data(2, FULL))
    story.sends(stored(FULL), stored(FULL)).done()


def test_a_repr_says_where_in_the_file_it_stands() -> None:
    assert repr(dallying()) == "<WriteTransfer dallying expected=2 acked=1 deadline=5 retries=0>"
