"""Runs tests against mutants, each in a process of its own, forked from one that has all but snowowl.

In the child the mutated module stands in for the file of that name, everything else is imported as
it is.  The tests of the module itself come first; what they do not notice meets the tests of the whole ring.
A child has so many seconds of CPU time, so that neither an endless loop nor a busy machine decides.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final, NoReturn

import attrs
import pytest

from tests.quality.mutation import Mutant
from tests.whole_repo.own_tests import ROOT, name_of, tests_of

MEMORY_MAX: Final = 4 << 30
"""Octets of address space for a child: a mutant that fills memory is to end, not the machine."""

SECONDS_MORE: Final = 4
"""A child is ended after so many times the CPU time of the unchanged code."""

_SURVIVED: Final = 0
_BY_RING: Final = 12
_BY_OWN: Final = 11
_BROKEN: Final = 13


class Verdict(Enum):
    """What the tests made of a mutant."""

    BY_OWN = "killed by the tests of its module"
    BY_RING = "killed by the tests of its ring"
    BY_TIME = "killed by the limit of CPU time"
    SURVIVED = "survived"

    @property
    def killed(self) -> bool:
        return self is not Verdict.SURVIVED


class RunFailed(Exception):  # noqa: N818 - what happened
    """The tests do not pass on the unchanged code, or cannot run; says which."""


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds one module, with other code."""

    def __init__(self, module: Path, code: CodeType) -> None:
        self._name = name_of(module)
        self._path = str(ROOT / module)
        self._code = code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)  # noqa: S102 - that is the point


@attrs.frozen
class Limits:
    """CPU seconds that a child may use, by what it has to run."""

    own: float
    ring: float


def baseline(module: Path) -> Limits:
    """Run the tests of a module and of its ring on the code as it is, and time them.

    Raises RunFailed if they do not pass.
    """
    seconds = []
    for tests in (tests_of(module), _others_of(module)):
        pid = _forked(module, None, [tests], 600)
        _, status, usage = os.wait4(pid, 0)
        if os.waitstatus_to_exitcode(status) != _SURVIVED:
            raise RunFailed(f"the tests do not pass on the unchanged code: {[*map(str, tests)]}")
        seconds.append(usage.ru_utime + usage.ru_stime)
    own, ring = (5 + SECONDS_MORE * each for each in seconds)
    return Limits(own, own + ring)


def verdicts(
    mutants: Iterable[Mutant], limits: Limits, jobs: int
) -> Iterator[tuple[Mutant, Verdict]]:
    """Run the tests against mutants, `jobs` at a time, and yield what came of each."""
    running: dict[int, Mutant] = {}
    coming = iter(mutants)
    try:
        while True:
            while len(running) < jobs and (mutant := next(coming, None)) is not None:
                running[_start(mutant, limits)] = mutant
            if not running:
                return
            pid, status = os.waitpid(-1, 0)
            yield running.pop(pid), _verdict(os.waitstatus_to_exitcode(status))
    finally:
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _verdict(status: int) -> Verdict:
    match status:
        case code if code == _SURVIVED:
            return Verdict.SURVIVED
        case code if code == _BY_RING:
            return Verdict.BY_RING
        case code if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return Verdict.BY_TIME
        case code if code == _BROKEN:
            raise RunFailed("pytest cannot run the tests: run them by hand")
        case _:  # a mutant may end its process in any way
            return Verdict.BY_OWN


def _start(mutant: Mutant, limits: Limits) -> int:
    stages = [tests_of(mutant.module), _others_of(mutant.module)]
    return _forked(mutant.module, mutant.source, stages, limits.ring)


def _others_of(module: Path) -> list[Path]:
    """Return the other test modules of a module's ring."""
    own = set(tests_of(module))
    ring = sorted((ROOT / "tests" / module.parent.name).glob("test_*.py"))
    return [path for path in (each.relative_to(ROOT) for each in ring) if path not in own]


def _forked(module: Path, source: str | None, stages: list[list[Path]], seconds: float) -> int:
    """Start a child that runs the tests; return its id."""
    assert not any(name.split(".")[0] == "snowowl" for name in sys.modules), "too late to change it"
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _run(module, source, stages, seconds)
    return pid


def _run(module: Path, source: str | None, stages: list[list[Path]], seconds: float) -> NoReturn:
    status = _BROKEN
    try:
        os.chdir(ROOT)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nothing, descriptor)
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.environ["HYPOTHESIS_PROFILE"] = "mutants"
        status = _tested(module, source, stages)
    finally:
        os._exit(status)


def _tested(module: Path, source: str | None, stages: list[list[Path]]) -> int:
    if source is not None:
        try:
            code = compile(source, str(ROOT / module), "exec", dont_inherit=True)
        except SyntaxError:
            return _BY_OWN
        sys.meta_path.insert(0, _Changed(module, code))
    for tests, found in zip(stages, (_BY_OWN, _BY_RING), strict=False):
        if not tests:
            continue
        options = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore"]
        status = pytest.main([*options, *map(str, tests)])
        if status == pytest.ExitCode.USAGE_ERROR and source is None:
            return _BROKEN
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            return found
    return _SURVIVED
