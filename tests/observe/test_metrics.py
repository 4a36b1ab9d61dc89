"""Metrics: every event counted once, sums of processes, and text that Prometheus's own parser reads."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from snowowl.observe.events import (
    DatagramsDropped,
    Direction,
    Event,
    InternalError,
    ReloadFailed,
    RequestDoubled,
    RequestMalformed,
    RequestReceived,
    ServerDraining,
    ServerReloaded,
    ServerStarted,
    TransferFinished,
    TransferStarted,
    TraversalAttempted,
    WorkerStarted,
)
from snowowl.observe.families import FAMILIES, OF_THE_WHOLE, outcome_label
from snowowl.observe.metrics import Metrics, Snapshot, add, part_of, zeros
from snowowl.observe.prometheus import Exposition
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.wire.packets import Mode
from tests.observe.samples import CLIENT, events

FINISHED = TransferFinished(
    CLIENT,
    Direction.READ,
    b"f",
    Mode.OCTET,
    2000,
    0.03,
    (),
    3,
    Outcome(OutcomeKind.COMPLETED),
    number=1,
    started=True,
)


def scrape(metrics: Metrics, accept: str = "") -> dict[str, float]:
    """Return what Prometheus gets, by name and labels as in the text."""
    _, text = Exposition(metrics.snapshot, "1.2").render(accept)
    return samples(text.decode(), accept)


def samples(text: str, accept: str = "") -> dict[str, float]:
    parse = parse_openmetrics if "openmetrics" in accept else parse_text
    return {
        f"{sample.name}{{{','.join(f'{k}={v}' for k, v in sorted(sample.labels.items()))}}}": (
            sample.value
        )
        for family in parse(text)
        for sample in family.samples
    }


def counted(*told: Event) -> dict[str, float]:
    """Return what is not zero, but for what every server has."""
    metrics = Metrics()
    for event in told:
        metrics(event)
    fixed = ("snowowl_start_time_seconds{}", "snowowl_build_info{version=1.2}")
    return {
        name.removeprefix("snowowl_"): value
        for name, value in scrape(metrics).items()
        if value and name not in fixed and "_bucket" not in name
    }


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (RequestMalformed(CLIENT, "", answered=True), {"requests_malformed_total{}": 1}),
        (RequestDoubled(CLIENT), {"requests_doubled_total{}": 1}),
        (TraversalAttempted(CLIENT, Direction.READ, b""), {"traversal_attempts_total{}": 1}),
        (DatagramsDropped("", 9), {"datagrams_dropped_by_kernel_total{}": 9}),
        (InternalError("", ""), {"internal_errors_total{}": 1}),
        (ServerReloaded("/", ()), {"reloads_total{result=ok}": 1}),
        (ReloadFailed(""), {"reloads_total{result=failed}": 1}),
        (WorkerStarted(1, 2, replaces_lost=True), {"workers_replaced_total{}": 1}),
        (WorkerStarted(1, 2, replaces_lost=False), {}),
        (ServerStarted((), "", 4), {"serving{}": 1, "workers{}": 4}),
        (
            RequestReceived(CLIENT, Direction.WRITE, b"", Mode.OCTET, ()),
            {"requests_total{direction=write}": 1},
        ),
        (
            TransferStarted(1, CLIENT, Direction.READ, b"", Mode.OCTET, None, ()),
            {"transfers_started_total{direction=read}": 1},
        ),
        (
            FINISHED,
            {
                "transfers_total{direction=read,outcome=completed}": 1,
                "transfer_octets_total{direction=read}": 2000,
                "retransmitted_datagrams_total{}": 3,
                "transfer_duration_seconds_count{direction=read}": 1,
                "transfer_duration_seconds_sum{direction=read}": 0.03,
                "transfer_size_bytes_count{direction=read}": 1,
                "transfer_size_bytes_sum{direction=read}": 2000,
            },
        ),
        (
            attrs.evolve(
                FINISHED,
                started=False,
                octets=0,
                retransmitted=0,
                outcome=Outcome(OutcomeKind.REFUSED, "", 1),
            ),
            {
                "transfers_total{direction=read,outcome=refused}": 1,
                "transfer_errors_total{code=1,sent_by=server}": 1,
            },
        ),
    ],
)
def test_each_event_is_counted(event: Event, expected: dict[str, float]) -> None:
    assert counted(event) == expected


def test_uploads_and_errors_of_clients() -> None:
    stored = attrs.evolve(FINISHED, direction=Direction.WRITE)
    odd = attrs.evolve(stored, outcome=Outcome(OutcomeKind.ABORTED, "", 99))
    told = counted(stored, odd)
    assert told["uploads_stored_total{}"] == 1
    assert told["transfer_errors_total{code=other,sent_by=client}"] == 1
    assert told["transfers_total{direction=write,outcome=aborted}"] == 1


def test_draining_is_no_serving() -> None:
    metrics = Metrics()
    metrics(ServerStarted((), ""))
    assert metrics.serving
    metrics(ServerDraining(0, 1.0))
    assert not metrics.serving


def test_a_histogram() -> None:
    metrics = Metrics()
    for seconds in (0.005, 0.006, 1000.0):
        metrics(attrs.evolve(FINISHED, seconds=seconds))
    told = scrape(metrics)
    name = "snowowl_transfer_duration_seconds_bucket{direction=read,le="
    assert [told[f"{name}{bound}}}"] for bound in ("0.005", "0.01", "600.0", "+Inf")] == [
        1,
        2,
        2,
        3,
    ]


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_all_is_there_from_the_start(accept: str) -> None:
    told = scrape(Metrics(), accept)
    for family in FAMILIES:
        suffix = "_count" if family.kind == "histogram" else ""
        found = [name for name in told if name.startswith(f"{family.name}{suffix}{{")]
        assert len(found) == len(family.sample_keys()), family.name
    assert told["snowowl_build_info{version=1.2}"] == 1
    for kind in OutcomeKind:
        assert f"snowowl_transfers_total{{direction=read,outcome={outcome_label(kind)}}}" in told


def test_no_label_is_the_networks() -> None:
    assert {label for family in FAMILIES for label in family.labels} == {
        *("direction", "outcome", "reason", "result", "code", "sent_by")
    }


@given(st.lists(events, max_size=10), st.lists(events, max_size=10))
def test_processes_add_up(some: list[Event], others: list[Event]) -> None:
    """Two processes count what one would have counted; that their counts went by JSON changes nothing."""
    one, other, both = Metrics(), Metrics(), Metrics()
    for metrics, told in ((one, some), (other, others), (both, [*some, *others])):
        for event in told:
            metrics(event)
    total: Snapshot = {}
    for metrics in (one, other):
        add(total, json.loads(json.dumps(part_of(metrics.snapshot()))))
    expected = part_of(both.snapshot())
    assert total.keys() == expected.keys()
    for name, rows in expected.items():
        for key, values in rows.items():
            assert total[name][key] == pytest.approx(values)
    assert not total.keys() & OF_THE_WHOLE


def test_a_source_that_goes_leaves_its_counts_and_takes_its_gauges() -> None:
    metrics = Metrics()
    told: Snapshot = {
        "snowowl_datagrams_sent_total": {"": [5]},
        "snowowl_transfers_in_progress": {"": [2]},
    }
    remove = metrics.add_source(lambda: told)
    metrics.add_source(lambda: {"snowowl_datagrams_sent_total": {"": [1]}})
    assert scrape(metrics)["snowowl_datagrams_sent_total{}"] == 6
    assert scrape(metrics)["snowowl_transfers_in_progress{}"] == 2
    told["snowowl_datagrams_sent_total"] = {"": [7]}
    remove()
    assert scrape(metrics)["snowowl_datagrams_sent_total{}"] == 8
    assert scrape(metrics)["snowowl_transfers_in_progress{}"] == 0


def test_adding_changes_no_part() -> None:
    part: Snapshot = {"snowowl_requests_total": {"read": [1]}}
    total = zeros()
    add(total, part)
    add(total, part)
    assert total["snowowl_requests_total"] == {"read": [2], "write": [0]}
    fresh: Snapshot = {}
    add(fresh, part)
    add(fresh, part)
    assert part == {"snowowl_requests_total": {"read": [1]}}
