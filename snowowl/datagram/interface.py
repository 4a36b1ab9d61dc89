"""What the rings above see of UDP: endpoints that receive and send batches, and a network of them.

Peers are octets (a socket address, see `snowowl.datagram.address`): they are keys far more often
than they are shown to anybody.  Everything but the waits is synchronous and never blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

Buffer = bytes | bytearray | memoryview


@attrs.define
class Received:
    """Datagrams that one peer sent: `stride` octets each, the last may be shorter.

    `data` is valid until the endpoint's next `receive`.  `local` is where they were sent to, where
    the endpoint was opened to tell.
    """

    data: Buffer
    stride: int
    peer: bytes
    local: LocalAddress | None = None


@attrs.define
class Transmit:
    """`count` datagrams for one peer, of `stride` octets each (the last may be shorter).

    Each is made of ``len(buffers) // count`` buffers: a header and its payload need not be copied
    together.  The buffers must stay as they are until `send` has taken them.  `source` is the local
    address to send from, where the endpoint is not bound to one.
    """

    peer: bytes
    buffers: Sequence[Buffer]
    stride: int
    count: int
    source: LocalAddress | None = None


@attrs.frozen
class LocalAddress:
    """An address of this machine: packed (4 or 16 octets), and the index of its interface."""

    packed: bytes
    interface: int = 0


@attrs.define
class Unsent:
    """What `send` could not do."""

    blocked: list[Transmit] = attrs.field(factory=list)
    """To be sent again, in this order, once the endpoint is writable."""
    failed: list[tuple[bytes, int]] = attrs.field(factory=list)
    """(peer, errno) of datagrams that can never be sent: EFAULT (the octets are gone: a mapped file
    was truncated) and EMSGSIZE.  What the network merely lost is not reported: it is UDP."""


@attrs.define
class Counters:
    """What an endpoint has done since it was opened."""

    datagrams_received: int = 0
    datagrams_sent: int = 0
    datagrams_lost: int = 0
    """Refused by the kernel for want of a route, a buffer or a permission."""
    errors: int = 0
    """Times that the socket reported an error, be it its own or news from the network (ICMP)."""


class Endpoint(Protocol):
    """One UDP socket."""

    counters: Counters

    @property
    def address(self) -> bytes:
        """The socket address that it is bound to."""

    def receive(self) -> Sequence[Received]:
        """Return what has arrived, a batch at most; empty if nothing has.  Never raises."""

    def send(self, transmits: Sequence[Transmit]) -> Unsent | None:
        """Send all; None means that all went out, or was lost as UDP may be.  Never raises."""

    def take_unreachable(self) -> Sequence[bytes]:
        """Return the peers whose port was reported closed (ICMP) since the last call."""

    async def wait_readable(self) -> None:
        """Wait until `receive` may return something, or `take_unreachable`."""

    async def wait_writable(self) -> None:
        """Wait until `send` may get on."""

    def close(self) -> None:
        """Close the socket.  Idempotent."""


class Network(Protocol):
    """Where endpoints come from: the system's, or a simulated one."""

    def listen(self, host: str, port: int) -> Endpoint:
        """Open an endpoint for requests, which tells the local address of each datagram.

        An empty host means every address of IPv4 and IPv6.  Raises OSError.
        """

    def open(
        self, family: int, local: LocalAddress | None, port_range: tuple[int, int] | None
    ) -> Endpoint:
        """Open an endpoint on a free port, bound to one local address if there is one.

        Raises OSError; EADDRINUSE if no port of the range is free.
        """

    def mtu(self, local: LocalAddress | None) -> int:
        """Return the MTU in octets of the interface that an address belongs to."""
