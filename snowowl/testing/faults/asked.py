"""What a transfer is given: the request, and what all transfers of a server share."""

from __future__ import annotations

from typing import Final

import attrs

from snowowl.datagram.interface import Endpoint, LocalAddress, Network
from snowowl.observe.events import Direction
from snowowl.protocol.retransmit import RetransmitPolicy
from snowowl.testing.faults.content import Files
from snowowl.wire.packets import ReadRequest, Request

QUIET_SECONDS: Final = 10.0
"""A client that has said nothing for so long has ended: tftp-hpa, atftp and U-Boot repeat themselves
every 5 s, curl every 6 s at most."""

PATIENCE_SECONDS: Final = 120.0
"""A client that still speaks so long after the server has done with it does not give up."""

RETRANSMIT: Final = RetransmitPolicy(
    initial=1.3,
    floor=1.3,
    ceiling=5.2,
    retries=8,
    silence_max=0.0,
    retries_unanswered=8,
    probe_floor=1.3,
)
"""A server of the old kind: so late that a client has time to act first, and later each time, so that it
does not keep a client's timer from going off.  No multiple of a second: timers of both sides that go off
at the same time would make a play differ from the last."""


@attrs.frozen
class Setting:
    """What the transfers of a server share."""

    network: Network
    files: Files
    quiet_seconds: float = QUIET_SECONDS
    patience_seconds: float = PATIENCE_SECONDS


@attrs.frozen
class Asked:
    """A request, and how it came."""

    request: Request
    octets: bytes
    filename: bytes
    """The name that is served: without the fault, if it began with one."""
    peer: bytes
    client: str
    local: LocalAddress | None
    endpoint: Endpoint
    origin: bytes
    """The peer as the endpoint names it."""

    @property
    def direction(self) -> Direction:
        """Return which request it is."""
        return Direction.READ if isinstance(self.request, ReadRequest) else Direction.WRITE
