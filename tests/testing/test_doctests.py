"""The examples in the docstrings of the kit run."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

MODULES = (
    "playbook",
    "testserver",
    "strategies.damage",
    "strategies.octets",
    "strategies.packets",
    "strategies.values",
)


@pytest.mark.parametrize("name", MODULES)
def test_what_a_docstring_shows_is_so(name: str) -> None:
    module = import_module(f"snowowl.testing.{name}")
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.attempted
    assert not result.failed
