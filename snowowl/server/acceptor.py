"""One listening address: receives requests in batches, decodes, admits, hands them on.

It never waits for what it hands on: when the channel is full, requests are dropped and counted, as
the kernel would drop them.  A client that lives asks again.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from itertools import chain
from typing import Final

import attrs
import trio

from snowowl.datagram import address
from snowowl.datagram.interface import Endpoint, Packet, Received
from snowowl.observe.events import (
    Direction,
    InternalError,
    Refusal,
    RequestDoubled,
    RequestMalformed,
    RequestReceived,
)
from snowowl.observe.observers import Observers
from snowowl.protocol.admission import Verdict, admit
from snowowl.protocol.events import RequestRepeated
from snowowl.server.drops import DropWatch
from snowowl.server.exchange import Exchange
from snowowl.server.guard import Guard
from snowowl.server.intake import REQUESTS, apart
from snowowl.server.registry import Admitted, Registry
from snowowl.server.sources import Source, is_answerable
from snowowl.wire.codec import MalformedPacket, decode_request, opcode_of
from snowowl.wire.constants import ErrorCode, Opcode
from snowowl.wire.packets import Mode, ReadRequest, Request, WriteRequest

DOUBLED_SECONDS: Final = 1.0
"""On the listening port, the same request so soon after the peer has answered is one that the
network doubled and delayed.  No board is reset and back within a second, and if one was, it asks
again."""

RequestSender = trio.MemorySendChannel[Sequence[Admitted]]

_MAIL = MalformedPacket("mode mail is obsolete (RFC 1350)", ErrorCode.ILLEGAL_OPERATION)
_NOBODY = MalformedPacket("nobody can be answered at its address", None)
_BUSY = "server is busy, try again"
_TOO_MANY = "too many transfers of one client, try again"
_NOT_SERVED = "your network is not served here"


class Acceptor:
    """Admits the requests that come in at one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        registry: Registry,
        observers: Observers,
        channel: RequestSender,
        *,
        guard: Guard,
        keeps_peer: bool,
    ) -> None:
        self.endpoint = endpoint
        self._registry = registry
        self._observers = observers
        self._channel = channel
        self._guard = guard
        self._keeps_peer = keeps_peer
        """Transfers stay at this endpoint, so peers must be named as it names them."""
        self._drops = DropWatch(endpoint, observers)
        self.closed = False
        """Take no more requests: the server drains."""

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
                candidate = self._admit(received, now)
            except Exception:  # noqa: BLE001 - one datagram's trouble is not the server's
                self._observers.emit(InternalError("request", traceback.format_exc()))
                continue
            if candidate is not None:
                admitted.append(candidate)
        if not admitted:
            return
        try:
            self._channel.send_nowait(admitted)
        except trio.WouldBlock:
            for candidate in admitted:
                self._registry.remove(candidate)
                self._guard.withdraw(candidate)
            self._guard.refusals.note(Refusal.QUEUE, admitted[0].peer, len(admitted))
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

    def _admit(self, received: Received, now: float) -> Admitted | None:
        """Return what begins a transfer; answer what does not, if it deserves that."""
        guard, source = self._guard, None
        if not is_answerable(received.peer):
            self._malformed(received, _NOBODY, now)
            return None
        word = received.word
        opcode = word >> 16 if word >= 0 else opcode_of(received.data)
        asks, writes = opcode in REQUESTS, opcode == Opcode.WRQ
        if not guard.serves(received.peer, received.local):
            if asks:
                self._answer(received, ErrorCode.ACCESS_VIOLATION, _NOT_SERVED, now)
            return None
        if asks:
            source = guard.take_request(received.peer, now, writes=writes)
            if source is None:
                return None
        try:
            request = decode_request(received.data)
        except MalformedPacket as malformed:
            if source is not None:
                guard.give_back(source, writes=writes)
            self._malformed(received, malformed, now)
            return None
        assert source is not None
        if request.mode is Mode.MAIL:
            guard.give_back(source, writes=writes)
            self._malformed(received, _MAIL, now)
            return None
        return self._judge(received, request, source, now)

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

    def _judge(
        self, received: Received, request: Request, source: Source, now: float
    ) -> Admitted | None:
        """Return what begins a transfer; its tokens are given back if nothing is sent for it."""
        guard, registry, peer = self._guard, self._registry, self._key(received)
        octets = bytes(received.data)
        standing = registry.standing(peer)
        if self._keeps_peer and standing is not None and _is_doubled(octets, standing, now):
            verdict = Verdict.IGNORE
        else:
            verdict = admit(
                octets,
                standing.octets if standing else None,
                standing.member.transfer if standing and standing.member else None,
                active=registry.unsettled,
                active_max=guard.transfers_max,
            )
        if verdict is Verdict.START and source.transfers < guard.client_transfers_max:
            client = address.text(peer)
            candidate = Admitted(
                peer,
                client,
                received.local,
                octets,
                request,
                self.endpoint,
                received.peer,
                now,
                guard=guard,
                source=source,
            )
            registry.add(candidate)
            guard.begin(candidate)
            return candidate
        if verdict is Verdict.REPEAT and standing is not None:
            standing.repeats += 1
            standing.deliver(RequestRepeated(now))
        else:
            guard.give_back(source, writes=isinstance(request, WriteRequest))
        if verdict in (Verdict.REPEAT, Verdict.IGNORE):
            self._observers.emit(RequestDoubled(address.text(peer)))
            return None
        of_client = verdict is Verdict.START
        reason = Refusal.CLIENT_TRANSFERS if of_client else Refusal.TRANSFERS
        guard.refusals.note(reason, received.peer)
        self._answer(received, ErrorCode.NOT_DEFINED, _TOO_MANY if of_client else _BUSY, now)
        return None

    def _malformed(self, received: Received, malformed: MalformedPacket, now: float) -> None:
        """Answer what is no request, unless silence is the right answer to it."""
        answered = malformed.code is not None and self._answer(
            received, malformed.code, malformed.reason, now
        )
        client = address.text(received.peer)
        self._observers.emit(RequestMalformed(client, malformed.reason, answered))

    def _answer(self, received: Received, code: int, message: str, now: float) -> bool:
        """Answer a datagram that begins no transfer, from the address that it was sent to.

        Not if there were too many; say whether it was answered.
        """
        packet = self._guard.error(received.peer, code, message, len(received.data), now)
        if packet is not None:
            self.endpoint.send([Packet(received.peer, packet, received.local)])
        return packet is not None


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
