"""Some minutes of a lab; a whole day is `python -m tests.sim.lab`."""

from __future__ import annotations

from click.testing import CliRunner

from tests.sim.boards import KINDS
from tests.sim.day import Lab, run
from tests.sim.lab import main


def test_some_minutes_of_a_lab() -> None:
    """Everything happens more often, as there is less time for it."""
    lab = Lab(
        boards=14, hours=0.25, seed=3, up_hours=0.1, rack_hours=0.2, cut_hours=0.1, turn_hours=0.08
    )
    day = run(lab)
    assert not day.lost, "\n".join(day.lost)
    assert set(day.kinds) == {kind.name for kind in KINDS}
    assert day.booted >= lab.boards
    assert day.turns.total() > 0
    assert day.cuts > 0


def test_the_command_says_what_has_happened() -> None:
    result = CliRunner().invoke(main, ["--hours", "0.02", "--boards", "2", "--tid", "listen"])
    assert result.exit_code == 0, result.output
    assert "lost        nothing" in result.output
    assert "2 boards, 0.02 hours, tid listen, seed 1" in result.output
