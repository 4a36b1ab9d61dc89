"""What README and examples promise: they run, and name only what exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sized
from pathlib import Path

import attrs
import pytest

from snowowl.config import VARIABLES, Config
from snowowl.testing.conformance import all_cases
from snowowl.testing.faults import FAULTS
from tests.quality.planted import PLANTED

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(*arguments: str) -> str:
    """Run Python at the top of the repository; return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        timeout=60,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.real
@pytest.mark.parametrize("block", PYTHON_BLOCKS)
def test_the_python_in_readme_runs(block: str) -> None:
    assert run("-c", block).startswith("# snowowl")


@pytest.mark.real
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_run(path: Path) -> None:
    assert "fetched" in run(str(path))


def test_the_keys_in_readme_exist() -> None:
    config = Config()
    existing = {
        f"{section.name}.{key.name}"
        for section in attrs.fields(Config)
        for key in attrs.fields(type(getattr(config, section.name)))
    }
    sections = "|".join(field.name for field in attrs.fields(Config))
    named = set(re.findall(rf"`((?:{sections})\.[a-z_]+)`", README))
    assert named
    assert named <= existing


def test_the_environment_variables_in_readme_exist() -> None:
    known = {variable.name for variable in VARIABLES} | {"SNOWOWL_CONFIG"}
    named = set(re.findall(r"`(SNOWOWL_[A-Z_]+)`", README))
    assert named
    assert named <= known


def test_the_map_in_readme_is_of_this_house() -> None:
    folders = {path.parent.name for path in (ROOT / "snowowl").glob("*/__init__.py")}
    assert set(re.findall(r"`snowowl/([a-z]+)`", README)) == folders


def test_there_are_two_commands_and_they_serve_and_test() -> None:
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    served = 'snowowl serve -u "$(id -un)" --listen 127.0.0.1:6969 examples/boot'
    assert commands[0].endswith(served)  # as whoever has the checkout, root too
    assert "curl tftp://127.0.0.1:6969/hello.txt" in commands[0]
    assert commands[1].endswith("-m pytest -n auto")


@pytest.mark.parametrize(
    ("promise", "things"),
    [
        ("shows the {} cases", all_cases()),
        ("plays {} named faults", FAULTS),
        ("{} planted bugs must be found", PLANTED),
    ],
)
def test_what_is_counted_is_counted_right(promise: str, things: Sized) -> None:
    assert promise.format(len(things)) in README
