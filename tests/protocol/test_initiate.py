"""A client's side: what it makes of a server's first answer."""

from __future__ import annotations

import pytest

from snowowl.protocol.actions import Commit
from snowowl.protocol.events import ContentCommitted
from snowowl.protocol.initiate import DALLY_CLEAN_SECONDS, DALLY_LOSSY_SECONDS
from snowowl.protocol.negotiation import Terms
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.transfer import State
from snowowl.testing.playbook import Playbook, ack, blocks, data, error, oack, stored
from tests.protocol.stories import getting, putting

FULL = b"12345678"
RRQ = b"\0\1f\0octet\0"
RRQ_8 = b"\0\1f\0octet\0blksize\0008\0"
WRQ = b"\0\2f\0octet\0"
WRQ_8 = b"\0\2f\0octet\0blksize\0008\0"


def asked(**options: int) -> bytes:
    return b"".join(name.encode() + b"\0%d\0" % value for name, value in options.items())


# Reading.


@pytest.mark.rfc("1350 4")
def test_a_request_is_sent_until_it_is_answered() -> None:
    story = Playbook(getting()).starts().sends(RRQ).expires().sends(RRQ).expires().sends(RRQ)
    story.receives(data(1, b"all")).sends(stored(b"all"), Commit()).done()


@pytest.mark.rfc("2347")
def test_a_server_without_options_answers_by_data() -> None:
    story = Playbook(getting(blksize=1428)).starts().sends(RRQ + asked(blksize=1428))
    story.receives(data(1, b"x" * 512)).sends(stored(b"x" * 512), ack(1)).done()
    assert story.transfer.terms == Terms()


@pytest.mark.rfc("2347")
def test_an_oack_is_acknowledged_by_ack_0() -> None:
    story = Playbook(getting(blksize=8, tsize=0)).starts().sends(RRQ_8 + asked(tsize=0))
    story.receives(oack(blksize=8, tsize=99)).sends(ack(0)).stands(State.TRANSFERRING)
    assert story.transfer.terms.tsize == 99
    assert story.transfer.answered
    story.receives(data(1, FULL)).sends(stored(FULL), ack(1)).done()


@pytest.mark.rfc("2347")
def test_an_oack_that_comes_again_says_that_ack_0_was_lost() -> None:
    story = Playbook(getting(blksize=8)).starts().sends(RRQ_8).receives(oack(blksize=8))
    story.sends(ack(0)).receives(oack(blksize=8)).sends(ack(0)).expires().sends(ack(0))
    story.receives(data(1, FULL)).sends(stored(FULL), ack(1))
    story.receives(oack(blksize=8)).does_nothing().done()


@pytest.mark.rfc("7440 4")
def test_a_window_may_be_granted() -> None:
    story = Playbook(getting(blksize=8, windowsize=4)).starts()
    story.sends(RRQ_8 + asked(windowsize=4)).receives(oack(blksize=8, windowsize=2)).sends(ack(0))
    story.receives(data(2, FULL)).sends(ack(0))
    story.receives_at_once(data(1, FULL), data(2, FULL)).sends(stored(FULL, FULL), ack(2)).done()


@pytest.mark.rfc("2347")
@pytest.mark.parametrize("make", [getting, lambda **options: putting(9, **options)])
def test_an_oack_that_is_wrong_is_refused(make: type) -> None:
    story = Playbook(make(blksize=8)).starts()
    story.sends(WRQ_8 if make is not getting else RRQ_8).receives(oack(blksize=9))
    story.sends(error(8, "server granted blksize=9, which is more than was asked for"))
    story.ends(OutcomeKind.REFUSED, 8).done()


@pytest.mark.parametrize("make", [getting, lambda: putting(9)])
@pytest.mark.parametrize("noise", [b"", ack(7), data(2, b"x"), b"\0\7\0\0", RRQ])
def test_what_is_no_answer_is_ignored(make: type, noise: bytes) -> None:
    transfer = make()
    transfer.start(0.0)
    Playbook(transfer).receives(noise).does_nothing().stands(State.NEGOTIATING).done()


@pytest.mark.parametrize(("make", "sent"), [(getting, RRQ), (lambda: putting(9), WRQ)])
def test_a_server_may_say_no(make: type, sent: bytes) -> None:
    story = Playbook(make()).starts().sends(sent).receives(error(1, "file not found"))
    story.does_nothing().ends(OutcomeKind.ABORTED, 1, "file not found").done()


def test_a_client_dallies_briefly_where_nothing_was_lost() -> None:
    story = Playbook(getting()).starts().sends(RRQ).receives(data(1, b"all"))
    story.sends(stored(b"all"), Commit()).happens(ContentCommitted(0.0)).sends(ack(1))
    story.is_due(DALLY_CLEAN_SECONDS).expires().does_nothing().ends(OutcomeKind.COMPLETED).done()


def test_a_client_dallies_for_a_classic_server_where_something_was_lost() -> None:
    story = Playbook(getting()).starts().sends(RRQ).expires().sends(RRQ).receives(data(1, b"all"))
    story.sends(stored(b"all"), Commit()).happens(ContentCommitted(1.0)).sends(ack(1))
    story.is_due(DALLY_LOSSY_SECONDS).done()


# Writing.


@pytest.mark.rfc("1350 4")
def test_ack_0_lets_data_go() -> None:
    story = Playbook(putting(600, blksize=8)).starts().sends(WRQ_8).expires().sends(WRQ_8)
    story.receives(ack(0)).sends(blocks(1, 1)).receives(ack(1)).sends(blocks(2, 1))
    story.receives(ack(2)).does_nothing().ends(OutcomeKind.COMPLETED).done()
    assert story.transfer.terms == Terms()


@pytest.mark.rfc("2347")
def test_an_oack_lets_data_go_by_its_terms() -> None:
    story = Playbook(putting(23, blksize=8, windowsize=4)).starts()
    story.sends(WRQ_8 + asked(windowsize=4)).after(0.3).receives(oack(blksize=8, windowsize=2))
    story.sends(blocks(1, 2)).receives(oack(blksize=8, windowsize=2)).does_nothing()
    story.is_due(0.9).receives(ack(2)).sends(blocks(3, 1)).receives(ack(3)).does_nothing()
    story.ends(OutcomeKind.COMPLETED).done()


def test_a_server_that_cannot_store_the_last_block_says_so() -> None:
    """Even if it took its time: an upload that was refused is no success."""
    story = Playbook(putting(9)).starts().sends(WRQ).receives(ack(0)).sends(blocks(1, 1))
    story.expires().sends(blocks(1, 1)).receives(error(3, "disk full")).does_nothing()
    story.stands(State.FAILED).ends(OutcomeKind.ABORTED, 3, "disk full").done()


@pytest.mark.rule("R14")
def test_a_server_that_does_not_dally_leaves_an_upload_unconfirmed() -> None:
    story = Playbook(putting(9)).starts().sends(WRQ).receives(ack(0)).sends(blocks(1, 1))
    story.expires().sends(blocks(1, 1)).receives(error(5)).does_nothing().expires().does_nothing()
    story.ends(OutcomeKind.UNCONFIRMED).done()
