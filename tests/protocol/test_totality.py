"""Nothing that a peer sends makes a machine raise, send much, or forget its deadline."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowowl.protocol.actions import Actions, SendBlocks, SendPacket
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
from snowowl.protocol.negotiation import Policy
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.read import ReadTransfer
from snowowl.protocol.receiving import Receiving
from snowowl.protocol.retransmit import SENDS_UNANSWERED_MAX
from snowowl.protocol.sending import Sending
from snowowl.protocol.transfer import State
from snowowl.protocol.write import WriteTransfer
from snowowl.testing.playbook import ack, check_deadline, data, error, oack
from snowowl.testing.strategies import (
    acks,
    datagrams,
    datas,
    near_misses,
    read_requests,
    write_requests,
)
from snowowl.wire.codec import request_size
from snowowl.wire.constants import WINDOWSIZE_MAX
from snowowl.wire.packets import ReadRequest, Request
from tests.protocol.stories import (
    committing,
    dallying,
    feed,
    getting,
    putting,
    reading,
    received_up_to,
    sending_window,
    sent_up_to,
    writing,
)

Machine = Sending | Receiving

TSIZE_GROWS_MAX: Final = 18
"""Octets by which a size may be longer than the 0 that asks for it."""


def started(transfer: Machine, *packets: bytes) -> Machine:
    transfer.start(0.0)
    feed(transfer, *packets, now=0.01)
    return transfer


def paused(transfer: Machine) -> Machine:
    transfer.handle(ContentPaused(2))
    return transfer


def far_sending(index: int) -> Machine:
    transfer = sending_window(10**7, 4)
    sent_up_to(transfer, index)
    transfer.window.take(4)
    return transfer


def far_receiving(index: int, windowsize: int) -> Machine:
    transfer = started(writing(blksize=8, windowsize=windowsize), data(1, b"12345678"))
    assert isinstance(transfer, Receiving)
    received_up_to(transfer, index)
    return transfer


STATES: Final[dict[str, Callable[[], Machine]]] = {
    "read: OACK sent": lambda: started(reading(99, tsize=0)),
    "read: lock-step": lambda: started(reading(2000)),
    "read: last block": lambda: started(reading(9)),
    "read: window": lambda: sending_window(999, 4),
    "read: paused": lambda: paused(sending_window(999, 4)),
    "read: near block 65535": lambda: far_sending(65533),
    "read: complete": lambda: started(reading(9), ack(1)),
    "write: OACK sent": lambda: started(writing(blksize=8, windowsize=4)),
    "write: ACK 0 sent": lambda: started(writing()),
    "write: lock-step": lambda: started(writing(blksize=8), data(1, b"12345678")),
    "write: window": lambda: started(writing(blksize=8, windowsize=4), data(1, b"12345678")),
    "write: paused": lambda: paused(started(writing(blksize=8, windowsize=4))),
    "write: at block 65535": lambda: far_receiving(65535, 1),
    "write: without rollover": lambda: started(writing(Policy(rollover=None), blksize=8)),
    "write: near block 65535": lambda: far_receiving(65533, 4),
    "write: committing": committing,
    "write: dallying": dallying,
    "get: RRQ sent": lambda: started(getting(blksize=8, windowsize=4, tsize=0)),
    "get: ACK 0 sent": lambda: started(getting(blksize=8), oack(blksize=8)),
    "get: receiving": lambda: started(getting(), data(1, b"x" * 512)),
    "get: failed": lambda: started(getting(), b"\0\5\0\1"),
    "put: WRQ sent": lambda: started(putting(99, blksize=8, windowsize=4)),
    "put: sending": lambda: started(putting(2000), ack(0)),
    "put: window": lambda: started(
        putting(999, blksize=8, windowsize=4), oack(blksize=8, windowsize=4)
    ),
}

states = st.sampled_from(sorted(STATES))

in_many_states = settings(max_examples=2 * settings().max_examples)
"""For tests that draw the state too."""


def amount(actions: Actions) -> int:
    """Return how many datagrams actions send."""
    return sum(
        action.count if isinstance(action, SendBlocks) else isinstance(action, SendPacket)
        for action in actions
    )


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("packet", [b"", b"\0", b"\0\3\0", b"\0\5\0\0", b"\0\4\0\1", b"\0\6"])
def test_no_short_datagram_makes_a_machine_raise(state: str, packet: bytes) -> None:
    transfer = STATES[state]()
    for _ in range(3):
        transfer.handle(DatagramsReceived(packet, len(packet), 0.01))
        check_deadline(transfer, 0.01)


@in_many_states
@given(state=states, packets=st.lists(st.one_of(acks(), datas(), datagrams()), max_size=6))
def test_no_datagram_makes_a_machine_raise(state: str, packets: list[bytes]) -> None:
    transfer = STATES[state]()
    for packet in packets:
        actions = transfer.handle(DatagramsReceived(memoryview(packet), len(packet), 0.01))
        assert amount(actions) <= max(1, transfer.window.size)
        check_deadline(transfer, 0.01)


@pytest.mark.rfc("1350 7")
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("code", [0, 1, 5, 8, 99])
def test_an_error_is_never_answered(state: str, code: int) -> None:
    """Neither by an ERROR, which would be answered by one, nor by anything else."""
    transfer = STATES[state]()
    packet = error(code, "no")
    assert not transfer.handle(DatagramsReceived(packet, len(packet), 0.01))


@in_many_states
@given(state=states, joined=st.binary(max_size=200), stride=st.integers(0, 50))
def test_no_batch_makes_a_machine_raise(state: str, joined: bytes, stride: int) -> None:
    transfer = STATES[state]()
    transfer.handle(DatagramsReceived(memoryview(joined), stride, 0.01))
    check_deadline(transfer, 0.01)


@in_many_states
@given(
    state=states,
    packets=st.lists(st.one_of(acks(), datas(8), near_misses()), min_size=1, max_size=6),
    stride=st.sampled_from([4, 11, 12]),
)
def test_no_batch_of_packets_makes_a_machine_raise(
    state: str, packets: list[bytes], stride: int
) -> None:
    joined = b"".join(packet.ljust(stride, b"\0")[:stride] for packet in packets) + b"\0\5\0\1"
    transfer = STATES[state]()
    transfer.handle(DatagramsReceived(memoryview(joined), stride, 0.01))
    check_deadline(transfer, 0.01)


def events() -> st.SearchStrategy[Event]:
    """Return events of every kind, those of a peer more often; all at time 1."""
    received = st.one_of(acks(), datas(8), datagrams()).map(
        lambda packet: DatagramsReceived(packet, len(packet), 1.0)
    )
    others: st.SearchStrategy[Event] = st.one_of(
        st.just(TimerExpired(1.0)),
        st.just(RequestRepeated(1.0)),
        st.builds(ContentPaused, st.integers(0, 9)),
        st.just(ContentReady(1.0)),
        st.just(ContentCommitted(1.0)),
        st.just(ContentFailed(3, "disk full")),
        st.just(PeerUnreachable(1.0)),
        st.just(Stopped(OutcomeKind.STOPPED, "bye", 0)),
        st.just(Stopped(OutcomeKind.SUPERSEDED, "anew")),
    )
    return st.one_of(received, others)


@in_many_states
@given(state=states, happening=st.lists(events(), max_size=8))
def test_no_event_makes_a_machine_raise(state: str, happening: list[Event]) -> None:
    """Out of turn, too: a shell that is late, or does too much, breaks nothing."""
    transfer = STATES[state]()
    for event in happening:
        finished, outcome = transfer.finished, transfer.outcome
        actions = transfer.handle(event)
        if finished:
            assert not actions
            assert transfer.outcome is outcome
        if transfer.state is State.COMPLETE or transfer.state is State.FAILED:
            assert transfer.outcome is not None
            assert transfer.deadline == math.inf
        elif transfer.deadline > 1.0:
            check_deadline(transfer, 1.0)
        assert repr(transfer)


@pytest.mark.rule("R6")
@pytest.mark.rfc("1123 4.2.3.1")
@given(size=st.integers(0, 5000), numbers=st.lists(st.integers(0, 9), max_size=30))
def test_in_lock_step_each_block_is_sent_once_whatever_acks_come(
    size: int, numbers: list[int]
) -> None:
    """The Sorcerer's Apprentice: only the timer may send a block again."""
    transfer = reading(size)
    sent = list(transfer.start(0.0))
    for number in numbers:
        sent += transfer.handle(DatagramsReceived(ack(number), 4, 0.01))
    assert sent == [SendBlocks(index, 1) for index in range(1, len(sent) + 1)]
    assert transfer.retransmitted == 0


@pytest.mark.rule("R6")
@given(numbers=st.lists(st.integers(0, 30), max_size=60))
def test_without_progress_a_window_is_sent_again_once(numbers: list[int]) -> None:
    transfer = sending_window(999, 4)
    sent: dict[int, int] = {}
    for number in numbers:
        base = transfer.window.base
        for action in transfer.handle(DatagramsReceived(ack(number), 4, 0.01)):
            if isinstance(action, SendBlocks) and transfer.window.base == base:
                sent[base] = sent.get(base, 0) + 1
    assert not [base for base, times in sent.items() if times > 1]


@given(
    request=read_requests() | write_requests(),
    size=st.integers(0, 10**6),
    noise=st.lists(
        datagrams().filter(lambda packet: packet[:2] not in (b"\0\3", b"\0\4", b"\0\5"))
    ),
)
def test_an_unanswered_peer_is_sent_little_by_timers(
    request: Request, size: int, noise: list[bytes]
) -> None:
    """A request may carry a forged address: a few packets of one block each, later and later."""
    policy = Policy(windowsize_max=WINDOWSIZE_MAX)
    if isinstance(request, ReadRequest):
        transfer: Machine = ReadTransfer(request, policy, size)
    else:
        transfer = WriteTransfer(request, policy)
    actions, times = list(transfer.start(0.0)), [0.0]
    while not transfer.finished:
        for packet in noise:
            transfer.handle(DatagramsReceived(packet, len(packet), times[-1]))
        times.append(transfer.deadline)
        actions += transfer.handle(TimerExpired(transfer.deadline))
    assert amount(actions) == SENDS_UNANSWERED_MAX
    waits = [after - before for before, after in pairwise(times)]
    assert all(after == 2 * before for before, after in pairwise(waits))
    assert waits[0] >= policy.retransmit.initial
    for action in actions:  # one block of 512 octets, or an OACK, or an ACK
        if isinstance(action, SendPacket):
            assert len(action.packet) <= request_size(request) + TSIZE_GROWS_MAX
        else:
            assert action == SendBlocks(1, 1)
    assert transfer.terms.granted == () or isinstance(actions[0], SendPacket)
