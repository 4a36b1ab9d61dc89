"""What metrics there are: names as Prometheus wants them, and a zero for each."""

from __future__ import annotations

from snowowl.observe.families import FAMILIES, outcome_label
from snowowl.protocol.outcome import OutcomeKind


def test_names_say_what_they_are() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    for family in FAMILIES:
        assert family.name.startswith("snowowl_")
        assert (family.kind == "counter") is family.name.endswith("_total")
        assert family.help.endswith(".")


def test_each_sample_has_a_zero() -> None:
    for family in FAMILIES:
        assert family.sample_keys()
        assert not any(family.zero())
        buckets = len(family.buckets) + 2 if family.kind == "histogram" else 1
        assert len(family.zero()) == buckets


def test_outcomes_are_labels_without_blanks() -> None:
    assert {outcome_label(kind) for kind in OutcomeKind} >= {"completed", "timed_out", "gave_way"}
