"""A language for stories about a transfer: what happens to it, and what it does about that.

    >>> from snowowl.protocol.negotiation import Policy
    >>> from snowowl.protocol.read import ReadTransfer
    >>> from snowowl.wire.packets import ReadRequest
    >>> transfer = ReadTransfer(ReadRequest(b"kernel"), Policy(), size=700)
    >>> Playbook(transfer).at(0.0).starts().sends(blocks(1, 1)).receives(ack(1)).sends(
    ...     blocks(2, 1)
    ... ).receives(ack(2)).does_nothing().ends(OutcomeKind.COMPLETED).done()

Every machine of `snowowl.protocol` can be told about, and every subclass that somebody has changed.
Events happen at the time that was last set, and what a transfer did about one must be told before
the next one happens: what is not told must be nothing.  After each event the deadline is checked
against the core's promise (`check_deadline`).

A story in which something else happened fails by saying what was expected (-) and what was done (+):

    >>> story = Playbook(ReadTransfer(ReadRequest(b"kernel"), Policy(), size=700)).starts()
    >>> story.sends(blocks(1, 2))
    Traceback (most recent call last):
    ...
    AssertionError: after start at 0 s, <ReadTransfer transferring ...> did not do as expected ...
    - DATA blocks 1 to 2
    ...
    + DATA blocks 1 to 1
    ...
    >>> story.done()

A story that does not end in `done` is no test.  `all_told` sees to that; as a fixture for all tests
of a folder:

    @pytest.fixture(autouse=True)
    def _stories_have_an_end():
        with all_told():
            yield

or take the fixture `snowowl_playbook` of `snowowl.testing.plugin` instead of the class.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from snowowl.protocol.actions import Actions, Commit, SendBlocks, SendPacket, StoreBlocks
from snowowl.protocol.events import DatagramsReceived, Event, TimerExpired
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.transfer import State, Transfer
from snowowl.wire.codec import (
    MalformedPacket,
    block_number_of,
    decode,
    encode,
    encode_ack,
    encode_data_header,
    opcode_of,
)
from snowowl.wire.constants import HEADER_SIZE, Opcode
from snowowl.wire.packets import Error, OptionAck

Expected = bytes | SendBlocks | StoreBlocks | Commit

UNFINISHED: list[Playbook] = []
"""Stories that were begun and not ended."""


@contextmanager
def all_told() -> Iterator[None]:
    """Assert at the end that every story that was begun in the block has ended in `done`.

    An exception in the block goes before that: where a story fails it has no end.
    """
    before = list(UNFINISHED)
    try:
        yield
        left = [repr(story.transfer) for story in UNFINISHED if story not in before]
        if left:
            raise AssertionError(f"stories without done(): {', '.join(left)}")
    finally:
        UNFINISHED[:] = before


class Playbook:
    """One transfer's story, from `start` to `done`; each method but that returns the story again.

    Raises AssertionError where something else happened.
    """

    def __init__(self, transfer: Transfer) -> None:
        self.transfer = transfer
        self._now = 0.0
        self._done: Actions = ()
        self._told = True
        self._event = "nothing"
        UNFINISHED.append(self)

    # Time.

    def at(self, now: float) -> Self:
        """Set the time, in seconds."""
        assert now >= self._now, "time does not go back"
        self._now = now
        return self

    def after(self, seconds: float) -> Self:
        """Let time pass."""
        return self.at(self._now + seconds)

    # What happens.

    def starts(self) -> Self:
        """Start the transfer."""
        return self._happened("start", self._ready().start(self._now))

    def receives(self, *datagrams: bytes) -> Self:
        """Let datagrams come in one by one; all but the last do nothing."""
        for datagram in datagrams:
            event = DatagramsReceived(datagram, len(datagram), self._now)
            self._happened(f"receive {_packet_text(datagram)}", self._ready().handle(event))
        return self

    def receives_at_once(self, *datagrams: bytes) -> Self:
        """Let datagrams come in as one event, as the kernel joins them: the last may be shorter."""
        event = DatagramsReceived(memoryview(b"".join(datagrams)), len(datagrams[0]), self._now)
        return self._happened("receive at once", self._ready().handle(event))

    def expires(self) -> Self:
        """Go to the deadline and let the timer expire."""
        transfer = self._ready()
        assert math.isfinite(transfer.deadline), f"there is no deadline: {transfer!r}"
        self.at(transfer.deadline)
        return self.happens(TimerExpired(self._now))

    def happens(self, event: Event) -> Self:
        """Let any event happen."""
        return self._happened(repr(event), self._ready().handle(event))

    # What the transfer does about it.

    def sends(self, *expected: Expected) -> Self:
        """Expect these actions, in this order, and no others; octets are a packet to send."""
        assert expected, "use does_nothing()"
        return self._expect(expected)

    def does_nothing(self) -> Self:
        """Expect no action."""
        return self._expect(())

    def is_due(self, seconds: float) -> Self:
        """Expect the deadline so many seconds from now."""
        due = self.transfer.deadline - self._now
        assert due == seconds or abs(due - seconds) < 1e-9, f"due in {due} s: {self.transfer!r}"
        return self

    def stands(self, state: State) -> Self:
        """Expect a state."""
        assert self.transfer.state is state, repr(self.transfer)
        return self

    def ends(self, kind: OutcomeKind, code: int | None = None, message: str | None = None) -> Self:
        """Expect an outcome."""
        outcome = self.transfer.outcome
        assert outcome is not None, repr(self.transfer)
        assert (outcome.kind, outcome.code) == (kind, code), outcome
        assert message is None or message in outcome.message, outcome
        return self

    def done(self) -> None:
        """End the story: nothing more has happened."""
        self._ready()
        if self in UNFINISHED:
            UNFINISHED.remove(self)

    def _ready(self) -> Transfer:
        if not self._told:
            self._expect(())
        return self.transfer

    def _happened(self, event: str, actions: Actions) -> Self:
        self._event = event
        self._done = actions
        self._told = False
        check_deadline(self.transfer, self._now)
        return self

    def _expect(self, expected: tuple[Expected, ...]) -> Self:
        self._told = True
        wanted = [_text(action) for action in expected]
        actual = [_text(action) for action in self._done]
        if wanted != actual:
            diff = "\n".join(difflib.ndiff(wanted, actual))
            raise AssertionError(
                f"after {self._event} at {self._now:g} s, {self.transfer!r} did not do as expected"
                f" (-) but (+):\n{diff}"
            )
        return self


def check_deadline(transfer: Transfer, now: float) -> None:
    """Assert what the core promises of its deadline.

    It is later than now; and infinite only where nothing but content or the owner can move the
    transfer on.
    """
    assert transfer.deadline > now, f"the deadline is not after {now}: {transfer!r}"
    if transfer.finished:
        assert transfer.deadline == math.inf, repr(transfer)
        assert transfer.outcome is not None, repr(transfer)
    elif transfer.deadline == math.inf:
        paused = transfer._paused  # noqa: SLF001 - nobody but its test language needs to know
        assert paused or transfer.state is State.COMMITTING, repr(transfer)


# Packets, to be received and to be sent.


def ack(number: int) -> bytes:
    r"""Return an ACK.

    >>> ack(1)
    b'\x00\x04\x00\x01'
    """
    return encode_ack(number)


def data(number: int, payload: bytes = b"") -> bytes:
    """Return a DATA packet."""
    return encode_data_header(number) + payload


def error(code: int, message: str = "") -> bytes:
    """Return an ERROR."""
    return encode(Error(code, message.encode("ascii")))


def oack(**options: int) -> bytes:
    r"""Return an OACK.

    >>> oack(blksize=1428, tsize=0)
    b'\x00\x06blksize\x001428\x00tsize\x000\x00'
    """
    return encode(
        OptionAck(tuple((name.encode(), b"%d" % value) for name, value in options.items()))
    )


# Actions that are not packets.


def blocks(first: int, count: int) -> SendBlocks:
    """Return the action of sending DATA for blocks."""
    return SendBlocks(first, count)


def stored(*payloads: bytes) -> StoreBlocks:
    """Return the action of storing blocks, all but the last of one size.

    >>> payloads_of(stored(b"1234", b"5"))
    [b'1234', b'5']
    """
    stride = HEADER_SIZE + len(payloads[0])
    return StoreBlocks(b"".join(data(0, payload) for payload in payloads), stride, len(payloads))


def payloads_of(action: StoreBlocks) -> list[bytes]:
    """Return what `StoreBlocks` appends to the file, block by block."""
    starts = [index * action.stride for index in range(action.count)]
    return [bytes(action.data[start + HEADER_SIZE : start + action.stride]) for start in starts]


def _text(action: Expected | SendPacket) -> str:
    match action:
        case SendPacket(packet):
            return _packet_text(packet)
        case SendBlocks(first, count):
            return f"DATA blocks {first} to {first + count - 1}"
        case StoreBlocks():
            return f"store {payloads_of(action)}"
        case Commit():
            return "commit"
        case _:
            return _packet_text(action)


def _packet_text(packet: bytes) -> str:
    if opcode_of(packet) in (Opcode.DATA, Opcode.ACK) and len(packet) >= HEADER_SIZE:
        text = f"{Opcode(opcode_of(packet)).name} {block_number_of(packet)}"
        return f"{text} {packet[HEADER_SIZE:]!r}" if len(packet) > HEADER_SIZE else text
    try:
        return f"{decode(packet)} {packet!r}"
    except MalformedPacket:
        return repr(packet)
