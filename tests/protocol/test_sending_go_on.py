"""The short way of an ACK against the long one: `go_on` does what `handle` would have done.

Two senders of the same file hear the same.  One is asked by `go_on` whenever the ACK that it awaits
has come, as the server's pump does it; the other knows nothing but `handle`.  After each event they
must have sent the same, and be the same in every slot.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowowl.protocol.actions import Actions, SendBlocks, SendPacket
from snowowl.protocol.blocks import number_of
from snowowl.protocol.events import (
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
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.pace import Pace
from snowowl.protocol.retransmit import RetransmitTimer
from snowowl.protocol.sending import NO_ACK, Sending
from snowowl.protocol.transfer import State
from snowowl.protocol.window import SendWindow
from snowowl.testing.playbook import ack, error
from snowowl.testing.strategies import datagrams
from snowowl.wire.codec import encode_ack
from tests.protocol.stories import putting, reading, sent_up_to

BLKSIZE: Final = 8
TOTAL: Final = 70_001
"""Blocks of the file: more than there are numbers, and one more than windows of 7 make."""

BEGINNINGS: Final = (0, 65_500, TOTAL - 40, TOTAL - 8)
"""Blocks that are behind us when a story begins."""

INNER: Final = (Pace, RetransmitTimer, SendWindow)
"""What a sender is made of, and what so is looked into."""

many = settings(max_examples=3 * settings().max_examples)

Snapshot = dict[str, object]


def snapshot(thing: object) -> Snapshot:
    """Return every slot of a machine, and of its parts."""
    found: Snapshot = {}
    for kind in type(thing).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if isinstance(name, str) and hasattr(thing, name):
                value = getattr(thing, name)
                found[name] = snapshot(value) if isinstance(value, INNER) else value
    return found


def flattened(actions: Actions) -> list[int | bytes]:
    """Return what is sent, block by block."""
    sent: list[int | bytes] = []
    for action in actions:
        if isinstance(action, SendBlocks):
            sent += range(action.first, action.first + action.count)
        else:
            assert isinstance(action, SendPacket)
            sent.append(action.packet)
    return sent


class Pair:
    """Two senders of one file: `quick` is asked the short way where there is one."""

    def __init__(self, windowsize: int, rollover: int, timeout: int, *, uploads: bool) -> None:
        options = {"blksize": BLKSIZE, "windowsize": windowsize, "rollover": rollover}
        if timeout:
            options["timeout"] = timeout
        size = TOTAL * BLKSIZE - 1
        if uploads:  # a client's WRQ without options: lock-step of 512
            size = TOTAL * 512 - 1
        self.quick: Sending = putting(size) if uploads else reading(size, **options)
        self.slow: Sending = putting(size) if uploads else reading(size, **options)
        self.now = 0.0
        self.shortcuts = 0
        self.compare(self.quick.start(0.0), self.slow.start(0.0))

    def skip(self, index: int) -> None:
        """Begin after a block far into the file, with a window in flight."""
        for transfer in (self.quick, self.slow):
            sent_up_to(transfer, index)
            transfer.handle(ContentPaused(index + 1))
        self.same(ContentReady(self.now))

    def same(self, event: Event) -> None:
        """Let the same happen to both."""
        self.compare(self.quick.handle(event), self.slow.handle(event))

    def receive(self, datagram: bytes) -> None:
        """Let a datagram come in, as the pump does."""
        word = int.from_bytes(datagram, "big") if len(datagram) == 4 else -1
        event = DatagramsReceived(datagram, len(datagram), self.now)
        if self.quick.awaited != word:
            self.same(event)
            return
        self.shortcuts += 1
        first, count = self.quick.go_on(self.now)
        assert count > 0
        self.compare((SendBlocks(first, count),), self.slow.handle(event))

    def compare(self, quick: Actions, slow: Actions) -> None:
        assert flattened(quick) == flattened(slow)
        assert snapshot(self.quick) == snapshot(self.slow)
        self.sent_last = next((one for one in slow if isinstance(one, SendBlocks)), None)

    def happens(self, story: tuple[str, int]) -> None:
        """Play one step of a story."""
        what, number = story
        window = self.slow.window
        match what:
            case "all":
                self.receive(ack(number_of(window.next - 1, window.rollover)))
            case "near":
                index = max(0, window.base - 1 + number)
                self.receive(ack(number_of(index, window.rollover)))
            case "ack":
                self.receive(encode_ack(number))
            case "later":
                self.now += number / 1000
            case "expires":
                self.now = max(self.now, min(self.slow.deadline, self.now + 1000))
                self.same(TimerExpired(self.now))
            case "cold":
                if self.sent_last is not None:
                    self.same(ContentPaused(self.sent_last.first + number))
            case "warm":
                self.same(ContentReady(self.now))
            case "repeats":
                self.same(RequestRepeated(self.now))
            case "joined":
                octets = ack(number_of(window.next - 1, window.rollover)) * 2
                self.same(DatagramsReceived(octets, 4, self.now))
            case "disowns":
                self.receive(error(5, "unknown transfer ID"))


steps = st.one_of(
    st.tuples(st.just("all"), st.just(0)),
    st.tuples(st.just("all"), st.just(0)),
    st.tuples(st.just("near"), st.integers(-3, 12)),
    st.tuples(st.just("cold"), st.integers(0, 3)),
    st.tuples(st.just("ack"), st.sampled_from([0, 1, 2, 65_534, 65_535])),
    st.tuples(st.just("later"), st.sampled_from([0, 1, 5, 30, 250, 1100, 31_000])),
    st.tuples(st.sampled_from(["expires", "warm", "repeats", "joined", "disowns"]), st.just(0)),
)


@many
@given(
    st.sampled_from([1, 1, 2, 7, 32]),
    st.sampled_from([0, 1]),
    st.sampled_from([0, 0, 1]),
    st.booleans(),
    st.sampled_from(BEGINNINGS),
    st.lists(steps, max_size=60),
)
def test_both_ways_lead_to_the_same(
    windowsize: int,
    rollover: int,
    timeout: int,
    uploads: bool,
    beginning: int,
    story: list[tuple[str, int]],
) -> None:
    pair = Pair(windowsize, rollover, timeout, uploads=uploads)
    pair.receive(ack(0))
    if beginning:
        pair.skip(beginning)
    for step in story:
        pair.happens(step)


@many
@given(st.lists(st.one_of(datagrams(), st.just(b"")), max_size=20), st.sampled_from([1, 4]))
def test_noise_between_two_acks_changes_neither(noise: list[bytes], windowsize: int) -> None:
    pair = Pair(windowsize, 0, 0, uploads=False)
    pair.receive(ack(0))
    for datagram in noise:
        pair.happens(("all", 0))
        pair.receive(datagram)


ENDS: Final[tuple[Event, ...]] = (
    ContentFailed(0, "gone"),
    PeerUnreachable(9.0),
    Stopped(OutcomeKind.STOPPED, "enough", 0),
    Stopped(OutcomeKind.SUPERSEDED, "again"),
)


@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_awaited_after_the_end(end: Event) -> None:
    pair = Pair(4, 0, 0, uploads=False)
    pair.receive(ack(0))
    pair.happens(("all", 0))
    assert pair.quick.awaited != NO_ACK
    pair.same(end)
    assert pair.quick.awaited == NO_ACK
    assert pair.quick.state is State.FAILED


def whole_file(pair: Pair) -> Iterator[None]:
    """Play a transfer without a loss to its end."""
    pair.receive(ack(0))
    while not pair.slow.finished:
        pair.now += 0.0001
        pair.happens(("all", 0))
        yield


@pytest.mark.parametrize("rollover", [0, 1])
@pytest.mark.parametrize("windowsize", [7, 64])
def test_nearly_every_ack_of_a_file_goes_the_short_way(windowsize: int, rollover: int) -> None:
    """Over the end of the numbers too; only the last window's ACK is no matter for it."""
    pair = Pair(windowsize, rollover, 0, uploads=False)
    acks = sum(1 for _ in whole_file(pair))
    assert acks == -(-TOTAL // windowsize)
    assert acks - pair.shortcuts <= 2
    assert pair.slow.outcome is not None
    assert pair.slow.outcome.kind is OutcomeKind.COMPLETED
