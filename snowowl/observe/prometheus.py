"""A snapshot as Prometheus reads it: its own text format, or OpenMetrics if it asks for that.

Imports prometheus_client, which takes time: import this where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from snowowl.observe.families import FAMILIES, Family
from snowowl.observe.metrics import Samples, Snapshot, add, zeros


class Exposition(Collector):
    """Turns what `read` returns into text."""

    def __init__(self, read: Callable[[], Snapshot], version: str) -> None:
        self._read = read
        self._version = version
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def render(self, accept: str) -> tuple[str, bytes]:
        """Return the content type that suits an Accept header, and the text."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)

    def describe(self) -> list[Metric]:
        """Return nothing: registering must not read."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        snapshot = zeros()
        add(snapshot, self._read())
        yield InfoMetricFamily(
            "snowowl_build", "The version that runs.", {"version": self._version}
        )
        for family in FAMILIES:
            yield _metric(family, snapshot[family.name])


def _metric(family: Family, samples: Samples) -> Metric:
    rows = [(key.split(",") if family.labels else [], values) for key, values in samples.items()]
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        bounds = [*map(floatToGoString, family.buckets), "+Inf"]
        for labels, values in rows:
            *counts, total = values
            buckets = [
                (bound, count) for bound, count in zip(bounds, accumulate(counts), strict=True)
            ]
            histogram.add_metric(labels, buckets, total)
        return histogram
    if family.kind == "counter":
        counter = CounterMetricFamily(
            family.name.removesuffix("_total"), family.help, labels=family.labels
        )
        for labels, (value,) in rows:
            counter.add_metric(labels, value)
        return counter
    gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for labels, (value,) in rows:
        gauge.add_metric(labels, value)
    return gauge
