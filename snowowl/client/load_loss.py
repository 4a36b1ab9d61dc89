"""An endpoint between a transfer and the network that loses DATA and ACK, as a seed decides.

Requests, OACK and ERROR get through: what is to be seen is how a server makes up for lost blocks,
not how patient a client is before the first one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import attrs

from snowowl.datagram.interface import Endpoint, Received, Train, Transmit, Unsent
from snowowl.wire.codec import opcode_of
from snowowl.wire.constants import Opcode

_LOSABLE = (Opcode.DATA, Opcode.ACK)


class LossyEndpoint:
    """An `Endpoint` that loses some of what another one receives and is to send."""

    def __init__(self, endpoint: Endpoint, loss: float, draws: random.Random) -> None:
        self.counters = endpoint.counters
        self.dropped_here = 0
        """Datagrams that were lost on purpose."""
        self._endpoint = endpoint
        self._loss = loss
        """The probability, from 0 to 1."""
        self._draws = draws

    @property
    def address(self) -> bytes:
        """The socket address that it is bound to."""
        return self._endpoint.address

    def receive(self) -> Sequence[Received]:
        """Return what has arrived and is not lost.

        Nothing, if all of it is: the caller then asks for closed ports in vain, which does no harm.
        """
        return [kept for received in self._endpoint.receive() for kept in self._thin_out(received)]

    def send(self, transmits: Sequence[Transmit]) -> Unsent | None:
        """Send what is not lost."""
        return self._endpoint.send([kept for each in transmits for kept in self._thin(each)])

    def take_unreachable(self) -> Sequence[bytes]:
        """Return the peers whose port was reported closed."""
        return self._endpoint.take_unreachable()

    def dropped(self) -> int:
        """Return how many datagrams the kernel dropped."""
        return self._endpoint.dropped()

    async def wait_readable(self) -> None:
        """Wait until something can be received."""
        await self._endpoint.wait_readable()

    async def wait_writable(self) -> None:
        """Wait until something can be sent."""
        await self._endpoint.wait_writable()

    def close(self) -> None:
        """Close the socket."""
        self._endpoint.close()

    def _lost(self) -> bool:
        lost = self._draws.random() < self._loss
        self.dropped_here += lost
        return lost

    def _thin_out(self, received: Received) -> Iterator[Received]:
        """Yield the datagrams that are not lost; those that follow each other, together."""
        data, stride = received.data, received.stride or 1
        if opcode_of(data) not in _LOSABLE:
            yield received
            return
        begin = 0
        for start in range(0, len(data), stride):
            if self._lost():
                if start > begin:
                    yield Received(data[begin:start], stride, received.peer, received.local)
                begin = start + stride
        if begin == 0:
            yield received
        elif begin < len(data):
            rest = data[begin:]
            yield Received(rest, min(stride, len(rest)), received.peer, received.local)

    def _thin(self, transmit: Transmit) -> Iterator[Transmit]:
        if not isinstance(transmit, Train):
            if opcode_of(transmit.octets) not in _LOSABLE or not self._lost():
                yield transmit
            return
        begin, step = 0, transmit.stride - transmit.header_size
        for index in range(transmit.count + 1):
            if index < transmit.count and not self._lost():
                continue
            if index > begin:
                rest = transmit.rest(begin)
                count = index - begin
                yield attrs.evolve(rest, count=count, size=min(rest.size, count * step))
            begin = index + 1
