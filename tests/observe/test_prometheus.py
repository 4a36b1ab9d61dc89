"""The text that Prometheus reads, made of a snapshot."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from snowowl.observe.families import FAMILIES, outcome_label
from snowowl.observe.metrics import Snapshot, zeros
from snowowl.observe.prometheus import Exposition
from snowowl.protocol.outcome import OutcomeKind


def exposition(snapshot: Snapshot) -> Exposition:
    return Exposition(lambda: snapshot, "1.2")


def test_every_family_is_there_before_anything_has_happened() -> None:
    content_type, octets = exposition({}).render("")
    told = {family.name for family in text_string_to_metric_families(octets.decode())}
    assert content_type.startswith("text/plain")
    assert {family.name.removesuffix("_total") for family in FAMILIES} <= told
    assert 'version="1.2"' in octets.decode()


def test_openmetrics_for_those_who_ask() -> None:
    content_type, octets = exposition({}).render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert octets.endswith(b"# EOF\n")


def test_counts_gauges_and_histograms() -> None:
    histogram = next(family for family in FAMILIES if family.kind == "histogram")
    snapshot = zeros()
    snapshot["snowowl_requests_total"]["read"] = [7]
    snapshot["snowowl_transfers_in_progress"][""] = [3]
    values = histogram.zero()
    values[0], values[-1] = 2, 0.5  # two in the first bucket, half a second in all
    snapshot[histogram.name]["write"] = values
    text = exposition(snapshot).render("")[1].decode()
    assert 'snowowl_requests_total{direction="read"} 7.0' in text
    assert "snowowl_transfers_in_progress 3.0" in text
    assert f'{histogram.name}_count{{direction="write"}} 2.0' in text
    assert f'{histogram.name}_sum{{direction="write"}} 0.5' in text


@pytest.mark.parametrize("kind", OutcomeKind)
def test_labels_are_words(kind: OutcomeKind) -> None:
    assert outcome_label(kind).isidentifier()
