"""Strategies for what is sent, and what should come of it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from snowowl.datagram.address import pack
from snowowl.datagram.interface import LocalAddress, Packet, Region, Train, Transmit
from tests.datagram.kernel import Sent

PEERS = [pack((f"10.0.0.{number}", 1000 + number)) for number in range(1, 6)]
SOURCES = [None, LocalAddress(b"\x0a\0\0\xfe"), LocalAddress(b"\x0a\0\0\xfd")]

_RANDOM = random.Random(8)
HEADERS = Region(_RANDOM.randbytes(4096))
BODY = Region(_RANDOM.randbytes(400_000))


@st.composite
def trains(draw: st.DrawFn) -> Train:
    """Draw a train; its last piece may be short, or empty."""
    header_size = draw(st.integers(0, 8))
    step = draw(st.sampled_from([1, 2, 8, 13, 512, 1428, 1469, 8192]))
    count = draw(st.integers(1, 200 if step < 1428 else 70 if step < 8192 else 12))
    last = draw(st.sampled_from([0, 1, step // 2, step - 1, step]))
    size = (count - 1) * step + min(last, step)
    return Train(
        draw(st.sampled_from(PEERS)),
        HEADERS,
        draw(st.integers(0, 4096 - count * header_size)),
        BODY,
        draw(st.integers(0, len(BODY.view) - size)),
        size,
        header_size + step,
        count,
        draw(st.sampled_from(SOURCES)),
        header_size,
    )


packets = st.builds(
    Packet,
    st.sampled_from(PEERS),
    st.binary(max_size=40) | st.integers(0, 65507).map(lambda size: bytes(BODY.view[:size])),
    st.sampled_from(SOURCES),
)
singles = trains().map(lambda train: train.rest(train.count - 1))
transmit_lists = st.lists(packets | trains() | singles, max_size=50)
few_transmits = st.lists(packets | trains() | singles, max_size=6)


def expected(transmits: Iterable[Transmit], *, tells_source: bool = False) -> list[Sent]:
    """Return each datagram, by what `Transmit.datagrams` says."""
    return [
        Sent(
            transmit.peer,
            b"".join(pieces),
            transmit.source.packed if tells_source and transmit.source else b"",
        )
        for transmit in transmits
        for pieces in transmit.datagrams()
    ]


def is_subsequence(sent: Sequence[Sent], whole: Sequence[Sent]) -> bool:
    """Say whether what was sent is the whole in its order, with some left out."""
    rest = iter(whole)
    return all(any(one == other for other in rest) for one in sent)
