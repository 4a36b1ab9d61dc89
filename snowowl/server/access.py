"""Which clients are served: `[access]`, and what holds where nothing is configured.

Denied networks first, then the allowed ones, if there are any.  Otherwise everybody, but for one
case: what was sent to a public address of this machine is served only if it comes from an address
that cannot be on the far side of the Internet.  A TFTP server that the whole world may ask is an
amplifier for whoever forges addresses, and hardly anybody means to run one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from typing import Final, TypeVar

from snowowl.config.limits import AccessConfig
from snowowl.config.networks import Network, parse_network
from snowowl.datagram.interface import LocalAddress

_N = TypeVar("_N", IPv4Network, IPv6Network)

PRIVATE: Final = (
    "0.0.0.0/8",  # RFC 1122: this network; a client that has no address yet
    "10.0.0.0/8",  # RFC 1918
    "100.64.0.0/10",  # RFC 6598: behind the NAT of a carrier
    "127.0.0.0/8",
    "169.254.0.0/16",  # RFC 3927: link-local
    "172.16.0.0/12",  # RFC 1918
    "192.0.0.0/24",  # RFC 6890
    "192.0.2.0/24",  # RFC 5737: documentation
    "192.168.0.0/16",  # RFC 1918
    "198.18.0.0/15",  # RFC 2544: benchmarks
    "198.51.100.0/24",  # RFC 5737
    "203.0.113.0/24",  # RFC 5737
    "240.0.0.0/4",  # RFC 1112: reserved
    "::/127",  # unspecified and loopback
    "fc00::/7",  # RFC 4193: unique local
    "fe80::/10",  # link-local
    "100::/64",  # RFC 6666: discard
    "2001:db8::/32",  # RFC 3849: documentation
)
"""What is routed over no Internet, so that nobody there can be the victim of a forged address."""


class Networks:
    """A set of addresses that is asked for each request: ranges of numbers, found by bisection."""

    def __init__(self, networks: Iterable[Network]) -> None:
        plain = [_unmapped(network) for network in networks]
        self._ranges = {
            4: _ranges([network for network in plain if isinstance(network, IPv4Network)]),
            16: _ranges([network for network in plain if isinstance(network, IPv6Network)]),
        }

    def __contains__(self, host: bytes) -> bool:
        """Say whether an address of 4 or 16 octets lies in one of the networks."""
        lows, highs = self._ranges[len(host)]
        value = int.from_bytes(host, "big")
        index = bisect_right(lows, value) - 1
        return index >= 0 and value <= highs[index]

    def __bool__(self) -> bool:
        """Say whether there is any network."""
        return any(lows for lows, _ in self._ranges.values())


class Access:
    """The rules of one configuration, at one machine."""

    def __init__(self, config: AccessConfig, *, unknown_is_public: bool = False) -> None:
        """Take the rules; `unknown_is_public` is for requests that may have come to any address."""
        self._deny = Networks(map(parse_network, config.deny))
        self._allow = Networks(map(parse_network, config.allow))
        self._denies = bool(self._deny)
        self._allows = bool(self._allow)
        self.rules = self._denies or self._allows
        """Something was configured."""
        self._unknown_is_public = unknown_is_public

    def serves(self, host: bytes, local: LocalAddress | None) -> bool:
        """Say whether a client is served that has sent to a local address.

        `host` is its address in 4 or 16 octets, an IPv4 one never in 16.
        """
        if self._denies and host in self._deny:
            return False
        if self._allows:
            return host in self._allow
        public = self._unknown_is_public if local is None else is_public(local.packed)
        return not public or host in _PRIVATE


@lru_cache(maxsize=1024)
def is_public(packed: bytes) -> bool:
    """Say whether an address of this machine, in 4 or 16 octets, can be reached from anywhere."""
    host = ip_address(packed)
    if host.version == 6 and host.ipv4_mapped is not None:
        host = host.ipv4_mapped
    return host.packed not in _PRIVATE and not host.is_multicast


def _ranges(networks: list[_N]) -> tuple[list[int], list[int]]:
    """Return the first and the last addresses of networks that do not touch, in order."""
    apart = sorted(collapse_addresses(networks))
    lows = [int(network.network_address) for network in apart]
    return lows, [int(network.broadcast_address) for network in apart]


def _unmapped(network: Network) -> Network:
    """Return a network of mapped addresses (``::ffff:10.0.0.0/104``) as what clients are known by."""
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network


_PRIVATE: Final = Networks(map(ip_network, PRIVATE))
