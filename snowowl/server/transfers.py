"""A transfer's life: open content, join an exchange, await the outcome, clean up.

One task each.  It may wait for disks; it touches no packet.  Whatever goes wrong in it is reported
once and ends this transfer alone.
"""

from __future__ import annotations

import traceback
from contextlib import ExitStack
from typing import Final

import attrs
import trio

from snowowl.content.errors import ContentError
from snowowl.content.sink import Sink
from snowowl.content.source import Source
from snowowl.content.store import Store
from snowowl.observe.events import Direction, InternalError, RolloverExpected, TransferFinished
from snowowl.observe.observers import Observers
from snowowl.protocol.blocks import NUMBER_MAX
from snowowl.protocol.events import ContentCommitted, ContentFailed, ContentReady, Stopped
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.protocol.read import ReadTransfer
from snowowl.protocol.write import WriteTransfer
from snowowl.server.exchange import SUPERSEDED, Exchange
from snowowl.server.exchanges import Exchanges
from snowowl.server.member import Member
from snowowl.server.policies import Policies
from snowowl.server.registry import Admitted, Contest, Registry, contend
from snowowl.wire import options as known
from snowowl.wire.codec import encode_error
from snowowl.wire.constants import ErrorCode
from snowowl.wire.packets import Mode, ReadRequest, WriteRequest

FLUSH_SIZE: Final = 256 * 1024
"""Octets of an upload that are worth a trip to a thread (about 100 us)."""

_OUTDATED = Outcome(OutcomeKind.SUPERSEDED, SUPERSEDED.message)
_BROKEN = ContentFailed(ErrorCode.NOT_DEFINED, "internal error")
_BROKEN_PACKET = encode_error(_BROKEN.code, _BROKEN.message)
_SHUTDOWN = Stopped(OutcomeKind.STOPPED, "server is shutting down", ErrorCode.NOT_DEFINED)
_SHUTDOWN_PACKET = encode_error(ErrorCode.NOT_DEFINED, _SHUTDOWN.message)


@attrs.define
class Service:
    """What the transfers of a server share."""

    store: Store
    policies: Policies
    exchanges: Exchanges
    registry: Registry
    observers: Observers

    async def serve(self, admitted: Admitted) -> None:
        """Serve one request.  Raises nothing but Cancelled."""
        report = _Report(self.observers, self.registry, admitted)
        try:
            await self._serve(admitted, report)
        except ContentError as error:
            outcome = Outcome(OutcomeKind.REFUSED, error.message, error.code)
            report.finish(outcome, error.detail)
        except Exception as error:  # noqa: BLE001 - one transfer's trouble is not the server's
            self.observers.emit(InternalError("transfer", traceback.format_exc()))
            outcome = Outcome(OutcomeKind.REFUSED, "internal error", ErrorCode.NOT_DEFINED)
            report.finish(outcome, repr(error))
        finally:
            self.registry.remove(admitted)
            report.finish(Outcome(OutcomeKind.STOPPED, _SHUTDOWN.message), "")

    def abandon(self, admitted: Admitted) -> None:
        """Tell the peer of a request for which there is no time any more."""
        admitted.answer(_SHUTDOWN_PACKET)
        report = _Report(self.observers, self.registry, admitted)
        report.finish(Outcome(OutcomeKind.STOPPED, _SHUTDOWN.message, _SHUTDOWN.code), "")
        self.registry.remove(admitted)

    async def _serve(self, admitted: Admitted, report: _Report) -> None:
        request = admitted.request
        with ExitStack() as stack:
            try:
                exchange = stack.enter_context(self.exchanges.lend(admitted))
            except OSError as error:
                refusal = ContentError(
                    ErrorCode.NOT_DEFINED,
                    "server is out of resources, try again",
                    f"no socket for the transfer: {error}",
                )
                admitted.answer(encode_error(refusal.code, refusal.message))
                raise refusal from error
            stack.callback(self._leave, admitted, exchange)
            try:
                if isinstance(request, ReadRequest):
                    await self._read(admitted, request, exchange, report)
                else:
                    await self._write(admitted, request, exchange, report)
            except ContentError as error:
                packet = encode_error(error.code, error.message)
                exchange.send_packet(admitted.peer, packet, admitted.local)
                self._end_rival(admitted)
                raise
            except trio.Cancelled:
                if admitted.member is None:  # else `_leave` tells the peer
                    exchange.send_packet(admitted.peer, _SHUTDOWN_PACKET, admitted.local)
                raise
            except Exception:
                if admitted.member is not None:
                    exchange.deliver(admitted.member, _BROKEN)
                else:
                    exchange.send_packet(admitted.peer, _BROKEN_PACKET, admitted.local)
                raise

    def _end_rival(self, admitted: Admitted) -> None:
        """End what a peer had begun before it asked for something that it cannot have (rule R5).

        Not if it was the same request: then the network has doubled the one that is served.
        """
        rival = self.registry.rival(admitted)
        if rival is not None and rival.octets != admitted.octets and admitted.member is None:
            assert rival.exchange is not None
            assert rival.member is not None
            rival.exchange.deliver(rival.member, SUPERSEDED)

    async def _read(
        self, admitted: Admitted, request: ReadRequest, exchange: Exchange, report: _Report
    ) -> None:
        netascii = request.mode is Mode.NETASCII
        source = self.store.open_now(request.filename, netascii=netascii)
        if source is None:
            source = await self.store.open(request.filename, netascii=netascii)
        with ExitStack() as stack:
            stack.callback(source.close)
            policy = self.policies.for_local(admitted.local)
            transfer = ReadTransfer(request, policy, source.size)
            self._warn_of_rollover(admitted, transfer)
            member = Member(admitted.peer, transfer, local=admitted.local, source=source)
            if not self._join(admitted, exchange, member):
                report.finish(_OUTDATED, "")
                return
            while transfer.outcome is None:
                await member.changed()
                if member.load_wanted is not None:
                    await self._load(exchange, member, source)
            report.finish(transfer.outcome, member.detail)

    def _warn_of_rollover(self, admitted: Admitted, transfer: ReadTransfer) -> None:
        blocks, terms = transfer.window.total, transfer.terms
        if blocks > NUMBER_MAX:
            filename = admitted.request.filename
            self.observers.emit(
                RolloverExpected(admitted.client, filename, blocks, terms.blksize, terms.rollover)
            )

    async def _load(self, exchange: Exchange, member: Member, source: Source) -> None:
        """Read content ahead in a thread, so that the pump need not wait for a disk."""
        assert member.load_wanted is not None
        offset, length = member.load_wanted
        member.load_wanted = None
        event: ContentReady | ContentFailed
        try:
            await trio.to_thread.run_sync(source.load, offset, length, limiter=self.store.limiter)
            event = ContentReady(trio.current_time())
        except ContentError as error:
            member.detail = error.detail
            event = ContentFailed(error.code, error.message)
        exchange.deliver(member, event)

    async def _write(
        self, admitted: Admitted, request: WriteRequest, exchange: Exchange, report: _Report
    ) -> None:
        tsize = known.parse_value(known.TSIZE, dict(request.options).get(known.TSIZE, b""))
        netascii = request.mode is Mode.NETASCII
        async with await self.store.create(
            request.filename, netascii=netascii, tsize=tsize
        ) as sink:
            transfer = WriteTransfer(request, self.policies.for_local(admitted.local))
            member = Member(admitted.peer, transfer, local=admitted.local, sink=sink)
            if not self._join(admitted, exchange, member):
                report.finish(_OUTDATED, "")
                return
            try:
                await self._take_in(exchange, member, sink, report)
            finally:
                # Cancelled between the last block and its commit: all octets are here, and the
                # machine counts on them being kept.
                if member.commit_wanted and not member.broken:
                    await self._commit(exchange, member, sink)

    async def _take_in(
        self, exchange: Exchange, member: Member, sink: Sink, report: _Report
    ) -> None:
        transfer = member.transfer
        while not transfer.finished:
            await member.changed()
            if member.commit_wanted:
                await self._commit(exchange, member, sink)
            elif transfer.outcome is None and (member.paused or sink.pending >= FLUSH_SIZE):
                await self._flush(exchange, member, sink)
            if transfer.outcome is not None:
                report.finish(transfer.outcome, member.detail)

    async def _flush(self, exchange: Exchange, member: Member, sink: Sink) -> None:
        try:
            await sink.flush()
        except ContentError as error:
            member.detail = error.detail
            exchange.deliver(member, ContentFailed(error.code, error.message))
            return
        if member.paused and not sink.full:
            member.paused = False
            exchange.deliver(member, ContentReady(trio.current_time()))

    async def _commit(self, exchange: Exchange, member: Member, sink: Sink) -> None:
        """Make the upload durable, then let its last ACK go.

        Shielded: once it has begun, the file will be there, and the client must be told so.
        """
        member.commit_wanted = False
        event: ContentCommitted | ContentFailed
        with trio.CancelScope(shield=True):
            try:
                await sink.commit()
                event = ContentCommitted(trio.current_time())
            except ContentError as error:
                member.detail = error.detail
                event = ContentFailed(error.code, error.message)
        exchange.deliver(member, event)

    def _join(self, admitted: Admitted, exchange: Exchange, member: Member) -> bool:
        """Begin a transfer; False if its peer has gone on to another one meanwhile."""
        if self.registry.is_outdated(admitted):
            return False
        admitted.exchange, admitted.member = exchange, member
        rival = self.registry.rival(admitted)
        if rival is not None:
            contend(rival, admitted)
        exchange.join(member)
        return True

    def _leave(self, admitted: Admitted, exchange: Exchange) -> None:
        """Take a transfer out of its exchange, whichever way its task ends."""
        member = admitted.member
        if member is None:
            return
        if isinstance(member.contest, Contest):
            member.contest.ended()
        if not member.transfer.finished:  # the task was cancelled
            exchange.deliver(member, _SHUTDOWN)
        exchange.leave(member)


class _Report:
    """Tells the observers how a request ended, once."""

    def __init__(self, observers: Observers, registry: Registry, admitted: Admitted) -> None:
        self._observers = observers
        self._registry = registry
        self._admitted = admitted
        self._finished = False

    def finish(self, outcome: Outcome, detail: str) -> None:
        """Report the outcome; later calls do nothing."""
        if self._finished:
            return
        self._finished = True
        self._registry.settle(self._admitted)
        admitted, request = self._admitted, self._admitted.request
        transfer = admitted.member.transfer if admitted.member else None
        if transfer is not None and transfer.outcome is not None:
            outcome = transfer.outcome
        self._observers.emit(
            TransferFinished(
                client=admitted.client,
                direction=Direction.READ if isinstance(request, ReadRequest) else Direction.WRITE,
                filename=request.filename,
                mode=request.mode,
                octets=transfer.octets if transfer else 0,
                seconds=trio.current_time() - admitted.since,
                granted=transfer.terms.granted if transfer else (),
                retransmitted=transfer.retransmitted if transfer else 0,
                outcome=outcome,
                detail=detail,
            )
        )
