"""What is written for `sendmmsg`: read back as a kernel would, on every layout."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.datagram import cmsg
from snowowl.datagram.address import pack
from snowowl.datagram.interface import LocalAddress, Packet, Region, Train, Transmit
from snowowl.datagram.layouts import FREEBSD, LINUX, MessageLayout, to_bsd
from snowowl.datagram.limits import OCTETS_MAX, SEGMENTS_MAX, Limits
from snowowl.datagram.messages import SCRATCH_SIZE, SEGMENTS_ROOM, Messages
from tests.datagram.kernel import Message, peer_of, read
from tests.datagram.loopback import window
from tests.datagram.transmits import (
    BODY,
    HEADERS,
    PEERS,
    expected,
    few_transmits,
    transmit_lists,
)

PEER = PEERS[0]
PEER6 = pack(("2001:db8::1", 69, 0, 0))
ALL = Limits(stride_max=32767)
LAYOUTS = pytest.mark.parametrize("layout", [LINUX, FREEBSD], ids=["linux", "freebsd"])


def fill(
    messages: Messages,
    transmits: Sequence[Transmit],
    limits: Limits = ALL,
    *,
    begin: tuple[int, int] = (0, 0),
    name_size: int = 16,
    tells_source: bool = False,
    layout: MessageLayout = LINUX,
) -> list[Message]:
    count = messages.fill(transmits, begin, name_size, limits, tells_source=tells_source)
    return [read(layout, messages.address + index * layout.size) for index in range(count)]


def octets_of(messages: Sequence[Message]) -> list[bytes]:
    return [datagram for message in messages for datagram in message.datagrams()]


def test_a_window_is_one_message() -> None:
    messages = Messages(LINUX, 4)
    data = window(PEER, BODY, 1428, size=20_000)
    (message,) = fill(messages, [data])
    assert message.stride == 1432
    assert octets_of([message]) == [datagram.octets for datagram in expected([data])]
    assert messages.after == (1, 0)
    assert (messages.datagrams(1), messages.sizes(1)) == (15, [15])


@given(transmit_lists, st.sampled_from([0, 12, 516, 32767]), st.integers(1, 40))
def test_in_whatever_portions(transmits: list[Transmit], stride_max: int, count: int) -> None:
    """Each goes on where the one before ended, and says how many datagrams it is."""
    messages = Messages(LINUX, count)
    position, written, datagrams = (0, 0), [], 0
    while position[0] < len(transmits):
        now = fill(messages, transmits, Limits(stride_max=stride_max), begin=position)
        assert 0 < len(now) <= count
        assert messages.after > position
        assert messages.sizes(len(now)) == [len(message.datagrams()) for message in now]
        assert [messages.datagrams(index) for index in range(len(now) + 1)] == [
            sum(messages.sizes(index)) for index in range(len(now) + 1)
        ]
        datagrams += messages.datagrams(len(now))
        written += now
        position = messages.after
    assert position == (len(transmits), 0)
    wanted = expected(transmits)
    assert octets_of(written) == [one.octets for one in wanted]
    assert datagrams == len(wanted)
    assert all(len(b"".join(message.pieces)) <= SCRATCH_SIZE for message in written)
    assert all(
        message.stride <= stride_max and len(message.datagrams()) <= SEGMENTS_MAX
        for message in written
        if message.stride
    )


@LAYOUTS
@given(st.lists(st.tuples(few_transmits, st.booleans(), st.booleans()), max_size=4))
def test_nothing_is_left_of_what_was_there_before(
    layout: MessageLayout, batches: list[tuple[list[Transmit], bool, bool]]
) -> None:
    """One set of arrays for sockets of both families, some of which tell a source."""
    messages = Messages(layout, 4)
    for transmits, is_ipv6, tells_source in batches:
        peers = [
            attrs.evolve(transmit, peer=PEER6 if is_ipv6 else transmit.peer)
            for transmit in transmits
        ]
        written = fill(
            messages,
            peers,
            name_size=28 if is_ipv6 else 16,
            tells_source=tells_source,
            layout=layout,
        )
        wanted = expected(peers, tells_source=tells_source)
        at = 0
        for message in written:
            for datagram in message.datagrams():
                assert name_of(layout, message) == wanted[at].peer
                assert datagram == wanted[at].octets
                assert message.source == wanted[at].source
                at += 1


def name_of(layout: MessageLayout, message: Message) -> bytes:
    if layout.bsd_names:
        assert message.name[0] == len(message.name)
        return message.name[1:2] + b"\0" + message.name[2:]
    return peer_of(message.name)


@pytest.mark.parametrize(
    ("stride_max", "blksize", "strides"),
    [
        (0, 512, [0, 0, 0]),
        (515, 512, [0, 0, 0]),
        (516, 512, [516]),
        (OCTETS_MAX, OCTETS_MAX - 4, [0, 0, 0]),
        (OCTETS_MAX, OCTETS_MAX // 2 - 4, [OCTETS_MAX // 2, 0]),
    ],
)
def test_limits(stride_max: int, blksize: int, strides: list[int]) -> None:
    transmits = [window(PEER, BODY, blksize, size=2 * blksize + 1)]
    written = fill(Messages(LINUX, 8), transmits, Limits(stride_max=stride_max))
    assert [message.stride for message in written] == strides


def test_one_datagram_is_no_segment() -> None:
    (message,) = fill(Messages(LINUX, 8), [window(PEER, BODY, 512, size=100)])
    assert message.ancillary == []


def test_there_is_an_end_to_segments_in_a_batch() -> None:
    messages = Messages(LINUX, 64)
    transmits = [window(PEER, BODY, 8, size=63 * 8 + 1) for _ in range(20)]
    written = fill(messages, transmits)
    assert len(written) == SEGMENTS_ROOM // 64 == 16
    assert messages.after == (16, 0)


def test_there_is_an_end_to_packets_in_a_batch() -> None:
    messages = Messages(LINUX, 64)
    transmits = [Packet(PEER, bytes([number]) * 30_000) for number in range(5)]
    assert len(fill(messages, transmits)) == 2
    assert len(fill(messages, transmits, begin=messages.after)) == 2
    assert len(fill(messages, transmits, begin=messages.after)) == 1


def test_a_packet_that_no_datagram_can_hold_still_cannot_be_sent() -> None:
    (message,) = fill(Messages(LINUX, 64), [Packet(PEER, bytes(100_000))])
    assert len(message.pieces[0]) == SCRATCH_SIZE > OCTETS_MAX


@attrs.define
class File:
    descriptor: int = 3

    def fileno(self) -> int:
        return self.descriptor


def test_a_train_that_is_sent_by_file_is_left() -> None:
    messages = Messages(LINUX, 8)
    body = Region(BODY.view, File())
    by_file = Train(PEER, HEADERS, 0, body, 0, 1000, 504, 2)
    limits = Limits(stride_max=32767, other_stride_min=504)
    packet = Packet(PEER, b"x")
    assert len(fill(messages, [packet, by_file, packet], limits)) == 1
    assert messages.after == (1, 0)
    assert fill(messages, [by_file], limits) == []
    assert messages.after == (0, 0)
    assert messages.datagrams(1) == 1
    limits.without_file()
    assert len(fill(messages, [packet, by_file, packet], limits)) == 3


def test_a_peer_of_another_family_is_nobody() -> None:
    messages = Messages(LINUX, 8)
    for name_size, peers in ((16, [PEER, PEER6, PEER]), (28, [PEER6, PEER, PEER6])):
        written = fill(messages, [Packet(peer, b"x") for peer in peers], name_size=name_size)
        assert [peer_of(message.name) for message in written] == [peers[0], b"", peers[2]]


@LAYOUTS
@pytest.mark.parametrize("peer", [PEER, PEER6])
def test_names(layout: MessageLayout, peer: bytes) -> None:
    messages = Messages(layout, 2)
    written = fill(messages, [Packet(peer, b"x")] * 2, name_size=len(peer), layout=layout)
    for message in written:
        if layout.bsd_names:  # which looks at the length
            assert message.name == to_bsd(peer)
        else:
            assert peer_of(message.name) == peer


@pytest.mark.parametrize(
    ("source", "name_size", "wanted"),
    [
        (LocalAddress(b"\x0a\0\0\1", 2), 16, [socket.IPPROTO_IP]),
        (LocalAddress(b"\x0a\0\0\1", 2), 28, [socket.IPPROTO_IPV6]),
        (LocalAddress(bytes(15) + b"\1", 2), 28, [socket.IPPROTO_IPV6]),
        (LocalAddress(b"", 2), 28, []),
    ],
)
def test_sources(source: LocalAddress, name_size: int, wanted: list[int]) -> None:
    messages = Messages(LINUX, 2)
    peer = PEER if name_size == 16 else PEER6
    data = attrs.evolve(window(peer, BODY, 512, size=2000), source=source)
    for transmits, more in (([Packet(peer, b"x", source)], []), ([data], [cmsg.SOL_UDP])):
        (message,) = fill(messages, transmits, name_size=name_size, tells_source=True)
        assert [level for level, _, _ in message.ancillary] == wanted + more
        (message,) = fill(messages, transmits, name_size=name_size)
        assert [level for level, _, _ in message.ancillary] == more


def test_a_source_for_sockets_of_both_families() -> None:
    messages, source = Messages(LINUX, 1), LocalAddress(b"\x0a\0\0\1", 2)
    for _ in range(2):
        for peer, level in ((PEER, socket.IPPROTO_IP), (PEER6, socket.IPPROTO_IPV6)):
            packet = Packet(peer, b"x", source)
            (message,) = fill(messages, [packet], name_size=len(peer), tells_source=True)
            assert [found for found, _, _ in message.ancillary] == [level]


def test_what_stays_the_same_is_not_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = Messages(LINUX, 8)
    source = LocalAddress(b"\x0a\0\0\1")
    lock_step = [window(PEER, BODY, 512, size=100, source=source) for _ in range(5)]
    windows = [window(PEER, BODY, 512, size=5000, source=source)]
    for transmits in (lock_step, windows, [Packet(PEER, b"x", source)] * 3):
        fill(messages, transmits, tells_source=True)
        with monkeypatch.context() as patch:
            patch.setattr(messages, "_write_header", None)
            fill(messages, transmits, tells_source=True)


def test_ancillary_data_is_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snowowl.datagram.messages._CONTROLS_MAX", 3)
    messages = Messages(LINUX, 2)
    for number in range(10):
        source = LocalAddress(bytes([10, 0, 0, number]))
        (message,) = fill(messages, [Packet(PEER, b"x", source)], tells_source=True)
        assert message.source == source.packed
        assert len(messages._controls_known) <= 3
