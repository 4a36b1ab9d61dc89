"""Is each module of the pure core covered by its own test module, wholly and by branches?

    python tests/whole_repo/percov.py [PART ...]

An integration test covers everything by accident; what one module promises is to be tested where its
name says.  Each part of a path (`window`, `wire/`) limits the run to the modules that have it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parents[2]
RINGS: Final = ("wire", "protocol")


@attrs.frozen
class Result:
    """What one test module covers of its module."""

    module: str
    percent: float
    missing: str

    @property
    def whole(self) -> bool:
        """Nothing is missing."""
        return not self.missing


def modules(parts: list[str]) -> Iterator[Path]:
    """Yield the modules that are to be covered, by their paths from the root."""
    for ring in RINGS:
        for path in sorted((ROOT / "snowowl" / ring).glob("*.py")):
            module = path.relative_to(ROOT)
            if path.stem != "__init__" and all(part in module.as_posix() for part in parts):
                yield module


def measure(module: Path) -> Result:
    """Run a module's own tests and see what they leave out."""
    tests = Path("tests", module.parent.name, f"test_{module.stem}.py")
    if not (ROOT / tests).exists():
        return Result(module.as_posix(), 0.0, f"there is no {tests}")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        environment = {**os.environ, "COVERAGE_FILE": str(Path(folder, "data"))}
        coverage = [sys.executable, "-m", "coverage"]
        pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
        run = subprocess.run(
            [*coverage, "run", "--branch", *pytest],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            return Result(module.as_posix(), 0.0, f"{tests} fails:\n{run.stdout}{run.stderr}")
        subprocess.run(
            [*coverage, "json", "-q", f"--include={module}", "-o", str(report)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            check=True,
        )
        (measured,) = json.loads(report.read_text())["files"].values()
    gaps = [str(line) for line in measured["missing_lines"]]
    gaps += [f"{origin}->{to}" for origin, to in measured["missing_branches"]]
    return Result(module.as_posix(), measured["summary"]["percent_covered"], ", ".join(gaps))


def main(parts: list[str]) -> int:
    """Measure, print a table, and return 1 if anything is missing."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = list(pool.map(measure, modules(parts)))
    width = max((len(result.module) for result in results), default=0)
    for result in results:
        sys.stdout.write(f"{result.module:{width}}  {result.percent:5.1f} %  {result.missing}\n")
    return 0 if results and all(result.whole for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
