"""What a simulated network does to a datagram between two addresses.  Arithmetic and draws only.

Of checksums: a flipped bit is found by the checksum of UDP, always if it is a single one (it is a sum
in ones' complement, RFC 768), and the receiver's kernel throws the datagram away.  So where checksums
are made, which is nearly everywhere, corruption is a kind of loss.  Over IPv4 a sender may leave the
checksum out, as some boot ROMs do: then TFTP, which has none of its own, takes what comes.  Over IPv6
it may not (RFC 8200 section 8.1).
"""

from __future__ import annotations

import math
import random

import attrs


@attrs.frozen(kw_only=True)
class Link:
    """What happens to datagrams on their way; probabilities from 0 to 1, for each one anew."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    """The probability of being late, and so of arriving behind what was sent later."""
    corruption: float = 0.0
    """The probability that a bit is flipped, for each copy."""
    checksums: bool = True
    """Senders make checksums over IPv4, so that flipped bits are found.  Over IPv6 they always do."""
    delay_seconds: float = 0.001
    late_seconds: float = 0.005
    mtu: int = 1500
    """Octets of the largest IP packet."""
    fragments: bool = False
    """What is larger than the MTU arrives all the same."""
    octets_per_second: float = math.inf
    """What the link carries.  What comes faster waits in a queue."""
    queue_octets: float = math.inf
    """Octets that the queue holds; what finds no place is lost."""

    def delays(self, draws: random.Random, size: int) -> tuple[float, ...]:
        """Return after how many seconds each copy of a packet arrives; none if it is lost."""
        lost, doubled = draws.random() < self.loss, draws.random() < self.duplication
        if lost or (size > self.mtu and not self.fragments):
            return ()
        return tuple(self._delay(draws) for _ in range(2 if doubled else 1))

    def damaged(self, draws: random.Random, octets: bytes) -> bytes:
        """Return what arrives of octets: the same, or with one bit flipped."""
        if not self.corruption or draws.random() >= self.corruption or not octets:
            return octets
        bit = draws.randrange(8 * len(octets))
        flipped = bytearray(octets)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        return bytes(flipped)

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
    fates: tuple[str, ...] = ()
    """What befell it on its way, in words of `SimNetwork.fates`."""


class Queues:
    """What waits before each link that has a bandwidth, or is clogged."""

    def __init__(self) -> None:
        self._free_at: dict[tuple[bytes, bytes], float] = {}

    def wait(self, way: tuple[bytes, bytes], link: Link, size: int, now: float) -> float | None:
        """Take a packet of a way; return for how long it waits, None if the queue is full."""
        free_at = max(self._free_at.get(way, now), now)
        rate = link.octets_per_second
        if rate == math.inf:
            return free_at - now
        if (free_at - now) * rate + size > link.queue_octets:
            return None
        self._free_at[way] = free_at + size / rate
        return free_at + size / rate - now

    def clog(self, way: tuple[bytes, bytes], until: float) -> None:
        """Hold back what is sent on a way until that time."""
        self._free_at[way] = max(self._free_at.get(way, until), until)


@attrs.define(eq=False)
class Cut:
    """A partition: what one set of hosts sends to another is lost.  None stands for every host."""

    hosts: frozenset[bytes] | None
    others: frozenset[bytes] | None
    until: float
    one_way: bool

    def heal(self) -> None:
        """Let datagrams through again."""
        self.until = -math.inf

    def severs(self, source: bytes, target: bytes, now: float) -> bool:
        """Say whether what one host sends to another is lost now."""
        if now >= self.until:
            return False
        return self._between(source, target) or (not self.one_way and self._between(target, source))

    def _between(self, host: bytes, other: bytes) -> bool:
        return (self.hosts is None or host in self.hosts) and (
            self.others is None or other in self.others
        )
