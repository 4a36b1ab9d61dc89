"""Who is served: networks by numbers, against the standard library's reading of them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.config import AccessConfig
from snowowl.config.networks import Network
from snowowl.datagram.interface import LocalAddress
from snowowl.server.access import Access, Networks, is_public

HOME = LocalAddress(ip_address("192.168.7.1").packed)
PUBLIC = LocalAddress(ip_address("8.8.8.8").packed)
PUBLIC_V6 = LocalAddress(ip_address("2a00::1").packed)

hosts = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


def _network(host: IPv4Address | IPv6Address, bits: int) -> Network:
    return ip_network((host, min(bits, host.max_prefixlen)), strict=False)


networks = st.lists(st.builds(_network, hosts, st.integers(0, 128)), max_size=12)


@given(networks, hosts, st.integers(0, 11), st.sampled_from((0, -1, 1)))
def test_a_set_of_networks_has_what_one_of_them_has(
    given_networks: list[Network], host: IPv4Address | IPv6Address, index: int, beside: int
) -> None:
    """At their edges above all."""
    if given_networks:
        network = given_networks[index % len(given_networks)]
        edge = int(network[0] if index % 2 else network[-1]) + beside
        if 0 <= edge < 1 << network.max_prefixlen:
            host = type(network[0])(edge)
    mapped = isinstance(host, IPv6Address) and host.ipv4_mapped is not None
    if not mapped and not any(
        network[0].packed[:12] == b"\0" * 10 + b"\xff\xff" for network in given_networks
    ):
        assert (host.packed in Networks(given_networks)) == any(
            host in network for network in given_networks
        )
    assert bool(Networks(given_networks)) == bool(given_networks)


def test_a_network_of_mapped_addresses_is_that_of_the_ipv4_ones() -> None:
    some = Networks([ip_network("::ffff:10.0.0.0/104")])
    assert ip_address("10.2.3.4").packed in some
    assert ip_address("11.2.3.4").packed not in some


def serves(access: Access, host: str, local: LocalAddress | None = HOME) -> bool:
    """Say whether a host is served."""
    return access.serves(ip_address(host).packed, local)


def test_what_is_denied_is_denied_whatever_is_allowed() -> None:
    access = Access(AccessConfig(allow=("10.0.0.0/8", "fd00::/8"), deny=("10.1.0.0/16",)))
    assert serves(access, "10.2.0.1")
    assert serves(access, "fd12::1")
    assert not serves(access, "10.1.0.1")
    assert not serves(access, "192.168.7.9")
    assert not serves(access, "fe80::1")


def test_a_denied_network_alone_leaves_the_others() -> None:
    access = Access(AccessConfig(deny=("192.168.7.9", "2a00::/16")))
    assert serves(access, "192.168.7.8")
    assert not serves(access, "192.168.7.9")
    assert serves(access, "1.1.1.1")
    assert not serves(access, "2a00::5", PUBLIC_V6)


@pytest.mark.parametrize(
    "host",
    ["10.1.1.1", "172.31.0.1", "192.168.0.1", "169.254.1.1", "127.0.0.1", "100.64.0.1", "0.0.0.0",
     "fd00::1", "fe80::1", "::1"],
)  # fmt: skip
def test_at_a_public_address_those_who_cannot_be_far_are_served(host: str) -> None:
    assert serves(Access(AccessConfig()), host, PUBLIC)
    assert serves(Access(AccessConfig()), host, PUBLIC_V6)


@pytest.mark.parametrize("host", ["1.1.1.1", "100.128.0.1", "172.32.0.1", "2a00::7", "2001:db9::1"])
def test_at_a_public_address_the_world_is_not_served_unless_allowed(host: str) -> None:
    assert not serves(Access(AccessConfig()), host, PUBLIC)
    assert not serves(Access(AccessConfig()), host, PUBLIC_V6)
    assert serves(Access(AccessConfig()), host, HOME)
    assert serves(Access(AccessConfig(allow=("0.0.0.0/0", "::/0"))), host, PUBLIC)


@pytest.mark.parametrize("public", [True, False])
def test_where_the_address_is_not_known_it_counts_as_what_the_machine_has(public: bool) -> None:
    access = Access(AccessConfig(), unknown_is_public=public)
    assert serves(access, "1.1.1.1", None) is not public
    assert serves(access, "10.0.0.1", None)


@given(st.ip_addresses(v=4))
def test_public_is_what_the_registry_of_iana_says(host: IPv4Address) -> None:
    """As the standard library knows it, but for single addresses and relays within blocks."""
    odd = any(host in ip_network(block) for block in ("192.0.0.0/16", "192.88.99.0/24"))
    if not host.is_multicast and not odd:
        assert is_public(host.packed) == host.is_global


def test_mapped_addresses_of_the_machine_count_as_ipv4() -> None:
    assert is_public(ip_address("::ffff:8.8.8.8").packed)
    assert not is_public(ip_address("::ffff:10.0.0.1").packed)
    assert not is_public(ip_address("224.0.0.1").packed)
