"""RRQs whose content is at hand: served by the pumps alone, without a task each.

A task, with what it takes to wake it and to end it, costs more than sending a small file does.  So
a transfer that has nothing to wait for gets none: it is begun by whoever admits it, its exchange
tells when something has become of it, and only when its content must be loaded from a disk does a
task take over, to the end.  What cannot be begun here is for `snowowl.server.transfers`.
"""

from __future__ import annotations

import traceback

import trio

from snowowl.content.errors import ContentError
from snowowl.content.source import Source
from snowowl.content.store import Recent, Store
from snowowl.observe.events import InternalError, RolloverExpected
from snowowl.observe.observers import Observers
from snowowl.protocol.blocks import NUMBER_MAX
from snowowl.protocol.events import ContentFailed, ContentReady, Stopped
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.protocol.read import ReadTransfer
from snowowl.server.exchange import SUPERSEDED, Exchange
from snowowl.server.exchanges import Exchanges
from snowowl.server.generation import Generation, Generations
from snowowl.server.member import Member
from snowowl.server.registry import Admitted, Contest, Registry, contend
from snowowl.server.report import Report
from snowowl.wire.constants import ErrorCode
from snowowl.wire.packets import Mode, ReadRequest

OUTDATED = Outcome(OutcomeKind.SUPERSEDED, SUPERSEDED.message)
BROKEN = ContentFailed(ErrorCode.NOT_DEFINED, "server error")
GAVE_WAY = Stopped(OutcomeKind.GAVE_WAY, "it never answered, and others took its place")
SHUTDOWN = Stopped(OutcomeKind.STOPPED, "shutting down", ErrorCode.NOT_DEFINED)
_BROKEN_OUTCOME = Outcome(OutcomeKind.REFUSED, BROKEN.message, BROKEN.code)
_STOPPED_OUTCOME = Outcome(OutcomeKind.STOPPED, SHUTDOWN.message, SHUTDOWN.code)


class Readings:
    """All RRQs that were begun at once."""

    def __init__(
        self,
        generations: Generations,
        exchanges: Exchanges,
        registry: Registry,
        observers: Observers,
    ) -> None:
        self.generations = generations
        self.exchanges = exchanges
        self.registry = registry
        self.observers = observers
        self.nursery: trio.Nursery | None = None
        """Where tasks are started for what must wait; nothing is begun here without it."""
        self._running: dict[Reading, None] = {}

    def begin(self, admitted: Admitted, recent: Recent | None = None) -> bool:
        """Serve a request, or refuse it, if that takes no waiting; say whether it was so.

        `recent` holds what others of the same batch have asked for.  The first packet waits for the
        exchange's next `flush`.  Raises nothing.
        """
        request = admitted.request
        if self.nursery is None or not isinstance(request, ReadRequest):
            return False
        report = Report(self.observers, self.registry, admitted)
        try:
            netascii = request.mode is Mode.NETASCII
            generation = self.generations.current
            source = generation.store.open_now(request.filename, netascii=netascii, recent=recent)
        except ContentError as error:
            return self._refuse(admitted, report, error)
        except Exception as error:  # noqa: BLE001 - one request's trouble is not the server's
            self.observers.emit(InternalError("transfer", traceback.format_exc()))
            bug = ContentError(ErrorCode.NOT_DEFINED, BROKEN.message, repr(error))
            return self._refuse(admitted, report, bug)
        if source is None:
            return False
        try:
            exchange = self.exchanges.borrow(admitted)
        except Exception:  # noqa: BLE001 - no descriptors, or a bug: a task meets it again, and explains
            source.close()
            return False
        reading = Reading(self, generation, admitted, exchange, source, report)
        self._running[reading] = None
        reading.begin(request)
        return True

    def ended(self, reading: Reading) -> bool:
        """Forget a request; say whether it was known."""
        if reading not in self._running:
            return False
        del self._running[reading]
        return True

    def stop(self) -> None:
        """Tell every peer that is still served that the server shuts down; begin nothing more."""
        self.nursery = None
        for reading in list(self._running):
            reading.stop()

    def _refuse(self, admitted: Admitted, report: Report, error: ContentError) -> bool:
        try:
            exchange = self.exchanges.borrow(admitted, for_error=True)
        except Exception:  # noqa: BLE001 - as in `begin`
            return False
        packet = admitted.refusal(error.code, error.message)
        if packet is not None:
            exchange.queue_packet(admitted.peer, packet, admitted.local)
        end_rival(self.registry, admitted)
        report.refuse(error)
        self.registry.remove(admitted)
        self.exchanges.give_back(exchange)
        return True


class Reading:
    """One RRQ, from its first packet to its end."""

    __slots__ = ("_admitted", "_all", "_exchange", "_generation", "_report", "_source", "member")

    def __init__(
        self,
        readings: Readings,
        generation: Generation,
        admitted: Admitted,
        exchange: Exchange,
        source: Source,
        report: Report,
    ) -> None:
        self._all = readings
        self._generation = generation
        generation.hold()
        self._admitted = admitted
        self._exchange = exchange
        self._source = source
        self._report = report
        self.member: Member | None = None

    def begin(self, request: ReadRequest) -> None:
        """Join the exchange, unless the peer has gone on to another request meanwhile."""
        admitted, registry = self._admitted, self._all.registry
        try:
            if registry.is_outdated(admitted):
                self._end(not_begun(admitted), "")
                return
            policy = self._generation.policies.for_local(admitted.local)
            transfer = ReadTransfer(request, policy, self._source.size)
            warn_of_rollover(self._all.observers, admitted, transfer)
            member = Member(
                admitted.peer,
                transfer,
                local=admitted.local,
                source=self._source,
                unanswered=admitted,
            )
            member.attendant = self.attend
            self.member = admitted.member = member
            admitted.exchange = self._exchange
            rival = registry.rival(admitted)
            if rival is not None:
                contend(rival, admitted)
            self._report.start(member, self._source.size)
            self._exchange.join(member)
        except Exception as error:  # noqa: BLE001 - one request's trouble is not the server's
            self._fail(error)

    def attend(self) -> None:
        """Look what has become of the transfer: it has ended, or it wants content."""
        member, nursery = self.member, self._all.nursery
        assert member is not None
        if member.broken:
            self._end_broken(member)
        elif member.transfer.outcome is not None:
            self._end(member.transfer.outcome, member.detail)
        elif member.load_wanted is not None:
            member.attendant = None
            try:
                if nursery is not None:
                    nursery.start_soon(self._run, member)
                    return
            except RuntimeError:  # closed: the server is about to say so to all
                pass
            self.stop()

    def stop(self) -> None:
        """End the transfer, if it has not ended: the server shuts down."""
        self._end(_STOPPED_OUTCOME, "")

    async def _run(self, member: Member) -> None:
        """Load content whenever it is wanted, to the end of the transfer."""
        transfer = member.transfer
        try:
            while transfer.outcome is None and not member.broken:
                if member.load_wanted is not None:
                    await load(self._generation.store, self._exchange, member, self._source)
                else:
                    await member.changed()
            if member.broken:  # while content was loaded
                self._end_broken(member)
        except ContentError:  # the machine is broken
            self._end_broken(member)
        except Exception as error:  # noqa: BLE001 - as in `begin`
            self._fail(error)
        finally:
            self._end(transfer.outcome or _STOPPED_OUTCOME, member.detail)

    def _fail(self, error: Exception) -> None:
        self._all.observers.emit(InternalError("transfer", traceback.format_exc()))
        member = self.member
        if member is not None:
            self._exchange.deliver(member, BROKEN)
        else:
            self._tell_broken()
        self._end(_BROKEN_OUTCOME, repr(error))

    def _end_broken(self, member: Member) -> None:
        """End a transfer whose machine is in no state to do it."""
        self._tell_broken()
        self._end(_BROKEN_OUTCOME, member.detail)

    def _tell_broken(self) -> None:
        packet = self._admitted.error(BROKEN.code, BROKEN.message)
        self._exchange.queue_packet(self._admitted.peer, packet, self._admitted.local)
        self._exchange.flush()

    def _end(self, outcome: Outcome, detail: str) -> None:
        """Clean up and report.  Idempotent.  Raises nothing: who calls it serves others, too."""
        readings, admitted, member = self._all, self._admitted, self.member
        if not readings.ended(self):
            return
        try:
            try:
                if member is not None:
                    member.attendant = None
                    leave(self._exchange, member)
            finally:
                self._source.close()
        except Exception:  # noqa: BLE001 - as in `begin`
            readings.observers.emit(InternalError("transfer", traceback.format_exc()))
        self._generation.let_go()
        readings.exchanges.give_back(self._exchange)
        readings.registry.remove(admitted)
        self._report.finish(outcome, detail)


def not_begun(admitted: Admitted) -> Outcome:
    """Return the outcome of a request that became outdated before its transfer could begin."""
    return Outcome(GAVE_WAY.kind, GAVE_WAY.message) if admitted.gave_way else OUTDATED


def leave(exchange: Exchange, member: Member) -> None:
    """Take a transfer out of its exchange, whichever way it ends."""
    if isinstance(member.contest, Contest):
        member.contest.ended()
    if not member.transfer.finished:  # it was cancelled
        exchange.deliver(member, SHUTDOWN)
    exchange.leave(member)


async def load(store: Store, exchange: Exchange, member: Member, source: Source) -> None:
    """Read content ahead in a thread, so that the pump need not wait for a disk."""
    assert member.load_wanted is not None
    offset, length = member.load_wanted
    member.load_wanted = None
    event: ContentReady | ContentFailed
    try:
        await trio.to_thread.run_sync(source.load, offset, length, limiter=store.limiter)
        event = ContentReady(trio.current_time())
    except ContentError as error:
        member.note_failure(error)
        event = ContentFailed(error.code, error.message)
    exchange.deliver(member, event)


def end_rival(registry: Registry, admitted: Admitted) -> None:
    """End what a peer had begun before it asked for something that it cannot have (rule R5).

    Not if it was the same request: then the network has doubled the one that is served.
    """
    rival = registry.rival(admitted)
    if rival is not None and rival.octets != admitted.octets and admitted.member is None:
        assert rival.exchange is not None
        assert rival.member is not None
        rival.exchange.deliver(rival.member, SUPERSEDED)


def warn_of_rollover(observers: Observers, admitted: Admitted, transfer: ReadTransfer) -> None:
    """Say that a file has more blocks than there are numbers (rule R11)."""
    blocks, terms = transfer.window.total, transfer.terms
    if blocks > NUMBER_MAX:
        filename = admitted.request.filename
        observers.emit(
            RolloverExpected(admitted.client, filename, blocks, terms.blksize, terms.rollover)
        )
