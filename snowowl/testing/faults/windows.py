"""Faults of windows (RFC 7440).  They need a client that asks for `windowsize`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import attrs

from snowowl.observe.events import Direction
from snowowl.protocol.negotiation import Terms
from snowowl.testing.faults.content import Content
from snowowl.testing.faults.model import Delivery, Expect, Fault, Incoming, Kind, Outgoing
from snowowl.testing.faults.parameters import number, real
from snowowl.wire import options as known
from snowowl.wire.codec import decode_option_ack, encode
from snowowl.wire.packets import OptionAck, Options, Request


@attrs.define(eq=False)
class _WindowFault(Fault):
    clause = "RFC 7440 4"
    direction: ClassVar[Direction | None] = Direction.READ

    windowsize: int = attrs.field(default=1, init=False)

    def unreachable(self, direction: Direction, options: Options) -> str:
        """Say whether a window was asked for."""
        why = super().unreachable(direction, options)
        asked = known.parse_value(known.WINDOWSIZE, dict(options).get(known.WINDOWSIZE, b""))
        return why or ("" if asked and asked > 1 else "the client did not ask for a windowsize")

    def content(self, content: Content, terms: Terms) -> Content:
        """Learn the window."""
        self.windowsize = terms.windowsize
        return content


@attrs.define(eq=False)
class WindowGap(_WindowFault):
    """Blocks in the midst of a window are lost."""

    name = "window-gap"
    what = "blocks in the midst of a window are lost"
    correct = "Acknowledges the last block before the gap, at once, and goes on from the next one."
    examples: ClassVar[tuple[str, ...]] = ("", "block=1", "lost=2")

    block: int = number(2, "the first that is lost", minimum=1, maximum=1 << 24, drawn=(1, 20))
    lost: int = number(1, "so many", minimum=1, maximum=65535, drawn=(1, 3))

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Lose them once."""
        lost = range(self.block, self.block + self.lost)
        if packet.kind is not Kind.DATA or packet.copy or packet.block not in lost:
            return super().sends(packet)
        self.reached = True
        return ()


@attrs.define(eq=False)
class WindowTail(_WindowFault):
    """The last blocks of the first window are lost."""

    name = "window-tail"
    what = (
        "the last blocks of the first window are lost, and nothing follows until the client speaks"
    )
    correct = "Acknowledges what it has after a timeout; it does not wait for the rest for ever."

    lost: int = number(1, "so many, one is left at least", minimum=1, maximum=65535, drawn=(1, 3))
    _repeats: int = attrs.field(default=0, init=False)

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Lose them, until the client has spoken or a while has passed."""
        tail = range(max(2, self.windowsize + 1 - self.lost), self.windowsize + 1)
        if packet.kind is not Kind.DATA or packet.block not in tail or packet.copy >= 3:
            return () if self._waiting(packet) else super().sends(packet)
        if self._spoken:
            return super().sends(packet)
        self.reached = True
        return ()

    def _waiting(self, packet: Outgoing) -> bool:
        """Say whether a block that came is being repeated, which would make the client speak."""
        first = packet.kind is Kind.DATA and packet.block <= self.windowsize
        return first and self.reached and not self._spoken and packet.copy < 3

    def answers(self, heard: Incoming) -> Iterable[Delivery]:
        """Hear the client speak."""
        self._spoken = self.reached and heard.kind is Kind.ACK
        return ()

    _spoken: bool = attrs.field(default=False, init=False)


@attrs.define(eq=False)
class WindowOrder(_WindowFault):
    """Two blocks of a window change places."""

    name = "window-order"
    what = "two blocks of a window change places"
    correct = "Has the file right: puts them in order, or acknowledges the last one before the gap."

    block: int = number(2, "the first of the two", minimum=1, maximum=1 << 24, drawn=(1, 20))
    _held: Outgoing | None = attrs.field(default=None, init=False)

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Hold one back until the next."""
        if packet.kind is not Kind.DATA:
            return super().sends(packet)
        held, self._held = self._held, None
        if held is not None:
            self.reached |= packet.block == held.block + 1
            return (packet.as_is(), held.as_is())
        if packet.block == self.block and packet.copy == 0 and not packet.last:
            self._held = packet
            return ()
        return super().sends(packet)


@attrs.define(eq=False)
class WindowDouble(_WindowFault):
    """A window comes twice."""

    name = "window-double"
    what = "every block of the first window comes twice, one window after the other"
    clause = "RFC 7440 4, RFC 1123 4.2.3.1"
    correct = (
        "Stores each block once; the second window may be acknowledged, and nothing multiplies."
    )

    seconds: float = real(0.02, "how long after the first", maximum=10, drawn=(0.001, 2))

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it twice."""
        if packet.kind is not Kind.DATA or packet.block > self.windowsize or packet.copy:
            return super().sends(packet)
        self.reached = True
        return (packet.as_is(), packet.as_is(self.seconds))


@attrs.define(eq=False)
class WindowLarger(_WindowFault):
    """More blocks than were granted."""

    name = "window-larger"
    what = "the server grants half of the windowsize and sends as many blocks as were asked for"
    correct = "Acknowledges when its window is full, and takes what comes beyond it."

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Write half of it in the OACK."""
        if packet.kind is not Kind.OACK:
            return super().sends(packet)
        options = decode_option_ack(packet.octets).options
        half = tuple(
            (name, known.format_value(max(1, self.windowsize // 2)))
            if name == known.WINDOWSIZE
            else (name, value)
            for name, value in options
        )
        self.reached = half != options
        return (Delivery(encode(OptionAck(half)), 0),)


@attrs.define(eq=False)
class WindowShort(_WindowFault):
    """Fewer blocks than the window."""

    name = "window-short"
    what = "the server stops after one block of each window until the client speaks"
    correct = "Acknowledges what it has after a timeout, and goes on; slow, but whole."
    expect = Expect.EITHER

    def request(self, request: Request) -> Request:
        """Have it that no window was asked for."""
        options = tuple(option for option in request.options if option[0] != known.WINDOWSIZE)
        self._asked = dict(request.options).get(known.WINDOWSIZE, b"")
        return attrs.evolve(request, options=options)

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Write the window in the OACK all the same."""
        if packet.first and packet.kind is Kind.OACK:
            options = (*decode_option_ack(packet.octets).options, (known.WINDOWSIZE, self._asked))
            self.reached = True
            return (Delivery(encode(OptionAck(options)), 0),)
        return super().sends(packet)

    _asked: bytes = attrs.field(default=b"", init=False)


@attrs.define(eq=False)
class WindowUnasked(Fault):
    """A window that nobody asked for."""

    name = "window-unasked"
    what = "the server sends windows of 4 blocks to a client that asked for lock-step"
    clause = "RFC 7440 3, RFC 1350 2"
    correct = "Takes the blocks in their order, and acknowledges each."
    direction: ClassVar[Direction | None] = Direction.READ
    expect = Expect.EITHER

    def unreachable(self, direction: Direction, options: Options) -> str:
        """Say whether a window was asked for."""
        why = super().unreachable(direction, options)
        if not why and not any(name in known.RANGES for name, _ in options):
            return "the client asked for no option"  # without an OACK nobody waits for its ACK
        return why or ("the client asked for windows" if known.WINDOWSIZE in dict(options) else "")

    def request(self, request: Request) -> Request:
        """Have it that a window was asked for."""
        return attrs.evolve(request, options=(*request.options, (known.WINDOWSIZE, b"4")))

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Hide the window."""
        if packet.kind is not Kind.OACK:
            self.reached |= packet.block > 1
            return super().sends(packet)
        options = decode_option_ack(packet.octets).options
        left = tuple(option for option in options if option[0] != known.WINDOWSIZE)
        return (Delivery(encode(OptionAck(left)), 0),) if left else ()


FAULTS = (
    WindowGap,
    WindowTail,
    WindowOrder,
    WindowDouble,
    WindowLarger,
    WindowShort,
    WindowUnasked,
)
