"""Each target of `fuzz/`, shortly: its whole corpus, and as many examples as the profile has."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from fuzz.targets import TARGETS, replay_corpus

COST: Final = {
    "server": 6,
    "read_machine": 4,
    "write_machine": 4,
    "config": 3,
    "client": 3,
    "segments": 3,
    "arrays": 2,
    "log": 2,
}
"""How many times fewer examples those get that take longer."""


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_holds(name: str) -> None:
    assert replay_corpus(name) > 0


@pytest.mark.parametrize("name", TARGETS)
def test_the_invariant_holds(name: str) -> None:
    count = max(5, settings().max_examples // COST.get(name, 1))
    chosen = settings(max_examples=count, suppress_health_check=list(HealthCheck), database=None)
    TARGETS[name].fuzz(chosen)


@pytest.mark.parametrize("name", TARGETS)
def test_an_invariant_is_one_sentence(name: str) -> None:
    invariant = TARGETS[name].invariant
    assert invariant.endswith(".")
    assert ". " not in invariant
