"""Faults of a negotiation that is right in itself: granted in part, ignored, or at the wrong time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import attrs

from snowowl.observe.events import Direction
from snowowl.protocol.negotiation import Policy
from snowowl.testing.faults.model import GAP_SECONDS, Delivery, Expect, Fault, Kind, Outgoing
from snowowl.testing.faults.parameters import number
from snowowl.wire import options as known
from snowowl.wire.codec import encode
from snowowl.wire.packets import OptionAck, Options, Request


@attrs.define(eq=False)
class OackWithoutRequest(Fault):
    """An OACK to a request without options."""

    name = "oack-to-none"
    what = "an OACK answers a request that has no options"
    clause = "RFC 2347"
    correct = "Does not know what it is (ERROR 4 or 8), or ignores it; it does not accept it."
    expect = Expect.EITHER

    def unreachable(self, direction: Direction, options: Options) -> str:
        """Say whether there were options."""
        del direction
        return "the client asked for options" if options else ""

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it first."""
        if not packet.first or self.reached:
            return super().sends(packet)
        self.reached = True
        return (Delivery(encode(OptionAck(((b"blksize", b"1024"),)))), packet.as_is(GAP_SECONDS))


@attrs.define(eq=False)
class OackLate(Fault):
    """An OACK in mid-transfer."""

    name = "oack-late"
    what = "an OACK with another blksize comes in mid-transfer, before DATA 2 or ACK 2"
    clause = "RFC 2347"
    correct = "Ignores it, or ends; it does not change the terms."
    expect = Expect.EITHER

    def sends(self, packet: Outgoing) -> Iterable[Delivery]:
        """Send it first."""
        if packet.kind not in (Kind.DATA, Kind.ACK) or packet.block < 2 or self.reached:
            return super().sends(packet)
        self.reached = True
        return (Delivery(encode(OptionAck(((b"blksize", b"8"),)))), packet.as_is(GAP_SECONDS))


@attrs.define(eq=False)
class OptionsIgnored(Fault):
    """A server that knows no options."""

    name = "options-ignored"
    what = "the server knows no options: DATA 1 of 512 octets, or ACK 0, answers the request"
    clause = "RFC 2347"
    correct = "Goes on as RFC 1350 has it: blocks of 512 octets, in lock-step."

    def unreachable(self, direction: Direction, options: Options) -> str:
        """Say whether there were options."""
        del direction
        return "" if options else "the client asked for no option"

    def policy(self, policy: Policy) -> Policy:
        """Grant nothing."""
        self.reached = True
        return attrs.evolve(policy, refused_options=frozenset(known.RANGES))


@attrs.define(eq=False)
class OptionsInPart(Fault):
    """Only the first option is granted."""

    name = "options-in-part"
    what = "of several options only the first is granted"
    clause = "RFC 2347"
    correct = "Takes the defaults of the others: 512 octets, lock-step."

    def unreachable(self, direction: Direction, options: Options) -> str:
        """Say whether there were several."""
        del direction
        return "" if len(options) > 1 else "the client did not ask for several options"

    def request(self, request: Request) -> Request:
        """Have it that only the first was asked for."""
        self.reached = True
        return attrs.evolve(request, options=request.options[:1])


@attrs.define(eq=False)
class BlksizeSmaller(Fault):
    """A smaller blksize is granted."""

    name = "blksize-smaller"
    what = "the server grants a smaller blksize than was asked for"
    clause = "RFC 2348"
    correct = "Uses the smaller one, or refuses it by ERROR 8."
    expect = Expect.EITHER
    needs: ClassVar[frozenset[bytes]] = frozenset({known.BLKSIZE})
    examples: ClassVar[tuple[str, ...]] = ("", "octets=8")

    octets: int = number(100, "the blksize", minimum=8, maximum=65464, drawn=(8, 1000))

    def policy(self, policy: Policy) -> Policy:
        """Grant no more."""
        self.reached = True
        return attrs.evolve(policy, blksize_max=self.octets)


FAULTS = (
    OackWithoutRequest,
    OackLate,
    OptionsIgnored,
    OptionsInPart,
    BlksizeSmaller,
)
