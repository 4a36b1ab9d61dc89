"""Plays of the protocol core: one machine against a peer that sends what it likes.

The other side of a transfer, its timer, its disk and its owner are the calls; after each, what the
core promises is checked, and at the end that silence ends it.  `tests/protocol/test_machine.py` has
both sides and a link between them; here there is one side and no mercy.
"""

from __future__ import annotations

import copy
import math
from typing import ClassVar, Final

from snowowl.protocol.actions import Actions, Commit, SendBlocks, SendPacket, StoreBlocks
from snowowl.protocol.blocks import number_of
from snowowl.protocol.events import (
    ContentCommitted,
    ContentFailed,
    ContentPaused,
    ContentReady,
    DatagramsReceived,
    Event,
    PeerUnreachable,
    RequestRepeated,
    Stopped,
    TimerExpired,
)
from snowowl.protocol.initiate import ReadInitiator, WriteInitiator
from snowowl.protocol.negotiation import Policy
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.read import ReadTransfer
from snowowl.protocol.receiving import Receiving
from snowowl.protocol.retransmit import SENDS_UNANSWERED_MAX, RetransmitPolicy
from snowowl.protocol.sending import Sending
from snowowl.protocol.transfer import TRANSITIONS, State
from snowowl.protocol.write import WriteTransfer
from snowowl.testing.playbook import check_deadline, payloads_of
from snowowl.wire.codec import (
    MalformedPacket,
    decode_error,
    decode_option_ack,
    decode_request,
    encode_ack,
    encode_data_header,
    opcode_of,
)
from snowowl.wire.constants import HEADER_SIZE, Opcode
from snowowl.wire.packets import ReadRequest, Request, WriteRequest

SERVER: Final = "server"
CLIENT: Final = "client"
SIDES: Final = (SERVER, CLIENT)
RETRANSMIT: Final = RetransmitPolicy()
POLICIES: Final = {rollover: Policy(rollover=rollover) for rollover in (None, 0, 1)}
ENDINGS: Final = (
    Stopped(OutcomeKind.STOPPED, "bye", 0),
    Stopped(OutcomeKind.SUPERSEDED, "anew"),
    ContentFailed(3, "disk full"),
    PeerUnreachable(0.0),
)
SIZE_MAX: Final = 1 << 40
INDEX_MAX: Final = 1 << 33

_EXPECTING_DATA: Final = (State.NEGOTIATING, State.TRANSFERRING)


def _reachable() -> dict[State, frozenset[State]]:
    """Return which states rows of the table lead to, any number of them."""
    found: dict[State, frozenset[State]] = {}
    for state in State:
        reached = {state}
        for _ in State:
            reached |= {to for (origin, _), to in TRANSITIONS.items() if origin in reached}
        found[state] = frozenset(reached)
    return found


REACHABLE: Final = _reachable()


def machine_of(side: str, request: Request, size: int, rollover: int | None) -> Sending | Receiving:
    """Return a machine that answers a request, or that makes it."""
    if side == SERVER:
        if isinstance(request, ReadRequest):
            return ReadTransfer(request, POLICIES[rollover], size)
        return WriteTransfer(request, POLICIES[rollover])
    if isinstance(request, ReadRequest):
        return ReadInitiator(request, RETRANSMIT)
    return WriteInitiator(request, RETRANSMIT, size)


class MachinePlay:
    """A machine, and all that happens to it."""

    request_kind: ClassVar[type[Request]] = ReadRequest
    thorough = True
    """Check what takes long, too: shortcuts against the long way, and what a machine shows."""

    def __init__(self) -> None:
        self.datagrams = 0
        self.now = 0.0
        self.transfer = machine_of(SERVER, self.request_kind(b"f"), 0, 0)
        self.request: Request = self.request_kind(b"f")
        self.sending: Sending | None = None
        self.receiving: Receiving | None = None
        self._begun = False
        self._sent_max = 0
        """The highest block that was sent."""
        self._stored = 0
        """Octets that were stored, and those of a jump."""
        self._short = False
        """A short block was stored: the last."""
        self._committing = False
        self._committed = False
        self._alone = 0
        """Datagrams that nothing but the timer caused, before there was an answer."""

    # What may happen.

    def begin(self, side: str, request: bytes, size: int, rollover: int | None) -> None:
        """Start a machine for the octets of a request, and a file of that size."""
        if self._begun:
            return
        try:
            decoded = decode_request(request)
        except MalformedPacket:
            decoded = self.request
        if not isinstance(decoded, self.request_kind):
            decoded = self.request_kind(decoded.filename, decoded.mode, decoded.options)
        rollover = rollover if rollover in POLICIES else 0
        side = side if side in SIDES else SERVER
        self.use(machine_of(side, decoded, abs(size) % SIZE_MAX, rollover), decoded)

    def use(self, transfer: Sending | Receiving, request: Request) -> None:
        """Start a machine."""
        self._begun = True
        self.transfer, self.request = transfer, request
        # Told apart once: both have an abstract base, of which Python's isinstance is slow.
        self.sending = transfer if isinstance(transfer, Sending) else None
        self.receiving = transfer if isinstance(transfer, Receiving) else None
        before = transfer.state
        self._check(before, transfer.start(self.now), 1)
        self._alone = 1

    def receive(self, datagram: bytes) -> None:
        """Have one datagram come."""
        self.datagrams += 1
        self._handle(DatagramsReceived(datagram, len(datagram), self.now))

    def receive_joined(self, octets: bytes, stride: int) -> None:
        """Have datagrams come as the kernel joins them, or as it never would."""
        stride = abs(stride) % 65536
        self.datagrams += math.ceil(len(octets) / (stride or 1))
        self._handle(DatagramsReceived(memoryview(octets), stride, self.now))

    def ack(self, ahead: int) -> None:
        """Have an ACK come for a block that lies so far ahead of those acknowledged."""
        self.receive(encode_ack(self.number_ahead(ahead)))

    def data(self, ahead: int, missing: int) -> None:
        """Have DATA come, so far ahead of what is expected, with so many octets less than blksize."""
        size = max(0, min(self.transfer.terms.blksize - missing, 65464))
        payload = bytes([self.datagrams & 0xFF]) * size
        self.receive(encode_data_header(self.number_ahead(ahead)) + payload)

    def number_ahead(self, ahead: int) -> int:
        """Return a block number by its distance from where the machine stands."""
        index = 0
        if self.sending is not None:
            index = self.sending.window.base - 1
        elif self.receiving is not None:
            index = self.receiving.window.expected
        return number_of(max(0, index + ahead), self.transfer.window.rollover)

    def wait(self, seconds: float) -> None:
        """Let time pass, and a timer expire that is due."""
        self.now += min(abs(seconds), 1000.0)
        if self.transfer.deadline <= self.now:
            self._expire()

    def expire(self) -> None:
        """Wait for the timer."""
        if math.isfinite(self.transfer.deadline):
            self.now = max(self.now, self.transfer.deadline)
            self._expire()

    def repeat(self) -> None:
        """Have the request come once more."""
        self._handle(RequestRepeated(self.now))

    def pause(self, ahead: int) -> None:
        """Have content fall behind, for a sender from a block on."""
        transfer = self.transfer
        first = transfer.window.base + abs(ahead) if isinstance(transfer, Sending) else 0
        self._handle(ContentPaused(first))

    def resume(self) -> None:
        """Have content catch up."""
        self._handle(ContentReady(self.now))

    def commit(self) -> None:
        """Have the file be on disk, if it is to be."""
        if self._committing:
            self._committing = False
            self._handle(ContentCommitted(self.now))

    def end(self, how: int) -> None:
        """Have the transfer ended from outside."""
        self._handle(ENDINGS[how % len(ENDINGS)])

    def jump(self, index: int) -> None:
        """Be far into the file, without the time that it takes to get there."""
        transfer, index = self.transfer, 1 + abs(index) % INDEX_MAX
        if transfer.state is not State.TRANSFERRING:
            return
        if isinstance(transfer, Sending):
            if transfer.window.base <= index < transfer.window.total:
                transfer.window.base = transfer.window.next = index
                self._sent_max = max(self._sent_max, index - 1)
                transfer.window.take(transfer.window.size)
                self._sent_max = max(self._sent_max, transfer.window.next - 1)
        elif transfer.window.expected <= index:
            blocks = index - transfer.window.expected
            transfer.window.acked = index - 1
            transfer.window.expected = index
            transfer._octets += blocks * transfer.terms.blksize
            self._stored = transfer.octets

    def close(self) -> None:
        """Let there be silence: the transfer ends by itself, and as it must."""
        transfer = self.transfer
        if not self._begun:
            return
        for _ in range(2000 + 20 * transfer.window.size):
            if transfer.finished:
                break
            if self._committing:
                self.commit()
            elif not math.isfinite(transfer.deadline):
                self.resume()
            else:
                self.expire()
        else:
            raise AssertionError(f"silence does not end it: {transfer!r}")
        outcome = transfer.outcome
        assert outcome is not None
        if outcome.kind is OutcomeKind.COMPLETED and isinstance(transfer, Receiving):
            assert self._committed
            assert self._short, "complete without a last block"

    # What must hold.

    def _expire(self) -> None:
        unanswered = not self.transfer.answered
        actions = self._handle(TimerExpired(self.now))
        if unanswered:
            self._alone += amount(actions)
            assert self._alone <= SENDS_UNANSWERED_MAX, "a forged request would cause much traffic"

    def _handle(self, event: Event) -> Actions:
        if not self._begun:
            return ()
        transfer = self.transfer
        before = transfer.state
        if self.thorough and isinstance(event, DatagramsReceived):
            self._check_shortcut(event)
        outcome, had = transfer.outcome, transfer.octets
        expected = 0 if self.receiving is None else self.receiving.window.expected
        actions = transfer.handle(event)
        terminal = before is State.COMPLETE or before is State.FAILED
        assert not (terminal and actions), "an action after the end"
        assert outcome is None or transfer.outcome is outcome, "the outcome changed"
        count = 1
        if isinstance(event, DatagramsReceived):
            count = math.ceil(len(event.data) / (event.stride or 1)) or 1
            if self.receiving is not None:
                self._check_stored(event, actions, before, expected)
            elif transfer.window.size == 1:
                for action in actions:
                    assert not isinstance(action, SendBlocks) or action.first > self._sent_max, (
                        "Sorcerer's Apprentice: an ACK caused DATA that was sent before"
                    )
        assert transfer.octets >= had, "octets are taken back"
        self._check(before, actions, count)
        return actions

    def _check(self, before: State, actions: Actions, count: int) -> None:
        """Check what must hold after any event; `count` datagrams came with it, or none did."""
        transfer = self.transfer
        assert transfer.state in REACHABLE[before], f"from {before} to {transfer.state}"
        if actions:
            assert amount(actions) <= count * max(1, transfer.window.size), "more than a window"
            for action in actions:
                self._check_action(action)
        if transfer.deadline > self.now or transfer.finished:
            check_deadline(transfer, self.now)
        else:
            raise AssertionError(f"the deadline is over: {transfer!r} at {self.now}")
        if self.sending is not None:
            window = self.sending.window
            assert 0 <= window.next - window.base <= window.size
            assert window.base - 1 <= self._sent_max, "acknowledged what was never sent"
        elif self.receiving is not None:
            had = self.receiving.window
            assert 0 <= had.expected - 1 - had.acked <= had.size
            assert transfer.octets == self._stored, "octets counted that were not stored"
        if self.thorough:
            assert repr(transfer)

    def _check_action(self, action: SendPacket | SendBlocks | StoreBlocks | Commit) -> None:
        if isinstance(action, SendBlocks):
            assert self.sending is not None
            assert action.count > 0
            last = action.first + action.count - 1
            assert 0 < action.first <= last <= self.sending.window.total
            self._sent_max = max(self._sent_max, action.first + action.count - 1)
        elif isinstance(action, SendPacket):
            self._check_packet(action.packet)
        elif isinstance(action, Commit):
            assert not self._committed, "committed twice"
            self._committing = self._committed = True

    def _check_packet(self, packet: bytes) -> None:
        opcode = opcode_of(packet)
        if opcode == Opcode.OACK:
            asked = dict(self.request.options)
            granted = decode_option_ack(packet).options
            assert granted
            assert all(name in asked for name, _ in granted), "an option that nobody asked for"
        elif opcode == Opcode.ERROR:
            assert decode_error(packet).message.isascii()
        elif opcode == Opcode.ACK:
            assert len(packet) == HEADER_SIZE
        else:
            assert opcode in (Opcode.RRQ, Opcode.WRQ)

    def _check_stored(
        self, event: DatagramsReceived, actions: Actions, before: State, expected: int
    ) -> None:
        """Check that what is stored is what came, block after block, and that it is not less."""
        transfer = self.transfer
        rollover = transfer.window.rollover
        blksize = transfer.terms.blksize
        stored = [
            payload
            for action in actions
            if isinstance(action, StoreBlocks)
            for payload in payloads_of(action)
        ]
        data, stride = bytes(event.data), event.stride or 1
        came = [data[start : start + stride] for start in range(0, len(data), stride)]
        for payload in stored:
            assert not self._short, "a block was stored after the last"
            assert len(payload) <= blksize
            number = number_of(expected, rollover)
            assert encode_data_header(number) + payload in came, "octets that did not come"
            self._short = len(payload) < blksize
            self._stored += len(payload)
            expected += 1
        if transfer._paused:  # then a window that is full is not acknowledged, and nothing fits
            return
        single = len(came) == 1 and before in _EXPECTING_DATA and len(data) >= HEADER_SIZE
        if single and len(data) - HEADER_SIZE <= blksize and not stored:
            header = encode_data_header(number_of(expected, rollover))
            assert data[:HEADER_SIZE] != header, "the expected block was not stored"

    def _check_shortcut(self, event: DatagramsReceived) -> None:
        """Check the short ways of the exchange against `handle`, on copies."""
        transfer, data = self.transfer, event.data
        if len(data) < HEADER_SIZE or len(data) > (event.stride or 1):
            return
        if int.from_bytes(data[:HEADER_SIZE], "big") != transfer.awaited:
            return
        long, short = copy.deepcopy(transfer), copy.deepcopy(transfer)
        actions = long.handle(event)
        if isinstance(short, Sending):
            if len(data) != HEADER_SIZE:
                return
            first, count = short.go_on(self.now)
            assert list(actions) == [SendBlocks(first, count)], "the short way sends otherwise"
        else:
            if len(data) != HEADER_SIZE + short.terms.blksize:
                return
            taken = list(short.take_block(self.now))
            rest = [action for action in actions if not isinstance(action, StoreBlocks)]
            assert rest == taken, "the short way answers otherwise"
        assert repr(long) == repr(short), "the short way ends up elsewhere"
        assert long.awaited == short.awaited


class ReadPlay(MachinePlay):
    """RRQ: the server that answers one, the client that sends one."""

    request_kind: ClassVar[type[Request]] = ReadRequest


class WritePlay(MachinePlay):
    """WRQ: the server that answers one, the client that sends one."""

    request_kind: ClassVar[type[Request]] = WriteRequest


def amount(actions: Actions) -> int:
    """Return how many datagrams actions send."""
    return sum(
        action.count if isinstance(action, SendBlocks) else isinstance(action, SendPacket)
        for action in actions
    )
