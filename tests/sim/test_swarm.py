"""The whole server on a simulated network: fixed seeds, and one that is new with each commit."""

from __future__ import annotations

import gc
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from snowowl.content.mapped import MappedFile
from snowowl.content.temporary import Temporary
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.server.report import Report
from snowowl.testing.simulation import LeftoverError
from tests.sim import run as command
from tests.sim.run import replay, told
from tests.sim.scenario import draw
from tests.sim.swarm import run

FIXED = (8, 35, 6)
"""Restarts, reloads and deaths with `own`; all at once with `listen`; much traffic with `shared`."""


def fresh_seed() -> int:
    """Return SNOWOWL_SIM_SEED, or a number of the commit; without git the same one always."""
    given = os.environ.get("SNOWOWL_SIM_SEED")
    if given:
        return int(given)
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return 2025
    return int(head.stdout[:8], 16)


@pytest.mark.parametrize("seed", [*FIXED, fresh_seed()])
def test_whatever_happens_nothing_is_lost_or_left(seed: int) -> None:
    findings = run(seed)
    assert not findings.problems, f"{told(findings)}\nTo see it again: {replay(seed)}"


def test_a_seed_is_replayed_by_the_command(tmp_path: Path) -> None:
    capture = tmp_path / "out.pcap"
    result = CliRunner().invoke(command.main, ["--seed", "3", "--pcap", str(capture)])
    assert result.exit_code == 0, result.output
    assert run(3).digest in result.output
    assert capture.stat().st_size > 24


def test_scenarios_differ_and_each_leaves_something_out() -> None:
    scenarios = [draw(seed) for seed in range(200)]
    assert {scenario.tid for scenario in scenarios} == {"shared", "own", "listen"}
    for quiet in (
        lambda scenario: scenario.link.loss == 0,
        lambda scenario: scenario.turns == 0,
        lambda scenario: scenario.disk_full == 0,
        lambda scenario: scenario.server_kernel.blocked == 0,
    ):
        assert 50 < sum(map(quiet, scenarios)) < 170


# Teeth: what is broken on purpose is found.


def test_an_upload_that_is_acknowledged_and_not_kept_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forget(temporary: Temporary, /, *, overwrite: bool) -> None:
        del temporary, overwrite

    monkeypatch.setattr(Temporary, "publish", forget)
    findings = run(6)
    assert any("was acknowledged and is not there" in problem for problem in findings.problems)


def test_a_file_that_is_never_closed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MappedFile, "close", lambda _: None)
    with pytest.raises(LeftoverError, match="file10") as caught:
        run(3)
    assert "seed=3" in caught.value.__notes__[0]
    monkeypatch.undo()
    gc.collect()


def test_an_outcome_that_is_not_told_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    finish = Report.finish

    def forget(report: Report, outcome: Outcome, detail: str) -> None:
        if outcome.kind is not OutcomeKind.PROBED:
            finish(report, outcome, detail)

    monkeypatch.setattr(Report, "finish", forget)
    assert any("were admitted" in problem for problem in run(3).problems)
