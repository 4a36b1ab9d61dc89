"""One machine of a simulated network: its sockets have its addresses, and no other.

What a program opens without saying where from comes from the machine that it runs on.  So each
program, server or client, that is to have an address of its own gets a `SimHost` for its network.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from snowowl.datagram import address
from snowowl.datagram.capabilities import Capabilities
from snowowl.datagram.interface import LocalAddress
from snowowl.testing.simendpoint import SimEndpoint, socket_address

if TYPE_CHECKING:  # it imports this module
    from snowowl.testing.simnetwork import SimNetwork

WILDCARDS: Final = {"0.0.0.0": socket.AF_INET, "::": socket.AF_INET6}  # noqa: S104 - no socket


class SimHost:
    """A `snowowl.datagram.interface.Network`: a `SimNetwork`, seen from literal addresses.

    At most one of each family.  Raises ValueError for what is no address.
    """

    def __init__(self, network: SimNetwork, addresses: Sequence[str]) -> None:
        self.network = network
        self.addresses = tuple(addresses)
        self.lowered: Callable[[str], None] = lambda _: None
        self._of_family = {
            address.family_of(socket_address(host, 0)): host for host in self.addresses
        }
        if not addresses or len(self._of_family) < len(self.addresses):
            raise ValueError(f"a host has one address of each family at most, not {addresses}")

    @property
    def capabilities(self) -> Capabilities | None:
        """What is used of the machine, None as there is none."""
        return self.network.capabilities

    def listen(self, host: str, port: int) -> SimEndpoint:
        """Open an endpoint for requests, at one or at all of its addresses.  Raises OSError."""
        if not host:
            return self.network.listen_at(self.addresses, port)
        if host in WILDCARDS:
            own = self._of_family.get(WILDCARDS[host])
            if own is None:
                raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            return self.network.listen_at((own,), port)
        if host not in self.addresses:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        return self.network.listen(host, port)

    def open(
        self, family: int, local: LocalAddress | None, port_range: tuple[int, int] | None
    ) -> SimEndpoint:
        """Open an endpoint on a free port.  Raises OSError: EAFNOSUPPORT without such an address."""
        host = self._of_family.get(family)
        if host is None:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        if local is None or not local.packed:
            local = LocalAddress(socket.inet_pton(family, host))
        return self.network.open(family, local, port_range)

    def bind(self, port: int, family: int = 0) -> SimEndpoint:
        """Open an endpoint at a port, over the first of its addresses or of a family.

        Raises OSError.
        """
        return self.network.bind(self._of_family[family] if family else self.addresses[0], port)

    def mtu(self, local: LocalAddress | None) -> int:
        """Return the MTU in octets."""
        return self.network.mtu(local)

    def close(self) -> None:
        """Do nothing: endpoints belong to who opened them.  As the system's network has it."""
