"""The keys of `[access]` and `[limits]`: who is served, and how much of the server anybody may take.

The defaults hold for a lab that boots by the hundred.  A limit says what happens beyond it, and none
may make a client wait for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import attrs

from snowowl.config.constraints import Check, Range
from snowowl.config.keys import changed, doc
from snowowl.config.networks import Network, parse_network

NetworkText = Annotated[str, Check(parse_network)]
Rate = Annotated[float, Range(0, 1_000_000)]

WINDOW_OCTETS_DEFAULT = 4 << 20
"""64 blocks of 65464 octets, the most that the defaults of [protocol] grant, fit into it."""


@attrs.frozen(kw_only=True)
class AccessConfig:
    """The `[access]` table."""

    allow: tuple[NetworkText, ...] = attrs.field(
        default=(),
        metadata=doc(
            'The networks whose clients are served, like "192.168.7.0/24" or "fd00::/8". Empty:'
            " everybody, but at a public address of this machine only clients with private,"
            ' link-local or loopback addresses. "0.0.0.0/0" and "::/0" are everybody, anywhere.',
        ),
    )
    deny: tuple[NetworkText, ...] = attrs.field(
        default=(),
        metadata=doc("Networks whose clients are never served, whatever allow says."),
    )

    def unused(self) -> Iterator[tuple[str, str]]:
        """Yield each network that may be asked for in vain, and why."""
        denied = [(text, parse_network(text)) for text in self.deny]
        for text in self.allow:
            network = parse_network(text)
            for other, wider in denied:
                if network.version == wider.version and _holds(wider, network):
                    yield "access.allow", f'"{text}" has no effect, access.deny has "{other}"'
                    break


@attrs.frozen(kw_only=True)
class LimitsConfig:
    """The `[limits]` table."""

    transfers_max: Annotated[int, Range(1, 1_000_000)] = attrs.field(
        default=10_000,
        metadata=doc(
            "The most transfers at the same time.",
        ),
    )
    client_transfers_max: Annotated[int, Range(1, 1_000_000)] = attrs.field(
        default=2_000,
        metadata=doc(
            "The most transfers of one client address at the same time. A fifth of transfers_max by"
            " default: boards behind a NAT share an address.",
        ),
    )
    requests_per_second: Rate = attrs.field(
        default=200.0,
        metadata=doc(
            "How many requests of one client address may begin a transfer, in the long run, that"
            " the client never answers: its address may be forged. A client that answers has its"
            " request back, so no honest one meets this. Five times as many may come at once, ten"
            " times from a client that has answered before. 0: no limit.",
        ),
    )
    requests_per_second_total: Rate = attrs.field(
        default=1_000.0,
        metadata=doc(
            "The same for all clients together, and twice as many at once; an upload counts for ten."
            " Clients that have answered in the last hour do not count.",
        ),
    )
    unanswered_max: Annotated[int, Range(1, 1_000_000)] = attrs.field(
        default=2_048,
        metadata=doc(
            "The most transfers whose client has not answered yet. When there are more, the oldest"
            " of them ends. Of more than 4096 some share a port, and who knows that can forge their"
            " ACKs.",
        ),
    )
    errors_per_second: Rate = attrs.field(
        default=100.0,
        metadata=doc(
            "How many ERRORs are sent to one client address, in the long run, for requests that"
            " begin no transfer; ten times as many at once. Beyond that it is left without an"
            " answer. 0: no limit.",
        ),
    )
    errors_per_second_total: Rate = attrs.field(
        default=500.0,
        metadata=doc(
            "The same for all clients together that have not answered in the last hour, and four"
            " times as many at once. 0: no limit."
        ),
    )
    transfer_seconds_max: Annotated[float, Range(1, 604_800)] = attrs.field(
        default=21_600.0,
        metadata=doc(
            "How long one transfer may take. A silent client is given up long before: see"
            " protocol.silence_max_seconds.",
        ),
    )
    window_octets_max: Annotated[int, Range(512, 1 << 31)] = attrs.field(
        default=WINDOW_OCTETS_DEFAULT,
        metadata=doc(
            "The most octets that one client may have sent to it before it acknowledges: blksize"
            " times windowsize. A larger windowsize is cut down.",
        ),
    )
    open_files_max: Annotated[int, Range(16, 1_000_000)] = attrs.field(
        default=4_096,
        metadata=doc(
            "The most files that are open at the same time, uploads included. Files of up to 64 KiB"
            " are read at once, and not held open.",
        ),
    )
    uploads_max: Annotated[int, Range(1, 1_000_000)] = attrs.field(
        default=256,
        metadata=doc(
            "The most uploads at the same time. Each holds up to 1 MiB in memory. When there are"
            " more, the oldest whose client has sent nothing yet ends; if there is none, the new one"
            " is told to try again.",
        ),
    )

    def unused(self, *, writes: bool) -> Iterator[tuple[str, str]]:
        """Yield each key that has no effect, and why; `writes` says whether there are uploads."""
        chosen = set(changed(self))
        if "uploads_max" in chosen and not writes:
            yield "limits.uploads_max", "has no effect while write.enabled is false"
        for key in ("client_transfers_max", "unanswered_max", "uploads_max"):
            if key in chosen and getattr(self, key) > self.transfers_max:
                yield (
                    f"limits.{key}",
                    f"has no effect, limits.transfers_max ({self.transfers_max}) is met before",
                )


def _holds(wider: Network, network: Network) -> bool:
    """Say whether one network lies in another one of the same version."""
    return wider.network_address <= network.network_address and (  # type: ignore[operator]
        network.broadcast_address <= wider.broadcast_address  # type: ignore[operator]
    )
