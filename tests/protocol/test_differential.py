"""The machines against the naive model, and against themselves with datagrams joined.

Whatever comes, the same is sent and stored, event by event.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from snowowl.protocol.actions import Actions, Commit, SendBlocks, SendPacket, StoreBlocks
from snowowl.protocol.blocks import blocks_in
from snowowl.protocol.events import (
    ContentCommitted,
    DatagramsReceived,
    Event,
    RequestRepeated,
    TimerExpired,
)
from snowowl.protocol.read import ReadTransfer
from snowowl.protocol.receiving import Receiving
from snowowl.protocol.retransmit import SENDS_UNANSWERED_MAX
from snowowl.protocol.sending import Sending
from snowowl.protocol.transfer import State, Transfer
from snowowl.protocol.write import WriteTransfer
from snowowl.testing.playbook import ack, data, error, payloads_of
from snowowl.testing.strategies import datagrams
from snowowl.wire.codec import block_number_of, opcode_of
from snowowl.wire.constants import Opcode
from tests.model import OPENING, ReceiverModel, SenderModel, numbers
from tests.protocol.stories import reading, received_up_to, sent_up_to, writing

BLKSIZE: Final = 8
FULL: Final = b"12345678"
WIRE: Final = {rollover: numbers(rollover, 65536 + 400) for rollover in (0, 1)}
BEGINNINGS: Final = (0, 65530, 65535)
"""Blocks that are behind us when a story begins."""

TIMEOUTS_MAX: Final = 5
"""Timeouts in a row without progress, so that nothing is given up."""

_Step = TypeVar("_Step")

many = settings(max_examples=2 * settings().max_examples)


def stories(steps: st.SearchStrategy[_Step]) -> st.SearchStrategy[list[_Step]]:
    """Return lists of steps, half of them long: by itself Hypothesis draws two steps or three."""
    return st.one_of(st.lists(steps, max_size=40), st.lists(steps, min_size=15, max_size=40))


strays = datagrams().filter(lambda octets: octets[:2] not in (b"\0\3", b"\0\4", b"\0\5"))
"""What ends no story: that would be over after a few steps."""

windowsizes = st.sampled_from([0, 1, 2, 3, 7])
"""0: no window is asked for; and no option at all, if `plain`."""


def timeouts_max(transfer: Transfer) -> int:
    """Return the timeouts in a row that a transfer outlives: fewer while nobody has answered."""
    return TIMEOUTS_MAX if transfer.answered else SENDS_UNANSWERED_MAX - 1


class Sender:
    """A ReadTransfer and its model, driven alike."""

    def __init__(self, total: int, windowsize: int, rollover: int, *, plain: bool) -> None:
        options = {} if plain else {"blksize": BLKSIZE, "rollover": rollover}
        if windowsize and not plain:
            options["windowsize"] = windowsize
        blksize = 512 if plain else BLKSIZE
        self.transfer: ReadTransfer = reading((total - 1) * blksize + 1, **options)
        assert blocks_in(self.transfer.size, blksize) == total
        size = self.transfer.terms.windowsize
        wire = WIRE[self.transfer.terms.rollover]
        self.model = SenderModel(total, size, wire, negotiates=not plain)
        self.now = 0.0
        self.timeouts = 0
        self.compare(self.transfer.start(0.0), self.model.start())

    def skip(self, index: int) -> None:
        """Begin after a block far into the file."""
        sent_up_to(self.transfer, index)
        size = self.transfer.window.size
        self.transfer.window.take(size)
        self.model.acked = index
        self.model.times.update(range(index + 1, self.transfer.window.next))

    def compare(self, actions: Actions, expected: list[int]) -> None:
        sent = self.flattened(actions)
        while self.transfer._burst_is_due and not self.transfer.finished:
            self.now = max(self.now, self.transfer.deadline)
            sent += self.flattened(self.transfer.handle(TimerExpired(self.now)))
        assert sent == expected, (self.transfer, vars(self.model))
        assert self.transfer.finished == (self.model.ended is not None)
        assert self.transfer.octets <= self.transfer.size
        assert self.transfer.answered == self.model.answered or self.model.ended == "probed"

    def flattened(self, actions: Actions) -> list[int]:
        sent: list[int] = []
        for action in actions:
            if isinstance(action, SendBlocks):
                sent += range(action.first, action.first + action.count)
            else:
                assert isinstance(action, SendPacket)
                assert opcode_of(action.packet) == Opcode.OACK
                sent.append(OPENING)
        return sent

    def receive(self, datagram: bytes) -> None:
        before = self.model.acked
        self.now += 0.001
        event = DatagramsReceived(datagram, len(datagram), self.now)
        late = self.transfer._timer.is_late(self.now)
        self.compare(self.transfer.handle(event), self.model.receive(datagram, late=late))
        if self.model.acked != before:
            self.timeouts = 0

    def wait(self) -> None:
        """Let nothing come for a while, so that the next ACK is late; a probe may be sent."""
        timer = self.transfer._timer
        if self.transfer.finished or self.transfer.deadline == timer.deadline:
            return
        self.now = max(self.now, self.transfer.deadline)
        self.compare(self.transfer.handle(TimerExpired(self.now)), self.model.probe())

    def time_out(self) -> None:
        if (
            self.timeouts >= timeouts_max(self.transfer)
            or self.transfer.finished
            or self.transfer._disowned
        ):
            return
        self.wait()
        self.timeouts += 1
        self.now = max(self.now, self.transfer.deadline)
        self.compare(self.transfer.handle(TimerExpired(self.now)), self.model.timeout())

    def repeat(self) -> None:
        if not self.transfer.finished:
            self.compare(
                self.transfer.handle(RequestRepeated(self.now)), self.model.request_again()
            )


@many
@given(
    total=st.integers(1, 40),
    windowsize=windowsizes,
    rollover=st.sampled_from([0, 1]),
    plain=st.booleans(),
    beginning=st.sampled_from(BEGINNINGS),
    story=stories(
        st.one_of(
            st.integers(-2, 8),
            st.integers(-2, 8),
            st.sampled_from(["timeout", "wait", "repeat"] * 4 + ["error"]),
            strays,
        )
    ),
)
@example(total=1, windowsize=2, rollover=0, plain=False, beginning=0, story=[0, 0])
def test_a_sender_does_what_the_model_does(
    total: int,
    windowsize: int,
    rollover: int,
    beginning: int,
    story: list[int | str | bytes],
    *,
    plain: bool,
) -> None:
    """Numbers are ACKs, from the last acknowledged block on."""
    sender = Sender(beginning + total, windowsize, rollover, plain=plain)
    if beginning:
        if not plain:
            sender.receive(ack(0))
        sender.skip(beginning)
    wire = WIRE[sender.transfer.terms.rollover]
    for step in story:
        if isinstance(step, int):
            sender.receive(ack(wire[max(0, sender.model.acked + step)]))
        elif isinstance(step, bytes):
            sender.receive(step)
        elif step == "timeout":
            sender.time_out()
        elif step == "wait":
            sender.wait()
        elif step == "error":
            sender.receive(error(0, "no"))
        else:
            sender.repeat()


class Receiver:
    """A WriteTransfer and its model, driven alike."""

    def __init__(self, windowsize: int, rollover: int, *, plain: bool) -> None:
        options = {} if plain else {"blksize": BLKSIZE, "rollover": rollover}
        if windowsize and not plain:
            options["windowsize"] = windowsize
        self.transfer: WriteTransfer = writing(**options)
        terms = self.transfer.terms
        wire = WIRE[terms.rollover]
        self.full = b"x" * terms.blksize
        self.model = ReceiverModel(terms.blksize, terms.windowsize, wire, negotiates=not plain)
        self.now = 0.0
        self.timeouts = 0
        self.compare(self.transfer.start(0.0), self.model.start())

    def skip(self, index: int) -> None:
        """Begin after a block far into the file."""
        received_up_to(self.transfer, index)
        self.model.last = self.model.acked = index

    def handle(self, event: Event) -> Actions:
        """Hand an event to the transfer, and store at once what it wants stored."""
        actions = list(self.transfer.handle(event))
        if self.transfer.state is State.COMMITTING:
            actions += self.transfer.handle(ContentCommitted(self.now))
        return actions

    def compare(self, actions: Actions, expected: list[tuple[object, ...]]) -> None:
        assert flattened(actions) == expected, (self.transfer, vars(self.model))
        assert (self.transfer.state is State.FAILED) == self.model.ended
        assert (self.transfer.state is State.DALLYING) == self.model.whole

    def receive(self, datagram: bytes) -> None:
        before = self.model.last
        self.now += 0.001
        event = DatagramsReceived(datagram, len(datagram), self.now)
        self.compare(self.handle(event), self.model.receive(datagram))
        if self.model.last != before:
            self.timeouts = 0

    def time_out(self) -> None:
        if self.timeouts >= timeouts_max(self.transfer) or self.transfer.state in (
            State.FAILED,
            State.DALLYING,
        ):
            return
        self.timeouts += 1
        self.now = max(self.now, self.transfer.deadline)
        self.compare(self.transfer.handle(TimerExpired(self.now)), self.model.timeout())


def flattened(actions: Actions) -> list[tuple[object, ...]]:
    """Return actions in the model's words."""
    words: list[tuple[object, ...]] = []
    for action in actions:
        match action:
            case StoreBlocks():
                words += [("store", payload) for payload in payloads_of(action)]
            case Commit():
                words.append(("commit",))
            case SendPacket(packet):
                kind = Opcode(opcode_of(packet)).name.lower()
                words.append(("ack", block_number_of(packet)) if kind == "ack" else (kind,))
            case SendBlocks():
                raise AssertionError("a receiver sends no DATA")
    return words


steps = stories(
    st.one_of(
        st.integers(-3, 8),
        st.integers(2, 8),
        st.just(1),
        st.just(1),
        st.sampled_from(["timeout"] * 8 + ["short", "short again", "long", "error"]),
        strays,
    )
)


@many
@given(
    windowsize=windowsizes,
    rollover=st.sampled_from([0, 1]),
    plain=st.booleans(),
    beginning=st.sampled_from(BEGINNINGS),
    story=steps,
)
def test_a_receiver_does_what_the_model_does(
    windowsize: int,
    rollover: int,
    beginning: int,
    story: list[int | str | bytes],
    *,
    plain: bool,
) -> None:
    """Numbers are full blocks, from the last one received in order on."""
    receiver = Receiver(windowsize, rollover, plain=plain)
    wire = receiver.model.wire
    if beginning:
        receiver.receive(data(1, receiver.full))
        # Without options the other rollover is followed too; that has tests of its own.
        receiver.skip(beginning if not plain else 60000)
    for step in story:
        last = receiver.model.last
        if isinstance(step, int):
            receiver.receive(data(wire[max(0, last + step)], receiver.full))
        elif isinstance(step, bytes):
            receiver.receive(step)
        elif step == "timeout":
            receiver.time_out()
        elif step == "error":
            receiver.receive(error(0, "no"))
        elif step == "long":
            receiver.receive(data(wire[last + 1], receiver.full + b"x"))
        else:
            receiver.receive(data(wire[last + (step == "short")], b"end"))


@many
@given(
    windowsize=windowsizes,
    story=st.lists(st.one_of(st.integers(0, 12), st.just("next")), min_size=1, max_size=12),
    tail=st.one_of(st.none(), st.binary(max_size=BLKSIZE)),
    cut=st.integers(1, 12),
)
@pytest.mark.parametrize("make", [0, 1])
def test_datagrams_that_were_joined_do_what_they_do_one_by_one(
    make: int, windowsize: int, story: list[int | str], tail: bytes | None, cut: int
) -> None:
    options = {"blksize": BLKSIZE, "windowsize": windowsize} if windowsize else {"blksize": BLKSIZE}
    if make:
        packets = receiver_packets(story, tail)
        machines: list[Sending | Receiving] = [writing(**options), writing(**options)]
    else:
        packets = [ack(step) for step in story if isinstance(step, int)] or [ack(0)]
        machines = [reading(200, **options), reading(200, **options)]
    told = []
    for machine, count in zip(machines, (1, cut), strict=True):
        machine.start(0.0)
        words: list[object] = []
        for joined in joinable(packets, count):
            words += words_of(machine, joined)
        told.append((words, repr(machine), machine.answered, machine.octets))
    assert told[0] == told[1]


def joinable(packets: list[bytes], count: int) -> Iterator[list[bytes]]:
    """Yield packets in pieces, as the kernel joins them: of one size, the last may be shorter."""
    piece: list[bytes] = []
    for packet in packets:
        fits = not piece or len(packet) <= len(piece[0]) == len(piece[-1])
        if len(piece) == count or not fits:
            yield piece
            piece = []
        piece.append(packet)
    yield piece


def receiver_packets(story: list[int | str], tail: bytes | None) -> list[bytes]:
    """Return DATA: numbers are blocks, "next" the one after the last of them in order."""
    packets, expected = [], 1
    for step in story:
        number = expected if step == "next" else int(step)
        packets.append(data(number, FULL))
        expected += number == expected
    if tail is not None:
        packets.append(data(expected, tail))
    return packets


def words_of(machine: Sending | Receiving, packets: list[bytes]) -> list[object]:
    """Return what a machine does about datagrams that come at once."""
    event = DatagramsReceived(memoryview(b"".join(packets)), len(packets[0]), 0.1)
    actions = machine.handle(event)
    if isinstance(machine, Receiving):
        return list(flattened(actions))
    return list(actions)
