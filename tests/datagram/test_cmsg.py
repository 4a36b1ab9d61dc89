"""Ancillary data: which address was asked, and which to answer from."""

from __future__ import annotations

import errno
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.datagram import cmsg
from snowowl.datagram.interface import LocalAddress

IP, IPV6 = socket.IPPROTO_IP, socket.IPPROTO_IPV6


def pktinfo4(interface: int, specific: bytes, destination: bytes) -> tuple[int, int, bytes]:
    return IP, cmsg.IP_PKTINFO, struct.pack("=i4s4s", interface, specific, destination)


def pktinfo6(octets: bytes, interface: int) -> tuple[int, int, bytes]:
    return IPV6, cmsg.IPV6_PKTINFO, struct.pack("=16si", octets, interface)


MAPPED = bytes(10) + b"\xff\xff"
HERE = b"\xc0\x00\x02\x01"
LINK_LOCAL = b"\xfe\x80" + bytes(13) + b"\1"
GLOBAL = b"\x20\x01\x0d\xb8" + bytes(11) + b"\1"


@pytest.mark.rule("R10")
@pytest.mark.parametrize("first", ["ipv4", "ipv6"])
def test_a_broadcast_is_answered_from_the_unicast_address(first: str) -> None:
    both = [pktinfo4(2, HERE, b"\xff" * 4), pktinfo6(MAPPED + b"\xff" * 4, 2)]
    assert cmsg.read_local(both if first == "ipv4" else both[::-1]) == LocalAddress(HERE, 2)


@pytest.mark.parametrize("first", ["ipv4", "ipv6"])
def test_what_went_to_others_too_is_told_apart(first: str) -> None:
    def to_many(*ancillary: tuple[int, int, bytes]) -> bool:
        local = cmsg.read_local(list(ancillary if first == "ipv4" else ancillary[::-1]))
        assert local is not None
        return local.to_many

    for asked in (b"\xff" * 4, b"\xc0\0\2\xff", b"\xe0\0\0\1"):
        assert to_many(pktinfo4(2, HERE, asked), pktinfo6(MAPPED + asked, 2))
    assert not to_many(pktinfo4(2, HERE, HERE), pktinfo6(MAPPED + HERE, 2))
    assert to_many(pktinfo6(b"\xff\2" + bytes(13) + b"\1", 3))
    assert not to_many(pktinfo6(GLOBAL, 3))


def test_it_is_no_part_of_the_address() -> None:
    one, other = LocalAddress(HERE, 2), LocalAddress(HERE, 2, to_many=True)
    assert one == other
    assert hash(one) == hash(other)


def test_unicast() -> None:
    assert cmsg.read_local([pktinfo6(GLOBAL, 3)]) == LocalAddress(GLOBAL, 3)
    assert cmsg.read_local([pktinfo6(MAPPED + HERE, 3)]) == LocalAddress(HERE, 3)
    assert cmsg.read_local([]) is None


def test_a_multicast_tells_the_interface_only() -> None:
    local = cmsg.read_local([pktinfo6(b"\xff\x02" + bytes(13) + b"\1", 3)])
    assert local == LocalAddress(b"", 3)
    assert cmsg.write_source(local, socket.AF_INET6) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from([IP, IPV6, 1]),
            st.sampled_from([cmsg.IP_PKTINFO, cmsg.IPV6_PKTINFO, cmsg.IP_RECVERR, 0]),
            st.binary(max_size=40),
        )
    )
)
def test_whatever_comes_is_no_reason_to_raise(ancillary: cmsg.Ancillary) -> None:
    local = cmsg.read_local(ancillary)
    assert local is None or len(local.packed) in (0, 4, 16)
    cmsg.read_error(ancillary)


def test_what_is_written_is_what_was_read() -> None:
    for octets, family in (
        (HERE, socket.AF_INET),
        (HERE, socket.AF_INET6),
        (GLOBAL, socket.AF_INET6),
    ):
        written = cmsg.write_source(LocalAddress(octets), family)
        assert cmsg.read_local(written) == LocalAddress(octets)


def test_only_a_link_local_source_needs_its_interface() -> None:
    for octets, interface in ((LINK_LOCAL, 7), (GLOBAL, 0)):
        ((_, _, data),) = cmsg.write_source(LocalAddress(octets, 7), socket.AF_INET6)
        assert struct.unpack("=16si", data) == (octets, interface)


def test_errors_of_the_network_and_our_own() -> None:
    def entry(number: int, origin: int) -> cmsg.Ancillary:
        return [(IP, cmsg.IP_RECVERR, struct.pack("=IBBBBII", number, origin, 3, 3, 0, 0, 0))]

    assert cmsg.read_error(entry(errno.ECONNREFUSED, 2))[:2] == (errno.ECONNREFUSED, 2)
    assert cmsg.read_error(entry(errno.EMSGSIZE, 1))[:2] == (errno.EMSGSIZE, 1)
    assert cmsg.read_error([]) == (0, 0, 0, 0, 0)
