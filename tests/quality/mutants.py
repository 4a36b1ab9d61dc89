"""Which changes of the pure core does no test notice?

    python tests/quality/mutants.py [--module PART ...] [--jobs 2] [--sample N] [--write]

Every mutant of `wire` and `protocol` meets the tests of its own module, then those of its ring.  What
survives must be on the list (`survivors.txt`) with a reason; what is on the list must survive.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final

if __name__ == "__main__":
    # Instead of this folder, whose module names are not meant to be importable by themselves.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

try:
    import libcst  # noqa: F401 - whether it is there
    import mutmut  # noqa: F401
except ImportError as missing:
    raise SystemExit(f"{missing}: install mutmut, as the nox session `mutants` does") from None

# Everything that is imported before the children are forked is imported once; but no snowowl.
import attrs
import hypothesis.stateful  # noqa: F401
import pytest_trio.plugin  # noqa: F401
import trio.testing  # noqa: F401

from tests.quality import survivors
from tests.quality.mutant_runs import RunFailed, Verdict, thoroughly, verdicts
from tests.quality.mutant_session import quickly
from tests.quality.mutation import Mutant, mutants_of
from tests.quality.survivors import Change, Survivor
from tests.whole_repo.own_tests import ROOT, modules

RINGS: Final = ("wire", "protocol")
RING_SECONDS: Final = 4.0
"""Without the longest tests of `protocol`; all of them would take most of a day for the whole core."""

UNEXPLAINED: Final = survivors.UNEXAMINED


@attrs.define
class Report:
    """What was found, module by module."""

    listed: dict[Change, Survivor]
    counts: dict[Path, Counter[Verdict]] = attrs.field(factory=dict)
    survived: list[Change] = attrs.field(factory=list)
    met: set[Change] = attrs.field(factory=set)

    def add(self, mutant: Mutant, verdict: Verdict) -> None:
        """Take note of a mutant."""
        self.counts.setdefault(mutant.module, Counter())[verdict] += 1
        self.met.add(mutant.change)
        if not verdict.killed:
            self.survived.append(mutant.change)

    def unlisted(self) -> list[Change]:
        """Return the survivors for which there is no reason."""
        return sorted(change for change in self.survived if change not in self.listed)

    def obsolete(self, module: Path, *, complete: bool) -> list[Change]:
        """Return the entries of a module whose mutant was killed, or was not made."""
        gone = [
            change
            for change in self.listed
            if change.module == module.as_posix()
            and change not in self.survived
            and (complete or change in self.met)
        ]
        return sorted(gone)


def options() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--module",
        action="append",
        default=[],
        metavar="PART",
        help="only modules with this in their path; may be repeated",
    )
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time (default: 2)")
    parser.add_argument("--sample", type=int, metavar="N", help="only N mutants of each module")
    parser.add_argument(
        "--ring-seconds",
        type=float,
        default=RING_SECONDS,
        metavar="S",
        help="CPU seconds of the ring's tests for what its own tests let pass (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the sample (default: 1)")
    parser.add_argument(
        "--write", action="store_true", help="put the list right; new entries want a reason"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run, print a table, and return 1 if the list does not fit."""
    chosen = options().parse_args(arguments)
    text = survivors.FILE.read_text(encoding="utf-8")
    listed = {survivor.change: survivor for survivor in survivors.parse(text)}
    report = Report(listed)
    wanted = [
        module
        for module in modules(RINGS)
        if any(part in module.as_posix() for part in chosen.module or [""])
    ]
    if not wanted:
        sys.stderr.write(f"no module of {' and '.join(RINGS)} has {chosen.module} in its path\n")
        return 2
    os.nice(2)
    try:
        for ring in RINGS:
            found = [module for module in wanted if module.parent.name == ring]
            mutants = [each for module in found for each in _mutants(module, chosen)]
            if mutants:
                _run(ring, mutants, report, chosen.jobs, chosen.ring_seconds)
            for module in found:
                sys.stdout.write(_row(str(module), report.counts.get(module, Counter())))
    except RunFailed as failed:
        sys.stderr.write(f"{failed}\n")
        return 2
    total: Counter[Verdict] = sum(report.counts.values(), Counter())
    sys.stdout.write(_row("all", total))
    complete = chosen.sample is None
    obsolete = [each for module in wanted for each in report.obsolete(module, complete=complete)]
    if chosen.write:
        kept = [listed[change] for change in listed if change not in obsolete]
        new = [Survivor(change, UNEXPLAINED) for change in report.unlisted()]
        text = survivors.dump([*kept, *new], survivors.heading_of(text))
        survivors.FILE.write_text(text, encoding="utf-8")
    _tell("no test notices, and no reason is given why none needs to:", report.unlisted())
    _tell("is noticed now, or not made any more: remove it from survivors.txt:", obsolete)
    return 1 if report.unlisted() or obsolete else 0


def _mutants(module: Path, chosen: argparse.Namespace) -> list[Mutant]:
    every = list(mutants_of(module, (ROOT / module).read_text(encoding="utf-8")))
    if chosen.sample is None:
        return every
    draws = random.Random(chosen.seed)
    return draws.sample(every, min(chosen.sample, len(every)))


def _run(ring: str, mutants: list[Mutant], report: Report, jobs: int, ring_seconds: float) -> None:
    """Test mutants the quick way; those for which that is not enough the thorough way."""
    undecided: list[Mutant] = []
    survived: list[Mutant] = []
    for done, (mutant, verdict) in enumerate(quickly(ring, mutants, jobs, ring_seconds), 1):
        if verdict is Verdict.UNDECIDED:
            undecided.append(mutant)
        elif verdict is Verdict.SURVIVED:
            survived.append(mutant)
        else:
            report.add(mutant, verdict)
        _progress(f"{ring}: {done} of {len(mutants)} mutants")
    for more, with_ring in ((undecided, ring_seconds > 0), (survived, False)):
        found = verdicts(more, jobs, partial(thoroughly, ring=with_ring))
        for number, (mutant, verdict) in enumerate(found, 1):
            report.add(mutant, verdict)
            _progress(f"{ring}, thoroughly: {number} of {len(more)} mutants")
    _progress("")


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")


def _row(name: str, counts: Counter[Verdict]) -> str:
    total = counts.total()
    killed = total - counts[Verdict.SURVIVED]
    share = 100 * killed / total if total else 100.0
    return (
        f"{name:34} {total:5} mutants  {killed:5} killed ({share:5.1f} %): "
        f"{counts[Verdict.BY_OWN]} own, {counts[Verdict.BY_RING]} ring, "
        f"{counts[Verdict.BY_TIME]} time; {counts[Verdict.SURVIVED]} survived\n"
    )


def _tell(heading: str, changes: list[Change]) -> None:
    if changes:
        sys.stdout.write("\n" + "\n\n".join([heading, *map(str, changes)]) + "\n")


if __name__ == "__main__":
    sys.exit(main())
