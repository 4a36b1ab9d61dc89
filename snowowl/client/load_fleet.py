"""Clients at work: who asks next, on which port, and what becomes of it.

No await, no clock and no waiting: a pump (`load_pump`) says which lane has something to receive,
and what time it is.  Nothing is done for a datagram that could be done for a transfer.

A client does not dally as `get` does.  It asks again at once, on the lane that has rested longest;
the lane of the transfer before goes on listening, and acknowledges a last block that comes again.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from snowowl.client.errors import from_outcome
from snowowl.client.load_counts import Counts
from snowowl.client.load_lane import Job, Lane
from snowowl.client.load_reader import Reader
from snowowl.datagram.address import host_octets, text
from snowowl.datagram.interface import Endpoint, Packet, Received, Transmit, Unsent
from snowowl.protocol.events import DatagramsReceived, PeerUnreachable, Stopped, TimerExpired
from snowowl.protocol.initiate import WriteInitiator
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.transfer import State
from snowowl.wire.codec import Buffer, block_number_of, encode_error, opcode_of
from snowowl.wire.constants import HEADER_SIZE, ErrorCode, Opcode

BEGUN_AT_ONCE_MAX: Final = 32
"""Transfers begun between two looks at the sockets: the first answers are not to wait for the last
request of a thousand."""

FAILED_IN_A_ROW_MIN: Final = 16
"""Give up when so many transfers failed in a row, and no fewer than there are clients; if none was
done yet, when as many failed as there are clients."""

RETRY_SECONDS: Final = 0.001
"""When to try again what a socket did not take."""

NextJob = Callable[[int], Job | None]
"""Returns what a client (counted from 1) is to do next, None if there is nothing left."""

_FIRST_NUMBERS: Final[dict[int, int]] = {Opcode.DATA: 1, Opcode.ACK: 0}
_STRAY: Final = encode_error(ErrorCode.UNKNOWN_TID, "unknown transfer ID")
_OVER: Final = Stopped(OutcomeKind.STOPPED, "the measurement is over", ErrorCode.NOT_DEFINED)
_TOO_LARGE: Final = Stopped(OutcomeKind.STOPPED, "blksize is too large for the network")


class Fleet:
    """Runs the jobs of some clients over some lanes."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        server: bytes,
        next_job: NextJob,
        clients: int,
        done: Callable[[Job], None] = lambda _: None,
    ) -> None:
        self.counts = Counts()
        self.lanes = [Lane(endpoint) for endpoint in endpoints]
        self.unfinished = 0
        self._server = server
        self._host = host_octets(server)
        self._next_job = next_job
        self._done = done
        """Told of each job that is done."""
        self._clients = clients
        self._idle = deque(self.lanes)
        self._waiting = deque(range(1, clients + 1))
        """Clients that are to begin."""
        self._running = 0
        self._heap: list[tuple[float, int, Lane]] = []
        self._tie = itertools.count()

    @property
    def over(self) -> bool:
        """Nothing is left to do, or nothing succeeds."""
        return self.hopeless or not (self._running or self._waiting)

    @property
    def hopeless(self) -> bool:
        """So many transfers failed in a row that it makes no sense to go on."""
        at_least = FAILED_IN_A_ROW_MIN if self.counts.done else 1
        return self.counts.failed_in_a_row >= max(self._clients, at_least)

    @property
    def octets(self) -> int:
        """Octets of files up to now, of unfinished transfers too."""
        running = sum(
            lane.transfer.octets
            for lane in self.lanes
            if lane.running and lane.transfer is not None
        )
        return self.counts.octets + running

    @property
    def eager(self) -> bool:
        """Clients wait to begin: do not wait for datagrams first."""
        return bool(self._waiting)

    @property
    def deadline(self) -> float:
        """When to call `expire`."""
        return self._heap[0][0] if self._heap else math.inf

    def begin(self, now: float) -> None:
        """Let some clients begin."""
        for _ in range(min(len(self._waiting), BEGUN_AT_ONCE_MAX)):
            self._begin(self._waiting.popleft(), now)

    def serve(self, lane: Lane, now: float) -> bool:
        """Receive what has come to a lane, and answer it; say whether anything has."""
        batch = lane.endpoint.receive()
        transfer = lane.transfer
        take_right = lane.take_right
        for received in batch:
            peer = received.peer
            if peer != lane.peer or transfer is None:
                self._unsettled(lane, received, now)
                continue
            data, stride = received.data, received.stride
            packet = None if take_right is None else take_right(data, stride, now)
            if packet is None:
                lane.carry_out(transfer.handle(DatagramsReceived(data, stride, now)), peer)
            elif packet:
                lane.outbox.append(Packet(peer, packet))
        if not batch:
            self._unreachable(lane, now)
        self._settle(lane, now)
        return bool(batch)

    def expire(self, now: float) -> None:
        """Look at the lanes whose time has come."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            alarm, _, lane = heapq.heappop(heap)
            if alarm != lane.alarm:
                continue  # an earlier one took its place
            lane.alarm = math.inf
            transfer = lane.transfer
            if lane.backlog:
                lane.outbox, lane.backlog = lane.backlog + lane.outbox, []
            if lane.running and transfer is not None and transfer.deadline <= now:
                asking, resent = transfer.state is State.NEGOTIATING, transfer.retransmitted
                lane.carry_out(transfer.handle(TimerExpired(now)), lane.peer or self._server)
                if asking:
                    lane.requests_resent += transfer.retransmitted - resent
            self._settle(lane, now)

    def stop(self) -> None:
        """Break off what is running, and tell the server.  Idempotent."""
        self._waiting.clear()
        for lane in self.lanes:
            transfer = lane.transfer
            if transfer is None:
                continue
            if lane.running:
                lane.running = False
                self._running -= 1
                self.unfinished += 1
                self.counts.octets += transfer.octets
                if lane.peer:
                    lane.carry_out(transfer.handle(_OVER), lane.peer)
                    lane.endpoint.send(lane.outbox)
                    lane.outbox = []
            self._add_up(lane)
            lane.transfer = None

    # A transfer's way.

    def _begin(self, client: int, now: float) -> None:
        job = self._next_job(client)
        if job is None:
            return
        lane = self._idle.popleft()
        if lane.transfer is not None:
            self._add_up(lane)
        lane.take(job, client, now)
        self.counts.begun += 1
        self._running += 1
        lane.carry_out(job.transfer.start(now), self._server)
        self._settle(lane, now)

    def _settle(self, lane: Lane, now: float) -> None:
        """Send what a lane has to send, and see what has become of its transfer."""
        if lane.outbox:
            self._flush(lane, now)
        transfer = lane.transfer
        if not lane.running or transfer is None:
            return
        if transfer.outcome is not None:
            self._end(lane, now)
        elif transfer.deadline < lane.alarm:
            self._set_alarm(lane, transfer.deadline)

    def _end(self, lane: Lane, now: float) -> None:
        transfer, job, counts = lane.transfer, lane.job, self.counts
        assert transfer is not None
        assert job is not None
        outcome = transfer.outcome
        assert outcome is not None
        lane.running = False
        self._running -= 1
        counts.octets += transfer.octets
        begun_at = transfer.begun_at if isinstance(transfer, Reader) else lane.settled_at
        if begun_at:
            counts.first_block.add(begun_at - lane.asked_at)
        if outcome.kind is OutcomeKind.COMPLETED:
            counts.done += 1
            counts.failed_in_a_row = 0
            counts.latency.add(now - lane.asked_at)
            self._done(job)
        else:
            self._failed(lane, transfer, job)
        self._idle.append(lane)
        self._waiting.append(lane.client)

    def _failed(self, lane: Lane, transfer: Reader | WriteInitiator, job: Job) -> None:
        which = f"client {lane.client}, {job.name.decode('utf-8', 'backslashreplace')}"
        if isinstance(transfer, Reader) and transfer.wrong:
            self.counts.failure("wrong octets", f"{which}: {transfer.wrong}", None)
            return
        outcome = job.transfer.outcome
        assert outcome is not None
        error = from_outcome(outcome, text(self._server), job.transfer.octets)
        self.counts.failure(str(error), which, error)

    def _add_up(self, lane: Lane) -> None:
        """Add what a transfer did, also after its end, to the counts."""
        transfer, counts = lane.transfer, self.counts
        assert transfer is not None
        counts.requests_resent += lane.requests_resent
        resent = transfer.retransmitted - lane.requests_resent
        if isinstance(transfer, Reader):
            counts.blocks += transfer.blocks
            counts.acks_resent += resent
            counts.duplicates += transfer.duplicates
            counts.out_of_order += transfer.out_of_order
        else:
            counts.blocks += transfer.window.base - 1
            counts.blocks_resent += resent

    # What is rare.

    def _unsettled(self, lane: Lane, received: Received, now: float) -> None:
        """Handle what does not come from the TID that a lane's transfer has settled on."""
        peer, transfer = received.peer, lane.transfer
        if host_octets(peer) != self._host or transfer is None:
            return
        data = received.data
        event = DatagramsReceived(data, received.stride, now)
        if lane.peer:
            if opcode_of(data) != Opcode.ERROR:
                lane.outbox.append(Packet(peer, _STRAY))
        elif _begins(data):  # the first answer chooses the TID (RFC 1350 section 4)
            lane.peer = peer
            lane.settled_at = now
            lane.carry_out(transfer.handle(event), peer)
        elif peer == lane.late_peer and lane.late is not None:
            lane.carry_out(lane.late.handle(event), peer)

    def _unreachable(self, lane: Lane, now: float) -> None:
        """Hear of closed ports (ICMP)."""
        for peer in lane.endpoint.take_unreachable():
            if lane.transfer is not None and peer == (lane.peer or self._server):
                lane.transfer.handle(PeerUnreachable(now))

    def _flush(self, lane: Lane, now: float) -> None:
        outbox: list[Transmit] = lane.outbox
        lane.outbox = []
        if lane.backlog:
            lane.backlog += outbox
            return
        unsent: Unsent | None = lane.endpoint.send(outbox)
        if unsent is None:
            return
        for _, reason in unsent.failed:
            if lane.running and lane.transfer is not None and reason == errno.EMSGSIZE:
                lane.transfer.handle(_TOO_LARGE)
        if unsent.blocked:
            lane.backlog = unsent.blocked
            self._set_alarm(lane, now + RETRY_SECONDS)

    def _set_alarm(self, lane: Lane, at: float) -> None:
        if at < lane.alarm:
            lane.alarm = at
            heapq.heappush(self._heap, (at, next(self._tie), lane))


def _begins(datagram: Buffer) -> bool:
    """Say whether a server answers a request by this.  If not, it belongs to an earlier transfer.

    That must be seen by the packet, as a server may use the same port for the next transfer: one
    that answers from its listening port, one with few ports.
    """
    opcode = opcode_of(datagram)
    if opcode in (Opcode.OACK, Opcode.ERROR):
        return True
    first = _FIRST_NUMBERS.get(opcode)
    return len(datagram) >= HEADER_SIZE and block_number_of(datagram) == first
