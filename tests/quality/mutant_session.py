"""The quick way: a session of pytest from which a child is forked for each mutant of a ring."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn, TextIO

import attrs
import pytest
from coverage import Coverage

from tests.quality.mutant_runs import (
    OPTIONS,
    Lines,
    RunFailed,
    Verdict,
    forked,
    silence,
    verdicts,
)
from tests.quality.mutation import Mutant
from tests.quality.replaced import Functions, exchange, functions_of
from tests.whole_repo.own_tests import ROOT, tests_of

_FAILED: Final = "the tests do not pass on the unchanged code"


@attrs.define
class _Loop:
    """Takes the place of pytest's loop over the tests."""

    mutants: Sequence[Mutant]
    jobs: int
    ring_seconds: float
    out: TextIO
    coverage: Coverage
    seconds: dict[str, float] = attrs.field(factory=dict)
    unfit: frozenset[str] = frozenset()
    """Tests that fail when they are run once more, in a child, though nothing was changed."""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all tests once, then those that matter against each mutant."""
        items = session.items
        self.coverage.start()
        for number, item in enumerate(items):
            self.coverage.switch_context(item.nodeid)
            began = time.process_time()
            _run_item(item, items[number + 1] if number + 1 < len(items) else None)
            self.seconds[item.nodeid] = time.process_time() - began
        self.coverage.stop()
        if session.testsfailed:
            self._tell({"failed": _FAILED})
            return True
        self.unfit = frozenset(_failing_again(session))
        self._tell({"unfit": ", ".join(sorted(self.unfit))})
        modules = {mutant.module: self._lines(mutant.module) for mutant in self.mutants}
        functions = {module: functions_of(module) for module in modules}
        numbers = {id(mutant): number for number, mutant in enumerate(self.mutants)}

        def start(mutant: Mutant) -> int:
            lines, known = modules[mutant.module], functions[mutant.module]
            return forked(lambda: _tested(mutant, session, lines, known, self.ring_seconds))

        for mutant, verdict in verdicts(self.mutants, self.jobs, start):
            self._tell({"mutant": numbers[id(mutant)], "verdict": verdict.name})
        return True

    def _tell(self, message: dict[str, int | str]) -> None:
        self.out.write(json.dumps(message) + "\n")
        self.out.flush()

    def _lines(self, module: Path) -> Lines:
        path = str(ROOT / module)
        found = self.coverage.get_data().contexts_by_lineno(path)
        tests = {line: frozenset(names) - self.unfit for line, names in found.items()}
        return Lines(tests, self.seconds)


def _failing_again(session: pytest.Session) -> list[str]:
    """Run all tests in a child, one by one; return which fail there.

    A second run in one process is not what tests are made for, so this has to be looked at: what
    fails there would kill every mutant.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        with os.fdopen(writing, "w", encoding="utf-8") as stream:
            for item in session.items:
                before = session.testsfailed
                _run_item(item, None)
                if session.testsfailed > before:
                    stream.write(f"{item.nodeid}\n")
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as stream:
        failing = stream.read().splitlines()
    os.waitpid(pid, 0)
    return failing


def _run_item(item: pytest.Item, following: pytest.Item | None) -> None:
    item.ihook.pytest_runtest_protocol(item=item, nextitem=following)


def _up_to(
    items: Sequence[pytest.Item], seconds: dict[str, float], limit: float
) -> Iterator[pytest.Item]:
    """Yield the first tests, as many as take so many seconds."""
    for item in items:
        limit -= seconds[item.nodeid]
        if limit < 0:
            return
        yield item


def _tested(
    mutant: Mutant,
    session: pytest.Session,
    lines: Lines,
    known: Functions,
    ring_seconds: float,
) -> Verdict:
    try:
        code = compile(mutant.source, str(ROOT / mutant.module), "exec", dont_inherit=True)
    except SyntaxError:
        return Verdict.BY_OWN
    if not exchange(known, code):
        return Verdict.UNDECIDED
    own = {str(ROOT / path) for path in tests_of(mutant.module)}
    touched = lines.of(mutant)

    def rank(item: pytest.Item) -> tuple[bool, float]:
        return str(item.path) not in own, lines.seconds[item.nodeid]

    wanted = sorted((item for item in session.items if item.nodeid in touched), key=rank)
    mine = [item for item in wanted if str(item.path) in own]
    wanted = mine + list(_up_to(wanted[len(mine) :], lines.seconds, ring_seconds))
    for number, item in enumerate(wanted):
        _run_item(item, wanted[number + 1] if number + 1 < len(wanted) else None)
        if session.testsfailed:
            return Verdict.BY_OWN if str(item.path) in own else Verdict.BY_RING
    return Verdict.SURVIVED


def quickly(
    ring: str, mutants: Sequence[Mutant], jobs: int, ring_seconds: float
) -> Iterator[tuple[Mutant, Verdict]]:
    """Test the mutants of a ring the quick way, and yield what came of each.  Raises RunFailed."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _session(ring, mutants, jobs, ring_seconds, writing)
    os.close(writing)
    failed: str | None = "pytest cannot run the tests: run them by hand"
    try:
        with os.fdopen(reading, encoding="utf-8") as told:
            for line in told:
                message = json.loads(line)
                failed = message.get("failed")
                if message.get("unfit"):
                    sys.stderr.write(f"not used, as they fail when run twice: {message['unfit']}\n")
                if "mutant" in message:
                    yield mutants[message["mutant"]], Verdict[message["verdict"]]
    finally:
        os.waitpid(pid, 0)
    if failed is not None:
        raise RunFailed(f"tests/{ring}: {failed}")


def _session(
    ring: str, mutants: Sequence[Mutant], jobs: int, ring_seconds: float, out: int
) -> NoReturn:
    try:
        os.chdir(ROOT)
        silence()
        os.environ["HYPOTHESIS_PROFILE"] = "mutants"
        coverage = Coverage(data_file=None, include=[f"{ROOT}/snowowl/{ring}/*"])
        with os.fdopen(out, "w", encoding="utf-8") as stream:
            loop = _Loop(mutants, jobs, ring_seconds, stream, coverage)
            pytest.main([*OPTIONS, f"tests/{ring}"], [loop])
    finally:
        os._exit(0)
