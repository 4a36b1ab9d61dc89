"""Play of GRO: what comes joined means what it means one by one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import ClassVar

from fuzz.machines import MachinePlay
from snowowl.protocol.actions import Actions, SendBlocks, SendPacket, StoreBlocks
from snowowl.protocol.events import DatagramsReceived
from snowowl.protocol.receiving import Receiving
from snowowl.testing.playbook import payloads_of
from snowowl.wire.packets import Request, WriteRequest


class Segments(MachinePlay):
    """A machine that gets everything twice: as it is joined, and, a copy of it, one by one."""

    request_kind: ClassVar[type[Request]] = WriteRequest

    def receive_joined(self, octets: bytes, stride: int) -> None:
        """Have datagrams come at once and, to a copy, one after the other."""
        stride = max(1, abs(stride) % 65536)
        if not octets:
            return
        other = copy.deepcopy(self.transfer)
        at_once = copy.deepcopy(self.transfer)
        actions = at_once.handle(DatagramsReceived(memoryview(octets), stride, self.now))
        singly: list[Actions] = []
        for start in range(0, len(octets), stride):
            piece = octets[start : start + stride]
            singly.append(other.handle(DatagramsReceived(piece, len(piece), self.now)))
        flat = [action for each in singly for action in each]
        assert _content(actions) == _content(flat), "joined, other octets are stored"
        assert _words(actions) == _words(flat), "joined, something else is said"
        assert repr(at_once) == repr(other), "joined, it ends up elsewhere"
        assert at_once.octets == other.octets
        assert at_once.retransmitted == other.retransmitted
        assert at_once.awaited == other.awaited
        super().receive_joined(octets, stride)

    def run(self, ahead: int, count: int, missing: int, blocks_lost: int) -> None:
        """Have a run of DATA come joined, in order but for blocks that are lost; the last is short."""
        if not isinstance(self.transfer, Receiving):
            self.acks(ahead, count)
            return
        blksize = min(self.transfer.terms.blksize, 1500)
        pieces = []
        for index in range(abs(count) % 64 + 1):
            if blocks_lost >> index & 1:
                continue
            number = self.number_ahead(ahead + index)
            pieces.append(b"\0\3" + number.to_bytes(2, "big") + bytes([index]) * blksize)
        octets = b"".join(pieces)
        keep = len(octets) - min(abs(missing), blksize)
        self.receive_joined(octets[: max(keep, 0)], 4 + blksize)

    def acks(self, ahead: int, count: int) -> None:
        """Have a run of ACKs come joined."""
        numbers = [self.number_ahead(ahead + index) for index in range(abs(count) % 64 + 1)]
        self.receive_joined(b"".join(b"\0\4" + each.to_bytes(2, "big") for each in numbers), 4)


def _content(actions: Actions) -> bytes:
    """Return the octets that are stored, in whatever portions."""
    stores = [action for action in actions if isinstance(action, StoreBlocks)]
    return b"".join(payload for action in stores for payload in payloads_of(action))


def _words(actions: Actions) -> list[object]:
    """Return all else that is done, block by block."""
    return list(_each(actions))


def _each(actions: Actions) -> Iterator[object]:
    for action in actions:
        if isinstance(action, SendBlocks):
            yield from range(action.first, action.first + action.count)
        elif isinstance(action, SendPacket):
            yield action.packet
        elif not isinstance(action, StoreBlocks):
            yield type(action)
