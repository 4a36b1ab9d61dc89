"""The configuration files among the examples can be used as they are."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from snowowl.config.keys import own_keys, tables
from snowowl.config.load import load_config
from snowowl.config.performance import PerformanceConfig

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.rglob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(EXAMPLES)))
def test_an_example_loads_without_problems_or_warnings(file: Path) -> None:
    assert load_config(file).warnings() == ()


def test_the_optimized_example_sets_every_performance_key() -> None:
    parsed = tomllib.loads((EXAMPLES / "phase2-optimized.toml").read_text(encoding="utf-8"))
    for path, table in tables(PerformanceConfig).items():
        found = parsed["performance"]
        for name in path:
            found = found[name]
        assert {key.name for key in own_keys(table)} <= set(found), path
