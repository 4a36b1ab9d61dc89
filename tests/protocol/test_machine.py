"""Both sides of a transfer over a link that Hypothesis plays, with every kind of interruption.

In whatever order things come: what was received is a beginning of the file, windows keep their size,
deadlines their promise, and once the trouble ends, so does the transfer, whole.
"""

from __future__ import annotations

import math
from typing import Final

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from snowowl.protocol.actions import Actions, Commit, SendBlocks, SendPacket, StoreBlocks
from snowowl.protocol.admission import Verdict, admit
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
from snowowl.protocol.sending import Sending
from snowowl.protocol.transfer import SETTLED, TRANSITIONS, State
from snowowl.protocol.write import WriteTransfer
from snowowl.testing.playbook import check_deadline, payloads_of
from snowowl.testing.strategies import datagrams
from snowowl.wire.codec import decode_option_ack, encode, encode_data_header, opcode_of
from snowowl.wire.constants import Opcode
from snowowl.wire.packets import Mode, Options, ReadRequest, WriteRequest

BLKSIZE: Final = 8
POLICY: Final = Policy()
LATENCY: Final = 0.01
STEPS: Final = {(origin, target) for (origin, _), target in TRANSITIONS.items()}
"""What one row of the table can do."""


class Side:
    """A machine, what waits for its content, and what has come for it."""

    def __init__(self, transfer: Sending | Receiving, *, is_client: bool) -> None:
        self.transfer = transfer
        self.is_client = is_client
        self.incoming: list[bytes] = []
        self.paused = False
        self.committing = False
        self.started = False


class Transferring(RuleBasedStateMachine):
    """One transfer, its two sides, and the link."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.received = b""
        self.failed = False
        """Something has happened that may end the transfer badly."""
        self.committed = False
        """What was received is on disk."""

    @initialize(
        reading=st.booleans(),
        blocks=st.integers(0, 9),
        odd=st.integers(0, BLKSIZE - 1),
        windowsize=st.sampled_from([0, 1, 2, 3, 5]),
        timeout=st.sampled_from([None, None, 1, 4]),
        rollover=st.sampled_from([0, 1]),
    )
    def begin(
        self,
        *,
        reading: bool,
        blocks: int,
        odd: int,
        windowsize: int,
        timeout: int | None,
        rollover: int,
    ) -> None:
        options: Options = ((b"blksize", b"%d" % BLKSIZE),)
        if windowsize:
            options += ((b"windowsize", b"%d" % windowsize),)
        if timeout:
            options += ((b"timeout", b"%d" % timeout),)
        self.content = bytes(range(blocks * BLKSIZE + odd))
        size = len(self.content)
        client: Sending | Receiving
        server: Sending | Receiving
        policy = Policy(rollover=rollover)
        self.request: ReadRequest | WriteRequest
        if reading:
            self.request = ReadRequest(b"f", Mode.OCTET, options)
            client = ReadInitiator(self.request, POLICY.retransmit)
            server = ReadTransfer(self.request, policy, size)
        else:
            self.request = WriteRequest(b"f", Mode.OCTET, options)
            client = WriteInitiator(self.request, POLICY.retransmit, size)
            server = WriteTransfer(self.request, policy)
        self.client = Side(client, is_client=True)
        self.server = Side(server, is_client=False)
        self.sender = self.server if reading else self.client
        self.receiver = self.client if reading else self.server
        self.client.started = True
        self.carry_out(self.client, client.start(self.now))

    # The shell.

    def other(self, side: Side) -> Side:
        return self.server if side is self.client else self.client

    def handle(self, side: Side, event: Event) -> Actions:
        """Hand an event to a side, check what it does, and do it."""
        transfer = side.transfer
        before, terminal = transfer.state, transfer.finished
        actions = transfer.handle(event)
        assert not (terminal and actions), "an action in a terminal state"
        assert transfer.state is before or self.moved_along(before, transfer.state)
        self.check_amount(side, event, actions)
        self.carry_out(side, actions)
        return actions

    @staticmethod
    def moved_along(before: State, after: State) -> bool:
        """Say whether rows of the table lead from one state to the other."""
        reached = {before}
        while True:
            further = reached | {to for origin, to in STEPS if origin in reached}
            if further == reached:
                return after in reached
            reached = further

    def check_amount(self, side: Side, event: Event, actions: Actions) -> None:
        """A datagram causes a window or one packet, a timer the same, and no more."""
        transfer = side.transfer
        sends = sum(
            action.count if isinstance(action, SendBlocks) else isinstance(action, SendPacket)
            for action in actions
        )
        count = 1
        if isinstance(event, DatagramsReceived):
            count = math.ceil(len(event.data) / (event.stride or 1))
        assert sends <= count * max(1, transfer.window.size)

    def carry_out(self, side: Side, actions: Actions) -> None:
        transfer, peer = side.transfer, self.other(side)
        for action in actions:
            if isinstance(action, SendPacket):
                self.check_packet(side, action.packet)
                peer.incoming.append(action.packet)
            elif isinstance(action, SendBlocks):
                assert isinstance(transfer, Sending)
                assert action.count > 0
                assert action.first + action.count - 1 <= transfer.window.total
                assert not side.paused, "sends what is not in memory"
                self.send_blocks(peer, action)
            elif isinstance(action, StoreBlocks):
                self.received += b"".join(payloads_of(action))
            else:
                assert isinstance(action, Commit)
                assert not side.committing, "committed twice"
                side.committing = True

    def send_blocks(self, peer: Side, action: SendBlocks) -> None:
        for index in range(action.first, action.first + action.count):
            payload = self.content[(index - 1) * BLKSIZE : index * BLKSIZE]
            header = encode_data_header(number_of(index, self.server.transfer.terms.rollover))
            peer.incoming.append(header + payload)

    def check_packet(self, side: Side, packet: bytes) -> None:
        if opcode_of(packet) == Opcode.OACK:
            asked = [name for name, _ in self.request.options]
            granted = [name for name, _ in decode_option_ack(packet).options]
            assert granted == [name for name in asked if name in granted]

    def arrive(self, side: Side, packet: bytes) -> None:
        if opcode_of(packet) not in (Opcode.RRQ, Opcode.WRQ) or side.is_client:
            if side.started:
                self.handle(side, DatagramsReceived(memoryview(packet), len(packet), self.now))
            return
        octets = encode(self.request)
        if packet != octets:
            return
        standing = (octets, side.transfer) if side.started else (None, None)
        verdict = admit(packet, *standing, active=1, active_max=9)
        if verdict is Verdict.REPEAT:
            self.handle(side, RequestRepeated(self.now))
        elif not side.started:
            side.started = True
            self.carry_out(side, side.transfer.start(self.now))

    # The link.

    sides = st.booleans()

    def side(self, *, at_client: bool) -> Side:
        return self.client if at_client else self.server

    def something_flies(self) -> bool:
        return bool(self.client.incoming or self.server.incoming)

    def draw_side(self, at_client: bool) -> Side:
        side = self.side(at_client=at_client)
        return side if side.incoming else self.other(side)

    @precondition(something_flies)
    @rule(at_client=sides)
    def deliver(self, at_client: bool) -> None:
        """The usual: the oldest datagram arrives."""
        side = self.draw_side(at_client)
        self.now += LATENCY
        self.arrive(side, side.incoming.pop(0))

    @precondition(something_flies)
    @rule(at_client=sides)
    def deliver_all(self, at_client: bool) -> None:
        side = self.draw_side(at_client)
        self.now += LATENCY
        incoming, side.incoming = side.incoming, []
        for packet in incoming:
            self.arrive(side, packet)

    @precondition(something_flies)
    @rule(at_client=sides, index=st.integers(0, 9), keep=st.booleans())
    def deliver_any(self, at_client: bool, index: int, keep: bool) -> None:
        """Any datagram arrives, and may arrive once more."""
        side = self.draw_side(at_client)
        index %= len(side.incoming)
        packet = side.incoming[index] if keep else side.incoming.pop(index)
        self.now += LATENCY
        self.arrive(side, packet)

    @precondition(something_flies)
    @rule(at_client=sides)
    def deliver_joined(self, at_client: bool) -> None:
        """The kernel joins datagrams of one size, and a shorter one behind them."""
        side = self.draw_side(at_client)
        stride = len(side.incoming[0])
        count = 1
        while count < len(side.incoming) and len(side.incoming[count]) <= stride:
            count += 1
            if len(side.incoming[count - 1]) < stride:
                break
        joined, side.incoming = side.incoming[:count], side.incoming[count:]
        self.now += LATENCY
        if side.started and opcode_of(joined[0]) == Opcode.DATA:
            self.handle(side, DatagramsReceived(memoryview(b"".join(joined)), stride, self.now))
        else:
            for packet in joined:
                self.arrive(side, packet)

    @precondition(something_flies)
    @rule(at_client=sides, index=st.integers(0, 9))
    def drop(self, at_client: bool, index: int) -> None:
        side = self.draw_side(at_client)
        side.incoming.pop(index % len(side.incoming))

    @precondition(something_flies)
    @rule(at_client=sides)
    def drop_all(self, at_client: bool) -> None:
        self.draw_side(at_client).incoming.clear()

    # Time.

    @rule(seconds=st.sampled_from([0.001, 0.05, 0.3]))
    def wait(self, seconds: float) -> None:
        deadline = min(self.client.transfer.deadline, self.server.transfer.deadline)
        self.now = max(self.now, min(self.now + seconds, deadline))
        self.expire()

    @precondition(lambda self: self.next_deadline() < math.inf)
    @rule()
    def wait_for_the_timer(self) -> None:
        self.now = max(self.now, self.next_deadline())
        self.expire()

    def next_deadline(self) -> float:
        return min(self.client.transfer.deadline, self.server.transfer.deadline)

    def expire(self) -> None:
        for side in (self.client, self.server):
            if side.transfer.deadline <= self.now:
                self.handle(side, TimerExpired(self.now))
                check_deadline(side.transfer, self.now)

    # Content.

    @precondition(lambda self: self.sender.started and not self.sender.paused)
    @rule(index=st.integers(1, 10))
    def pause_the_sender(self, index: int) -> None:
        """What was taken for sent is not in memory yet, from some block on."""
        transfer = self.sender.transfer
        assert isinstance(transfer, Sending)
        if transfer.finished:
            return
        self.sender.paused = True
        self.handle(self.sender, ContentPaused(max(transfer.window.base, index)))

    @precondition(lambda self: self.receiver.started and not self.receiver.paused)
    @rule()
    def pause_the_receiver(self) -> None:
        if not self.receiver.transfer.finished:
            self.receiver.paused = True
            self.handle(self.receiver, ContentPaused())

    @precondition(lambda self: self.client.paused or self.server.paused)
    @rule(at_client=sides)
    def resume(self, at_client: bool) -> None:
        side = self.side(at_client=at_client)
        side = side if side.paused else self.other(side)
        side.paused = False
        self.handle(side, ContentReady(self.now))

    @precondition(lambda self: self.receiver.committing)
    @rule()
    def commit(self) -> None:
        self.finish_commit(self.receiver)

    def finish_commit(self, side: Side) -> None:
        side.committing = False
        self.committed = True
        self.handle(side, ContentCommitted(self.now))

    # Trouble that must change nothing.

    @rule(at_client=sides, noise=datagrams().filter(lambda octets: octets[:2] != b"\0\5"))
    def noise(self, at_client: bool, noise: bytes) -> None:
        """What is no DATA, ACK, OACK or ERROR changes nothing."""
        side = self.side(at_client=at_client)
        if opcode_of(noise) in (Opcode.ACK, Opcode.DATA, Opcode.OACK):
            return  # these could be meant; `test_totality` has them
        was = repr(side.transfer)
        assert not side.transfer.handle(DatagramsReceived(noise, len(noise), self.now))
        assert repr(side.transfer) == was

    @precondition(lambda self: self.sender.started and self.sender.transfer.window.size == 1)
    @rule(count=st.integers(1, 3))
    def duplicate_ack(self, count: int) -> None:
        """In lock-step, the ACK of the block before the one in flight causes no DATA."""
        transfer = self.sender.transfer
        assert isinstance(transfer, Sending)
        if transfer.state is not State.TRANSFERRING:
            return
        number = number_of(transfer.window.base - 1, transfer.terms.rollover)
        for _ in range(count):
            event = DatagramsReceived(b"\0\4" + number.to_bytes(2, "big"), 4, self.now)
            assert not transfer.handle(event)

    # Trouble that ends the transfer.

    @precondition(lambda self: self.server.started and not self.failed)
    @rule(
        at_client=sides,
        event=st.sampled_from(
            [
                Stopped(OutcomeKind.STOPPED, "bye", 0),
                Stopped(OutcomeKind.SUPERSEDED, "anew"),
                ContentFailed(3, "disk full"),
                PeerUnreachable(0.0),
            ]
        ),
        chance=st.integers(0, 9),
    )
    def break_off(self, at_client: bool, event: Event, chance: int) -> None:
        if chance:
            return
        side = self.side(at_client=at_client)
        before = side.transfer.state
        self.failed = True
        self.handle(side, event)
        if before in SETTLED and not isinstance(event, ContentFailed):
            assert side.transfer.state is not State.FAILED
        if before is State.DALLYING:
            assert side.transfer.outcome is not None
            assert side.transfer.outcome.kind is OutcomeKind.COMPLETED

    # What always holds.

    @invariant()
    def what_was_received_is_a_beginning_of_the_file(self) -> None:
        if not hasattr(self, "content"):
            return
        assert self.content.startswith(self.received)
        receiver = self.receiver.transfer
        assert receiver.octets == len(self.received)
        assert self.sender.transfer.octets <= len(self.received)
        for side in (self.sender, self.receiver):
            outcome = side.transfer.outcome
            if outcome is not None and outcome.kind is OutcomeKind.COMPLETED:
                assert self.received == self.content
                assert self.committed, "acknowledged before it was on disk"

    @invariant()
    def windows_keep_their_size(self) -> None:
        if not hasattr(self, "content"):
            return
        sender, receiver = self.sender.transfer, self.receiver.transfer
        assert isinstance(sender, Sending)
        assert isinstance(receiver, Receiving)
        window = sender.window
        assert 0 <= window.next - window.base <= window.size
        assert 0 <= receiver.window.expected - 1 - receiver.window.acked <= receiver.window.size
        if sender.state is State.TRANSFERRING and receiver.window.size == window.size:
            assert window.base <= receiver.window.expected

    @invariant()
    def deadlines_are_kept(self) -> None:
        if not hasattr(self, "content"):
            return
        for side in (self.client, self.server):
            if side.started and side.transfer.deadline > self.now:
                check_deadline(side.transfer, self.now)

    # And when all is well again, the transfer ends, whole.

    def teardown(self) -> None:
        if not hasattr(self, "content"):
            return
        hale = not self.failed and self.both_live()
        receiving = self.receiver.transfer.outcome is None
        for _ in range(2000):
            if self.client.transfer.finished and (
                self.server.transfer.finished or not self.server.started
            ):
                break
            for side in (self.client, self.server):
                if side.paused:
                    side.paused = False
                    self.handle(side, ContentReady(self.now))
                if side.committing:
                    self.finish_commit(side)
            if self.something_flies():
                self.deliver_all(True)
            else:
                self.now = max(self.now, self.next_deadline())
                self.expire()
        else:
            raise AssertionError(f"no end: {self.client.transfer!r} {self.server.transfer!r}")
        self.what_was_received_is_a_beginning_of_the_file()
        if not self.failed:
            self.check_end()
        if hale:
            self.check_success(confirmed=receiving)

    def both_live(self) -> bool:
        """Say whether both sides are at it, and neither is about to lose patience."""
        return all(
            not side.transfer.finished
            and side.transfer._timer.retries <= (2 if side.transfer.answered else 0)
            for side in (self.client, self.server)
        )

    def check_success(self, *, confirmed: bool) -> None:
        """Assert that all arrived, as nothing was lost any more, the last ACK not either."""
        receiver, sender = self.receiver.transfer.outcome, self.sender.transfer.outcome
        assert receiver is not None
        assert receiver.kind is OutcomeKind.COMPLETED, receiver
        assert sender is not None
        if confirmed:
            assert sender.kind is OutcomeKind.COMPLETED, sender
        assert sender.kind in (OutcomeKind.COMPLETED, OutcomeKind.UNCONFIRMED), sender

    def check_end(self) -> None:
        """Assert that the transfer ended as well as it could."""
        for side in (self.client, self.server):
            if not side.started:
                continue
            outcome = side.transfer.outcome
            assert outcome is not None
            if outcome.kind is OutcomeKind.TIMED_OUT:
                # The peer was silent for as long as the policy has it, by the play of the link.
                assert self.now >= 7.0, (outcome, side.transfer)
            else:
                assert outcome.kind in (OutcomeKind.COMPLETED, OutcomeKind.UNCONFIRMED), outcome


@pytest.mark.rfc("1350 2")
@pytest.mark.rfc("7440 4")
def test_whatever_happens_the_file_arrives_or_the_transfer_ends() -> None:
    run_state_machine_as_test(Transferring)
