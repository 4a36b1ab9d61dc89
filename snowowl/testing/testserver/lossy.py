"""A network that loses blocks and ACKs at random, between a server under test and its clients.

Requests, OACK and ERROR get through (`snowowl.client.load_loss` says why); each DATA and each ACK is
lost by itself, in both directions.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from snowowl.client.load_loss import LossyEndpoint
from snowowl.datagram.capabilities import Capabilities
from snowowl.datagram.interface import Endpoint, LocalAddress, Network


class LossyNetwork:
    """A `Network` whose endpoints lose datagrams."""

    def __init__(self, network: Network, loss: float, draws: random.Random) -> None:
        self._network = network
        self._loss = loss
        self._draws = draws

    @property
    def capabilities(self) -> Capabilities | None:
        """What is used of the machine."""
        return self._network.capabilities

    @property
    def lowered(self) -> Callable[[str], None]:
        """Told when a device refuses something."""
        return self._network.lowered

    @lowered.setter
    def lowered(self, told: Callable[[str], None]) -> None:
        self._network.lowered = told

    def listen(self, host: str, port: int) -> Endpoint:
        """Open an endpoint for requests.  Raises OSError."""
        return self._lossy(self._network.listen(host, port))

    def open(
        self, family: int, local: LocalAddress | None, port_range: tuple[int, int] | None
    ) -> Endpoint:
        """Open an endpoint on a free port.  Raises OSError."""
        return self._lossy(self._network.open(family, local, port_range))

    def mtu(self, local: LocalAddress | None) -> int:
        """Return the MTU in octets."""
        return self._network.mtu(local)

    def _lossy(self, endpoint: Endpoint) -> Endpoint:
        return LossyEndpoint(endpoint, self._loss, self._draws)
