"""Bugs of the rungs that batch, and of what they receive into."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from snowowl.datagram.batch import BatchEndpoint
from snowowl.datagram.interface import LocalAddress, Received, Train, Transmit, Unsent
from snowowl.datagram.limits import Limits
from snowowl.datagram.messages import Messages, Position
from snowowl.datagram.slots import Slots, Told
from tests.quality.planting import Patch, bug


@bug("sendmmsg(2): the number sent", found_by="sends, whatever the kernel says", usually=200)
def partial_count_ignored(patch: Patch) -> None:
    """A call that took some of the messages is taken to have taken all."""
    real = BatchEndpoint._send_some

    def send_some(
        self: BatchEndpoint, transmits: Sequence[Transmit], begin: Position, limits: Limits
    ) -> tuple[Position, int]:
        after, reason = real(self, transmits, begin, limits)
        return (after, reason) if reason else (max(after, self._messages.after), 0)

    patch(BatchEndpoint, "_send_some", send_some)


@bug("a refused window goes at once without segments", found_by="the plain rung", usually=100)
def refused_segments_lost(patch: Patch) -> None:
    """A window whose segments a device refuses is counted as lost."""
    patch(BatchEndpoint, "_is_refused", lambda self, transmit, datagram, reason: False)


@bug(
    "what is blocked goes later, in order", found_by="sends, whatever the kernel says", usually=200
)
def blocked_from_its_beginning(patch: Patch) -> None:
    """A window that was blocked in its middle is sent again from its beginning."""
    real = BatchEndpoint.send

    def send(self: BatchEndpoint, transmits: Sequence[Transmit]) -> Unsent | None:
        unsent = real(self, transmits)
        if unsent is not None and unsent.blocked:
            unsent.blocked = list(transmits[-len(unsent.blocked) :])
        return unsent

    patch(BatchEndpoint, "send", send)


@bug(
    "what is blocked goes later, in order", found_by="sends, whatever the kernel says", usually=200
)
def blocked_dropped(patch: Patch) -> None:
    """What the socket does not take is forgotten."""
    real = BatchEndpoint.send

    def send(self: BatchEndpoint, transmits: Sequence[Transmit]) -> Unsent | None:
        unsent = real(self, transmits)
        return unsent if unsent is not None and unsent.failed else None

    patch(BatchEndpoint, "send", send)


@bug(
    "each block has its own header",
    found_by="sends, whatever the kernel says",
    usually=200,
    slow=True,
)
def headers_of_the_first_block(patch: Patch) -> None:
    """Every part of a window that is sent in parts has the headers of its first blocks."""
    real = Train.rest

    def rest(self: Train, sent: int) -> Train:
        return attrs.evolve(real(self, sent), headers_at=self.headers_at)

    patch(Train, "rest", rest)


@bug("udp(7), UDP_GRO: the segment size", found_by="joined datagrams", usually=4)
def joined_taken_for_one(patch: Patch) -> None:
    """The size of the datagrams that the kernel has joined is not looked at."""
    real = Slots._meaning

    def meaning(self: Slots, octets: bytes) -> Told:
        return real(self, octets)[0], 0

    patch(Slots, "_meaning", meaning)


@bug("a batch is what has arrived", found_by="what arrives", usually=200)
def first_octets_of_the_one_before(patch: Patch) -> None:
    """The first octets of a datagram are those of the one that was in its place before."""
    real = Slots.take

    def take(self: Slots, count: int, name_size: int) -> list[Received]:
        heads = bytes(self._octets[0][:4])
        batch = real(self, count, name_size)
        if len(batch[0].data) > 4:
            self._octets[0][:4] = heads
        return batch

    patch(Slots, "take", take)


@bug("udp(7), UDP_SEGMENT", found_by="the plain rung", usually=100)
def segment_size_left_out(patch: Patch) -> None:
    """A window is one message, and the kernel is not told where its datagrams end."""
    real = Messages._control

    def control(self: Messages, source: LocalAddress | None, stride: int) -> bytes:
        return real(self, source, 0)

    patch(Messages, "_control", control)
