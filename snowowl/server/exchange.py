"""One UDP socket and the transfers that share it, keyed by peer.

Why not a task per transfer that awaits its datagrams: that costs 22 to 39 us of CPU for each, a
batch that many transfers share 5 to 8 us.  So here is one pump: wait until the socket is readable,
receive a batch, hand each datagram to its transfer, collect what they want sent, send it all in one
call.  There is no await between a datagram and its answer, and nothing here may block.

How it receives is in `snowowl.server.intake`, how it sends in `outbox`, its deadlines in `alarms`.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Sequence

import trio

from snowowl.content.errors import ContentError
from snowowl.datagram.interface import Endpoint, LocalAddress, Packet, Received, Region
from snowowl.observe.events import InternalError
from snowowl.observe.observers import Observers
from snowowl.protocol.actions import Actions, Commit, SendBlocks, SendPacket, StoreBlocks
from snowowl.protocol.events import (
    ContentFailed,
    ContentPaused,
    DatagramsReceived,
    Event,
    PeerUnreachable,
    Stopped,
    TimerExpired,
)
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.sending import NO_ACK
from snowowl.server.alarms import Alarms
from snowowl.server.drops import DropWatch
from snowowl.server.intake import REQUESTS, Intake, requests_apart
from snowowl.server.member import Member
from snowowl.server.outbox import BROKEN, FAULTS, Outbox
from snowowl.server.trains import train_of
from snowowl.server.tuning import Tuning
from snowowl.wire.codec import Buffer, encode_error, opcode_of
from snowowl.wire.constants import ErrorCode, Opcode

BATCHES_PER_TURN = 8
"""Batches handled before other tasks get a turn: 256 datagrams, in 1 to 2 ms."""

IDLE_WAKES_MAX = 16
IDLE_PAUSE_SECONDS = 0.01
"""A socket that is readable and yields nothing, again and again, is broken: do not spin on it."""

SUPERSEDED = Stopped(OutcomeKind.SUPERSEDED, "the client asked anew")

_STRAY = encode_error(ErrorCode.UNKNOWN_TID, "unknown transfer ID", asked_octets=0)
_PROGRESS = (Opcode.DATA, Opcode.ACK)

RequestHandler = Callable[[Sequence[Received]], None]
StrayJudge = Callable[[bytes, float], bool]
"""Says whether a peer without a transfer may have an ERROR now."""


class Exchange:
    """Runs the packets of any number of transfers over one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        observers: Observers,
        requests: RequestHandler | None = None,
        tuning: Tuning | None = None,
        may_answer: StrayJudge | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.members: dict[bytes, Member] = {}
        self.borrowers = 0
        """Transfers that will join, or have joined: it must not be closed under them."""
        self.scope = trio.CancelScope()
        self._observers = observers
        self._requests = requests
        """Takes RRQ and WRQ where the endpoint is the listening one (`tid = "listen"`)."""
        self._may_answer = may_answer
        self._intake = Intake(endpoint, tuning or Tuning())
        self._outbox = Outbox(endpoint, self._send_failed)
        self._alarms = Alarms()
        self._drops = DropWatch(endpoint, observers)
        self._changed: list[Member] = []
        """Transfers without a task with which something has happened."""

    # For the transfers' tasks.

    def join(self, member: Member) -> None:
        """Take in a transfer and start it; its first packet waits for `flush`.

        A peer has one transfer in an exchange; the standing one ends (`tid = "listen"`, where a
        peer that asks anew cannot be given another port).
        """
        standing = self.members.get(member.peer)
        if standing is not None:
            self._handle(standing, SUPERSEDED)
        self.members[member.peer] = member
        self._carry_out(member, member.transfer.start(trio.current_time()))

    def leave(self, member: Member) -> None:
        """Forget a transfer.  Idempotent."""
        if self.members.get(member.peer) is member:
            del self.members[member.peer]
        self._alarms.forget(member)

    def deliver(self, member: Member, event: Event) -> None:
        """Hand an event to a transfer and send what it wants sent."""
        self._handle(member, event)
        if self.members.get(member.peer) is not member:
            # Another one took its place while it committed.  Neither the peer nor its alarm reaches
            # it any more, so there is nothing to dally for.
            self._handle(member, SUPERSEDED)
        self.flush()

    def resume(self, member: Member) -> None:
        """Let a suspended transfer go on."""
        member.suspended = False
        self._alarms.set(member)

    def catch_up(self) -> None:
        """Deal with what waits in the socket; not while it takes nothing, or answers would pile up."""
        for batch in self._intake.waiting(0 if self._outbox.blocked else BATCHES_PER_TURN):
            self._receive(batch)
        self._hear_of_closed_ports()
        self.flush()

    def send_packet(self, peer: bytes, packet: bytes, source: LocalAddress | None) -> None:
        """Send a datagram that belongs to no transfer."""
        self.queue_packet(peer, packet, source)
        self.flush()

    def queue_packet(self, peer: bytes, packet: bytes, source: LocalAddress | None) -> None:
        """Send a datagram that belongs to no transfer, with the next `flush`."""
        self._outbox.queue.append(Packet(peer, packet, source))

    def close(self) -> None:
        """End the tasks and close the endpoint.  Idempotent."""
        self._drops.look(math.inf)
        self.scope.cancel()
        self.endpoint.close()

    # The tasks.

    async def run(self) -> None:
        """Pump until `scope` is cancelled."""
        with self.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._alarms.run, self._expire)
                nursery.start_soon(self._outbox.run, self.flush)
                await self._pump()

    async def _pump(self) -> None:
        idle_wakes = 0
        while True:
            # A task that is about to run does not hear of `close`: the socket may be gone by now.
            await trio.lowlevel.checkpoint_if_cancelled()
            await self.endpoint.wait_readable()
            heard = await self._drain()
            self._drops.look(trio.current_time())
            heard = self._hear_of_closed_ports() or heard
            idle_wakes = 0 if heard else idle_wakes + 1
            if idle_wakes > IDLE_WAKES_MAX:
                await trio.sleep(IDLE_PAUSE_SECONDS)

    async def _drain(self) -> bool:
        """Deal with what has arrived and with what comes soon; say whether there was anything."""
        batches = 0
        batch = self._intake.first(len(self.members))
        while batch:
            self._receive(batch)
            self.flush()
            await self._outbox.wait_sent()
            batches += 1
            if batches % BATCHES_PER_TURN == 0:
                await trio.lowlevel.checkpoint()
            batch = self._intake.next(batch, len(self.members))
        return batches > 0

    # From datagrams to actions, all synchronous.

    def _receive(self, batch: Sequence[Received]) -> None:
        now = trio.current_time()
        members = self.members
        requests: list[Received] = []
        for received in batch if self._requests is None else requests_apart(batch):
            member = members.get(received.peer)
            if member is not None and member.awaited == received.word:
                try:
                    if member.sending is not None:
                        self._go_on(member, now)
                    elif len(received.data) == member.block_size:
                        self._take_block(member, received.data, now)
                    else:
                        self._handle(member, DatagramsReceived(received.data, received.stride, now))
                except Exception:  # noqa: BLE001 - as in `_handle`
                    self._fail(member)
            elif member is None:
                if self._requests is None:
                    self._answer_stray(received)
                else:
                    requests.append(received)
            elif self._requests is not None and opcode_of(received.data) in REQUESTS:
                requests.append(received)
            else:
                self._handle(member, DatagramsReceived(received.data, received.stride, now))
                self._settle(member, received)
        if requests and self._requests is not None:
            self._requests(requests)

    def _hear_of_closed_ports(self) -> bool:
        """Tell the transfers whose peer has closed its port; say whether there was such news."""
        peers = self.endpoint.take_unreachable()
        for peer in peers:
            if (member := self.members.get(peer)) is not None:
                self.deliver(member, PeerUnreachable(trio.current_time()))
        return bool(peers)

    def _go_on(self, member: Member, now: float) -> None:
        """Send the next window: the path of nearly every ACK, without an object for each step."""
        transfer, body = member.sending, member.body
        assert transfer is not None
        assert body is not None
        first, count = transfer.go_on(now)
        member.awaited = transfer.awaited
        blksize = transfer.terms.blksize
        offset = (first - 1) * blksize
        length = count * blksize
        if offset + length >= member.ready_until:
            self._send_blocks(member, first, count)
            member.note_awaited()
        else:
            self._outbox.queue.append(train_of(member, body, offset, length, first, count))
        if transfer.deadline < member.alarm:
            self._alarms.set(member)

    def _take_block(self, member: Member, data: Buffer, now: float) -> None:
        """Store a block of an upload, and acknowledge a window: the same, the other way round."""
        transfer = member.receiving
        assert transfer is not None
        actions = transfer.take_block(now)
        if not self._store_blocks(member, data, len(data), 1):
            return
        if actions:
            self._carry_out(member, actions)
        elif member.awaited != NO_ACK:
            member.awaited = transfer.awaited
        if transfer.deadline < member.alarm:
            self._alarms.set(member)

    def _settle(self, member: Member, received: Received) -> None:
        """End a contest by what its peer says to one of the two.

        An ERROR is no choice: it is how a client answers what it has not asked for.  Nor is what
        ends a transfer well: a client asks for the next file at once, and its request, which comes
        to another socket, may be seen before its last ACK.
        """
        contest = member.contest if member.transfer.outcome is None else None
        if contest is not None and opcode_of(received.data) in _PROGRESS:
            contest.answered(member)

    def _answer_stray(self, received: Received) -> None:
        """Answer DATA or ACK of a peer that has no transfer here (rule R7).

        An ERROR is never answered, nor is noise, nor what comes too often.  Where requests come in too, not even these are:
        a stray packet on the listening port is dropped silently (rule R8).
        """
        if opcode_of(received.data) not in _PROGRESS:
            return
        if self._may_answer is None or self._may_answer(received.peer, trio.current_time()):
            self._outbox.queue.append(Packet(received.peer, _STRAY))

    def _expire(self, now: float) -> None:
        caught_up = False
        for member in self._alarms.due(now):
            if member.transfer.deadline <= now and not caught_up:
                caught_up = True
                self.catch_up()  # who was not scheduled for a while must not take that for a loss
            if self.members.get(member.peer) is not member or member.suspended:
                continue
            if member.transfer.deadline <= now:
                self._handle(member, TimerExpired(now))
            else:
                self._alarms.set(member)
        self.flush()

    def _handle(self, member: Member, event: Event) -> None:
        """Hand an event to a transfer.  A bug in one transfer ends that one only."""
        if member.broken:
            return
        try:
            self._carry_out(member, member.transfer.handle(event))
        except Exception:  # noqa: BLE001 - see above; Cancelled is not an Exception
            self._fail(member)

    def _fail(self, member: Member) -> None:
        """End a transfer whose machine has just raised."""
        self._observers.emit(InternalError("exchange", traceback.format_exc()))
        try:
            self._carry_out(member, member.transfer.handle(BROKEN))
        except Exception:  # noqa: BLE001 - not even that: who looks after it must do without it
            member.broken = True
            self.leave(member)
            self._wake(member)

    def _carry_out(self, member: Member, actions: Actions) -> None:
        for action in actions:
            match action:
                case SendBlocks(first, count):
                    self._send_blocks(member, first, count)
                case SendPacket(packet):
                    self._outbox.queue.append(Packet(member.peer, packet, member.local))
                case StoreBlocks(data, stride, count):
                    if not self._store_blocks(member, data, stride, count):
                        break  # what follows acknowledges blocks that were not stored
                case Commit():
                    member.commit_wanted = True
                    self._wake(member)
        member.note_awaited()
        transfer = member.transfer
        if transfer.outcome is not None:
            self._wake(member)
            if transfer.finished:
                self.leave(member)
        if transfer.deadline < member.alarm:
            self._alarms.set(member)

    def _send_blocks(self, member: Member, first: int, count: int) -> None:
        """Queue DATA; where its octets are on a disk only, have them loaded first."""
        transfer, source = member.transfer, member.source
        assert source is not None
        terms = transfer.terms
        offset = (first - 1) * terms.blksize
        length = min(count * terms.blksize, source.size - offset)
        try:
            if not source.ready(offset, length):
                member.load_wanted = (offset, length)
                self._wake(member)
                transfer.handle(ContentPaused(first))
                return
            if offset + length == source.size:
                # The last block makes a transfer whole: never send it for a file that is not
                # what it was when the first block was sent.
                source.check()
            body, start = member.body, offset
            if body is None:
                body, start = Region(source.view(offset, length)), 0
        except ContentError as error:
            self._content_failed(member, error)
            return
        member.ready_until = min(
            -(-(offset + length) // source.extent) * source.extent, source.size
        )
        self._outbox.queue.append(train_of(member, body, start, length, first, count))

    def _store_blocks(self, member: Member, data: Buffer, stride: int, count: int) -> bool:
        sink = member.sink
        assert sink is not None
        try:
            sink.store(data, stride, count)
        except ContentError as error:
            self._content_failed(member, error)
            return False
        if sink.full and not member.paused:
            member.paused = True
            member.transfer.handle(ContentPaused())
            member.note_awaited()
        if member.paused or sink.worth_writing:
            self._wake(member)
        return True

    def _content_failed(self, member: Member, error: ContentError) -> None:
        member.note_failure(error)
        self._carry_out(member, member.transfer.handle(ContentFailed(error.code, error.message)))

    # From the outbox to the socket.

    def flush(self) -> None:
        """Send what was queued; then look after the transfers with which something has happened."""
        self._outbox.flush()
        while self._changed:
            changed, self._changed = self._changed, []
            for member in changed:
                if member.attendant is not None:
                    member.attendant()
            self._outbox.flush()

    def _wake(self, member: Member) -> None:
        """Have a transfer looked after: by its task, or by `flush`."""
        member.wake() if member.attendant is None else self._changed.append(member)

    def _send_failed(self, peer: bytes, reason: int) -> None:
        member = self.members.get(peer)
        if member is not None:
            self._handle(member, FAULTS.get(reason, BROKEN))
