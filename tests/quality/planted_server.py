"""Bugs of the shell: pumps, tasks, the registry, the end of a server."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import trio

from snowowl.config import Config
from snowowl.content.sink import Sink
from snowowl.datagram.interface import Packet, Received, Region
from snowowl.observe.events import TransferFinished
from snowowl.observe.observers import Observers
from snowowl.protocol import admission
from snowowl.protocol.admission import Verdict
from snowowl.protocol.events import ContentCommitted, DatagramsReceived
from snowowl.protocol.outcome import Outcome
from snowowl.server import readings, transfers
from snowowl.server.alarms import Alarms
from snowowl.server.exchange import Exchange
from snowowl.server.exchanges import Exchanges
from snowowl.server.guard import Guard
from snowowl.server.member import Member
from snowowl.server.outbox import Outbox
from snowowl.server.registry import Admitted, Registry
from snowowl.server.report import Report
from snowowl.server.transfers import Service
from snowowl.wire.codec import encode_error
from tests.quality.planting import Patch, bug, everywhere


@bug("no task outlives the server", found_by="worlds", usually=10)
def leaked_task(patch: Patch) -> None:
    """Each upload starts a task that nobody waits for."""
    real = Service._write

    async def write(self: Service, *arguments: object) -> None:
        trio.lowlevel.spawn_system_task(trio.sleep_forever)
        await real(self, *arguments)  # type: ignore[arg-type]

    patch(Service, "_write", write)


@bug("a drain waits for running transfers", found_by="worlds", usually=30)
def drain_forgets_a_child(patch: Patch) -> None:
    """A server that drains does not wait for the transfers that have begun."""

    async def wait_settled(self: Registry) -> None:
        await trio.lowlevel.checkpoint()

    patch(Registry, "wait_settled", wait_settled)


@bug("no socket outlives the server", found_by="worlds", usually=10)
def socket_left_open(patch: Patch) -> None:
    """The sockets of transfers are not closed with the server."""

    def close(self: Exchange) -> None:
        self.scope.cancel()

    patch(Exchange, "close", close)


@bug("the last ACK comes after fsync and rename", found_by="worlds", usually=20)
def last_ack_before_the_rename(patch: Patch) -> None:
    """The last ACK leaves before the thread that commits has done so."""

    async def commit(self: Service, exchange: Exchange, member: Member, sink: Sink) -> None:
        member.commit_wanted = False
        exchange.deliver(member, ContentCommitted(trio.current_time()))
        with trio.CancelScope(shield=True):
            await sink.commit()

    patch(Service, "_commit", commit)


@bug("a peer is an address and a port", found_by="worlds", usually=20)
def peer_without_its_port(patch: Patch) -> None:
    """Transfers are found by the address of the peer alone."""

    class ByHost(dict[bytes, Member]):
        @staticmethod
        def _host(peer: bytes) -> bytes:
            return peer[:2] + bytes(2) + peer[4:]

        def __setitem__(self, peer: bytes, member: Member) -> None:
            super().__setitem__(self._host(peer), member)

        def __delitem__(self, peer: bytes) -> None:
            super().__delitem__(self._host(peer))

        def get(self, peer: bytes, default: object = None) -> Member | None:  # type: ignore[override]
            return super().get(self._host(peer))

        def __contains__(self, peer: object) -> bool:
            return isinstance(peer, bytes) and super().__contains__(self._host(peer))

    real = Exchange.__init__

    def init(self: Exchange, *arguments: object, **named: object) -> None:
        real(self, *arguments, **named)  # type: ignore[arg-type]
        self.members = ByHost()

    patch(Exchange, "__init__", init)


@bug("RFC 1350 4: the TID", found_by="worlds", usually=20)
def wrong_tid_accepted(patch: Patch) -> None:
    """A packet of a peer that has no transfer is given to somebody's."""

    def stray(self: Exchange, received: Received) -> None:
        for member in list(self.members.values())[:1]:
            event = DatagramsReceived(received.data, received.stride, trio.current_time())
            self._handle(member, event)

    patch(Exchange, "_answer_stray", stray)


@bug("rule R7", found_by="worlds", usually=20)
def strays_not_answered(patch: Patch) -> None:
    """A packet with the wrong TID is answered by nothing."""
    patch(Exchange, "_answer_stray", lambda self, received: None)


@bug("RFC 1350 7", found_by="worlds", usually=20)
def stray_error_answered(patch: Patch) -> None:
    """Whatever a stranger sends is answered by ERROR 5, an ERROR too."""

    def stray(self: Exchange, received: Received) -> None:
        self._outbox.queue.append(Packet(received.peer, encode_error(5, "unknown TID")))

    patch(Exchange, "_answer_stray", stray)


@bug("rule R5", found_by="worlds", usually=20)
def repeated_request_begins_anew(patch: Patch) -> None:
    """A request that comes twice opens two transfers, of which both send."""

    def admit(*_: object, **__: object) -> Verdict:
        return Verdict.START

    everywhere(patch, admission.admit, admit)
    patch(readings, "contend", lambda old, new: None)
    patch(transfers, "contend", lambda old, new: None)


@bug("limits.transfers_max", found_by="worlds", usually=30)
def no_limit_of_transfers(patch: Patch) -> None:
    """However many transfers there are, one more begins."""
    real = Guard.configure

    def configure(self: Guard, config: Config) -> None:
        real(self, config)
        self.transfers_max = 1 << 30

    patch(Guard, "configure", configure)


@bug("what is told adds up", found_by="worlds", usually=10)
def finish_told_twice(patch: Patch) -> None:
    """A transfer that is refused is reported, and reported again when its task ends."""
    real = Report.finish

    def finish(self: Report, outcome: Outcome, detail: str) -> None:
        real(self, outcome, detail)
        self._finished = False

    patch(Report, "finish", finish)


@bug("what is told adds up", found_by="worlds", usually=10)
def octets_told_wrongly(patch: Patch) -> None:
    """The octets of a transfer are counted in whole blocks."""
    real = Observers.emit

    def emit(self: Observers, event: object) -> None:
        if isinstance(event, TransferFinished):
            event = attrs.evolve(event, octets=-(-event.octets // 512) * 512)
        real(self, event)  # type: ignore[arg-type]

    patch(Observers, "emit", emit)


@bug("each transfer has its own content", found_by="worlds", usually=20)
def contents_mixed(patch: Patch) -> None:
    """All transfers of a socket send out of what was opened last."""
    last: list[Region] = []
    real = Exchange.join

    def join(self: Exchange, member: Member) -> None:
        if member.body is not None:
            last[:] = [member.body]
        real(self, member)

    def go_on(self: Exchange, member: Member, now: float) -> None:
        if last and member.body is not None and last[0].view is not member.body.view:
            member.body = last[0]
        ready(self, member, now)

    ready = Exchange._go_on
    patch(Exchange, "join", join)
    patch(Exchange, "_go_on", go_on)


@bug("what is blocked goes later, in order", found_by="worlds", usually=30)
def backlog_overtaken(patch: Patch) -> None:
    """While the socket is full, what comes later is sent first."""

    def flush(self: Outbox) -> None:
        while self.queue:
            queue, self.queue = self.queue, []
            self._send(queue)

    def send(self: Outbox, transmits: Sequence[object]) -> None:
        unsent = self._endpoint.send(transmits)  # type: ignore[arg-type]
        if unsent is not None and unsent.blocked:
            self._backlog = []
            self._backlogged.set()

    patch(Outbox, "flush", flush)
    patch(Outbox, "_send", send)


@bug("a transfer's timer is looked at", found_by="worlds", usually=20)
def alarm_set_once(patch: Patch) -> None:
    """A transfer whose deadline has moved on is never looked at again."""

    def due(self: Alarms, now: float) -> list[Member]:
        found = []
        while self._heap and self._heap[0][0] <= now:
            found.append(self._heap.pop(0)[2])
        return found

    patch(Alarms, "due", due)


@bug("rule R5: a doubled request is no new one", found_by="worlds", usually=30)
def same_socket_again(patch: Patch) -> None:
    """The same peer gets the socket of its last transfer again, so late packets meet the new one."""
    real = Exchanges._share

    def share(self: Exchanges, admitted: Admitted) -> Exchange:
        self._last.clear()
        return real(self, admitted)

    patch(Exchanges, "_share", share)
