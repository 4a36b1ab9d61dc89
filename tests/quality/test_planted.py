"""The suite has teeth: known bugs, planted, are found within a number of examples.

    python -m tests.quality.test_planted

prints how many it took.  And the same checks find nothing in the code as it is.
"""

from __future__ import annotations

import sys
import time

import pytest

from tests.quality import checks  # noqa: F401 - registers them
from tests.quality.finding import CHECKS, examples_until_found
from tests.quality.planted import PLANTED, planted

CANARIES = sorted({bug.found_by for bug in PLANTED.values()})
CANARY_EXAMPLES = 8
"""Enough that a check which finds something in everything is seen; the suite runs the rest."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(bug.name, marks=pytest.mark.slow) if bug.slow else bug.name
        for bug in PLANTED.values()
    ],
)
def test_a_planted_bug_is_found(name: str) -> None:
    with planted(name) as bug:
        found = examples_until_found(CHECKS[bug.found_by], bug.within, bug.raises)
    assert found is not None, f"{bug.what} {bug.found_by} does not find it in {bug.within}"


@pytest.mark.parametrize("name", CANARIES)
def test_the_code_as_it_is_passes_the_same_check(name: str) -> None:
    assert examples_until_found(CHECKS[name], CANARY_EXAMPLES, (Exception,)) is None


def main(names: list[str]) -> int:
    """Print for each planted bug how many examples it took, and how long."""
    missed = 0
    for name in names or PLANTED:
        began = time.process_time()
        try:
            with planted(name) as bug:
                found = examples_until_found(CHECKS[bug.found_by], bug.within, bug.raises)
        except Exception as error:  # noqa: BLE001 - told in the table
            bug, found = PLANTED[name], None
            sys.stdout.write(f"{error!r}\n")
        missed += found is None
        seconds = time.process_time() - began
        figure = "NOT FOUND" if found is None else str(found)
        sys.stdout.write(
            f"{name:34} {figure:>9} of {bug.within:4}  {seconds:5.2f} s  {bug.found_by:34}{bug.breaks}\n"
        )
        sys.stdout.flush()
    sys.stdout.write(f"{len(names or PLANTED) - missed} found, {missed} missed\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
