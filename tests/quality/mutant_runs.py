"""Runs tests against mutants, each in a process of its own.

The quick way: one session of pytest collects the tests of a ring, runs them once (which tests run
which lines, and how long they take), and forks a child for each mutant.  The child exchanges the code
of the one function that was changed and runs the module's own tests, then those of the ring that run
the changed lines, the quickest first, until one fails.

The thorough way: a child that has no snowowl yet imports it with the mutant in the place of its module.
It is for constants, class bodies and defaults; and what survived the quick way meets its own tests so.

A child has so many seconds of CPU time, so that neither an endless loop nor a busy machine decides.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Final, NoReturn

import attrs
import pytest

from tests.quality.mutation import Mutant
from tests.quality.replaced import Replacing
from tests.whole_repo.own_tests import ROOT, tests_of

MEMORY_MAX: Final = 4 << 30
"""Octets of address space for a child: a mutant that fills memory is to end, not the machine."""

SECONDS_MAX: Final = 40
"""CPU seconds of a child: twice what the slowest ring takes on a quiet core."""

OPTIONS: Final = ("-q", "-p", "no:cacheprovider", "-W", "ignore")


class Verdict(Enum):
    """What the tests made of a mutant."""

    BY_OWN = "killed by the tests of its module"
    BY_RING = "killed by the tests of its ring"
    BY_TIME = "killed by the limit of CPU time"
    SURVIVED = "survived"
    UNDECIDED = "cannot be run the quick way"

    @property
    def killed(self) -> bool:
        return self is not Verdict.SURVIVED


STATUSES: Final = {
    Verdict.SURVIVED: 10,
    Verdict.BY_OWN: 11,
    Verdict.BY_RING: 12,
    Verdict.UNDECIDED: 13,
}
"""How a child says it by its exit status."""

_VERDICTS: Final = {status: verdict for verdict, status in STATUSES.items()}


class RunFailed(Exception):  # noqa: N818 - what happened
    """The tests do not pass on the unchanged code, or cannot run; says which."""


Start = Callable[[Mutant], int]
"""Starts a child for a mutant and returns its id."""


def verdicts(
    mutants: Iterable[Mutant], jobs: int, start: Start
) -> Iterator[tuple[Mutant, Verdict]]:
    """Have children test mutants, `jobs` at a time, and yield what came of each."""
    running: dict[int, Mutant] = {}
    coming = iter(mutants)
    try:
        while True:
            while len(running) < jobs and (mutant := next(coming, None)) is not None:
                running[start(mutant)] = mutant
            if not running:
                return
            pid, status = os.wait()
            yield running.pop(pid), verdict_of(os.waitstatus_to_exitcode(status))
    finally:
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def verdict_of(status: int) -> Verdict:
    """Return what a child's exit says; a mutant may end its process in any way."""
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return Verdict.BY_TIME
    return _VERDICTS.get(status, Verdict.BY_OWN)


def forked(run: Callable[[], Verdict], seconds: int = SECONDS_MAX) -> int:
    """Start a child that does this, silently and within bounds; return its id."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _run(run, seconds)
    return pid


def _run(run: Callable[[], Verdict], seconds: int) -> NoReturn:
    status = STATUSES[Verdict.BY_OWN]
    try:
        silence()
        used = resource.getrusage(resource.RUSAGE_SELF)
        end = int(used.ru_utime + used.ru_stime) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (end, end + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        status = STATUSES[run()]
    finally:
        os._exit(status)


def silence() -> None:
    """Send what this process prints to nowhere."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def thoroughly(mutant: Mutant, *, ring: bool) -> int:
    """Start a child that tests a mutant the thorough way; return its id."""
    assert not any(name.split(".")[0] == "snowowl" for name in sys.modules), "too late to change it"
    return forked(lambda: _tested(mutant, ring=ring))


def _tested(mutant: Mutant, *, ring: bool) -> Verdict:
    os.chdir(ROOT)
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    try:
        code = compile(mutant.source, str(ROOT / mutant.module), "exec", dont_inherit=True)
    except SyntaxError:
        return Verdict.BY_OWN
    sys.meta_path.insert(0, Replacing(mutant.module, code))
    stages = [(tests_of(mutant.module), Verdict.BY_OWN)]
    if ring:
        stages.append((others_of(mutant.module), Verdict.BY_RING))
    for tests, found in stages:
        # Plain: to rewrite assertions, pytest would load the module itself, as it is on the disk.
        options = [*OPTIONS, "-x", "--assert=plain"]
        status = pytest.main([*options, *map(str, tests)]) if tests else pytest.ExitCode.OK
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            return found
    return Verdict.SURVIVED


def others_of(module: Path) -> list[Path]:
    """Return the other test modules of a module's ring."""
    own = set(tests_of(module))
    ring = sorted((ROOT / "tests" / module.parent.name).glob("test_*.py"))
    return [path for path in (each.relative_to(ROOT) for each in ring) if path not in own]


@attrs.frozen
class Lines:
    """Which of the ring's tests run which lines of a module, and how long each takes."""

    tests: dict[int, frozenset[str]]
    seconds: dict[str, float]

    def of(self, mutant: Mutant) -> frozenset[str]:
        """Return the tests that run any of the lines that were changed."""
        found = (self.tests.get(line, frozenset()) for line in mutant.lines)
        return frozenset().union(*found)
