"""The client's side of an RRQ whose content is checked, or kept, as it comes; nothing is stored.

The protocol is that of `ReadInitiator`.  What is added is a short way for what nearly every datagram
is, the next blocks of the file with the right octets in them: one comparison, no look at each block.
All else, wrong octets too, takes the long way.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from snowowl.client.load_content import Content
from snowowl.client.sinks import payloads
from snowowl.protocol.actions import NOTHING, Action, Actions, Commit, StoreBlocks
from snowowl.protocol.blocks import NUMBER_MAX
from snowowl.protocol.events import DatagramsReceived
from snowowl.protocol.initiate import ReadInitiator
from snowowl.protocol.negotiation import Terms
from snowowl.protocol.retransmit import RetransmitPolicy
from snowowl.protocol.transfer import State, Trigger
from snowowl.wire.codec import Buffer, block_number_of, encode_ack, opcode_of
from snowowl.wire.constants import HEADER_SIZE, ErrorCode, Opcode
from snowowl.wire.packets import ReadRequest

_BEHIND: Final = 1 << 15
"""A block number that is so much ahead of the expected one, or more, is behind it."""


class Reader(ReadInitiator):
    """Deals with content at once: of its actions only packets are left."""

    __slots__ = ("begun_at", "duplicates", "out_of_order", "wrong")

    def __init__(self, request: ReadRequest, policy: RetransmitPolicy) -> None:
        super().__init__(request, policy)
        self.begun_at = 0.0
        """When the first block came; 0 if none has."""
        self.duplicates = 0
        """Blocks that came again."""
        self.out_of_order = 0
        """Blocks that came before an earlier one."""
        self.wrong = ""
        """What is wrong with the content, in words."""

    @property
    def blocks(self) -> int:
        """Blocks received in order."""
        return self.window.expected - 1

    @abstractmethod
    def _take(self, octets_before: int, run: StoreBlocks) -> str:
        """Take blocks; return in words what is wrong with them, or nothing."""

    def _whole(self) -> str:
        """Return in words what is missing now that the last block has come, or nothing."""
        return ""

    def _datagrams_received(self, event: DatagramsReceived) -> Actions:
        expected, octets = self.window.expected, self._octets
        actions = super()._datagrams_received(event)
        now = event.now
        if self.window.expected != expected + -(-len(event.data) // (event.stride or 1)):
            self._note_in_vain(event, expected)
        if expected == 1 and self.window.expected > 1:
            self.begun_at = now
        packets: list[Action] = []
        for action in actions:
            if isinstance(action, StoreBlocks):
                self.wrong = self._take(octets, action)
                octets += len(action.data) - HEADER_SIZE * action.count
            elif isinstance(action, Commit):
                self.wrong = self._whole()
                if not self.wrong:
                    packets += self._content_committed(now)
            else:
                packets.append(action)
            if self.wrong:
                return NOTHING if self.finished else self._refuse(ErrorCode.NOT_DEFINED, self.wrong)
        return packets

    def _note_in_vain(self, event: DatagramsReceived, expected: int) -> None:
        """Count the blocks that were not taken, by why."""
        ahead_max = self.window.expected - expected  # so many were taken, from the expected one on
        for start in range(0, len(event.data), event.stride or 1):
            datagram = event.data[start : start + HEADER_SIZE]
            if opcode_of(datagram) != Opcode.DATA or len(datagram) < HEADER_SIZE:
                continue
            ahead = (block_number_of(datagram) - expected) & 0xFFFF
            if ahead >= _BEHIND:
                self.duplicates += 1
            elif ahead >= ahead_max:
                self.out_of_order += 1


class KeepingReader(Reader):
    """Keeps the octets."""

    __slots__ = ("kept",)

    def __init__(self, request: ReadRequest, policy: RetransmitPolicy) -> None:
        super().__init__(request, policy)
        self.kept = bytearray()

    def _take(self, octets_before: int, run: StoreBlocks) -> str:
        del octets_before
        for payload in payloads(run.data, run.stride, run.count):
            self.kept += payload
        return ""


class CheckingReader(Reader):
    """Compares the octets; the first that is wrong ends the transfer."""

    __slots__ = ("_content", "_image", "_packet", "_step")

    def __init__(
        self, request: ReadRequest, packet: bytes, policy: RetransmitPolicy, content: Content
    ) -> None:
        super().__init__(request, policy)
        self._packet = packet
        """The request's octets, encoded once for all."""
        self._content = content
        self._image: bytes | None = None
        self._step = 0
        """Octets from one datagram of the image to the next."""

    def start(self, now: float) -> Actions:
        """Send the RRQ."""
        return self._open(self._packet, now)

    def _agree(self, terms: Terms) -> None:
        super()._agree(terms)
        if terms.rollover == 0:
            self._step = HEADER_SIZE + terms.blksize
            self._image = self._content.image(terms.blksize)

    def take_right(self, data: Buffer, stride: int, now: float) -> bytes | None:
        """Take datagrams if they are the next blocks of the file, with the right octets.

        Returns the packet to send, which may be none (b"").  None: this is something else, which
        `handle` is for, and nothing has been taken.
        """
        image = self._image
        if image is None or self.state is not State.TRANSFERRING:
            return None
        window, step, size = self.window, self._step, len(data)
        expected = window.expected
        start = (expected - 1) * step
        if size == step == stride:
            count, whole = 1, True
        else:
            count, rest = divmod(size, step)
            whole = not rest
            count += not whole
            ends = start + size == len(image)
            if not (count and (whole or ends) and (stride == step or size < step)):
                return None  # empty, or cut off, or blocks do not begin where datagrams do
        following = expected + count
        last, due = following - 1, window.acked + window.size
        if last > due or not image.startswith(data, start):
            return None
        if expected == 1:
            self.begun_at = now
        window.expected = following
        self._octets += size - count * HEADER_SIZE
        if not whole:
            return self._end_of_file(now)
        if last < due:
            self._progress(now)
            return b""
        window.acked = last
        self._timer.went_on(now)
        self._arm(now)
        return encode_ack(last & NUMBER_MAX)

    def _end_of_file(self, now: float) -> bytes:
        self._move(Trigger.LAST_RECEIVED)
        self._run_ended(now)
        self._content_committed(now)
        return self._ack()

    def _datagrams_received(self, event: DatagramsReceived) -> Actions:
        if not self._step and opcode_of(event.data) == Opcode.DATA:
            self._agree(self.terms)  # no OACK has come: the defaults hold
        return super()._datagrams_received(event)

    def _take(self, octets_before: int, run: StoreBlocks) -> str:
        content, offset = self._content, octets_before
        for payload in payloads(run.data, run.stride, run.count):
            right = content.difference(payload, offset)
            if right is not None:
                at = offset + right
                if at >= content.size:
                    return f"more than the expected {content.size} octets"
                return f"wrong octets from offset {at} on"
            offset += len(payload)
        return ""

    def _whole(self) -> str:
        size = self._content.size
        return "" if self._octets == size else f"{self._octets} octets instead of {size}"
