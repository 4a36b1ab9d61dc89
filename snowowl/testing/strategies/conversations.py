"""Conversations: what a client, or two, send to a server one after another.  Only data, no sockets.

Who plays one sends each step's octets from the socket that it names, to the listening port or to
the port that this socket was answered from last, and hears what comes in between.
"""

from __future__ import annotations

from functools import cache
from typing import Final, Literal

import attrs
from hypothesis import strategies as st

from snowowl.testing.strategies.damage import damaged, datagrams
from snowowl.testing.strategies.names import names
from snowowl.testing.strategies.octets import brief
from snowowl.testing.strategies.packets import (
    acks,
    datas,
    errors,
    payloads,
    well_formed_requests,
)
from snowowl.wire.codec import encode, encode_ack, encode_data_header
from snowowl.wire.packets import ReadRequest, WriteRequest

Target = Literal["listening", "transfer"]

SENDERS: Final = 2
"""Sockets that a conversation needs: the client's, and a stranger's (a wrong TID)."""


@attrs.frozen
class Step:
    """One datagram: its octets, where it goes to, and which of the client's sockets sends it.

    `transfer` is the port that answered the first socket last: its TID; the listening port as long
    as there is none.  `waits` is whether to wait for an answer before the next step.
    """

    octets: bytes
    target: Target = "transfer"
    sender: int = 0
    waits: bool = True


Conversation = tuple[Step, ...]

_MOVES: Final = (
    *("next", "next", "next", "next"),
    *("again", "near", "damaged", "error", "anything", "stranger", "anew", "astray"),
)


def conversations(
    *, filenames: st.SearchStrategy[bytes] | None = None, steps_max: int = 12
) -> st.SearchStrategy[Conversation]:
    r"""Return conversations that begin with a request, valid or nearly, and mostly go on as TFTP does.

    In between, a packet comes again, damaged, or of a block beside the right one; or anything at
    all; or from a stranger's port; the request comes anew, or what belongs to the transfer goes to
    the listening port.  `filenames` are those of the requests: see `names` and `traversals`.

        (Step(octets=b'\x00\x01kernel\x00octet\x00', target='listening', sender=0, waits=True),
         Step(octets=b'\x00\x04\x00\x01', target='transfer', sender=1, waits=False))
    """
    return _conversations(filenames, steps_max)


@cache
def _requests() -> st.SearchStrategy[ReadRequest | WriteRequest]:
    return well_formed_requests(filenames=names())


@st.composite
def _conversations(
    draw: st.DrawFn, filenames: st.SearchStrategy[bytes] | None, steps_max: int
) -> Conversation:
    request = draw(_requests() if filenames is None else well_formed_requests(filenames=filenames))
    octets = encode(request)
    first = Step(draw(st.one_of(st.just(octets), damaged(octets))), "listening")
    steps, story = [first], _Story(request)
    for _ in range(draw(st.integers(0, steps_max - 1))):
        steps.append(_move(draw, story, steps))
    return tuple(steps)


def _move(draw: st.DrawFn, story: _Story, steps: list[Step]) -> Step:
    move, waits = draw(st.sampled_from(_MOVES)), draw(st.booleans())
    match move:
        case "next":
            return Step(story.next(draw), waits=waits)
        case "again":
            return attrs.evolve(draw(st.sampled_from(steps)), waits=waits)
        case "near":
            return Step(draw(story.near()), waits=waits)
        case "damaged":
            return Step(draw(damaged(story.next(draw))), waits=waits)
        case "error":
            return Step(encode(draw(errors())), waits=waits)
        case "stranger":
            return Step(story.next(draw), sender=1, waits=waits)
        case "anew":
            return attrs.evolve(steps[0], waits=waits)
        case "astray":
            return Step(story.next(draw), "listening", waits=waits)
        case _:
            return Step(draw(datagrams()), draw(st.sampled_from(("transfer", "listening"))))


class _Story:
    """How far a transfer has come that goes well."""

    def __init__(self, request: ReadRequest | WriteRequest) -> None:
        options = dict(request.options)
        self._reading = isinstance(request, ReadRequest)
        self._blksize = int(options.get(b"blksize", b"512"))
        # An OACK is answered by ACK 0, and DATA 1 otherwise by ACK 1 (RFC 2347).
        self._number = -1 if self._reading and options else 0

    def next(self, draw: st.DrawFn) -> bytes:
        """Return what the client sends when it has got what it waited for."""
        self._number = (self._number + 1) % 65536
        if self._reading:
            return encode_ack(self._number)
        return brief(encode_data_header(self._number) + draw(payloads(blksize=self._blksize)))

    def near(self) -> st.SearchStrategy[bytes]:
        """Return what is beside the right packet."""
        if self._reading:
            return acks(near=self._number, reach=3)
        return st.one_of(
            datas(near=self._number, reach=3, blksize=self._blksize), acks(near=self._number)
        )
