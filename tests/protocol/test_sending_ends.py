"""How a sender ends: well, nearly well, and otherwise."""

from __future__ import annotations

import pytest

from snowowl.protocol.events import (
    PeerUnreachable,
    RequestRepeated,
    Stopped,
    TimerExpired,
)
from snowowl.protocol.negotiation import Policy, Terms
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.protocol.retransmit import RetransmitPolicy
from snowowl.protocol.sending import too_many_blocks
from snowowl.protocol.transfer import State
from snowowl.testing.playbook import Playbook, ack, blocks, error
from tests.protocol.sendings import lock_step
from tests.protocol.stories import reading, sending_window

# Lock-step.


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


@pytest.mark.rule("R14")
def test_what_is_sent_again_of_the_last_window_was_all_sent_before() -> None:
    """A client that has closed its port hears only the first of the blocks that are sent again."""
    transfer = sending_window(31, 4)
    while transfer.window.next > transfer.window.total:
        transfer.handle(TimerExpired(transfer.deadline))
    assert transfer.window.next <= transfer.window.total
    transfer.handle(PeerUnreachable(9.0))
    assert transfer.outcome is not None
    assert transfer.outcome.kind is OutcomeKind.UNCONFIRMED


def test_a_client_that_falls_silent_before_the_end_has_not() -> None:
    transfer = sending_window(39, 4)
    while not transfer.finished:
        transfer.handle(TimerExpired(transfer.deadline))
    assert transfer.outcome is not None
    assert transfer.outcome.kind is OutcomeKind.TIMED_OUT
    assert transfer.octets == 0


def test_the_empty_file_that_ipxe_acknowledges_by_ack_0_is_given_up_quietly() -> None:
    story = Playbook(reading(0)).starts().sends(blocks(1, 1))
    for _ in range(2):
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


def test_what_is_not_confirmed_is_told_in_words() -> None:
    transfer = reading(9)
    transfer.start(0.0)
    transfer.handle(PeerUnreachable(0.1))
    assert transfer.outcome == Outcome(
        OutcomeKind.UNCONFIRMED, "the last block was sent, its ACK did not come"
    )
