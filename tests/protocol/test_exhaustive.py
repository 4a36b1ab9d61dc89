"""Every way in which datagrams of a small transfer can be lost, doubled or change places.

Each run must end on both sides, with equal octets, and without more datagrams than its faults explain.
"""

from __future__ import annotations

from typing import Final, Protocol

import pytest

from snowowl.protocol.initiate import ReadInitiator, WriteInitiator
from snowowl.protocol.negotiation import Policy
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.read import ReadTransfer
from snowowl.protocol.receiving import Receiving
from snowowl.protocol.retransmit import SENDS_UNANSWERED_MAX
from snowowl.protocol.write import WriteTransfer
from snowowl.wire.packets import Mode, Options, ReadRequest, WriteRequest
from tests.protocol.link import Coupling, Fate, Fates, all_fates

BLKSIZE: Final = 8
SIZES: Final = (0, BLKSIZE - 1, BLKSIZE, BLKSIZE + 1, 4 * BLKSIZE + 3)
FAULTS: Final = (Fate.KEPT, Fate.DROPPED, Fate.DOUBLED)
POLICY: Final = Policy()

HANDSHAKE: Final = 3
"""Datagrams until DATA flows: request, OACK and, for an RRQ, ACK 0."""


class Couple(Protocol):
    def __call__(self, content: bytes, options: Options, fates: Fates) -> Coupling: ...


def reading(content: bytes, options: Options, fates: Fates) -> Coupling:
    request = ReadRequest(b"f", Mode.OCTET, options)
    client = ReadInitiator(request, POLICY.retransmit)
    return Coupling(client, ReadTransfer(request, POLICY, len(content)), content, fates)


def writing(content: bytes, options: Options, fates: Fates) -> Coupling:
    request = WriteRequest(b"f", Mode.OCTET, options)
    client = WriteInitiator(request, POLICY.retransmit, len(content))
    return Coupling(client, WriteTransfer(request, POLICY), content, fates)


both_directions = pytest.mark.parametrize("couple", [reading, writing])
windows = pytest.mark.parametrize("windowsize", [1, 2, 3])


def options_of(windowsize: int) -> Options:
    return ((b"blksize", b"%d" % BLKSIZE), (b"windowsize", b"%d" % windowsize))


def content_of(size: int) -> bytes:
    return bytes(index % 251 for index in range(size))


def run(couple: Couple, content: bytes, options: Options, fates: Fates) -> Coupling:
    """Run one combination of fates, and check what it must come to."""
    coupling = couple(content, options, fates)
    coupling.run()
    if not coupling.started:  # no request has reached the server, and none is sent for ever
        assert fates.used() == [Fate.DROPPED] * SENDS_UNANSWERED_MAX
        assert coupling.client.outcome is not None
        assert coupling.client.outcome.kind is OutcomeKind.TIMED_OUT
        return coupling
    if not coupling.client.answered:  # one request came through, late, and no answer to it
        assert fates.used().count(Fate.DROPPED) >= SENDS_UNANSWERED_MAX
        assert coupling.client.outcome is not None
        assert coupling.client.outcome.kind is OutcomeKind.TIMED_OUT
        assert coupling.received == b""
        return coupling
    assert coupling.received == content, fates
    for side in (coupling.client, coupling.server):
        assert side.outcome is not None
        if isinstance(side, Receiving):
            assert side.outcome.kind is OutcomeKind.COMPLETED, (side, fates)
        else:
            # The receiver's last ACK may be lost once too often; then it no longer dallies.
            assert side.outcome.kind in (OutcomeKind.COMPLETED, OutcomeKind.UNCONFIRMED), fates
        if side.outcome.kind is OutcomeKind.COMPLETED:
            assert side.octets == len(content)
    return coupling


@both_directions
@windows
@pytest.mark.parametrize("size", SIZES)
def test_every_beginning_is_survived(couple: Couple, windowsize: int, size: int) -> None:
    """Requests, OACKs and ACK 0; in the small files all there is, to the last ACK."""
    content = content_of(size)
    for fates in all_fates(FAULTS, 6):
        run(couple, content, options_of(windowsize), fates)


@both_directions
@pytest.mark.parametrize("size", [0, 511, 512, 513])
def test_every_beginning_without_options_is_survived(couple: Couple, size: int) -> None:
    content = content_of(size)
    for fates in all_fates(FAULTS, 6):
        run(couple, content, (), fates)


@both_directions
@windows
def test_every_middle_is_survived(couple: Couple, windowsize: int) -> None:
    """Five blocks, the last one short: their DATA and ACKs, and what comes for those that are lost."""
    content = content_of(4 * BLKSIZE + 3)
    for fates in all_fates(FAULTS, 7, HANDSHAKE):
        run(couple, content, options_of(windowsize), fates)


@pytest.mark.slow
@both_directions
@windows
@pytest.mark.parametrize("kept", [0, HANDSHAKE])
def test_every_run_is_survived(couple: Couple, windowsize: int, kept: int) -> None:
    content = content_of(4 * BLKSIZE + 3)
    for fates in all_fates(FAULTS, 10, kept):
        run(couple, content, options_of(windowsize), fates)


@both_directions
@windows
def test_every_change_of_places_is_survived(couple: Couple, windowsize: int) -> None:
    content = content_of(6 * BLKSIZE)
    for fates in all_fates((Fate.KEPT, Fate.LATE), 9, HANDSHAKE):
        run(couple, content, options_of(windowsize), fates)


@both_directions
@windows
@pytest.mark.parametrize("kept", [0, HANDSHAKE, HANDSHAKE + 3])
def test_every_mixture_is_survived(couple: Couple, windowsize: int, kept: int) -> None:
    content = content_of(5 * BLKSIZE + 1)
    for fates in all_fates((*FAULTS, Fate.LATE), 5, kept):
        run(couple, content, options_of(windowsize), fates)


@both_directions
@windows
def test_no_doubling_goes_on_to_the_end_of_the_file(couple: Couple, windowsize: int) -> None:
    """The Sorcerer's Apprentice: what is sent because of one fault is bounded."""
    content = content_of(60 * BLKSIZE)
    untouched = run(couple, content, options_of(windowsize), Fates([], 0, 0)).datagrams
    for fates in all_fates((Fate.KEPT, Fate.DOUBLED), 7, HANDSHAKE):
        extra = run(couple, content, options_of(windowsize), fates).datagrams - untouched
        # The copy of a DATA is answered by one ACK; in lock-step that is all.  The copy of an ACK is
        # answered by one window, as if its first block were lost, and that by one ACK more.
        assert extra <= fates.faults * (1 if windowsize == 1 else windowsize + 2), fates


@pytest.mark.rule("R11")
def test_a_long_file_crosses_block_65535() -> None:
    """All 65536 numbers, and a loss where they begin anew."""
    content = content_of(251) * 2100
    options = ((b"blksize", b"8"), (b"windowsize", b"64"))
    run(reading, content, options, Fates([Fate.DROPPED], 1, kept=66_562))
