"""Who is served, at which kind of address."""

from __future__ import annotations

from pathlib import Path

import pytest

from snowowl.cli.doctor_checks.access import access
from snowowl.cli.doctor_checks.finding import Level
from tests.cli.doctor_checks.machines import machine, subject

PUBLIC, PRIVATE = "9.9.9.9:69", "10.0.0.1:69"


@pytest.mark.parametrize(
    ("listen", "allow", "level", "words"),
    [
        (PRIVATE, [], Level.OK, "everybody, at private"),
        (PRIVATE, ["10.0.0.0/8"], Level.OK, "only 10.0.0.0/8"),
        (PRIVATE, ["0.0.0.0/0"], Level.OK, "only 0.0.0.0/0"),
        (PUBLIC, [], Level.NOTE, "9.9.9.9 is public"),
        (PUBLIC, ["198.51.100.0/24"], Level.OK, "only 198.51.100.0/24"),
        (PUBLIC, ["10.0.0.0/8", "0.0.0.0/0"], Level.WARN, "from anywhere"),
        ("[2600::1]:69", ["::/0"], Level.WARN, "from anywhere"),
    ],
)
def test_who_is_served(
    listen: str, allow: list[str], level: Level, words: str, tmp_path: Path
) -> None:
    (finding,) = access(subject(machine(tmp_path), server__listen=[listen], access__allow=allow))
    assert finding.level is level
    assert words in finding.message
