"""What the rings above see of UDP: endpoints that receive and send batches, and a network of them.

Peers are octets (a socket address, see `snowowl.datagram.address`): they are keys far more often
than they are shown to anybody.  Everything but the waits is synchronous and never blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from snowowl.datagram.memory import Buffer, address_of

if TYPE_CHECKING:  # it imports this module
    from snowowl.datagram.capabilities import Capabilities

WORD_SIZE: Final = 4


@attrs.define
class Received:
    """Datagrams that one peer sent: `stride` octets each, the last may be shorter.

    It and its `data` are valid until the endpoint's next `receive`: both may be used again.
    `local` is where they were sent to, where the endpoint was opened to tell.
    """

    data: Buffer
    stride: int
    peer: bytes
    local: LocalAddress | None = None
    word: int = -1
    """The first four octets of a single datagram as a big-endian number, -1 if it has fewer or there
    are several: so that what comes most can be told apart without being looked into."""


def word_of(datagram: Buffer) -> int:
    """Return `Received.word` for a datagram."""
    return int.from_bytes(datagram[:WORD_SIZE], "big") if len(datagram) >= WORD_SIZE else -1


class File(Protocol):
    """A file that is open, for now."""

    def fileno(self) -> int:
        """Return its descriptor, -1 once it is closed."""


class Region:
    """Octets that stay where they are while this is held: a view for Python, a place for the kernel.

    `file` is the same octets as a file, if they are of one; its descriptor is -1 once it is closed.
    """

    __slots__ = ("__weakref__", "address", "file", "view")

    def __init__(self, octets: Buffer, file: File | None = None) -> None:
        self.view = memoryview(octets)
        self.file = file
        self.address = address_of(self.view)
        """Where they are in memory; 0 where Python does not tell."""


@attrs.define
class Packet:
    """One datagram.  `source` is the local address to send from, if the endpoint has no fixed one."""

    peer: bytes
    octets: bytes
    source: LocalAddress | None = None

    def datagrams(self) -> Iterator[Sequence[Buffer]]:
        """Yield what the one datagram is made of."""
        yield (self.octets,)

    def rest(self, sent: int) -> Packet:  # noqa: ARG002 - as `Train` has it
        """Return what is left when nothing has gone out."""
        return self


@attrs.define
class Train:
    """`count` datagrams for one peer, of `stride` octets each (the last may be shorter).

    Each is a header of `header_size` octets, from one after another in `headers`, and then a piece
    of `body`: nothing is copied together.  `size` octets of the body are sent, from `body_at` on.
    A header alone makes no train: `stride` is more than `header_size`.
    """

    peer: bytes
    headers: Region
    headers_at: int
    body: Region
    body_at: int
    size: int
    stride: int
    count: int
    source: LocalAddress | None = None
    header_size: int = 4

    def datagrams(self) -> Iterator[Sequence[Buffer]]:
        """Yield the header and the piece of the body that each datagram is made of."""
        step, header_size = self.stride - self.header_size, self.header_size
        stop = self.body_at + self.size
        headers, body = self.headers.view, self.body.view
        for index in range(self.count):
            header_at = self.headers_at + index * header_size
            piece_at = self.body_at + index * step
            yield (
                headers[header_at : header_at + header_size],
                body[piece_at : min(piece_at + step, stop)],
            )

    def rest(self, sent: int) -> Train:
        """Return what is left when the first datagrams have gone out."""
        if sent == 0:
            return self
        step = self.stride - self.header_size
        return attrs.evolve(
            self,
            headers_at=self.headers_at + sent * self.header_size,
            body_at=self.body_at + sent * step,
            size=self.size - sent * step,
            count=self.count - sent,
        )


Transmit = Packet | Train


@attrs.frozen
class LocalAddress:
    """An address of this machine: packed (4 or 16 octets), and the index of its interface."""

    packed: bytes
    interface: int = 0
    to_many: bool = attrs.field(default=False, eq=False, kw_only=True)
    """What was sent to it went to others, too: a broadcast or multicast.  No part of the address."""


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
    sent_by_file: int = 0
    """Datagrams that `sendfile` was asked to send."""
    zerocopy_refused: int = 0
    """Times that the kernel had no room for another zero-copy send, and was made to copy."""
    errors: int = 0
    """Times that the socket reported an error, be it its own or news from the network (ICMP)."""

    def add(self, other: Counters) -> None:
        """Count what another endpoint has done, too."""
        self.datagrams_received += other.datagrams_received
        self.datagrams_sent += other.datagrams_sent
        self.datagrams_lost += other.datagrams_lost
        self.sent_by_file += other.sent_by_file
        self.zerocopy_refused += other.zerocopy_refused
        self.errors += other.errors


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

    def dropped(self) -> int:
        """Return how many datagrams the kernel dropped because the receive buffer was full."""

    async def wait_readable(self) -> None:
        """Wait until `receive` may return something, or `take_unreachable`."""

    async def wait_writable(self) -> None:
        """Wait until `send` may get on."""

    def close(self) -> None:
        """Close the socket.  Idempotent."""


class Network(Protocol):
    """Where endpoints come from: the system's, or a simulated one."""

    lowered: Callable[[str], None]
    """Told when a device refuses what the machine can do otherwise."""

    @property
    def capabilities(self) -> Capabilities | None:
        """What is used of the machine, None if there is no machine."""

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
