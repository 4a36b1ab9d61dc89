"""One transfer on its stage: a right server's machine, its sockets, and a fault between the two.

The machine is that of `snowowl.protocol`, so content, options, windows and retransmissions are those
of a right server; each datagram that it wants sent goes through the fault, and so does each that the
client sends.  When the machine is done the stage stays and listens: what a client does after an ERROR,
in silence, or after the end is what tells the right ones from the others.

A transfer has a socket of its own (RFC 1350 section 4), and one more for strays when they are wanted.
No task outlives `run`, and no socket.
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import closing
from typing import Final

import attrs
import trio

from snowowl.content.errors import ContentError
from snowowl.datagram.interface import Packet
from snowowl.protocol.actions import Actions, Commit, SendBlocks, SendPacket, StoreBlocks
from snowowl.protocol.blocks import number_of
from snowowl.protocol.events import (
    ContentCommitted,
    ContentFailed,
    DatagramsReceived,
    Event,
    PeerUnreachable,
    RequestRepeated,
    TimerExpired,
)
from snowowl.protocol.negotiation import Policy, Terms, negotiate
from snowowl.protocol.read import ReadTransfer
from snowowl.protocol.write import WriteTransfer
from snowowl.testing.faults.asked import PATIENCE_SECONDS, RETRANSMIT, Asked, Setting
from snowowl.testing.faults.conduct import Conduct
from snowowl.testing.faults.content import SIZE_MAX, Content, Octets
from snowowl.testing.faults.model import Delivery, Fault, Kind, Outgoing, Via
from snowowl.testing.faults.reading import Reading
from snowowl.testing.faults.sockets import Ports
from snowowl.testing.faults.verdict import Judged, deeds, verdict_of
from snowowl.testing.faults.writing import Writing
from snowowl.testing.playbook import payloads_of
from snowowl.wire.codec import block_number_of, encode_data_header, encode_error, opcode_of
from snowowl.wire.constants import BLKSIZE_MAX, BLKSIZE_MIN, ErrorCode, Opcode
from snowowl.wire.packets import Mode, ReadRequest

QUIET_TIMEOUTS: Final = 3
"""Where a timeout was negotiated, so many of them are waited for."""

SETTLED_SECONDS: Final = 1.0
AFTER_ERROR_SECONDS: Final = 3.0
GONE_SECONDS: Final = 0.2
"""How long to listen after a good end, after an ERROR, and after the client's port was closed."""

GRACE_SECONDS: Final = 0.1
"""For the last datagrams of a client whose end is known otherwise."""

HEADERS: Final = {4: 20 + 8 + 4, 16: 40 + 8 + 4}
"""Octets of IP, UDP and TFTP headers by the length of an address."""


class _PatientWrite(WriteTransfer):
    """Answers a last DATA that comes again for as long as the client may send it."""

    __slots__ = ()

    def _dally_seconds(self) -> float:
        return PATIENCE_SECONDS


class Stage:
    """Runs one transfer with one fault, or none, and judges the client."""

    def __init__(self, setting: Setting, asked: Asked, fault: Fault | None, spec: str) -> None:
        self.asked = asked
        self.done = False
        """The server has done with the transfer; it only listens still."""
        self.conduct: Conduct | None = None
        self._setting = setting
        self._spec = spec
        self._named = fault
        self._unreachable = (
            "" if fault is None else fault.unreachable(asked.direction, asked.request.options)
        )
        # What cannot be played is not tried: the transfer is a right one.
        self._fault = fault if fault is not None and not self._unreachable else Fault()
        self._machine: ReadTransfer | WriteTransfer | None = None
        self._content: Content = Octets(b"")
        self._received = bytearray()
        self._copies: Counter[tuple[Kind, int]] = Counter()
        self._ports: Ports | None = None
        self._nursery: trio.Nursery | None = None
        self._changed = trio.Event()
        self._started = trio.current_time()
        self._done_at = self._late_at = self._started
        self._endless = False
        self._end_at = math.inf

    async def run(self) -> Judged:
        """Play to the end, and judge.  Cancelled, nothing is judged."""
        try:
            await self._play()
        except ContentError as error:
            self._refuse(error)
        except OSError as error:
            self._refuse(ContentError(ErrorCode.NOT_DEFINED, f"no socket: {error.strerror}"))
        return self._judge()

    def settle(self) -> None:
        """End, as soon as what has arrived is heard: the client is known to be done."""
        self._end_at = min(self._end_at, trio.current_time() + GRACE_SECONDS)
        self._changed.set()

    def ask_anew(self) -> None:
        """End, as the client begins another transfer from the same port."""
        if self.conduct is not None:
            self.conduct.asked_anew = True
        self.settle()

    def repeat(self) -> None:
        """Take the same request again."""
        if self.conduct is None:
            return
        now = trio.current_time()
        self.conduct.repeated(now)
        self._handle(RequestRepeated(now))

    def hear(self, octets: bytes, via: Via) -> None:
        """Take a datagram of the client."""
        conduct = self.conduct
        if conduct is None:
            return
        now = trio.current_time()
        own = Via.LISTENING if self._fault.single_port else Via.OWN
        counted = Via.OWN if via is own else via
        heard = conduct.identify(octets)
        right = counted is Via.OWN and not self.done
        dropped = right and self._fault.drops(heard)
        conduct.hears(heard, counted, now, dropped=dropped)
        if right and not dropped:
            for delivery in self._fault.answers(heard):
                self._deliver(delivery, now)
        if right and not dropped:
            self._handle(DatagramsReceived(octets, len(octets) or 1, now))
        self._look(now)

    async def _play(self) -> None:
        asked, fault = self.asked, self._fault
        request = fault.request(attrs.evolve(asked.request, filename=asked.filename))
        policy = fault.policy(self._policy())
        machine: ReadTransfer | WriteTransfer
        if isinstance(request, ReadRequest):
            netascii = request.mode is Mode.NETASCII
            content = await self._setting.files.open(request.filename, netascii=netascii)
            terms, _ = negotiate(request, policy, content.size)
            self._content = fault.content(content, terms)
            machine = ReadTransfer(request, policy, self._content.size)
            self.conduct = Reading(machine.terms, self._started)
        else:
            await self._setting.files.refuse(request.filename)
            machine = _PatientWrite(request, policy)
            fault.content(self._content, machine.terms)
            self.conduct = Writing(machine.terms, self._started)
        self._machine = machine
        single = asked.endpoint if fault.single_port else None
        ports = Ports(
            self._setting.network, asked.peer, asked.local, listening=single, origin=asked.origin
        )
        with closing(ports):
            self._ports = ports
            if fault.without_checksums:
                fault.reached = ports.omit_checksums()
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(ports.listen_own, self.hear, self._closed)
                nursery.start_soon(ports.listen_stray, self.hear, self._stray_closed)
                self._carry_out(machine.start(trio.current_time()))
                await self._run_clock()
                nursery.cancel_scope.cancel()

    def _policy(self) -> Policy:
        """Return what is granted: all that can be sent without fragments (rule R9)."""
        local = self.asked.local
        mtu = self._setting.network.mtu(local)
        headers = HEADERS[4 if local is None else len(local.packed) or 4]
        blksize_max = min(BLKSIZE_MAX, max(BLKSIZE_MIN, mtu - headers))
        return Policy(blksize_max=blksize_max, retransmit=RETRANSMIT)

    async def _run_clock(self) -> None:
        """Do what is due, until all is over."""
        assert self._machine is not None
        assert self._ports is not None
        while True:
            now = trio.current_time()
            while (delivery := self._ports.take_due(now)) is not None:
                self._late_at = now
                self._transmit(delivery, now)
            if not self.done and self._machine.deadline <= now:
                self._handle(TimerExpired(now))
            self._look(now)
            until = min(self._until(), self._end_at)
            if until <= now:
                return
            self._changed = trio.Event()
            deadline = math.inf if self.done else self._machine.deadline
            with trio.move_on_at(min(until, deadline, self._ports.due)):
                await self._changed.wait()

    def _until(self) -> float:
        """Return when all will be over, if nothing happens until then."""
        assert self.conduct is not None
        assert self._ports is not None
        conduct, setting = self.conduct, self._setting
        if self._ports.due < math.inf:
            return math.inf
        timeout = QUIET_TIMEOUTS * (conduct.terms.timeout or 0)
        quiet = max(conduct.heard_at, self._late_at) + max(setting.quiet_seconds, timeout)
        if not self.done:
            return quiet
        last = max(conduct.heard_at, self._done_at, self._late_at)
        if conduct.gone:
            quiet = last + GONE_SECONDS
        elif conduct.settled or conduct.error_heard is not None:
            quiet = last + SETTLED_SECONDS
        elif conduct.error_sent is not None:
            quiet = last + AFTER_ERROR_SECONDS
        end = self._done_at + setting.patience_seconds
        if quiet > end:
            self._endless = trio.current_time() >= end
            return end
        return quiet

    # From the machine to the network.

    def _handle(self, event: Event) -> None:
        if self._machine is not None and not self.done:
            self._carry_out(self._machine.handle(event))
            self._look(trio.current_time())

    def _carry_out(self, actions: Actions) -> None:
        machine = self._machine
        assert machine is not None
        for action in actions:
            match action:
                case SendBlocks(first, count):
                    for block in range(first, first + count):
                        self._send_block(machine.terms, block)
                case SendPacket(packet):
                    self._send_packet(packet)
                case StoreBlocks():
                    for payload in payloads_of(action):
                        self._received += payload
                    if len(self._received) > SIZE_MAX:
                        full = ContentFailed(ErrorCode.DISK_FULL, "too large for this server")
                        self._handle(full)
                        return
                case Commit():
                    assert self._nursery is not None
                    self._nursery.start_soon(self._commit)

    def _send_block(self, terms: Terms, block: int) -> None:
        payload = self._content.read((block - 1) * terms.blksize, terms.blksize)
        octets = encode_data_header(number_of(block, terms.rollover)) + payload
        last = len(payload) < terms.blksize
        first = block == 1 and not terms.granted
        self._send(Outgoing(Kind.DATA, block, octets, last=last, first=first))

    def _send_packet(self, packet: bytes) -> None:
        machine = self._machine
        assert machine is not None
        opcode = opcode_of(packet)
        if opcode == Opcode.ACK and isinstance(machine, WriteTransfer):
            block = machine.window.expected - 1
            assert number_of(block, machine.terms.rollover) == block_number_of(packet)
            last = machine.outcome is not None
            first = block == 0 and not machine.terms.granted
            self._send(Outgoing(Kind.ACK, block, packet, last=last, first=first))
        elif opcode == Opcode.OACK:
            self._send(Outgoing(Kind.OACK, 0, packet, first=True))
        else:
            self._send(Outgoing(Kind.ERROR, -1, packet))

    def _send(self, packet: Outgoing) -> None:
        if self.done:
            return
        now = trio.current_time()
        key = (packet.kind, packet.block)
        packet = attrs.evolve(packet, copy=self._copies[key])
        self._copies[key] += 1
        deliveries = tuple(self._fault.sends(packet))
        if not deliveries:
            assert self.conduct is not None
            self.conduct.lost(packet.octets, now)
        for delivery in deliveries:
            self._deliver(delivery, now)
        self._look(now)

    def _deliver(self, delivery: Delivery, now: float) -> None:
        assert self._ports is not None
        if delivery.after > 0:
            self._ports.wait(delivery, now + delivery.after)
            self._changed.set()
        else:
            self._transmit(delivery, now)

    def _transmit(self, delivery: Delivery, now: float) -> None:
        assert self._ports is not None
        assert self.conduct is not None
        if self._ports.send(delivery, now):
            self.conduct.delivered(delivery, now)

    # What happens.

    async def _commit(self) -> None:
        """Keep an upload, then let its last ACK go."""
        asked = self.asked
        netascii = asked.request.mode is Mode.NETASCII
        event: ContentCommitted | ContentFailed
        try:
            await self._setting.files.keep(asked.filename, bytes(self._received), netascii=netascii)
            event = ContentCommitted(trio.current_time())
        except ContentError as error:
            event = ContentFailed(error.code, error.message)
        self._handle(event)

    def _closed(self) -> None:
        """Hear that the client's port is closed."""
        assert self.conduct is not None
        now = trio.current_time()
        self.conduct.closed(now)
        self._handle(PeerUnreachable(now))
        self._finish(now)

    def _stray_closed(self) -> None:
        """Hear that the client's system took a stray for what it is."""
        assert self.conduct is not None
        self.conduct.stray_closed(trio.current_time())

    def _look(self, now: float) -> None:
        """See whether the server has done with the transfer."""
        self._changed.set()
        if self._fault.closes and self._ports is not None:
            self._ports.close_own()
        machine = self._machine
        over = (
            machine is not None
            and machine.outcome is not None
            and (machine.finished or self.conduct is None or self.conduct.settled)
        )
        if self._fault.over or over:
            self._finish(now)

    def _finish(self, now: float) -> None:
        if not self.done:
            self.done = True
            self._done_at = now
        self._changed.set()

    def _refuse(self, error: ContentError) -> None:
        """Tell the client what a right server would tell it."""
        asked = self.asked
        packet = Packet(asked.origin, encode_error(error.code, error.message), asked.local)
        asked.endpoint.send([packet])
        self._unreachable = self._unreachable or f"ERROR {error.code}: {error.message}"

    def _judge(self) -> Judged:
        conduct = self.conduct or Reading(Terms(), self._started)
        conduct.conclude()
        named = self._named
        if named is not None and self._unreachable:
            named.reached = False
        verdict, why = verdict_of(named, conduct, self._unreachable, endless=self._endless)
        if self.conduct is None:
            why = self._unreachable
        asked = self.asked
        return Judged(
            client=asked.client,
            direction=asked.direction,
            filename=asked.filename,
            options=asked.request.options,
            fault=self._spec,
            verdict=verdict,
            why=why,
            did=tuple(deeds(conduct)) if self.conduct is not None else (),
            seconds=trio.current_time() - self._started,
            sent=conduct.sent,
            heard=conduct.heard,
            growth=conduct.growth,
            trace=tuple(conduct.trace),
        )
