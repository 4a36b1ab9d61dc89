"""Who has a transfer now: what is admitted is judged against it."""

from __future__ import annotations

import attrs
import trio

from snowowl.datagram.interface import Endpoint, LocalAddress, Transmit
from snowowl.server.exchange import SUPERSEDED, Exchange
from snowowl.server.member import Member
from snowowl.wire.packets import Request


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
    since: float
    exchange: Exchange | None = None
    member: Member | None = None
    """Set once its transfer has begun."""
    follows: Admitted | None = None
    """The same peer's request before this one, if it had not ended, until this one's begins."""

    def answer(self, packet: bytes) -> None:
        """Answer from where the request came in: for when there is no exchange."""
        transmit = Transmit(self.peer, [packet], len(packet), 1, self.local)
        self.endpoint.send([transmit])


class Registry:
    """All requests that are admitted and not ended, and for each peer the newest."""

    def __init__(self) -> None:
        self._newest: dict[bytes, Admitted] = {}
        self._active: set[Admitted] = set()
        self._unsettled: set[Admitted] = set()
        self._settled = trio.Event()

    def __len__(self) -> int:
        return len(self._active)

    def standing(self, peer: bytes) -> Admitted | None:
        """Return the newest request of a peer that has not ended."""
        return self._newest.get(peer)

    def add(self, admitted: Admitted) -> None:
        """Take in a request."""
        admitted.follows = self._newest.get(admitted.peer)
        self._newest[admitted.peer] = admitted
        self._active.add(admitted)
        self._unsettled.add(admitted)

    def remove(self, admitted: Admitted) -> None:
        """Forget a request.  Idempotent."""
        self._active.discard(admitted)
        admitted.follows = None
        if self._newest.get(admitted.peer) is admitted:
            del self._newest[admitted.peer]
        self.settle(admitted)

    @property
    def unsettled(self) -> int:
        """How many requests have no outcome yet; one that only dallies has."""
        return len(self._unsettled)

    def settle(self, admitted: Admitted) -> None:
        """Note that the outcome of a request is known.  Idempotent."""
        self._unsettled.discard(admitted)
        if not self._unsettled:
            settled, self._settled = self._settled, trio.Event()
            settled.set()

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
                elif admitted.member.suspended:
                    admitted.exchange.resume(admitted.member)


def contend(old: Admitted, new: Admitted) -> None:
    """Let a new transfer contend with the standing one of the same peer, or end that one."""
    if old.member is None or old.exchange is None or old.member.transfer.outcome is not None:
        return
    if old.member.contest is not None:
        old.member.contest.answered(old.member)
    if old.member.transfer.answered and old.exchange is not new.exchange:
        Contest(old, new)
    else:
        old.exchange.deliver(old.member, SUPERSEDED)
