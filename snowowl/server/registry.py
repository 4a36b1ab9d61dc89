"""Who has a transfer now: what is admitted is judged against it."""

from __future__ import annotations

from itertools import count, takewhile
from typing import Protocol

import attrs
import trio

from snowowl.datagram.interface import Endpoint, LocalAddress, Packet
from snowowl.observe.events import Refusal
from snowowl.protocol.events import Event
from snowowl.protocol.outcome import Outcome
from snowowl.server.exchange import SUPERSEDED, Exchange
from snowowl.server.member import Member
from snowowl.server.sources import Source
from snowowl.wire.codec import encode_error
from snowowl.wire.packets import Request, WriteRequest


class Gatekeeper(Protocol):
    """Wants to know what becomes of requests; see `snowowl.server.guard`."""

    def answered(self, admitted: Admitted) -> None:
        """Note that the client has answered."""

    def ended(self, admitted: Admitted, outcome: Outcome, refusal: Refusal | None = None) -> None:
        """Note how a request ended, and which limit it met, if one was why."""

    def error(
        self, peer: bytes, code: int, message: str, asked_octets: int, now: float
    ) -> bytes | None:
        """Return the ERROR for what begins no transfer; None if there were too many."""


@attrs.define(eq=False)
class Admitted:
    """A request that will be, or is being, served."""

    peer: bytes
    """The key of the peer in its exchange."""
    client: str
    """The same for people."""
    local: LocalAddress | None
    """The address that was asked: the answer comes from there."""
    octets: bytes
    request: Request
    endpoint: Endpoint
    """Where it came in."""
    origin: bytes
    """The peer as that endpoint names it: a dual-stack one has mapped IPv4 addresses."""
    since: float
    exchange: Exchange | None = None
    number: int = 0
    """Counts the requests of a registry: events name the transfer by it."""
    member: Member | None = None
    """Set once its transfer has begun."""
    guard: Gatekeeper | None = None
    """Who wants to know what becomes of it."""
    source: Source | None = None
    """Whose limits it counts for."""
    repeats: int = 0
    """How often it came again before it was answered; each time it cost a token."""
    left_alone: bool = False
    """It was refused, and too many were for an ERROR to be sent."""
    gave_way: bool = False
    """It is to end before it begins: see `limits.unanswered_max`."""

    @property
    def writes(self) -> bool:
        """It is a WRQ."""
        return isinstance(self.request, WriteRequest)

    @property
    def is_stranger(self) -> bool:
        """Its client has not shown lately that it is where it says."""
        return self.source is not None and self.source.known_until <= self.since

    @property
    def running(self) -> bool:
        """Its transfer has begun and has no outcome yet."""
        return self.member is not None and self.member.transfer.outcome is None

    def answered(self) -> None:
        """Note that the client has answered."""
        if self.guard is not None:
            self.guard.answered(self)

    def deliver(self, event: Event) -> None:
        """Hand an event to its transfer, if that has begun."""
        if self.member is not None and self.exchange is not None:
            self.exchange.deliver(self.member, event)

    def error(self, code: int, message: str) -> bytes:
        """Return an ERROR that is no longer than the request deserves."""
        return encode_error(code, message, len(self.octets))

    def refusal(self, code: int, message: str) -> bytes | None:
        """Return the ERROR to answer the request with instead of a transfer, None for silence."""
        if self.guard is None:
            return self.error(code, message)
        now = trio.current_time()
        packet = self.guard.error(self.peer, code, message, len(self.octets), now)
        self.left_alone = packet is None
        return packet

    def answer(self, packet: bytes) -> None:
        """Answer from where the request came in: for when there is no exchange."""
        transmit = Packet(self.origin, packet, self.local)
        self.endpoint.send([transmit])


class Registry:
    """All requests that are admitted and not ended, and those of each peer by age."""

    def __init__(self) -> None:
        self._of_peer: dict[bytes, list[Admitted]] = {}
        self._active: set[Admitted] = set()
        self._unsettled: dict[Admitted, None] = {}
        self._settled = trio.Event()
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._active)

    def standing(self, peer: bytes) -> Admitted | None:
        """Return the newest request of a peer that has not ended."""
        requests = self._of_peer.get(peer)
        return requests[-1] if requests else None

    def rival(self, admitted: Admitted) -> Admitted | None:
        """Return the newest request of the same peer, but for this one, that is running."""
        for other in reversed(self._of_peer[admitted.peer]):
            if other is not admitted and other.running:
                return other
        return None

    def is_outdated(self, admitted: Admitted) -> bool:
        """Say whether a newer request of the same peer has begun already, or it gave way to others."""
        if admitted.gave_way:
            return True
        requests = self._of_peer[admitted.peer]
        return any(newer.member for newer in requests[requests.index(admitted) + 1 :])

    def add(self, admitted: Admitted) -> None:
        """Take in a request, and number it."""
        admitted.number = next(self._numbers)
        self._of_peer.setdefault(admitted.peer, []).append(admitted)
        self._active.add(admitted)
        self._unsettled[admitted] = None
        if admitted.source is not None:
            admitted.source.transfers += 1

    def remove(self, admitted: Admitted) -> None:
        """Forget a request.  Idempotent."""
        if admitted in self._active:
            self._active.remove(admitted)
            requests = self._of_peer[admitted.peer]
            requests.remove(admitted)
            if not requests:
                del self._of_peer[admitted.peer]
        self.settle(admitted)

    @property
    def unsettled(self) -> int:
        """How many requests have no outcome yet; one that only dallies has."""
        return len(self._unsettled)

    def settle(self, admitted: Admitted) -> None:
        """Note that the outcome of a request is known.  Idempotent."""
        if admitted in self._unsettled:
            del self._unsettled[admitted]
            if admitted.source is not None:
                admitted.source.transfers -= 1
        if not self._unsettled:
            settled, self._settled = self._settled, trio.Event()
            settled.set()

    @property
    def oldest(self) -> Admitted | None:
        """The request that was admitted first of those without an outcome."""
        return next(iter(self._unsettled), None)

    def begun_before(self, time: float) -> list[Admitted]:
        """Return the requests without an outcome that were admitted by then, the oldest first."""
        return list(takewhile(lambda admitted: admitted.since <= time, self._unsettled))

    async def wait_settled(self) -> None:
        """Wait until every outcome is known."""
        while self._unsettled:
            await self._settled.wait()


class Contest:
    """Two transfers of one peer, of which it goes on with one (rule R5).

    A board that was reset asks again from the same port, and its old transfer is dead.  A request
    that the network doubled looks the same, and the *new* transfer is dead.  So the old one falls
    silent until the peer answers either.
    """

    def __init__(self, old: Admitted, new: Admitted) -> None:
        self._old = old
        self._new = new
        assert old.member is not None
        assert new.member is not None
        old.member.contest = new.member.contest = self
        old.member.suspended = True
        old.member.note_awaited()
        new.member.note_awaited()

    def answered(self, member: Member) -> None:
        """Go on with this one; the other ends silently."""
        self._settle(self._old if member is self._new.member else self._new)

    def ended(self) -> None:
        """Let the other one go on: one of them has ended."""
        self._settle(None)

    def _settle(self, loser: Admitted | None) -> None:
        for admitted in (self._old, self._new):
            if admitted.member is not None and admitted.exchange is not None:
                admitted.member.contest = None
                if admitted is loser:
                    admitted.exchange.deliver(admitted.member, SUPERSEDED)
                # The loser, too: a file that is being committed is kept, and dallies as it must.
                if admitted.member.suspended:
                    admitted.exchange.resume(admitted.member)


def contend(old: Admitted, new: Admitted) -> None:
    """Let a new transfer contend with the running one of the same peer, or end that one."""
    assert old.member is not None
    assert old.exchange is not None
    if old.member.contest is not None:
        old.member.contest.answered(old.member)
    if old.member.transfer.answered and old.exchange is not new.exchange:
        Contest(old, new)
    else:
        old.exchange.deliver(old.member, SUPERSEDED)
