"""One listening address: receives requests in batches, decodes, admits, hands them on.

It never waits for what it hands on: when the channel is full, requests are dropped and counted, as
the kernel would drop them.  A client that lives asks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final

import attrs
import trio

from snowowl.config import Config
from snowowl.datagram import address
from snowowl.datagram.interface import Endpoint, Packet, Received
from snowowl.observe.events import (
    Direction,
    RequestDoubled,
    RequestMalformed,
    RequestReceived,
    RequestsDropped,
)
from snowowl.observe.observers import Observers
from snowowl.protocol.admission import Verdict, admit
from snowowl.protocol.events import RequestRepeated
from snowowl.server.drops import DropWatch
from snowowl.server.exchange import Exchange
from snowowl.server.intake import apart
from snowowl.server.registry import Admitted, Registry
from snowowl.wire.codec import MalformedPacket, decode_request, encode_error
from snowowl.wire.constants import ErrorCode
from snowowl.wire.packets import Mode, ReadRequest, Request

DOUBLED_SECONDS: Final = 1.0
"""On the listening port, the same request so soon after the peer has answered is one that the
network doubled and delayed.  No board is reset and back within a second, and if one was, it asks
again."""

RequestSender = trio.MemorySendChannel[Sequence[Admitted]]

_MAIL = MalformedPacket("mode mail is obsolete (RFC 1350)", ErrorCode.ILLEGAL_OPERATION)
_BUSY = encode_error(ErrorCode.NOT_DEFINED, "server is busy, try again")


class Acceptor:
    """Admits the requests that come in at one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        registry: Registry,
        observers: Observers,
        channel: RequestSender,
        *,
        transfers_max: int,
        keeps_peer: bool,
    ) -> None:
        self.endpoint = endpoint
        self._registry = registry
        self._observers = observers
        self._channel = channel
        self._transfers_max = transfers_max
        self._keeps_peer = keeps_peer
        """Transfers stay at this endpoint, so peers must be named as it names them."""
        self._drops = DropWatch(endpoint, observers)
        self.closed = False
        """Take no more requests: the server drains."""

    def take(self, config: Config) -> None:
        """Judge by a new configuration from now on."""
        self._transfers_max = config.limits.transfers_max

    async def run(self) -> None:
        """Receive until cancelled."""
        endpoint = self.endpoint
        while True:
            await endpoint.wait_readable()
            batch = endpoint.receive()
            self._drops.look(trio.current_time())
            if batch:
                self.accept(batch)
            elif not endpoint.take_unreachable():  # of no interest: nobody waits here for a peer
                await trio.sleep(0.01)  # a socket error; do not spin on it

    def look_for_drops(self) -> None:
        """Tell what the kernel has thrown away, unless that was done a moment ago."""
        self._drops.look(trio.current_time())

    def accept(self, batch: Sequence[Received]) -> None:
        """Judge each datagram of a batch; hand on those that begin a transfer."""
        if self.closed:
            return
        now = trio.current_time()
        admitted: list[Admitted] = []
        for received in chain.from_iterable(map(apart, self._caught_up(batch))):
            try:
                request = decode_request(received.data)
            except MalformedPacket as malformed:
                self._malformed(received, malformed)
                continue
            if request.mode is Mode.MAIL:
                self._malformed(received, _MAIL)
                continue
            candidate = self._judge(received, request, now)
            if candidate is not None:
                admitted.append(candidate)
        if not admitted:
            return
        try:
            self._channel.send_nowait(admitted)
        except trio.WouldBlock:
            for candidate in admitted:
                self._registry.remove(candidate)
            self._observers.emit(RequestsDropped(len(admitted), "too many requests at once"))
            return
        for candidate in admitted:
            request = candidate.request
            direction = Direction.READ if isinstance(request, ReadRequest) else Direction.WRITE
            self._observers.emit(
                RequestReceived(
                    candidate.client,
                    direction,
                    request.filename,
                    request.mode,
                    request.options,
                    candidate.number,
                )
            )

    def _caught_up(self, batch: Sequence[Received]) -> Sequence[Received]:
        """Have the transfers of those who ask hear first what waits for them in other sockets.

        A client sends its last ACK, or the ERROR that ends a probe, before it asks anew.  Returns the
        batch, or a copy: what was lent is gone when another socket is read.
        """
        behind: dict[Exchange, None] = {}
        for received in () if self._keeps_peer else batch:
            standing = self._registry.standing(self._key(received))
            if standing is not None and standing.exchange is not None:
                behind[standing.exchange] = None
        if not behind:
            return batch
        batch = [attrs.evolve(received, data=bytes(received.data)) for received in batch]
        for exchange in behind:
            exchange.catch_up()
        return batch

    def _key(self, received: Received) -> bytes:
        return received.peer if self._keeps_peer else address.unmapped(received.peer)

    def _judge(self, received: Received, request: Request, now: float) -> Admitted | None:
        peer = self._key(received)
        octets = bytes(received.data)
        standing = self._registry.standing(peer)
        if self._keeps_peer and standing is not None and _is_doubled(octets, standing, now):
            self._observers.emit(RequestDoubled(standing.client))
            return None
        verdict = admit(
            octets,
            standing.octets if standing else None,
            standing.member.transfer if standing and standing.member else None,
            active=self._registry.unsettled,
            active_max=self._transfers_max,
        )
        if verdict is Verdict.REPEAT and standing and standing.member and standing.exchange:
            standing.exchange.deliver(standing.member, RequestRepeated(now))
        if verdict is Verdict.REFUSE:
            self._answer(received, _BUSY)
            self._observers.emit(RequestsDropped(1, "too many transfers (limits.transfers_max)"))
        if verdict in (Verdict.REPEAT, Verdict.IGNORE):
            self._observers.emit(RequestDoubled(address.text(peer)))
        if verdict is not Verdict.START:
            return None
        client = address.text(peer)
        candidate = Admitted(
            peer, client, received.local, octets, request, self.endpoint, received.peer, now
        )
        self._registry.add(candidate)
        return candidate

    def _malformed(self, received: Received, malformed: MalformedPacket) -> None:
        if malformed.code is not None:
            self._answer(received, encode_error(malformed.code, malformed.reason))
        client = address.text(received.peer)
        answered = malformed.code is not None
        self._observers.emit(RequestMalformed(client, malformed.reason, answered))

    def _answer(self, received: Received, packet: bytes) -> None:
        """Answer a datagram that begins no transfer, from the address that it was sent to."""
        self.endpoint.send([Packet(received.peer, packet, received.local)])


def _is_doubled(octets: bytes, standing: Admitted, now: float) -> bool:
    """Say whether a request is a late double of the standing one.

    Where both transfers would have the same port there can be no contest between them: the new one
    would end the old one, and wait for a client that is in the middle of it.
    """
    member = standing.member
    if octets != standing.octets or member is None or not member.transfer.answered:
        return False
    if member.transfer.finished:  # by its last ACK, which may have come in the same batch
        return False
    return now - member.transfer.progressed_at < DOUBLED_SECONDS
