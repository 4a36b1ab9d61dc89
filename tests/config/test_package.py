"""The package is quick to import and hands out every name that it promises."""

from __future__ import annotations

import subprocess
import sys

import pytest

from snowowl import config


def test_every_public_name_is_there_and_is_no_module() -> None:
    for name in config.__all__:
        assert not isinstance(getattr(config, name), type(sys)), name


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        getattr(config, "nonsense")  # noqa: B009 - a checker would know


def test_toml_is_not_imported_before_it_is_used() -> None:
    program = """
import sys
import snowowl.config
slow = {"tomlkit", "cattrs"}
assert not slow & set(sys.modules), slow & set(sys.modules)
snowowl.config.parse_config("")
assert slow <= set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
