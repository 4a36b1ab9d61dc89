"""The verdict on memory: leaks are found, and nothing else is taken for one."""

from __future__ import annotations

import random

import pytest

from fuzz.growth import Sample, growth

MIB = 1 << 20
BOUND = 2 * MIB
DATAGRAMS = 100_000
COUNT = 40


def samples(*values: float) -> list[Sample]:
    return [(DATAGRAMS * (index + 1) / len(values), value) for index, value in enumerate(values)]


def noisy(seed: int, size: float = 0.3 * MIB) -> list[float]:
    draws = random.Random(seed)
    return [50 * MIB + draws.uniform(0, size) for _ in range(COUNT)]


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_growth(seed: int) -> None:
    assert not growth(samples(*noisy(seed)), BOUND).grows


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("octets", [40, 100, 2000])
def test_a_leak_of_some_octets_for_each_datagram_is_growth(seed: int, octets: int) -> None:
    values = [
        value + octets * DATAGRAMS * (index + 1) / COUNT for index, value in enumerate(noisy(seed))
    ]
    found = growth(samples(*values), BOUND)
    assert found.grows
    assert found.slope == pytest.approx(octets, rel=0.25)


@pytest.mark.parametrize("at", range(0, COUNT, 3))
def test_a_single_step_is_no_growth(at: int) -> None:
    """A table that doubles, an arena: large, and once."""
    values = [value + (8 * MIB if index >= at else 0) for index, value in enumerate(noisy(1))]
    assert not growth(samples(*values), BOUND).grows


def test_what_settles_is_no_growth() -> None:
    values = [value + 20 * MIB * (1 - 0.7**index) for index, value in enumerate(noisy(2))]
    assert not growth(samples(*values), BOUND).grows


def test_the_warm_up_is_not_measured() -> None:
    values = [value + min(index, 10) * 5 * MIB for index, value in enumerate(noisy(3))]
    found = growth(samples(*values), BOUND)
    assert not found.grows
    assert found.low > 90 * MIB


def test_spikes_are_no_growth() -> None:
    values = [value + (index % 7 == 0) * 30 * MIB for index, value in enumerate(noisy(4))]
    assert not growth(samples(*values), BOUND).grows


@pytest.mark.parametrize("count", [0, 1, 8])
def test_too_few_samples_are_no_verdict(count: int) -> None:
    with pytest.raises(ValueError, match=r"too few|nothing was measured"):
        growth(samples(*([1.0] * count)), BOUND)
