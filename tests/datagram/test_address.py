"""Socket addresses as octets: nothing is lost on the way there and back."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.datagram import address
from snowowl.datagram.address import SocketAddress

ports = st.integers(0, 65535)
ipv4 = st.builds(lambda ip, port: (str(ip), port), st.ip_addresses(v=4), ports)
ipv6 = st.builds(
    lambda ip, port, flow, scope: (str(ip), port, flow, scope),
    st.ip_addresses(v=6),
    ports,
    st.integers(0, 0xFFFFF),
    st.integers(0, 2**32 - 1),
)
addresses: st.SearchStrategy[SocketAddress] = st.one_of(ipv4, ipv6)


@given(addresses)
def test_round_trip(name: SocketAddress) -> None:
    packed = address.pack(name)
    assert address.unpack(packed) == name
    assert len(packed) == (16 if len(name) == 2 else 28)
    assert address.port_of(packed) == name[1]
    assert address.host_octets(packed) == ipaddress.ip_address(name[0]).packed
    assert address.family_of(packed) == (socket.AF_INET if len(name) == 2 else socket.AF_INET6)


@given(addresses, ports)
def test_with_port_changes_nothing_else(name: SocketAddress, port: int) -> None:
    changed = address.unpack(address.with_port(address.pack(name), port))
    assert changed == (name[0], port, *name[2:])


@given(st.ip_addresses(v=4), ports)
def test_mapped_is_ipv4(ip: ipaddress.IPv4Address, port: int) -> None:
    plain = address.pack((str(ip), port))
    mapped = address.pack((f"::ffff:{ip}", port, 0, 0))
    assert address.unmapped(mapped) == plain
    assert address.unmapped(plain) == plain
    assert address.text(mapped) == address.text(plain) == f"{ip}:{port}"


@given(addresses)
def test_text_is_one_printable_word(name: SocketAddress) -> None:
    text = address.text(address.pack(name))
    assert text.isprintable()
    assert " " not in text
    assert text.endswith(f":{name[1]}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (("192.0.2.1", 69), "192.0.2.1:69"),
        (("2001:db8::1", 69, 0, 0), "[2001:db8::1]:69"),
        (("fe80::1", 69, 0, 1), "[fe80::1%lo]:69"),
        (("fe80::1", 69, 0, 99999), "[fe80::1%99999]:69"),
    ],
)
def test_text(name: SocketAddress, text: str) -> None:
    assert address.text(address.pack(name)) == text


def test_a_scope_in_the_host_is_left_out() -> None:
    assert address.pack(("fe80::1%lo", 69, 0, 1)) == address.pack(("fe80::1", 69, 0, 1))


@pytest.mark.parametrize("name", [("localhost", 69), ("::1", 69), ("example", 69, 0, 0)])
def test_a_host_that_is_no_number(name: SocketAddress) -> None:
    with pytest.raises(ValueError):
        address.pack(name)


def test_layout_is_the_kernels() -> None:
    assert address.pack(("192.0.2.1", 69)) == (
        socket.AF_INET.to_bytes(2, "little") + b"\0\x45\xc0\x00\x02\x01" + bytes(8)
    )
    flow = b"\x00\x01\x23\x45"  # in network order, as the address is
    assert address.pack(("::1", 69, 0x12345, 0))[4:24] == flow + bytes(15) + b"\1"
