"""A server's side of a WRQ: how it begins, how long it dallies, and when it is too much."""

from __future__ import annotations

import pytest

from snowowl.protocol.actions import Commit
from snowowl.protocol.events import ContentFailed, RequestRepeated
from snowowl.protocol.negotiation import Policy
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.transfer import State
from snowowl.protocol.write import DALLY_SECONDS
from snowowl.testing.playbook import Playbook, ack, data, error, oack, stored
from tests.protocol.stories import dallying, feed, received_up_to, writing

FULL = b"12345678"


@pytest.mark.rfc("1350 4")
def test_without_options_ack_0_is_the_answer() -> None:
    story = Playbook(writing()).starts().sends(ack(0)).stands(State.TRANSFERRING)
    story.expires().sends(ack(0)).receives(data(1, b"all")).sends(stored(b"all"), Commit()).done()


@pytest.mark.rfc("2347")
def test_with_options_an_oack_is_the_answer() -> None:
    story = Playbook(writing(tsize=3, blksize=8)).starts().sends(oack(tsize=3, blksize=8))
    story.stands(State.NEGOTIATING).expires().sends(oack(tsize=3, blksize=8))
    story.receives(data(1, FULL)).sends(stored(FULL), ack(1)).stands(State.TRANSFERRING).done()


@pytest.mark.rule("R5")
@pytest.mark.parametrize("options", [{}, {"tsize": 3}])
def test_a_request_that_comes_again_gets_the_same_answer(options: dict[str, int]) -> None:
    first = oack(**options) if options else ack(0)
    story = Playbook(writing(**options)).starts().sends(first).at(0.5)
    story.happens(RequestRepeated(0.5)).sends(first).is_due(0.5)
    story.receives(data(1, b"all")).sends(stored(b"all"), Commit()).done()


@pytest.mark.rfc("2347")
def test_an_error_after_the_oack_ends_the_upload() -> None:
    story = Playbook(writing(tsize=3)).starts().sends(oack(tsize=3)).receives(error(8, "no"))
    story.does_nothing().ends(OutcomeKind.ABORTED, 8, "no").done()


@pytest.mark.rule("R14")
def test_a_server_dallies_for_the_slowest_client() -> None:
    assert dallying().deadline == DALLY_SECONDS
    assert dallying(timeout=2).deadline == DALLY_SECONDS
    assert dallying(timeout=9).deadline == 18.0
    assert dallying(timeout=255).deadline == 30.0


@pytest.mark.rule("R11")
@pytest.mark.parametrize("windowsize", [1, 4])
def test_more_blocks_than_numbers_are_refused_where_nothing_rolls_over(windowsize: int) -> None:
    transfer = writing(Policy(rollover=None), blksize=8, windowsize=windowsize)
    transfer.start(0.0)
    feed(transfer, data(1, FULL))
    received_up_to(transfer, 65535)
    assert transfer.state is State.TRANSFERRING
    Playbook(transfer).receives(data(0, b"end")).sends(
        stored(b"end"), error(3, "more than 65535 blocks of 8 octets")
    ).ends(OutcomeKind.REFUSED, 3).done()


@pytest.mark.rule("R11")
def test_all_numbers_can_be_used_where_nothing_rolls_over() -> None:
    transfer = writing(Policy(rollover=None), blksize=8)
    transfer.start(0.0)
    feed(transfer, data(1, FULL))
    received_up_to(transfer, 65534)
    Playbook(transfer).receives(data(65535, b"end")).sends(stored(b"end"), Commit()).done()


@pytest.mark.rule("R11")
def test_a_client_that_asks_for_a_rollover_gets_it() -> None:
    transfer = writing(Policy(rollover=None), blksize=8, rollover=1)
    transfer.start(0.0)
    feed(transfer, data(1, FULL))
    received_up_to(transfer, 65535)
    Playbook(transfer).receives(data(1, FULL)).sends(stored(FULL), ack(1)).done()


def test_an_error_before_the_first_answer_is_no_longer_than_its_request() -> None:
    story = Playbook(writing()).starts().sends(ack(0))
    story.happens(ContentFailed(3, "disk full or allocation exceeded")).sends(error(3, "disk full"))
    story.ends(OutcomeKind.REFUSED, 3).done()
