"""What a load adds up."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.client.errors import ClientError, Reason
from snowowl.client.load_counts import FAILURES_MAX, OTHERS, Counts, Distribution


@given(
    durations=st.lists(st.floats(1e-6, 1000.0), min_size=1, max_size=60),
    share=st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]),
)
def test_a_quantile_is_right_to_about_a_hundredth(durations: list[float], share: float) -> None:
    distribution = Distribution()
    for seconds in durations:
        distribution.add(seconds)
    exact = sorted(durations)[max(math.ceil(share * len(durations)), 1) - 1]
    found = distribution.quantile(share)
    assert found is not None
    assert exact <= found * (1 + 1e-9)
    assert found <= exact * 1.011
    assert distribution.maximum == max(durations)
    assert distribution.count == len(durations)


def test_nothing_has_no_quantile() -> None:
    assert Distribution().quantile(0.5) is None


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_an_instant_does_no_harm(seconds: float) -> None:
    distribution = Distribution()
    distribution.add(seconds)  # a coarse clock, a clock of virtual time
    assert distribution.quantile(1.0) == 0.0


def test_memory_is_bounded() -> None:
    distribution, counts = Distribution(), Counts()
    for number in range(5000):
        distribution.add(number / 1000)
        counts.failure(f"kind {number}", "which", None)
    assert len(distribution._counts) < 2000
    assert len(counts.failures) == FAILURES_MAX + 1
    assert counts.failures[OTHERS].count == 5000 - FAILURES_MAX
    assert counts.failed == counts.failed_in_a_row == 5000


def test_a_kind_of_failure_remembers_its_first() -> None:
    counts = Counts()
    error = ClientError(Reason.TIMEOUT, "silence")
    counts.failure("silence", "client 1", error)
    counts.failure("silence", "client 2", ClientError(Reason.TIMEOUT, "silence"))
    (failure,) = counts.failures.values()
    assert (failure.count, failure.first, failure.error) == (2, "client 1", error)
