"""Every way in which the first datagrams of a small transfer can be lost, doubled or reordered.

Each run must end on both sides, with equal octets, and with no more packets than the faults explain.
"""

from __future__ import annotations

from typing import Final

import pytest

from snowowl.protocol.initiate import ReadInitiator, WriteInitiator
from snowowl.protocol.negotiation import Policy
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.read import ReadTransfer
from snowowl.protocol.receiving import Receiving
from snowowl.protocol.retransmit import SENDS_UNANSWERED_MAX, RetransmitPolicy
from snowowl.protocol.sending import Sending
from snowowl.protocol.write import WriteTransfer
from snowowl.wire.packets import Mode, Options, ReadRequest, WriteRequest
from tests.protocol.link import Coupling, Fate, Fates, all_fates

BLKSIZE: Final = 8
SIZES: Final = (0, BLKSIZE - 1, BLKSIZE, BLKSIZE + 1, 4 * BLKSIZE + 3)
FAULTS: Final = (Fate.KEPT, Fate.DROPPED, Fate.DOUBLED)
DEPTH: Final = 6
"""Datagrams whose fates are varied."""

POLICY: Final = Policy(retransmit=RetransmitPolicy())


def options_of(windowsize: int) -> Options:
    return ((b"blksize", b"%d" % BLKSIZE), (b"windowsize", b"%d" % windowsize))


def reading(content: bytes, options: Options, fates: Fates) -> Coupling:
    request = ReadRequest(b"f", Mode.OCTET, options)
    client = ReadInitiator(request, POLICY.retransmit)
    return Coupling(client, ReadTransfer(request, POLICY, len(content)), content, fates)


def writing(content: bytes, options: Options, fates: Fates) -> Coupling:
    request = WriteRequest(b"f", Mode.OCTET, options)
    client = WriteInitiator(request, POLICY.retransmit, len(content))
    return Coupling(client, WriteTransfer(request, POLICY), content, fates)


def check(run: Coupling, content: bytes, fates: Fates) -> None:
    run.run()
    if not run.started:  # no request has reached the server, and one is not asked for ever
        assert fates.used() == [Fate.DROPPED] * SENDS_UNANSWERED_MAX
        assert run.client.outcome is not None
        assert run.client.outcome.kind is OutcomeKind.TIMED_OUT
        return
    assert run.received == content, fates
    for side in (run.client, run.server):
        assert side.outcome is not None
        kind = side.outcome.kind
        if isinstance(side, Receiving):
            assert kind is OutcomeKind.COMPLETED, (side, fates)
            assert side.octets == len(content)
        else:
            assert isinstance(side, Sending)
            assert kind in (OutcomeKind.COMPLETED, OutcomeKind.UNCONFIRMED), (side, fates)
            assert kind is OutcomeKind.UNCONFIRMED or side.octets == len(content)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("windowsize", [1, 2, 3])
@pytest.mark.parametrize("couple", [reading, writing])
def test_with_options_every_loss_and_doubling_is_survived(
    couple, windowsize: int, size: int
) -> None:
    content = bytes(range(size))
    for fates in all_fates(DEPTH, FAULTS):
        check(couple(content, options_of(windowsize), fates), content, fates)
