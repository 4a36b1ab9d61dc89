"""A transfer's life: open content, join an exchange, await the outcome, clean up.

One task each.  It may wait for disks; it touches no packet.  Whatever goes wrong in it is reported
once and ends this transfer alone.
"""

from __future__ import annotations

import traceback
from contextlib import AsyncExitStack, ExitStack

import attrs
import trio

from snowowl.content.errors import ContentError
from snowowl.content.sink import Sink
from snowowl.content.source import Source
from snowowl.observe.events import InternalError
from snowowl.observe.observers import Observers
from snowowl.protocol.events import ContentCommitted, ContentFailed, ContentReady
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.protocol.read import ReadTransfer
from snowowl.protocol.write import WriteTransfer
from snowowl.server.exchange import Exchange
from snowowl.server.exchanges import Exchanges
from snowowl.server.generation import Generation, Generations
from snowowl.server.member import Member
from snowowl.server.readings import (
    BROKEN,
    SHUTDOWN,
    end_rival,
    leave,
    load,
    not_begun,
    warn_of_rollover,
)
from snowowl.server.registry import Admitted, Registry, contend
from snowowl.server.report import Report
from snowowl.wire import options as known
from snowowl.wire.constants import ErrorCode
from snowowl.wire.packets import Mode, ReadRequest, WriteRequest


@attrs.define
class Service:
    """What the transfers of a server share."""

    generations: Generations
    exchanges: Exchanges
    registry: Registry
    observers: Observers

    async def serve(self, admitted: Admitted) -> None:
        """Serve one request.  Raises nothing but Cancelled."""
        report = Report(self.observers, self.registry, admitted)
        try:
            await self._serve(admitted, report)
        except ContentError as error:
            report.refuse(error)
        except Exception as error:  # noqa: BLE001 - one transfer's trouble is not the server's
            self.observers.emit(InternalError("transfer", traceback.format_exc()))
            outcome = Outcome(OutcomeKind.REFUSED, "server error", ErrorCode.NOT_DEFINED)
            report.finish(outcome, repr(error))
        finally:
            self.registry.remove(admitted)
            report.finish(Outcome(OutcomeKind.STOPPED, SHUTDOWN.message), "")

    def abandon(self, admitted: Admitted) -> None:
        """Tell the peer of a request for which there is no time any more."""
        admitted.answer(admitted.error(ErrorCode.NOT_DEFINED, SHUTDOWN.message))
        report = Report(self.observers, self.registry, admitted)
        report.finish(Outcome(OutcomeKind.STOPPED, SHUTDOWN.message, SHUTDOWN.code), "")
        self.registry.remove(admitted)

    async def _serve(self, admitted: Admitted, report: Report) -> None:
        """Open what is asked for, and only then take a socket: in a flood most comes to nothing."""
        with self.generations.current.held() as generation:
            async with AsyncExitStack() as stack:
                try:
                    content = await _open(admitted, generation, stack)
                except ContentError as error:
                    self._tell(admitted, admitted.refusal(error.code, error.message))
                    end_rival(self.registry, admitted)
                    raise
                except trio.Cancelled:
                    self._tell(admitted, admitted.error(ErrorCode.NOT_DEFINED, SHUTDOWN.message))
                    raise
                except Exception:
                    self._tell(admitted, admitted.error(BROKEN.code, BROKEN.message))
                    raise
                await self._transfer(admitted, generation, content, report)

    def _tell(self, admitted: Admitted, packet: bytes | None) -> None:
        """Send the only datagram of a request that begins no transfer, if there is to be one."""
        if packet is None:
            return
        try:
            with self.exchanges.lend(admitted, for_error=True) as exchange:
                exchange.send_packet(admitted.peer, packet, admitted.local)
        except OSError:  # no socket: then from where it was asked
            admitted.answer(packet)

    async def _transfer(
        self, admitted: Admitted, generation: Generation, content: Source | Sink, report: Report
    ) -> None:
        with ExitStack() as stack:
            try:
                exchange = stack.enter_context(self.exchanges.lend(admitted))
            except OSError as error:
                refusal = ContentError(
                    ErrorCode.NOT_DEFINED,
                    "server is out of resources, try again",
                    f"no socket for the transfer: {error}",
                )
                packet = admitted.refusal(refusal.code, refusal.message)
                if packet is not None:
                    admitted.answer(packet)
                raise refusal from error
            stack.callback(self._leave, admitted, exchange)
            try:
                if isinstance(content, Sink):
                    await self._write(admitted, content, generation, exchange, report)
                else:
                    await self._read(admitted, content, generation, exchange, report)
            except ContentError as error:
                packet = admitted.refusal(error.code, error.message)
                if packet is not None:
                    exchange.send_packet(admitted.peer, packet, admitted.local)
                end_rival(self.registry, admitted)
                raise
            except trio.Cancelled:
                if admitted.member is None:  # else `_leave` tells the peer
                    packet = admitted.error(ErrorCode.NOT_DEFINED, SHUTDOWN.message)
                    exchange.send_packet(admitted.peer, packet, admitted.local)
                raise
            except Exception:
                if admitted.member is not None:
                    exchange.deliver(admitted.member, BROKEN)
                else:
                    packet = admitted.error(BROKEN.code, BROKEN.message)
                    exchange.send_packet(admitted.peer, packet, admitted.local)
                raise

    async def _read(
        self,
        admitted: Admitted,
        source: Source,
        generation: Generation,
        exchange: Exchange,
        report: Report,
    ) -> None:
        request = admitted.request
        assert isinstance(request, ReadRequest)
        policy = generation.policies.for_local(admitted.local)
        transfer = ReadTransfer(request, policy, source.size)
        warn_of_rollover(self.observers, admitted, transfer)
        member = Member(
            admitted.peer, transfer, local=admitted.local, source=source, unanswered=admitted
        )
        if not self._join(admitted, exchange, member, report, source.size):
            report.finish(not_begun(admitted), "")
            return
        while transfer.outcome is None:
            await member.changed()
            if member.load_wanted is not None:
                await load(generation.store, exchange, member, source)
        report.finish(transfer.outcome, member.detail)

    async def _write(
        self,
        admitted: Admitted,
        sink: Sink,
        generation: Generation,
        exchange: Exchange,
        report: Report,
    ) -> None:
        request = admitted.request
        assert isinstance(request, WriteRequest)
        transfer = WriteTransfer(request, generation.policies.for_local(admitted.local))
        member = Member(
            admitted.peer, transfer, local=admitted.local, sink=sink, unanswered=admitted
        )
        if not self._join(admitted, exchange, member, report, _announced(request)):
            report.finish(not_begun(admitted), "")
            return

        def lose(error: ContentError) -> None:
            member.note_failure(error)
            exchange.deliver(member, ContentFailed(error.code, error.message))

        sink.alert = lose
        try:
            await self._take_in(exchange, member, sink, report)
        finally:
            # Cancelled between the last block and its commit: all octets are here, and the
            # machine counts on them being kept.
            if member.commit_wanted and not member.broken:
                await self._commit(exchange, member, sink, report)

    async def _take_in(
        self, exchange: Exchange, member: Member, sink: Sink, report: Report
    ) -> None:
        transfer = member.transfer
        while not transfer.finished:
            await member.changed()
            if member.commit_wanted:
                await self._commit(exchange, member, sink, report)
            elif transfer.outcome is None and (member.paused or sink.worth_writing):
                await self._flush(exchange, member, sink)
            if transfer.outcome is not None:
                report.finish(transfer.outcome, member.detail)
                # Now, not after the dally: it may still hold a file that was replaced.
                await sink.discard()

    async def _flush(self, exchange: Exchange, member: Member, sink: Sink) -> None:
        try:
            await sink.flush()
        except ContentError as error:
            member.note_failure(error)
            exchange.deliver(member, ContentFailed(error.code, error.message))
            return
        if member.paused and not sink.full:
            member.paused = False
            exchange.deliver(member, ContentReady(trio.current_time()))

    async def _commit(self, exchange: Exchange, member: Member, sink: Sink, report: Report) -> None:
        """Make the upload durable, then let its last ACK go.

        Shielded: once it has begun, the file will be there, and the client must be told so.
        """
        member.commit_wanted = False
        event: ContentCommitted | ContentFailed
        with trio.CancelScope(shield=True):
            try:
                await sink.commit()
                report.stored = sink.stored
                event = ContentCommitted(trio.current_time())
            except ContentError as error:
                member.note_failure(error)
                event = ContentFailed(error.code, error.message)
        exchange.deliver(member, event)

    def _join(
        self,
        admitted: Admitted,
        exchange: Exchange,
        member: Member,
        report: Report,
        size: int | None,
    ) -> bool:
        """Begin a transfer; False if its peer has gone on to another one meanwhile."""
        if self.registry.is_outdated(admitted):
            return False
        admitted.exchange, admitted.member = exchange, member
        rival = self.registry.rival(admitted)
        if rival is not None:
            contend(rival, admitted)
        report.start(member, size)
        exchange.join(member)
        exchange.flush()
        return True

    def _leave(self, admitted: Admitted, exchange: Exchange) -> None:
        """Take a transfer out of its exchange, whichever way its task ends."""
        if admitted.member is not None:
            leave(exchange, admitted.member)


async def _open(admitted: Admitted, generation: Generation, stack: AsyncExitStack) -> Source | Sink:
    """Open what a request asks for, until the stack is left.  Raises ContentError."""
    request = admitted.request
    netascii = request.mode is Mode.NETASCII
    if isinstance(request, ReadRequest):
        source = await generation.store.open(request.filename, netascii=netascii)
        stack.callback(source.close)
        return source
    sink = await generation.store.create(
        request.filename, netascii=netascii, tsize=_announced(request), client=admitted.client
    )
    return await stack.enter_async_context(sink)  # no checkpoint: it reaches the stack


def _announced(request: WriteRequest) -> int | None:
    return known.parse_value(known.TSIZE, dict(request.options).get(known.TSIZE, b""))
