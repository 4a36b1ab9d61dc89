from __future__ import annotations

import pytest

from snowowl.protocol.admission import Verdict, admit
from snowowl.protocol.events import DatagramsReceived, Stopped
from snowowl.protocol.negotiation import Policy
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.read import ReadTransfer
from snowowl.testing.playbook import ack
from snowowl.wire.codec import encode
from snowowl.wire.packets import ReadRequest

REQUEST = ReadRequest(b"f")
OCTETS = encode(REQUEST)
OTHER = encode(ReadRequest(b"g"))


def started() -> ReadTransfer:
    transfer = ReadTransfer(REQUEST, Policy(), 5000)
    transfer.start(0.0)
    return transfer


def answered() -> ReadTransfer:
    transfer = started()
    transfer.handle(DatagramsReceived(ack(1), 4, 0.1))
    return transfer


def judge(
    standing_request: bytes | None, standing: ReadTransfer | None, active: int = 1
) -> Verdict:
    return admit(memoryview(OCTETS), standing_request, standing, active=active, active_max=3)


def test_a_request_of_a_new_peer_starts() -> None:
    assert judge(None, None, active=0) is Verdict.START


@pytest.mark.rule("R5")
def test_a_request_that_comes_again_is_answered_again() -> None:
    assert judge(OCTETS, started()) is Verdict.REPEAT


@pytest.mark.rule("R5")
def test_while_the_file_is_opened_the_same_request_is_dropped() -> None:
    assert judge(OCTETS, None) is Verdict.IGNORE


@pytest.mark.rule("R5")
def test_a_peer_that_was_answered_and_asks_again_has_started_over() -> None:
    assert judge(OCTETS, answered()) is Verdict.START


@pytest.mark.rule("R5")
def test_another_request_of_the_same_peer_starts() -> None:
    assert judge(OTHER, started()) is Verdict.START
    assert judge(OTHER, None) is Verdict.START


def test_a_transfer_that_has_ended_does_not_stand_in_the_way() -> None:
    transfer = started()
    transfer.handle(Stopped(OutcomeKind.STOPPED, "x"))
    assert judge(OCTETS, transfer) is Verdict.START


def test_a_full_server_refuses_what_is_new_and_repeats_what_it_has() -> None:
    assert judge(None, None, active=2) is Verdict.START
    assert judge(None, None, active=3) is Verdict.REFUSE
    assert judge(OCTETS, answered(), active=3) is Verdict.REFUSE
    assert judge(OCTETS, started(), active=3) is Verdict.REPEAT
    assert judge(OCTETS, None, active=3) is Verdict.IGNORE
