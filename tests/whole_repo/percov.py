"""Is each module covered by its own test module, by branches?

    python tests/whole_repo/percov.py [--all] [--write] [PART ...]

An integration test covers everything by accident; what one module promises is to be tested where its
name says.  `wire` and `protocol` are covered wholly.  Of the other rings, `percov.txt` has how much of
each module its own tests leave out; that may only become less, and what has become less is to be
written down (`--write`), so that it stays so.  Rings that take long are measured with `--all` only.

All tests of a ring run in one process; coverage notes for each line which test module it was run by.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

if __name__ == "__main__":
    # Instead of this folder, whose module names are not meant to be importable by themselves.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import attrs
import pytest
from coverage import Coverage

from tests.whole_repo.own_tests import ROOT, modules, tests_of

WHOLE: Final = ("wire", "protocol")
"""Rings of which nothing may be left out."""
QUICK: Final = (*WHOLE, "observe", "config")
SLOW: Final = ("testing", "content", "datagram", "host", "server", "client", "cli")
LIST: Final = Path(__file__).with_name("percov.txt")

SPREAD: Final = 2
"""Lines and branches by which a measurement may differ from the next, where threads and sockets have
their own time: as much less is not asked to be written down, as much more is no failure."""


@attrs.frozen
class Result:
    """What the own tests of a module leave out."""

    module: str
    count: int
    """Lines and branches."""
    gaps: str
    """Which they are, or what else is wrong."""


@attrs.frozen
class Contexts:
    """Tells coverage which test module is running; a plugin of pytest."""

    coverage: Coverage

    def pytest_runtest_logstart(self, location: tuple[str, int | None, str]) -> None:
        """Switch to the context of the test that begins."""
        self.coverage.switch_context(Path(location[0]).as_posix())


def result_of(module: Path, coverage: Coverage, folder: Path) -> Result:
    """Return what is left out by a module's own tests, and while it was imported."""
    tests = tests_of(module)
    report = folder / "report.json"
    contexts = ["^$", *(f"^{re.escape(path.as_posix())}$" for path in tests)]
    coverage.json_report(include=[str(module)], contexts=contexts, outfile=str(report))
    (measured,) = json.loads(report.read_text())["files"].values()
    gaps = [str(line) for line in measured["missing_lines"]]
    gaps += [f"{origin}->{to}" for origin, to in measured["missing_branches"]]
    text = ", ".join(gaps) if tests else f"there is no test_{module.stem}.py"
    return Result(module.as_posix(), len(gaps), text)


def measure(ring: str, wanted: list[Path]) -> list[Result] | None:
    """Run the tests of modules of a ring; return what they leave out, None if they fail."""
    tests = [str(path) for module in wanted for path in tests_of(module)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        coverage = Coverage(
            data_file=str(folder / "data"), branch=True, source_pkgs=[f"snowowl.{ring}"]
        )
        coverage.start()
        status = pytest.main(["-q", "-p", "no:cacheprovider", *tests], [Contexts(coverage)])
        coverage.stop()
        if status:
            return None
        return [result_of(module, coverage, folder) for module in wanted]


def read_list(text: str) -> dict[str, int]:
    """Return how much each module's own tests may leave out.  Raises ValueError."""
    limits = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            count, module = line.split()
            limits[module] = int(count)
    return limits


def judge(result: Result, limits: dict[str, int]) -> str:
    """Return what is wrong with a result, nothing if it is as it should be."""
    if result.module.split("/")[1] in WHOLE:
        return result.gaps
    limit = limits.get(result.module)
    if limit is None:
        return "" if not result.count else f"new, and leaves out {result.gaps}"
    if result.count > limit + (SPREAD if limit else 0):
        return f"{result.count} left out, not more than {limit} may be: {result.gaps}"
    if result.count < limit - SPREAD or (result.count == 0 and limit):
        return f"only {result.count} left out, not {limit}: write that down (--write)"
    return ""


def main(arguments: list[str]) -> int:
    """Measure ring by ring, each in a process of its own, and return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="the rings that take long as well")
    parser.add_argument("--write", action="store_true", help="put percov.txt right")
    parser.add_argument("--ring", help=argparse.SUPPRESS)
    parser.add_argument("parts", nargs="*", metavar="PART", help="only modules with it in the path")
    chosen = parser.parse_args(arguments)
    os.chdir(ROOT)
    if chosen.ring:
        return one_ring(chosen.ring, chosen.parts, write=chosen.write)
    status = 0
    for ring in (*QUICK, *SLOW) if chosen.all or chosen.parts else QUICK:
        if not list(modules([ring], chosen.parts)):
            continue
        command = [sys.executable, __file__, "--ring", ring, *chosen.parts]
        command += ["--write"] * chosen.write
        status |= subprocess.run(command, check=False).returncode
    return status


def one_ring(ring: str, parts: Iterable[str], *, write: bool) -> int:
    """Measure modules of one ring and print a table."""
    limits = read_list(LIST.read_text(encoding="utf-8"))
    results = measure(ring, list(modules([ring], parts)))
    if results is None:
        return 1
    if write and ring not in WHOLE:
        limits |= {result.module: result.count for result in results}
        _write(limits)
    status = 0
    for result in results:
        wrong = judge(result, limits)
        status |= bool(wrong)
        sys.stdout.write(f"{result.module:36} {result.count:4} left out  {wrong}\n")
    return status


def _write(limits: dict[str, int]) -> None:
    text = LIST.read_text(encoding="utf-8")
    heading = [line for line in text.splitlines() if line.startswith("#")]
    lines = [f"{limits[module]:3} {module}" for module in sorted(limits) if limits[module]]
    LIST.write_text("\n".join([*heading, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
