"""The metrics: their names, what they mean, their labels with all values that these can take.

All are exposed from the start, as zeros, so that a rule which asks for one is never without an
answer.  No label takes a client or a file: either is the network's to choose, and has no end.
"""

from __future__ import annotations

from itertools import product
from typing import Final, Literal

import attrs

from snowowl.observe.events import Refusal
from snowowl.protocol.outcome import OutcomeKind
from snowowl.wire.constants import ErrorCode

Kind = Literal["counter", "gauge", "histogram"]


@attrs.frozen
class Family:
    """One metric with all its labels."""

    name: str
    """With `_total`, if it is a counter."""
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    values: tuple[tuple[str, ...], ...] = ()
    """For each label all that it can be."""
    buckets: tuple[float, ...] = ()

    def sample_keys(self) -> list[str]:
        """Return the keys of all its samples in a snapshot: label values, joined by commas."""
        return [",".join(each) for each in product(*self.values)]

    def zero(self) -> list[float]:
        """Return a sample of nothing: a number, or the counts of the buckets and the sum."""
        return [0] * (len(self.buckets) + 2) if self.kind == "histogram" else [0]


def outcome_label(kind: OutcomeKind) -> str:
    """Return an outcome as a label has it."""
    return kind.value.replace(" ", "_")


DIRECTIONS: Final = ("read", "write")
SIDES: Final = ("server", "client")
CODES: Final = (*(str(int(code)) for code in ErrorCode), "other")

DURATION_BUCKETS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)
"""Seconds: a boot loader on a LAN takes milliseconds, an image over a slow link minutes."""

SIZE_BUCKETS: Final = tuple(float(1 << shift) for shift in range(10, 33, 2))
"""Octets: 1 KiB (a menu), 64 KiB (a boot loader), 16 MiB (a kernel), up to 4 GiB (an image)."""

_DIRECTION: Final = ("direction",), (DIRECTIONS,)


def _counter(
    name: str,
    text: str,
    labels: tuple[tuple[str, ...], tuple[tuple[str, ...], ...]] = ((), ()),
) -> Family:
    return Family(f"snowowl_{name}_total", "counter", text, *labels)


FAMILIES: Final[tuple[Family, ...]] = (
    Family(
        "snowowl_start_time_seconds", "gauge", "When the server started, in seconds since 1970."
    ),
    Family("snowowl_serving", "gauge", "1 while requests are taken, 0 while the server drains."),
    Family("snowowl_workers", "gauge", "Processes that serve."),
    Family("snowowl_transfers_in_progress", "gauge", "Requests that have not ended."),
    _counter("requests", "Requests that were admitted.", _DIRECTION),
    _counter("requests_malformed", "Datagrams to a listening port that were no request."),
    _counter("requests_doubled", "Requests that came again while they were served."),
    _counter(
        "requests_refused",
        "Requests that were refused, or left without an answer, and why.",
        (("reason",), (tuple(refusal.value for refusal in Refusal),)),
    ),
    _counter("traversal_attempts", "Names that would have led out of the root."),
    _counter("transfers_started", "Transfers whose first packet was sent.", _DIRECTION),
    _counter(
        "transfers",
        "Admitted requests that have ended, and how.",
        (
            ("direction", "outcome"),
            (DIRECTIONS, tuple(outcome_label(kind) for kind in OutcomeKind)),
        ),
    ),
    _counter(
        "transfer_errors",
        "Transfers that ended by an ERROR: who sent it, with which code.",
        (("sent_by", "code"), (SIDES, CODES)),
    ),
    _counter("transfer_octets", "Octets of payload.", _DIRECTION),
    _counter("retransmitted_datagrams", "Datagrams that were sent again."),
    Family(
        "snowowl_transfer_duration_seconds",
        "histogram",
        "From the request to the end, of transfers that started.",
        *_DIRECTION,
        DURATION_BUCKETS,
    ),
    Family(
        "snowowl_transfer_size_bytes",
        "histogram",
        "Octets of payload of transfers that started.",
        *_DIRECTION,
        SIZE_BUCKETS,
    ),
    _counter("uploads_stored", "Uploads that are in their place."),
    _counter("datagrams_received", "Datagrams that came in."),
    _counter("datagrams_sent", "Datagrams that went out."),
    _counter("datagrams_lost", "Datagrams that the kernel would not send: no route, no buffer."),
    _counter("datagrams_dropped_by_kernel", "Datagrams thrown away as a receive buffer was full."),
    _counter("socket_errors", "Errors that sockets reported, closed ports of clients among them."),
    _counter("internal_errors", "Bugs that cost one transfer each; the log has more."),
    _counter("observer_failures", "Events that an observer failed to take."),
    _counter("log_lines_lost", "Lines of the log that nobody read or a disk had no room for."),
    _counter("audit_lines_lost", "Lines of the audit stream that were lost."),
    _counter("reloads", "Reloads of the configuration.", (("result",), (("ok", "failed"),))),
    _counter("workers_replaced", "Worker processes that took the place of one that had died."),
)

OF_THE_WHOLE: Final = frozenset(
    {
        "snowowl_start_time_seconds",
        "snowowl_serving",
        "snowowl_workers",
        "snowowl_reloads_total",
        "snowowl_workers_replaced_total",
    }
)
"""What is true of a server, however many processes it has: none of them has a part of it."""

BY_NAME: Final = {family.name: family for family in FAMILIES}
