"""From configuration to what a transfer is granted, for the network that it came over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from snowowl.config import Config
from snowowl.datagram.interface import LocalAddress, Network
from snowowl.protocol.negotiation import Policy
from snowowl.protocol.retransmit import RetransmitPolicy
from snowowl.wire.constants import BLKSIZE_MIN

HEADERS_IPV4: Final = 20 + 8 + 4  # IPv4, UDP, TFTP: octets beside the payload of DATA
HEADERS_IPV6: Final = 40 + 8 + 4

MTU_MAX_AGE_SECONDS: Final = 10.0
"""An interface's MTU is asked for anew after this long: it changes when people change it."""


class Policies:
    """Makes the `Policy` for a local address, with a blksize that its MTU allows (rule R9)."""

    def __init__(self, config: Config, network: Network, clock: Callable[[], float]) -> None:
        protocol = config.protocol
        self._mtu = protocol.mtu
        self._network = network
        self._clock = clock
        self._cache: dict[tuple[bool, int], tuple[float, Policy]] = {}
        self._policy = Policy(
            blksize_max=protocol.blksize_max,
            windowsize_max=protocol.windowsize_max,
            window_octets_max=config.limits.window_octets_max,
            rollover=None if protocol.rollover == "none" else int(protocol.rollover),
            refused_options=frozenset(name.encode() for name in protocol.refuse_options),
            retransmit=RetransmitPolicy(
                initial=protocol.timeout_initial_seconds,
                floor=protocol.timeout_min_seconds,
                ceiling=protocol.timeout_max_seconds,
                retries=protocol.retries,
                silence_max=protocol.silence_max_seconds,
            ),
        )

    def for_local(self, local: LocalAddress | None) -> Policy:
        """Return the policy for requests that came in at a local address."""
        ipv6 = local is not None and len(local.packed) != 4
        key = (ipv6, 0 if local is None else local.interface)
        now = self._clock()
        cached = self._cache.get(key)
        if cached is not None and now - cached[0] < MTU_MAX_AGE_SECONDS:
            return cached[1]
        mtu = self._mtu or self._network.mtu(local)
        room = max(BLKSIZE_MIN, mtu - (HEADERS_IPV6 if ipv6 else HEADERS_IPV4))
        policy = attrs.evolve(self._policy, blksize_max=min(self._policy.blksize_max, room))
        self._cache[key] = (now, policy)
        return policy
