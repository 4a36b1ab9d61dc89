"""The examples of the kit run, with the plugin and all that they promise."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

EXAMPLES = Path(__file__).parents[2] / "examples" / "test_kit"


@pytest.mark.real
def test_the_examples_of_the_kit_pass(pytester: pytest.Pytester) -> None:
    import_module("snowowl.testing.testserver")  # an inner run forgets what it was first to import
    import_module("snowowl.client")
    import_module("snowowl.testing.strategies")
    plugins = ["-p", "no:snowowl", "-p", "snowowl.testing.plugin", "-p", "no:cacheprovider"]
    result = pytester.runpytest_inprocess(*plugins, "-q", "-W", "error", str(EXAMPLES))
    result.assert_outcomes(passed=21)
