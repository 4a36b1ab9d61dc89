"""What came of a load, for people and for programs.

`as_dict` is an interface: keys may be added, and `schema` is counted up when one goes or changes.
"""

from __future__ import annotations

from typing import Final

import attrs

from snowowl.client.load_counts import Distribution, Failure
from snowowl.wire.packets import Options

SCHEMA: Final = 1

BOTTLENECK_SHARE: Final = 0.9
"""Above this share of one CPU the client may have been what limited the load."""

Json = str | int | float | bool | dict[str, "Json"] | list["Json"] | None


@attrs.frozen(kw_only=True)
class Report:
    """All that was measured."""

    upload: bool
    clients: int
    sockets: int
    rung: str | None
    """The way to the kernel; None in a simulated network."""
    asked: Options
    granted: Options
    size: int | None
    """Octets of the file; None if it is not known: the load ended before it was fetched once."""
    digest: str | None
    """Of an expected file, SHA-256."""
    seconds: float
    cpu_seconds: float
    """CPU time of this process, user and system, within those seconds."""
    begun: int
    done: int
    failed: int
    unfinished: int
    octets: int
    blocks: int
    latency: Distribution
    first_block: Distribution
    requests_resent: int
    acks_resent: int
    blocks_resent: int
    duplicates: int
    out_of_order: int
    lost_on_purpose: int
    dropped_by_client: int
    """Datagrams that came and found the client's receive buffer full."""
    verified: int | None
    """Uploads that were read back and are right; None if that was not wanted."""
    failures: tuple[Failure, ...]
    interrupted: bool

    @property
    def rate(self) -> float:
        """Octets in a second."""
        return self.octets / self.seconds if self.seconds else 0.0

    @property
    def transfers_rate(self) -> float:
        """Transfers done in a second."""
        return self.done / self.seconds if self.seconds else 0.0

    @property
    def cpu_share(self) -> float:
        """The share of one CPU that the client used."""
        return self.cpu_seconds / self.seconds if self.seconds else 0.0

    @property
    def is_bottleneck(self) -> bool:
        """The client itself may have been what limited the load."""
        return self.cpu_share > BOTTLENECK_SHARE

    def as_dict(self) -> dict[str, Json]:
        """Return what goes into JSON."""
        return {
            "schema": SCHEMA,
            "direction": "upload" if self.upload else "download",
            "clients": self.clients,
            "sockets": self.sockets,
            "rung": self.rung,
            "asked": _options(self.asked),
            "granted": _options(self.granted),
            "size": self.size,
            "sha256": self.digest,
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 6),
            "transfers": {
                "begun": self.begun,
                "done": self.done,
                "failed": self.failed,
                "unfinished": self.unfinished,
                "verified": self.verified,
            },
            "octets": self.octets,
            "blocks": self.blocks,
            "octets_per_second": round(self.rate, 1),
            "transfers_per_second": round(self.transfers_rate, 3),
            "latency_seconds": _quantiles(self.latency),
            "first_block_seconds": _quantiles(self.first_block),
            "resent": {
                "requests": self.requests_resent,
                "acks": self.acks_resent,
                "blocks": self.blocks_resent,
            },
            "received_in_vain": {
                "duplicates": self.duplicates,
                "out_of_order": self.out_of_order,
            },
            "lost": {
                "on_purpose": self.lost_on_purpose,
                "receive_buffer_full": self.dropped_by_client,
            },
            "client": {
                "cpu_seconds": round(self.cpu_seconds, 6),
                "cpu_share": round(self.cpu_share, 4),
                "cpu_us_per_block": (
                    round(self.cpu_seconds / self.blocks * 1e6, 3) if self.blocks else None
                ),
                "is_bottleneck": self.is_bottleneck,
            },
            "failures": [
                {"what": failure.what, "count": failure.count, "first": failure.first}
                for failure in self.failures
            ],
        }


def _quantiles(distribution: Distribution) -> Json:
    return {
        "p50": _rounded(distribution.quantile(0.5)),
        "p95": _rounded(distribution.quantile(0.95)),
        "p99": _rounded(distribution.quantile(0.99)),
        "max": _rounded(distribution.maximum if distribution.count else None),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _options(options: Options) -> Json:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in options}
