"""snowowl's own client with every fault: the fault is played, and the client comes out clean.

Each runs both ways, in windows, in lock-step and without options, on the simulated network.
"""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from snowowl.testing.faults import FAULTS, Spec, Verdict, every_fault
from snowowl.testing.faults.model import Expect
from tests.faults.world import LOCK_STEP, PLAIN, READ, TSIZE, WINDOW, WRITE, Run, run_client

CLEAN = (Verdict.RECOVERED, Verdict.ENDED, Verdict.INFORMATIONAL, Verdict.NOT_REACHED)
NEEDS_MORE = ("checksum-zero", "jumbo")
"""Real sockets, or a client that asks for more than a frame holds."""

SPECS = [pytest.param(spec, id=str(spec)) for spec in every_fault()]


@pytest.mark.parametrize("spec", SPECS)
async def test_it_comes_out_clean(autojump_clock: MockClock, spec: Spec) -> None:
    reached = False
    several = [WINDOW, PLAIN] if spec.name.startswith("error") else [WINDOW, LOCK_STEP, PLAIN]
    for options in (*several, *([TSIZE] if spec.name == "oack-unasked" else [])):
        for direction in (READ, WRITE):
            run = await run_client(str(spec), direction, options)
            assert run.verdict in CLEAN, f"{direction} {options}: {run.first.why} {run.first.did}"
            check(spec, run)
            reached |= run.verdict is not Verdict.NOT_REACHED
    assert reached or spec.name in NEEDS_MORE


def check(spec: Spec, run: Run) -> None:
    """Assert that what the client said of it is what the server thinks."""
    if run.verdict is Verdict.RECOVERED:
        assert run.error is None
        assert run.whole
    if run.verdict is Verdict.NOT_REACHED:
        assert run.whole
        assert run.first.why
    if run.verdict is Verdict.ENDED and run.first.direction is READ and len(run.transfers) == 1:
        assert run.error is not None  # a second one was asked for without options, and is whole
    if spec.make("").expects is Expect.RECOVER and run.verdict is not Verdict.NOT_REACHED:
        assert run.whole


def test_every_fault_is_here() -> None:
    """Those that take minutes have tests of their own."""
    played = {spec.name for spec in every_fault()}
    assert set(FAULTS) - played == {"rollover"}
