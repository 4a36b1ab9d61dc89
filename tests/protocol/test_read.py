"""A server's side of an RRQ: how it begins, and what its clients mean by an ERROR."""

from __future__ import annotations

import pytest

from snowowl.protocol.negotiation import Policy
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.read import ReadTransfer
from snowowl.protocol.transfer import State
from snowowl.testing.playbook import Playbook, ack, blocks, error, oack
from snowowl.wire.packets import ReadRequest
from tests.protocol.stories import reading


@pytest.mark.rfc("1350 4")
def test_without_options_data_is_the_answer() -> None:
    Playbook(reading(9)).starts().sends(blocks(1, 1)).stands(State.TRANSFERRING).done()


@pytest.mark.rfc("2347")
def test_with_options_an_oack_is_the_answer_and_data_waits_for_ack_0() -> None:
    story = Playbook(reading(99, blksize=8, tsize=0)).starts().sends(oack(blksize=8, tsize=99))
    story.stands(State.NEGOTIATING).receives(ack(0)).sends(blocks(1, 1)).done()


@pytest.mark.rule("R2")
@pytest.mark.parametrize("options", [{"windowsize": 0}, {"multicast": 1}, {"timeout": 3000}])
def test_a_lone_option_that_is_not_granted_is_answered_by_data(options: dict[str, int]) -> None:
    Playbook(reading(9, **options)).starts().sends(blocks(1, 1)).done()


@pytest.mark.rule("R4")
@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (error(8, "User aborted the transfer"), 8),  # EDK2
        (error(0), 0),
        (b"\0\5\0\0", 0),  # curl
        (b"\0\5\0\0\0\0", 0),  # barebox
        (error(5), 5),
    ],
)
def test_an_error_after_the_oack_is_a_question_for_the_size(packet: bytes, code: int) -> None:
    story = Playbook(reading(99, tsize=0)).starts().sends(oack(tsize=99)).receives(packet)
    story.does_nothing().stands(State.COMPLETE).ends(OutcomeKind.PROBED, code).done()
    assert story.transfer.outcome is not None
    assert story.transfer.outcome.message


def test_an_error_later_on_is_what_it_says() -> None:
    story = Playbook(reading(99, tsize=0)).starts().sends(oack(tsize=99))
    story.receives(ack(0)).sends(blocks(1, 1)).receives(error(3, "disk full")).does_nothing()
    story.stands(State.FAILED).ends(OutcomeKind.ABORTED, 3, "disk full").done()


@pytest.mark.rule("R14")
def test_an_error_in_answer_to_a_last_block_that_came_again_is_nearly_success() -> None:
    """lwIP's client is done, and calls what comes again an access violation."""
    story = Playbook(reading(9)).starts().sends(blocks(1, 1)).expires().sends(blocks(1, 1))
    story.receives(error(2)).does_nothing().ends(OutcomeKind.UNCONFIRMED).done()


def test_an_error_in_answer_to_a_block_before_the_last_that_came_again_is_none() -> None:
    story = Playbook(reading(999)).starts().sends(blocks(1, 1)).expires().sends(blocks(1, 1))
    story.receives(error(2)).does_nothing().ends(OutcomeKind.ABORTED, 2).done()


@pytest.mark.rule("R11")
@pytest.mark.rule("R12")
def test_a_file_of_too_many_blocks_is_refused_before_it_begins() -> None:
    policy = Policy(rollover=None)
    story = Playbook(reading(65535 * 512, policy)).starts()
    story.sends(error(2, "denied"))  # no more octets than a request of so few deserves
    story.ends(OutcomeKind.REFUSED, 2).done()
    asked = ReadRequest(b"firmware/" * 9)
    story = Playbook(ReadTransfer(asked, policy, 65535 * 512)).starts()
    story.sends(error(2, "more than 65535 blocks of 512 octets: ask for a larger blksize"))
    story.ends(OutcomeKind.REFUSED, 2).done()
    Playbook(reading(65535 * 512 - 1, policy)).starts().sends(blocks(1, 1)).done()


@pytest.mark.rule("R11")
def test_a_file_of_many_blocks_is_served_to_who_rolls_over() -> None:
    Playbook(reading(65535 * 512)).starts().sends(blocks(1, 1)).done()
    asking = reading(65535 * 512, Policy(rollover=None), rollover=0)
    Playbook(asking).starts().sends(oack(rollover=0)).done()
