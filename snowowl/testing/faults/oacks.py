"""Faults of the OACK: what was not asked for, other values, other shapes.

Where a value can be lived by, the server lives by it: it is a right server that believes that it was
asked for it.  Where not, only the OACK is wrong, and who accepts it gets an ERROR.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import attrs

from snowowl.observe.events import Direction
from snowowl.protocol.negotiation import Policy
from snowowl.testing.faults.model import Delivery, Expect, Incoming, Kind, OfOack, Outgoing
from snowowl.testing.faults.parameters import number, word
from snowowl.wire import options as known
from snowowl.wire.codec import decode_option_ack, encode, encode_error
from snowowl.wire.constants import BLKSIZE_MAX, ErrorCode
from snowowl.wire.packets import OptionAck, Options, Request

_WINDOWSIZE_LARGER_MAX = 128
_REFUSES = "Refuses it by ERROR 8 and ends."


@attrs.define(eq=False)
class _OackFault(OfOack):
    clause = "RFC 2347"
    expect = Expect.EITHER
    _unusable: bool = attrs.field(default=False, init=False)

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send another OACK."""
        if packet.kind is not Kind.OACK:
            return super().sends(packet)
        octets = self.oack(packet.octets)
        self.reached |= octets != packet.octets
        return (Delivery(octets, 0),)

    def oack(self, octets: bytes) -> bytes:
        """Return what goes out instead of an OACK."""
        options = self.options(decode_option_ack(octets).options)
        return encode(OptionAck(options))

    def options(self, options: Options) -> Options:
        """Return other options."""
        return options

    def answers(self, heard: Incoming) -> Iterable[Delivery]:
        """Refuse a client that accepts what nobody can live by."""
        if not self._unusable or heard.kind not in (Kind.ACK, Kind.DATA) or self.over:
            return ()
        self.over = True
        self.complaint = "accepted an option with a value that nobody can live by"
        refusal = encode_error(ErrorCode.OPTION_REFUSED, "nobody can live by this option")
        return (Delivery(refusal),)


def _set(options: Options, name: bytes, value: bytes) -> Options:
    """Return options with one set, in its place or at the end."""
    if name in dict(options):
        return tuple((each, value if each == name else old) for each, old in options)
    return (*options, (name, value))


@attrs.define(eq=False)
class OackUnasked(_OackFault):
    """An option that was not asked for."""

    name = "oack-unasked"
    what = "the OACK holds an option that was not asked for"
    correct = _REFUSES
    expect = Expect.END
    lenient = True
    examples: ClassVar[tuple[str, ...]] = (
        "",
        "option=blksize,value=512",
        "option=windowsize,value=4",
    )

    option: str = word("unasked", "its name")
    value: str = word("1", "its value")

    def unreachable(self, direction: Direction, options: Options) -> str:
        """Say whether it was asked for after all."""
        why = super().unreachable(direction, options)
        if not why and self.option.lower().encode() in dict(options):
            return f"the client asked for {self.option}"
        return why

    @property
    def _unasked(self) -> tuple[bytes, bytes]:
        return self.option.lower().encode("ascii", "replace"), self.value.encode("ascii", "replace")

    def request(self, request: Request) -> Request:
        """Have it that it was asked for, if it is one that the server can live by."""
        if known.parse_value(*self._unasked) is None:
            return request
        return attrs.evolve(request, options=(*request.options, self._unasked))

    def options(self, options: Options) -> Options:
        """Add it, if it is not there yet."""
        self.reached = True
        return options if self._unasked[0] in dict(options) else (*options, self._unasked)


@attrs.define(eq=False)
class OackLarger(_OackFault):
    """More than was asked for."""

    name = "oack-larger"
    what = "the server grants more blksize or windowsize than was asked for, and uses it"
    clause = "RFC 2348, RFC 7440 3"
    correct = _REFUSES
    expect = Expect.END
    lenient = True
    examples: ClassVar[tuple[str, ...]] = ("option=blksize", "option=windowsize")

    option: str = word("blksize", "which", "blksize", "windowsize")
    _asked: int = attrs.field(default=0, init=False)

    def unreachable(self, direction: Direction, options: Options) -> str:
        """Say whether it was asked for."""
        why = super().unreachable(direction, options)
        asked = known.parse_value(self._name, dict(options).get(self._name, b""))
        if not why and asked is None:
            return f"the client did not ask for {self.option}"
        if not why and asked == self._larger(asked or 0):
            return f"there is no larger {self.option}"
        return why

    @property
    def _name(self) -> bytes:
        return self.option.encode()

    def _larger(self, asked: int) -> int:
        maximum = BLKSIZE_MAX if self._name == known.BLKSIZE else _WINDOWSIZE_LARGER_MAX
        return max(min(2 * asked, maximum), asked)

    def request(self, request: Request) -> Request:
        """Have it that twice as much was asked for."""
        self._asked = known.parse_value(self._name, dict(request.options).get(self._name, b"")) or 0
        value = known.format_value(self._larger(self._asked))
        return attrs.evolve(request, options=_set(request.options, self._name, value))

    def policy(self, policy: Policy) -> Policy:
        """Grant it, whatever the network carries."""
        return attrs.evolve(policy, blksize_max=BLKSIZE_MAX, windowsize_max=_WINDOWSIZE_LARGER_MAX)

    def oack(self, octets: bytes) -> bytes:
        """Leave it, and look whether it is more."""
        granted = dict(decode_option_ack(octets).options).get(self._name, b"")
        self.reached = (known.parse_value(self._name, granted) or 0) > self._asked
        return octets


@attrs.define(eq=False)
class OackValue(_OackFault):
    """A value that nobody can live by."""

    name = "oack-value"
    what = "an option that was asked for gets a value that is out of its range, or none"
    clause = "RFC 2347, 2348, 2349, 7440"
    correct = _REFUSES
    expect = Expect.END
    lenient = True
    examples: ClassVar[tuple[str, ...]] = (
        "option=blksize,value=7",
        "option=blksize,value=0",
        "option=blksize,value=65465",
        "option=blksize,value=4294967808",
        "option=blksize,value=-1",
        "option=blksize,value=abc",
        "option=blksize,value=",
        "option=windowsize,value=0",
        "option=windowsize,value=65536",
        "option=timeout,value=0",
        "option=timeout,value=256",
    )

    option: str = word("blksize", "which", "blksize", "windowsize", "timeout")
    value: str = word("7", "its value")

    def unreachable(self, direction: Direction, options: Options) -> str:
        """Say whether it was asked for."""
        why = super().unreachable(direction, options)
        if not why and self.option.encode() not in dict(options):
            return f"the client did not ask for {self.option}"
        return why

    def options(self, options: Options) -> Options:
        """Set it."""
        self._unusable = True
        return _set(options, self.option.encode(), self.value.encode("ascii", "replace"))


@attrs.define(eq=False)
class OackTimeout(_OackFault):
    """Another timeout."""

    name = "oack-timeout"
    what = "the server grants another timeout than was asked for"
    clause = "RFC 2349"
    correct = "Refuses it by ERROR 8, or keeps to its own timer."
    needs: ClassVar[frozenset[bytes]] = frozenset({known.TIMEOUT})

    seconds: int = number(7, "the timeout", minimum=1, maximum=255)

    def options(self, options: Options) -> Options:
        """Set it; another one if it was asked for."""
        asked = dict(options).get(known.TIMEOUT)
        value = known.format_value(self.seconds)
        return _set(
            options, known.TIMEOUT, b"%d" % (self.seconds % 255 + 1) if asked == value else value
        )


@attrs.define(eq=False)
class OackTsize(_OackFault):
    """A wrong tsize."""

    name = "oack-tsize"
    what = "the tsize in the OACK is not the file's size"
    clause = "RFC 2349"
    correct = "Goes by the blocks that come, or refuses what is too large by ERROR 3; no overflow."
    needs: ClassVar[frozenset[bytes]] = frozenset({known.TSIZE})
    examples: ClassVar[tuple[str, ...]] = (
        "value=0",
        "value=1",
        "value=4294967297",
        "value=99999999999999999999",
        "value=-1",
    )

    value: str = word("1", "its value")

    def options(self, options: Options) -> Options:
        """Set it."""
        return _set(options, known.TSIZE, self.value.encode("ascii", "replace"))


@attrs.define(eq=False)
class OackTrailing(_OackFault):
    """Octets after the last NUL."""

    name = "oack-trailing"
    what = "octets follow the last option"
    correct = "Ignores them or ends; it reads nothing that is not there."
    examples: ClassVar[tuple[str, ...]] = ("", "text=", "text=blksize")

    text: str = word("pad", "the octets; none: four NULs")

    def oack(self, octets: bytes) -> bytes:
        """Add them."""
        return octets + (self.text.encode("ascii", "replace") or bytes(4))


@attrs.define(eq=False)
class OackWithoutNul(_OackFault):
    """The last NUL is missing."""

    name = "oack-no-nul"
    what = "the last NUL is missing"
    correct = "Takes the value as it stands, or ends; it reads no octet that is not there."

    def oack(self, octets: bytes) -> bytes:
        """Cut it off."""
        return octets[:-1]


@attrs.define(eq=False)
class OackUpperCase(_OackFault):
    """Names in upper case."""

    name = "oack-upper-case"
    what = "the options' names come in upper case"
    correct = "Knows them: names of options are in any case."
    expect = Expect.RECOVER

    def options(self, options: Options) -> Options:
        """Write them so."""
        return tuple((name.upper(), value) for name, value in options)


@attrs.define(eq=False)
class OackOrder(_OackFault):
    """Another order."""

    name = "oack-order"
    what = "the options come in the reverse order"
    correct = "Goes on: their order says nothing."
    expect = Expect.RECOVER

    def options(self, options: Options) -> Options:
        """Turn them round."""
        return options[::-1]


@attrs.define(eq=False)
class OackTwiceInOne(_OackFault):
    """An option twice in one OACK."""

    name = "oack-repeated"
    what = "an option comes twice in one OACK, with two values"
    correct = "Refuses it, or takes one of the two; it does not mix them."

    def options(self, options: Options) -> Options:
        """Repeat the first, with another value."""
        return (*options, (options[0][0], b"9"))


@attrs.define(eq=False)
class OackEmpty(_OackFault):
    """An OACK without options."""

    name = "oack-empty"
    what = "the OACK holds no option at all"
    correct = "Takes it that nothing was granted, or ends."

    def policy(self, policy: Policy) -> Policy:
        """Grant nothing."""
        return attrs.evolve(policy, refused_options=frozenset(known.RANGES))

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send the OACK, and wait for its answer before the first DATA."""
        if not packet.first or self._answered:
            return (packet.as_is(),)
        self.reached = True
        self._held = packet
        return (Delivery(b"\0\6", 0),)

    def answers(self, heard: Incoming) -> Iterable[Delivery]:
        """Begin."""
        if self._held is None or self._answered or heard.kind is not Kind.ACK:
            return ()
        self._answered = True
        return (self._held.as_is(),) if self._held.kind is Kind.DATA else ()

    _held: Outgoing | None = attrs.field(default=None, init=False)
    _answered: bool = attrs.field(default=False, init=False)


FAULTS = (
    OackUnasked,
    OackLarger,
    OackValue,
    OackTimeout,
    OackTsize,
    OackTrailing,
    OackWithoutNul,
    OackUpperCase,
    OackOrder,
    OackTwiceInOne,
    OackEmpty,
)
