"""Counters and histograms: fed by events, and read from where things are counted anyway.

A snapshot is plain: it survives JSON, and those of several processes can be added.  A transfer costs
about two microseconds here; nothing is formatted before somebody asks.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable

from snowowl.observe.events import (
    DatagramsDropped,
    Direction,
    Event,
    InternalError,
    Refusal,
    ReloadFailed,
    RequestDoubled,
    RequestMalformed,
    RequestReceived,
    ServerDraining,
    ServerReloaded,
    ServerStarted,
    ServerStopped,
    TransferFinished,
    TransferStarted,
    TraversalAttempted,
    WorkerStarted,
)
from snowowl.observe.families import (
    BY_NAME,
    CODES,
    DURATION_BUCKETS,
    FAMILIES,
    OF_THE_WHOLE,
    SIZE_BUCKETS,
    outcome_label,
)
from snowowl.protocol.outcome import OutcomeKind

Samples = dict[str, list[float]]
"""By label values, joined by commas."""

Snapshot = dict[str, Samples]
"""By the names of `snowowl.observe.families`; what is missing is zero."""

Source = Callable[[], Snapshot]
"""Returns what somebody counts himself."""


def zeros() -> Snapshot:
    """Return a snapshot with all that there is, of nothing."""
    return {
        family.name: {key: family.zero() for key in family.sample_keys()} for family in FAMILIES
    }


def add(total: Snapshot, part: Snapshot, *, has_ended: bool = False) -> None:
    """Add a part; of one that has ended only what it has counted, as its gauges are gone."""
    for name, samples in part.items():
        if has_ended and BY_NAME[name].kind == "gauge":
            continue
        into = total.setdefault(name, {})
        for key, values in samples.items():
            before = into.get(key)
            into[key] = (
                list(values)
                if before is None
                else [one + other for one, other in zip(before, values, strict=True)]
            )


def part_of(snapshot: Snapshot) -> Snapshot:
    """Return what one process of several contributes to the snapshot of the whole."""
    return {name: samples for name, samples in snapshot.items() if name not in OF_THE_WHOLE}


class _Transfers:
    """What is counted of one direction."""

    __slots__ = (
        "durations",
        "octets",
        "outcomes",
        "requests",
        "retransmitted",
        "seconds",
        "sizes",
        "started",
        "started_octets",
    )

    def __init__(self) -> None:
        self.requests = self.started = self.octets = self.started_octets = self.retransmitted = 0
        self.seconds = 0.0
        self.outcomes = dict.fromkeys(OutcomeKind, 0)
        self.durations = [0] * (len(DURATION_BUCKETS) + 1)
        self.sizes = [0] * (len(SIZE_BUCKETS) + 1)


class Metrics:
    """An observer that counts.

    Give it to `snowowl.serve` as `metrics`, and it also reads what sockets and registry count.
    """

    def __init__(self) -> None:
        self.serving = False
        """Requests are taken."""
        self._workers = 0
        self._since = time.time()  # noqa: TID251 - a date for people, nothing is measured by it
        self._read, self._write = _Transfers(), _Transfers()
        self._errors: dict[tuple[str, str], int] = {}
        self._plain = dict.fromkeys(
            (
                "snowowl_requests_malformed_total",
                "snowowl_requests_doubled_total",
                "snowowl_traversal_attempts_total",
                "snowowl_uploads_stored_total",
                "snowowl_datagrams_dropped_by_kernel_total",
                "snowowl_internal_errors_total",
                "snowowl_workers_replaced_total",
            ),
            0,
        )
        self._reloaded = self._not_reloaded = 0
        self._sources: dict[Source, None] = {}
        self._ended: Snapshot = {}
        """What sources had counted that are gone."""

    def add_source(self, source: Source) -> Callable[[], None]:
        """Read a source with each snapshot; call what is returned to take its last and let it go."""
        self._sources[source] = None

        def remove() -> None:
            del self._sources[source]
            add(self._ended, source(), has_ended=True)

        return remove

    def __call__(self, event: Event) -> None:
        """Count an event."""
        # In the order of how often they come.
        kind = type(event)
        if kind is TransferFinished:
            assert isinstance(event, TransferFinished)
            self._finished(event)
        elif kind is TransferStarted or kind is RequestReceived:
            assert isinstance(event, TransferStarted | RequestReceived)
            transfers = self._read if event.direction is Direction.READ else self._write
            if kind is TransferStarted:
                transfers.started += 1
            else:
                transfers.requests += 1
        else:
            self._rare(event)

    def snapshot(self) -> Snapshot:
        """Return all that was counted up to now; what is missing in it is zero."""
        told: Snapshot = {}
        for source in list(self._sources):
            add(told, source())
        add(told, self._ended)
        add(told, self._counted())  # at last: a source may tell events when it is read
        return told

    def _finished(self, event: TransferFinished) -> None:
        transfers = self._read if event.direction is Direction.READ else self._write
        outcome, octets = event.outcome, event.octets
        kind = outcome.kind
        transfers.outcomes[kind] += 1
        transfers.octets += octets
        transfers.retransmitted += event.retransmitted
        if event.started:
            transfers.started_octets += octets
            transfers.seconds += event.seconds
            transfers.durations[bisect_left(DURATION_BUCKETS, event.seconds)] += 1
            transfers.sizes[bisect_left(SIZE_BUCKETS, octets)] += 1
            if transfers is self._write and kind is OutcomeKind.COMPLETED:
                self._plain["snowowl_uploads_stored_total"] += 1
        if outcome.code is not None:
            self._note_error(kind, outcome.code)

    def _note_error(self, kind: OutcomeKind, code: int) -> None:
        side = "client" if kind in (OutcomeKind.ABORTED, OutcomeKind.PROBED) else "server"
        text = str(code)
        key = (side, text if text in CODES else "other")
        self._errors[key] = self._errors.get(key, 0) + 1

    def _rare(self, event: Event) -> None:
        plain = self._plain
        match event:
            case RequestMalformed():
                plain["snowowl_requests_malformed_total"] += 1
            case RequestDoubled():
                plain["snowowl_requests_doubled_total"] += 1
            case TraversalAttempted():
                plain["snowowl_traversal_attempts_total"] += 1
            case DatagramsDropped(_, count):
                plain["snowowl_datagrams_dropped_by_kernel_total"] += count
            case InternalError():
                plain["snowowl_internal_errors_total"] += 1
            case WorkerStarted(replaces_lost=True):
                plain["snowowl_workers_replaced_total"] += 1
            case ServerReloaded():
                self._reloaded += 1
            case ReloadFailed():
                self._not_reloaded += 1
            case ServerStarted(workers=workers):
                self.serving, self._workers = True, workers
            case ServerDraining() | ServerStopped():
                self.serving = False
            case _:
                pass

    def _counted(self) -> Snapshot:
        told: Snapshot = {name: {"": [count]} for name, count in self._plain.items()}
        told["snowowl_start_time_seconds"] = {"": [self._since]}
        told["snowowl_serving"] = {"": [int(self.serving)]}
        told["snowowl_workers"] = {"": [self._workers]}
        told["snowowl_requests_refused_total"] = {refusal.value: [0] for refusal in Refusal}
        told["snowowl_reloads_total"] = {"ok": [self._reloaded], "failed": [self._not_reloaded]}
        told["snowowl_transfer_errors_total"] = {
            ",".join(key): [count] for key, count in self._errors.items()
        }
        for direction, one in (("read", self._read), ("write", self._write)):
            outcomes: Samples = {
                f"{direction},{outcome_label(kind)}": [count]
                for kind, count in one.outcomes.items()
            }
            add(
                told,
                {
                    "snowowl_requests_total": {direction: [one.requests]},
                    "snowowl_transfers_started_total": {direction: [one.started]},
                    "snowowl_transfers_total": outcomes,
                    "snowowl_transfer_octets_total": {direction: [one.octets]},
                    "snowowl_retransmitted_datagrams_total": {"": [one.retransmitted]},
                    "snowowl_transfer_duration_seconds": {direction: [*one.durations, one.seconds]},
                    "snowowl_transfer_size_bytes": {direction: [*one.sizes, one.started_octets]},
                },
            )
        return told
