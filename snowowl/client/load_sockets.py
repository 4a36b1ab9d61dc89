"""The ports of a load: opened before the clock runs, and closed together."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

import attrs

from snowowl.client.errors import ClientError, Reason
from snowowl.client.load_endpoint import LoadNetwork
from snowowl.client.load_loss import LossyEndpoint
from snowowl.client.load_options import LoadOptions
from snowowl.datagram.endpoint import SocketEndpoint
from snowowl.datagram.interface import Endpoint, Network

RESTS: Final = 4
"""Ports for each client that asks again and again, so that each rests for three transfers.  What
comes late for the transfer before is then told apart by more than the server's port."""

PORTS_MAX: Final = 4096
"""Ports that are opened for that: it takes 25 us each."""

_SPARE: Final = 64
"""Descriptors for all else that the process has open."""


@attrs.frozen
class Sockets:
    """Endpoints in the order of their descriptors."""

    endpoints: Sequence[Endpoint]
    descriptors: Sequence[int] | None
    """None if they have none: a simulated network."""
    lossy: Sequence[LossyEndpoint]
    rung: str | None

    def dropped_here(self) -> int:
        """Return how many datagrams were lost on purpose."""
        return sum(endpoint.dropped_here for endpoint in self.lossy)

    def dropped(self) -> int:
        """Return how many datagrams the kernel dropped because nobody received them in time."""
        return sum(endpoint.dropped() for endpoint in self.endpoints)

    def close(self) -> None:
        """Close all."""
        for endpoint in self.endpoints:
            endpoint.close()


def ports_wanted(options: LoadOptions) -> int:
    """Return how many ports a load has."""
    if options.sockets is not None:
        return options.sockets
    clients = options.clients
    if not options.asks_again:
        return min(clients, options.transfers_max or clients)
    wanted = max(clients, min(clients * RESTS, PORTS_MAX, _descriptors_max() - _SPARE))
    return min(wanted, options.transfers_max or wanted)


def open_sockets(
    network: Network, family: int, count: int, loss: float = 0.0, seed: int = 0
) -> Sockets:
    """Open so many ports.  Raises ClientError, and has closed all of them then."""
    endpoints: list[Endpoint] = []
    try:
        for _ in range(count):
            endpoints.append(network.open(family, None, None))  # noqa: PERF401 - closed if one fails
    except OSError as error:
        for endpoint in endpoints:
            endpoint.close()
        message = f"cannot open socket {len(endpoints) + 1} of {count}: {error.strerror}"
        raise ClientError(Reason.CONNECT, message) from error
    descriptors = rung = None
    if isinstance(network, LoadNetwork):
        rung = network.rung
        known = network.descriptors
        descriptors = [known[each] for each in endpoints if isinstance(each, SocketEndpoint)]
    if not loss:
        return Sockets(endpoints, descriptors, (), rung)
    lossy = [
        LossyEndpoint(endpoint, loss, random.Random(f"{seed} {number}"))  # noqa: S311 - a simulation
        for number, endpoint in enumerate(endpoints)
    ]
    return Sockets(lossy, descriptors, lossy, rung)


def _descriptors_max() -> int:
    try:
        import resource
    except ImportError:  # Windows: pragma: no cover
        return PORTS_MAX
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return PORTS_MAX if soft == resource.RLIM_INFINITY else soft
