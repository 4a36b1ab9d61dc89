"""What is received into: written as a kernel would, read back, and used again."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.datagram import cmsg
from snowowl.datagram.address import pack
from snowowl.datagram.interface import LocalAddress, Received, word_of
from snowowl.datagram.layouts import FREEBSD, LINUX, MessageLayout, to_bsd
from snowowl.datagram.slots import CONTROL_SIZE, DATAGRAM_MAX, Slots
from tests.datagram.kernel import arrive
from tests.datagram.loopback import parts
from tests.datagram.transmits import PEERS

LAYOUTS = pytest.mark.parametrize("layout", [LINUX, FREEBSD], ids=["linux", "freebsd"])
PEER = PEERS[0]
PEER6 = pack(("2001:db8::1", 69, 0, 0))
ACK = b"\0\4\0\1"
HERE = LocalAddress(b"\x0a\0\0\xfe", 2)

Arriving = tuple[bytes, bytes, cmsg.Ancillary]


def pktinfo(local: LocalAddress) -> tuple[int, int, bytes]:
    return 0, cmsg.IP_PKTINFO, struct.pack("=i4s4s", local.interface, local.packed, local.packed)


def joined(stride: int) -> tuple[int, int, bytes]:
    return cmsg.SOL_UDP, cmsg.UDP_GRO, struct.pack("=i", stride)


def take(
    slots: Slots, arriving: Sequence[Arriving], layout: MessageLayout = LINUX, name_size: int = 16
) -> list[Received]:
    if layout.bsd_names:
        arriving = [(to_bsd(name), octets, ancillary) for name, octets, ancillary in arriving]
    return slots.take(arrive(slots, layout, arriving), name_size)


datagrams = st.one_of(
    st.binary(max_size=8),
    st.binary(min_size=4, max_size=4),
    st.integers(0, DATAGRAM_MAX - 1).map(lambda size: bytes([size % 251]) * size),
)


@LAYOUTS
@given(st.lists(st.lists(st.tuples(st.sampled_from(PEERS), datagrams), max_size=4), max_size=4))
def test_each_batch_is_what_arrived(
    layout: MessageLayout, batches: list[list[tuple[bytes, bytes]]]
) -> None:
    slots = Slots(layout, 4)
    for batch in batches:
        if not batch:
            continue
        found = take(slots, [(peer, octets, []) for peer, octets in batch], layout)
        assert [(received.peer, bytes(received.data)) for received in found] == batch
        for received in found:
            assert received.stride == (len(received.data) or 1)
            assert received.word == word_of(received.data)
            assert received.local is None
        assert slots.joined == 0


@LAYOUTS
def test_ipv6(layout: MessageLayout) -> None:
    (received,) = take(Slots(layout, 2), [(PEER6, ACK, [])], layout, name_size=28)
    assert received.peer == PEER6


@LAYOUTS
@pytest.mark.parametrize(
    ("size", "stride", "told"),
    [
        (1548, 516, 516),
        (1000, 516, 516),
        (516, 516, 516),
        (100, 516, 100),  # a single datagram, for which the kernel may tell its size too
        (8, 4, 4),
        (4, 4, 4),
        (4, 2, 2),
        (0, 4, 1),
        (100, 0, 100),
        (100, -1, 100),
    ],
)
def test_joined_datagrams(layout: MessageLayout, size: int, stride: int, told: int) -> None:
    slots = Slots(layout, 2)
    octets = bytes(range(256)) * 8
    (received,) = take(slots, [(PEER, octets[:size], [joined(stride)])], layout)
    assert received.stride == told
    assert b"".join(parts(received)) == octets[:size]
    assert received.word == (word_of(octets[:size]) if size <= told else -1)
    assert slots.joined == len(parts(received)) - 1


def test_two_acks_that_were_joined_are_no_word() -> None:
    (received,) = take(Slots(LINUX, 1), [(PEER, ACK + ACK, [joined(4)])])
    assert (received.word, received.stride, len(received.data)) == (-1, 4, 8)


@LAYOUTS
def test_what_was_told_before_is_not_told_again(layout: MessageLayout) -> None:
    slots = Slots(layout, 2)
    first, second = take(
        slots,
        [(PEER, bytes(1000), [pktinfo(HERE), joined(500)]), (PEER, ACK, [pktinfo(HERE)])],
        layout,
    )
    assert (first.local, first.stride, second.local, second.stride) == (HERE, 500, HERE, 4)
    first, second = take(slots, [(PEER, bytes(1000), []), (PEER, ACK, [])], layout)
    assert (first.local, first.stride, second.local) == (None, 1000, None)


def test_kinds_of_ancillary_data_are_not_remembered_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("snowowl.datagram.slots._TOLD_MAX", 3)
    slots = Slots(LINUX, 2)
    for number in range(10):
        local = LocalAddress(bytes([10, 0, 0, number]), 1)
        (received,) = take(slots, [(PEER, ACK, [pktinfo(local)])])
        assert received.local == local
        assert len(slots._told) <= 3


def test_there_is_room_for_all_that_is_told() -> None:
    pktinfo6 = struct.pack("=16si", bytes(10) + b"\xff\xff" + HERE.packed, 2)
    ancillary = [pktinfo(HERE), (41, cmsg.IPV6_PKTINFO, pktinfo6), joined(516)]
    (received,) = take(Slots(LINUX, 1), [(PEER6, bytes(1032), ancillary)], name_size=28)
    assert (received.local, received.stride) == (HERE, 516)


@given(st.binary(max_size=CONTROL_SIZE), st.integers(0, 3000))
def test_any_octets_are_ancillary_data(octets: bytes, size: int) -> None:
    slots = Slots(LINUX, 1)
    arrive(slots, LINUX, [(PEER, bytes(size), [])])
    slots._controls[: len(octets)] = octets
    slots._control_lengths[0] = len(octets)
    (received,) = slots.take(1, 16)
    assert 1 <= received.stride <= max(size, 1)


def test_a_message_whose_length_is_told_otherwise() -> None:
    slots = Slots(LINUX, 1)
    arrive(slots, LINUX, [(PEER, b"hello", [])])
    slots.set_length(0, 3)
    (received,) = slots.take(1, 16)
    assert bytes(received.data) == b"hel"


def test_headers_are_as_they_were_before_the_kernel_wrote() -> None:
    slots = Slots(LINUX, 3)
    pristine = bytes(slots._headers)
    take(slots, [(PEER, ACK, [pktinfo(HERE)]), (PEER, ACK, [])])
    assert bytes(slots._headers) != pristine
    assert slots.prepare() == slots.address
    assert bytes(slots._headers) == pristine
