"""The engines as processes: what is started, what it has counted, what it has found.

Whatever the engine, the plays count and note in a folder of this run (`fuzz.plays.Watch`), so that one
reader serves all.  No process outlives its run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import attrs

from fuzz.corpus import read
from fuzz.plays import REPORT_VARIABLE
from fuzz.seeds import Seed, smaller
from fuzz.targets import TARGETS

ROOT: Final = Path(__file__).resolve().parents[1]
GRACE_SECONDS: Final = 90.0
"""For starting, for the example that is under way, and for shrinking what was found."""

HYPOFUZZ_SECONDS: Final = 5.0
"""In which HypoFuzz starts."""

SIMPLIFY_SECONDS: Final = 20.0
LOOK_SECONDS: Final = 0.25

NEEDS: Final = {"hypothesis": "hypothesis", "hypofuzz": "hypofuzz", "atheris": "atheris"}
"""The package of each engine."""

Tell = Callable[["Round"], None]


class UnableError(Exception):
    """An engine cannot run; the message says what to do."""


@attrs.define
class Tally:
    """What became of one target."""

    target: str
    examples: int = 0
    datagrams: int = 0
    seconds: float = 0.0
    findings: dict[str, Path] = attrs.field(factory=dict)
    """By name, where each was saved."""
    trouble: str = ""
    """Why its process ended in another way than by a finding."""

    @property
    def rate(self) -> float:
        """Examples in a second."""
        return self.examples / self.seconds if self.seconds else 0.0


@attrs.frozen
class Order:
    """What is to be run."""

    engine: str
    targets: Sequence[str]
    seconds: float
    """For each target."""
    examples: int
    seed: int
    jobs: int
    findings: Path
    """The folder that findings are saved in."""


@attrs.define
class Process:
    """One process of an engine."""

    target: str
    process: subprocess.Popen[bytes]
    log: Path
    begun: float
    deadline: float
    endless: bool


class Round:
    """All that one order causes."""

    def __init__(self, order: Order, folder: Path) -> None:
        self.order = order
        self.tallies = {name: Tally(name) for name in order.targets}
        self._folder = folder
        self._running: list[Process] = []

    # Processes.

    @property
    def running(self) -> list[str]:
        """Return the targets of the processes that run."""
        return [one.target for one in self._running]

    def start(
        self, words: Sequence[str], target: str, seconds: float, *, endless: bool = False
    ) -> None:
        """Start a process that has so long; `endless`: it does not end by itself."""
        log = self._folder / f"{len(list(self._folder.glob('*.log')))}.log"
        kept = {key: value for key, value in os.environ.items() if key != "CI"}
        # Engines end their processes without asking, so what these leave goes with the folder.
        temporary = self._folder / "tmp"
        temporary.mkdir(exist_ok=True)
        ours = {REPORT_VARIABLE: str(self._folder), "TMPDIR": str(temporary)}
        environment = {**kept, **ours, "PYTHONPATH": str(ROOT)}
        with log.open("wb") as output:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=environment,
                start_new_session=True,  # it may have processes of its own
            )
        now = time.monotonic()
        self._running.append(Process(target, process, log, now, now + seconds, endless))

    def wait(self, room: int, tell: Tell) -> None:
        """Wait until fewer than `room` processes run."""
        while len(self._running) >= room:
            for one in list(self._running):
                is_late = False
                if one.process.poll() is None:
                    # Who never ends is ended as soon as it has found something.
                    found = one.endless and bool(self.tallies[one.target].findings)
                    is_late = found or time.monotonic() > one.deadline
                    if not is_late:
                        continue
                    end(one.process)
                self._running.remove(one)
                self._ended(one, is_late=is_late)
            self.look()
            tell(self)
            time.sleep(LOOK_SECONDS)

    def close(self) -> None:
        """End what still runs."""
        for one in self._running:
            end(one.process)
        self._running = []

    def _ended(self, one: Process, *, is_late: bool) -> None:
        tally = self.tallies[one.target]
        tally.seconds += time.monotonic() - one.begun
        self.look()
        status = one.process.returncode
        if tally.findings or (is_late and one.endless and tally.examples):
            return
        if is_late:
            why = "it did not end in time"
        elif status or one.endless:
            why = f"it ended with status {status}"
        else:
            return
        said = one.log.read_text(errors="replace").strip().split("\n")[-12:]
        tally.trouble = "\n    ".join([why, *said])

    # Counts and findings.

    def look(self) -> None:
        """Read what the plays have left."""
        examples, datagrams = dict.fromkeys(TARGETS, 0), dict.fromkeys(TARGETS, 0)
        for path in self._folder.glob("*.json"):
            with suppress(OSError, ValueError):
                for name, (some, more) in json.loads(path.read_text()).items():
                    examples[name] += some
                    datagrams[name] += more
        for name, tally in self.tallies.items():
            tally.examples, tally.datagrams = examples[name], datagrams[name]
        for path in self._folder.glob("*-*-*.txt"):
            self._keep(path)

    def _keep(self, path: Path) -> None:
        """Save a finding, if it is simpler than what is saved of it."""
        _, _, name = path.name.partition("-")
        tally = self.tallies.get(name.rpartition("-")[0])
        if tally is None:
            return
        kept = self.order.findings / name
        if name in tally.findings and not smaller(_seed(path, tally), _seed(kept, tally)):
            return
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(path.read_bytes())
        tally.findings[name] = kept


def _seed(path: Path, tally: Tally) -> Seed:
    seeds = read(path, tally.target)
    return seeds[0] if seeds else ()


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it has started, which are a session of their own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
    process.wait()


def require(engine: str) -> None:
    """Raise UnableError if an engine is not installed."""
    package = NEEDS[engine]
    if find_spec(package) is None:
        raise UnableError(
            f"{engine} is not installed here: `{sys.executable} -m pip install {package}`"
            " gets it; `--engine hypothesis` needs nothing more"
        )


def run(order: Order, tell: Tell) -> list[Tally]:
    """Carry out an order; `tell` is called now and then.  Raises UnableError."""
    require(order.engine)
    with tempfile.TemporaryDirectory(prefix="snowowl-fuzz-run-") as folder:
        everything = Round(order, Path(folder))
        try:
            if order.engine == "hypofuzz":
                _by_hypofuzz(everything, tell)
            else:
                _by_workers(everything, tell)
            if order.engine != "hypothesis":  # which shrinks by itself
                _simplify(everything, tell)
        finally:
            everything.close()
        everything.look()
        return list(everything.tallies.values())


def _by_workers(everything: Round, tell: Tell) -> None:
    """Run targets side by side; where there are more jobs than targets, with several seeds each."""
    order = everything.order
    copies = max(1, order.jobs // len(order.targets))
    for name in order.targets:
        for number in range(copies):
            everything.wait(order.jobs, tell)
            words = [sys.executable, "-m", "fuzz.worker", order.engine, name]
            words += ["--seconds", str(order.seconds)]
            words += ["--examples", str(-(-order.examples // copies))]
            words += ["--seed", str(order.seed + number * 1_000_000)]
            everything.start(words, name, order.seconds + GRACE_SECONDS)
    everything.wait(1, tell)


def _simplify(everything: Round, tell: Tell) -> None:
    """Make what was found simpler, in processes of its own: it may crash."""
    everything.look()
    found = [
        (name, path)
        for name, tally in everything.tallies.items()
        for path in tally.findings.values()
    ]
    for name, path in found:
        everything.wait(everything.order.jobs, tell)
        words = [
            sys.executable,
            "-m",
            "fuzz.worker",
            "simplify",
            name,
            "--file",
            str(path.resolve()),
        ]
        words += ["--seconds", str(SIMPLIFY_SECONDS)]
        everything.start(words, name, SIMPLIFY_SECONDS + GRACE_SECONDS)
    everything.wait(1, tell)


def _by_hypofuzz(everything: Round, tell: Tell) -> None:
    """Run HypoFuzz for each target.

    It can be given many, but then spends nearly all of its time on the one in which it finds most that
    is new.  It goes on for ever, or until it has a finding in each test: it is ended.
    """
    order = everything.order
    copies = max(1, order.jobs // len(order.targets))
    program = "from hypothesis.extra.cli import main; main()"
    for name in order.targets:
        everything.wait(max(1, order.jobs // copies), tell)
        words = [sys.executable, "-c", program, "fuzz", "--no-dashboard", "-n", str(copies), "--"]
        words += ["-p", "no:cacheprovider", f"fuzz/targets.py::{TARGETS[name].test_name}"]
        everything.start(words, name, HYPOFUZZ_SECONDS + order.seconds, endless=True)
    everything.wait(1, tell)
