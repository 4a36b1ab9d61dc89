"""Is each module of the pure core covered by its own test module, wholly and by branches?

    python tests/whole_repo/percov.py [PART ...]

An integration test covers everything by accident; what one module promises is to be tested where its
name says.  Each part of a path (`window`, `wire/`) limits the run to the modules that have it.

All tests run in one process; coverage notes for each line which test module it was run by.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import pytest
from coverage import Coverage

ROOT: Final = Path(__file__).parents[2]
RINGS: Final = ("wire", "protocol")


@attrs.frozen
class Result:
    """What one test module covers of its module."""

    module: str
    percent: float
    missing: str


@attrs.frozen
class Contexts:
    """Tells coverage which test module is running; a plugin of pytest."""

    coverage: Coverage

    def pytest_runtest_logstart(self, location: tuple[str, int | None, str]) -> None:
        """Switch to the context of the test that begins."""
        self.coverage.switch_context(Path(location[0]).as_posix())


def modules(parts: list[str]) -> Iterator[Path]:
    """Yield the modules that are to be covered, by their paths from the root."""
    for ring in RINGS:
        for path in sorted((ROOT / "snowowl" / ring).glob("*.py")):
            module = path.relative_to(ROOT)
            if path.stem != "__init__" and all(part in module.as_posix() for part in parts):
                yield module


def tests_of(module: Path) -> list[Path]:
    """Return the test module of a module, and its continuations (``test_sending_ends.py``).

    A continuation is named after the longest module that it could belong to.
    """
    folder = Path("tests", module.parent.name)
    stems = sorted((path.stem for path in module.parent.glob("*.py")), key=len, reverse=True)
    return [
        path
        for path in sorted(folder.glob(f"test_{module.stem}*.py"))
        if next((stem for stem in stems if f"{path.stem}_".startswith(f"test_{stem}_")), None)
        == module.stem
    ]


def result_of(module: Path, coverage: Coverage, folder: Path) -> Result:
    """Return what is covered by a module's own tests, and while it was imported."""
    tests = tests_of(module)
    if not tests:
        return Result(module.as_posix(), 0.0, f"there is no test_{module.stem}.py")
    report = folder / "report.json"
    contexts = ["^$", *(f"^{re.escape(path.as_posix())}$" for path in tests)]
    coverage.json_report(include=[str(module)], contexts=contexts, outfile=str(report))
    (measured,) = json.loads(report.read_text())["files"].values()
    gaps = [str(line) for line in measured["missing_lines"]]
    gaps += [f"{origin}->{to}" for origin, to in measured["missing_branches"]]
    return Result(module.as_posix(), measured["summary"]["percent_covered"], ", ".join(gaps))


def main(parts: list[str]) -> int:
    """Measure, print a table, and return 1 if anything is missing."""
    os.chdir(ROOT)
    wanted = list(modules(parts))
    tests = [str(path) for module in wanted for path in tests_of(module)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        coverage = Coverage(
            data_file=str(folder / "data"),
            branch=True,
            source_pkgs=[f"snowowl.{ring}" for ring in RINGS],
        )
        coverage.start()
        status = pytest.main(["-q", "-p", "no:cacheprovider", *tests], [Contexts(coverage)])
        coverage.stop()
        if status:
            return int(status)
        results = [result_of(module, coverage, folder) for module in wanted]
    width = max((len(result.module) for result in results), default=0)
    for result in results:
        sys.stdout.write(f"{result.module:{width}}  {result.percent:5.1f} %  {result.missing}\n")
    return 1 if not results or any(result.missing for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
