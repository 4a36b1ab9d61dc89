"""What a load is made of: how many clients, what each asks for, and when it ends.

Values only.  What cannot be is refused here, before a socket is opened.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

from snowowl.client.options import ClientOptions
from snowowl.datagram.settings import Rung

CLIENTS_MAX: Final = 20_000
"""A port for each, and an address has 28 000 ephemeral ones by default (ip_local_port_range)."""

UPLOAD_SIZE_MAX: Final = 1 << 30
"""Octets; they are kept in memory, once for all uploads."""

UPLOAD_NAME: Final = "bench-{client}-{n}"


@attrs.frozen(kw_only=True)
class LoadOptions:
    """A load.  Raises ValueError for what cannot be."""

    clients: int = 1
    """Transfers at the same time, each with a TID of its own."""
    transfers: int | None = None
    """Transfers in total; None: one for each client, or no limit if there is one of time."""
    seconds: float | None = None
    """When to break off what is still running; None: never."""
    request: ClientOptions = attrs.field(factory=ClientOptions)
    expect: bytes | None = None
    """The octets that must come, as they are on the wire; None: those of a first transfer."""
    upload_size: int | None = None
    """Send this many octets in each transfer, instead of fetching."""
    upload_name: str = UPLOAD_NAME
    """Names of uploads; ``{client}`` and ``{n}``, which of its transfers it is, count from 1."""
    verify: bool = True
    """Read back what was uploaded."""
    loss_percent: float = 0.0
    """Share of DATA and ACK that gets lost, of those received and of those sent."""
    loss_seed: int = 0
    rung: Rung = "auto"
    sockets: int | None = None
    """Ports that the clients take in turn, so that none is used again at once; None: by the load."""

    def __attrs_post_init__(self) -> None:
        _within("clients", self.clients, 1, CLIENTS_MAX)
        _within("transfers", self.transfers, 1, 10**9)
        _within("upload_size", self.upload_size, 0, UPLOAD_SIZE_MAX)
        _within("sockets", self.sockets, self.clients, 65_536)
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise ValueError(f"seconds must be positive, not {self.seconds}")
        if not 0 <= self.loss_percent < 100:
            raise ValueError(
                f"loss_percent must be from 0 to less than 100, not {self.loss_percent}"
            )
        if not ("{client}" in self.upload_name and "{n}" in self.upload_name):
            raise ValueError("upload_name must hold {client} and {n}, so that no name comes twice")
        if "\0" in self.upload_name:
            raise ValueError("upload_name must not hold a NUL")

    @property
    def transfers_max(self) -> int | None:
        """Transfers after which nobody asks again; None: only time is the limit."""
        if self.transfers is None and self.seconds is None:
            return self.clients
        return self.transfers

    @property
    def asks_again(self) -> bool:
        """A client that is done may begin another transfer."""
        return self.transfers_max is None or self.transfers_max > self.clients


def _within(name: str, value: int | None, minimum: int, maximum: int) -> None:
    if value is not None and not minimum <= value <= maximum:
        raise ValueError(f"{name} must be from {minimum} to {maximum}, not {value}")
