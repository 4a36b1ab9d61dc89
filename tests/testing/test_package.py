"""The map of the kit: its names lead somewhere, and cost nothing before they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import snowowl.testing


@pytest.mark.parametrize("name", snowowl.testing.__all__)
def test_public_names_are_there(name: str) -> None:
    assert getattr(snowowl.testing, name) is getattr(snowowl.testing, name)


def test_the_map_names_what_is_public() -> None:
    text = snowowl.testing.__doc__ or ""
    missing = [name for name in snowowl.testing._HOMES if f"`{name}`" not in text]
    assert not missing


def test_other_names_are_errors_as_everywhere() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Testserver'"):
        snowowl.testing.Testserver  # type: ignore[attr-defined]  # noqa: B018


def test_the_server_for_tests_needs_neither_hypothesis_nor_pytest() -> None:
    program = """
import sys
from snowowl.testing import Playbook, Probe, SimNetwork, serving
assert not {"hypothesis", "pytest", "_pytest"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
