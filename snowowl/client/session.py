"""One transfer of a client: an endpoint, a machine, and the content on this side.

The server chooses its TID with its first answer (RFC 1350 section 4): the request goes to the
listening port, all else to the port that answered.  What comes from another port of the server
afterwards gets ERROR 5; what comes from another host is none of our business.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import closing
from typing import Final, Protocol, cast

import trio

from snowowl.client.errors import ClientError, Reason, from_outcome
from snowowl.client.options import Progress
from snowowl.client.url import Target
from snowowl.content.errors import ContentError
from snowowl.content.source import Source
from snowowl.datagram.address import SocketAddress, family_of, host_octets, pack, unmapped
from snowowl.datagram.interface import Endpoint, Network, Packet, Received, Region, Train, Transmit
from snowowl.protocol.actions import Actions, Commit, SendBlocks, SendPacket, StoreBlocks
from snowowl.protocol.events import (
    ContentCommitted,
    ContentFailed,
    DatagramsReceived,
    Event,
    PeerUnreachable,
    Stopped,
    TimerExpired,
)
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.receiving import Receiving
from snowowl.protocol.sending import Sending
from snowowl.protocol.transfer import State
from snowowl.wire.codec import Buffer, data_headers, encode_error, header_offset, opcode_of
from snowowl.wire.constants import HEADER_SIZE, ErrorCode, Opcode

FLUSH_SIZE: Final = 256 * 1024
"""Octets received that are worth a trip to a thread."""

_HEADERS: Final = (Region(data_headers(0)), Region(data_headers(1)))
_ANSWERS: Final = (Opcode.DATA, Opcode.ACK, Opcode.OACK, Opcode.ERROR)
_STRAY: Final = encode_error(ErrorCode.UNKNOWN_TID, "unknown transfer ID")
_CANCELLED: Final = Stopped(OutcomeKind.STOPPED, "client was stopped", ErrorCode.NOT_DEFINED)


class Sink(Protocol):
    """Where received octets go."""

    @property
    def pending(self) -> int:
        """Octets in memory."""

    def store(self, data: Buffer, stride: int, count: int) -> None:
        """Take the payload of DATA datagrams.  Raises ContentError."""

    async def flush(self) -> None:
        """Write what is pending.  Raises ContentError."""

    async def commit(self) -> None:
        """Make the whole file visible.  Raises ContentError."""


class Session:
    """Runs one transfer to its end."""

    def __init__(
        self,
        endpoint: Endpoint,
        server: bytes,
        transfer: Sending | Receiving,
        *,
        source: Source | None = None,
        sink: Sink | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._peer = server
        self.settled = False
        """The server has chosen its TID."""
        self.transfer = transfer
        self._source = source
        self._sink = sink
        self._progress = progress
        self._outbox: list[Transmit] = []
        self.ended_at = 0.0
        """When the outcome was known: before the dally."""
        self.failure: ContentError | None = None
        """What went wrong on this side, if anything did."""

    @property
    def confirmed(self) -> bool:
        """Every octet is known to have arrived."""
        outcome = self.transfer.outcome
        return outcome is not None and outcome.kind is OutcomeKind.COMPLETED

    async def run(self) -> None:
        """Run until the transfer has finished.  Cancelled, it tells the server by ERROR 0."""
        transfer = self.transfer
        try:
            await self._carry_out(transfer.start(trio.current_time()))
            while not transfer.finished:
                with trio.move_on_at(transfer.deadline):
                    await self._endpoint.wait_readable()
                batch = self._endpoint.receive()
                now = trio.current_time()
                for received in batch:
                    await self._receive(received, now)
                for peer in self._endpoint.take_unreachable():
                    if peer == self._peer:
                        await self._handle(PeerUnreachable(now))
                if transfer.deadline <= now:
                    await self._handle(TimerExpired(now))
                if self._progress is not None:
                    self._progress(transfer.octets, transfer.terms.tsize)
                if transfer.outcome is not None and not self.ended_at:
                    self.ended_at = now
        finally:
            self._say_farewell()

    def _say_farewell(self) -> None:
        """Tell the server, if the transfer is cut short."""
        for action in self.transfer.handle(_CANCELLED):
            if isinstance(action, SendPacket):
                packet = action.packet
                self._endpoint.send([Packet(self._peer, packet)])

    async def _receive(self, received: Received, now: float) -> None:
        peer = unmapped(received.peer)
        if host_octets(peer) != host_octets(self._peer):
            return
        if self.settled and peer != self._peer:
            if opcode_of(received.data) != Opcode.ERROR:
                self._endpoint.send([Packet(received.peer, _STRAY)])
            return
        event = DatagramsReceived(received.data, received.stride, now)
        if self.settled:
            await self._handle(event)
            return
        # Learn the TID from the first packet that a server could have sent, and that answers the
        # request: after any other it is repeated to the port that listens.
        if opcode_of(received.data) not in _ANSWERS:
            return
        listening, self._peer, self.settled = self._peer, peer, True
        await self._handle(event)
        if self.transfer.state is State.NEGOTIATING:
            self._peer, self.settled = listening, False

    async def _handle(self, event: Event) -> None:
        await self._carry_out(self.transfer.handle(event))

    async def _carry_out(self, actions: Actions) -> None:
        for action in actions:
            try:
                match action:
                    case SendPacket(packet):
                        self._outbox.append(Packet(self._peer, packet))
                    case SendBlocks(first, count):
                        await self._send_blocks(first, count)
                    case StoreBlocks(data, stride, count):
                        assert self._sink is not None
                        self._sink.store(data, stride, count)
                        if self._sink.pending >= FLUSH_SIZE:
                            await self._sink.flush()
                    case Commit():
                        assert self._sink is not None
                        await self._sink.commit()
                        await self._handle(ContentCommitted(trio.current_time()))
            except ContentError as error:
                self.failure = error
                await self._handle(ContentFailed(error.code, error.message))
                break
        await self._flush()

    async def _send_blocks(self, first: int, count: int) -> None:
        source, terms = self._source, self.transfer.terms
        assert source is not None
        offset = (first - 1) * terms.blksize
        length = min(count * terms.blksize, source.size - offset)
        if not source.ready(offset, length):
            await trio.to_thread.run_sync(source.load, offset, length)
        if offset + length == source.size:
            source.check()
        self._outbox.append(
            Train(
                self._peer,
                _HEADERS[terms.rollover],
                header_offset(first, terms.rollover),
                Region(source.view(offset, length)),
                0,
                length,
                HEADER_SIZE + terms.blksize,
                count,
            )
        )

    async def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        while outbox:
            unsent = self._endpoint.send(outbox)
            if unsent is None:
                return
            for _, reason in unsent.failed:
                if reason == errno.EFAULT:
                    raise ClientError(Reason.LOCAL_READ, "the file changed while it was sent")
                raise ClientError(Reason.PROTOCOL, "blksize is too large for the network")
            outbox = unsent.blocked
            if outbox:
                await self._endpoint.wait_writable()


async def converse(
    target: Target, network: Network, begin: Callable[[Endpoint, bytes], Session]
) -> Session:
    """Run a session with the first address of a target's host that somebody listens at.

    Raises ClientError if it does not end well.
    """
    addresses = await server_addresses(target)
    while True:
        family, server = addresses.pop(0)
        try:
            endpoint = network.open(family, None, None)
        except OSError as error:
            if addresses:  # IPv6 is switched off, say
                continue
            raise ClientError(Reason.CONNECT, f"cannot open a socket: {error.strerror}") from error
        with closing(endpoint):
            session = begin(endpoint, server)
            await session.run()
        outcome = session.transfer.outcome
        assert outcome is not None
        if outcome.kind in (OutcomeKind.COMPLETED, OutcomeKind.UNCONFIRMED):
            return session
        if outcome.kind is OutcomeKind.UNREACHABLE and not session.settled and addresses:
            continue
        if session.failure is not None:
            reason = (
                Reason.LOCAL_READ if isinstance(session.transfer, Sending) else Reason.LOCAL_WRITE
            )
            raise ClientError(reason, session.failure.detail or session.failure.message)
        raise from_outcome(outcome, target.server, session.transfer.octets)


async def server_addresses(target: Target) -> list[tuple[int, bytes]]:
    """Return (family, socket address) of a target's host, best first.  Raises ClientError."""
    try:
        found = await trio.socket.getaddrinfo(target.host, target.port, type=trio.socket.SOCK_DGRAM)
    except (OSError, ValueError) as error:  # ValueError: not encodable, or a NUL in a Target's host
        text = getattr(error, "strerror", None) or str(error)
        message = f"cannot resolve {target.host}: {text}"
        raise ClientError(Reason.RESOLVE, message) from error
    # Unmapped: it is how the addresses that answer are compared with them.
    packed = [unmapped(pack(cast("SocketAddress", name))) for _, _, _, _, name in found]
    return [(family_of(address), address) for address in packed]
