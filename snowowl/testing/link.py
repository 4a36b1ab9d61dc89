"""What a simulated network does to a datagram between two addresses.  Arithmetic and draws only."""

from __future__ import annotations

import random

import attrs


@attrs.frozen(kw_only=True)
class Link:
    """What happens to datagrams on their way; probabilities from 0 to 1, for each one anew."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    """The probability of being late, and so of arriving behind what was sent later."""
    delay_seconds: float = 0.001
    late_seconds: float = 0.005
    mtu: int = 1500
    """Octets of the largest IP packet."""
    fragments: bool = False
    """What is larger than the MTU arrives all the same."""

    def delays(self, draws: random.Random, size: int) -> tuple[float, ...]:
        """Return after how many seconds each copy of a packet arrives; none if it is lost."""
        lost, doubled = draws.random() < self.loss, draws.random() < self.duplication
        if lost or (size > self.mtu and not self.fragments):
            return ()
        return tuple(self._delay(draws) for _ in range(2 if doubled else 1))

    def _delay(self, draws: random.Random) -> float:
        late = draws.random() < self.reordering
        return self.delay_seconds + (draws.uniform(0, self.late_seconds) if late else 0.0)


@attrs.frozen
class Datagram:
    """One datagram that was sent.  Addresses are socket addresses, never IPv4-mapped ones."""

    sent_at: float
    source: bytes
    target: bytes
    octets: bytes
    arrivals: tuple[float, ...]
    """When each copy arrives; none if it was lost."""
