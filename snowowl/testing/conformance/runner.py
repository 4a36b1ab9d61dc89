"""Runs cases against a server: learns of it first, bounds all in time, notices when it dies.

Cases that send what might end a server run last and one at a time, each followed by a plain request:
so it is known which one it was.  A case that finds something is played a second time, alone: what
was a lost packet, or a busy machine, is not seen again.
"""

from __future__ import annotations

import fnmatch
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs
import trio

from snowowl.datagram.interface import Network
from snowowl.testing.conformance.case import WRITE, Case
from snowowl.testing.conformance.learn import answers, learn
from snowowl.testing.conformance.report import Report, Result, milder
from snowowl.testing.conformance.stage import Stage, Target
from snowowl.testing.conformance.verdicts import (
    DEVIATION,
    CannotRunError,
    Inapplicable,
    Judged,
    Verdict,
)

PATIENCE_SECONDS: Final = 7.0
"""atftpd and tftpy wait five seconds until they send again; no server known waits longer."""

JOBS: Final = 4
"""Cases at the same time: they mostly wait, and the smallest server bears four clients."""

TOTAL_SECONDS: Final = 1800.0
CASE_PATIENCES: Final = 12
"""Times the patience that a case may take."""
LONG_SECONDS: Final = 300.0
"""What a long case may take beside."""

Tell = Callable[[str, Result | None], None]
"""Is told of each case by its id: when it begins (None), and its result."""

OWN_MISTAKE: Final = "the case itself went wrong, please report it"

_FOUND: Final = (Verdict.FAILED, Verdict.NON_STRICT)


@attrs.frozen(kw_only=True)
class Settings:
    """How a run goes."""

    patience: float = PATIENCE_SECONDS
    """Seconds that the server may take to send something again."""
    jobs: int = JOBS
    total_seconds: float = TOTAL_SECONDS
    again: bool = True
    """Play what found something a second time."""


def choose(
    cases: Iterable[Case], *, only: Sequence[str] = (), skip: Sequence[str] = (), long: bool = False
) -> list[Case]:
    """Return the cases whose ids match one of `only` (shell patterns; none: all) and none of `skip`.

    Long cases are among them if that is said, or if a pattern is the whole id of one.
    """
    return [
        case
        for case in cases
        if (not only or any(fnmatch.fnmatchcase(case.id, pattern) for pattern in only))
        and not any(fnmatch.fnmatchcase(case.id, pattern) for pattern in skip)
        and (long or not case.long or case.id in only)
    ]


class Runner:
    """One run.  `report` can be looked at while it goes on."""

    def __init__(
        self,
        network: Network,
        target: Target,
        cases: Sequence[Case],
        settings: Settings | None = None,
        *,
        tell: Tell | None = None,
    ) -> None:
        self.report = Report(cases=cases)
        self.settings = settings or Settings()
        self._network = network
        self._target = target
        self._tell = tell or _tell_nobody
        self._word = secrets.token_hex(3)
        self._running: set[str] = set()
        self._scope = trio.CancelScope()
        self._write_lock = trio.Lock()

    def stop(self, reason: str) -> None:
        """Break the run off; what was not played is reported as that."""
        self.report.stopped = self.report.stopped or reason
        self._scope.cancel()

    async def run(self) -> Report:
        """Run all; return the report.  Raises CannotRunError if the file cannot be read."""
        began = trio.current_time()
        report = self.report
        self._scope.deadline = began + self.settings.total_seconds
        with self._scope:
            await learn(self._stage(None))
            await self._play_all()
        if self._scope.cancelled_caught and not report.stopped and not report.died_in:
            report.stopped = f"time is up ({self.settings.total_seconds:g} s)"
        reason = self._why_not_run()
        for case in report.cases:
            if case.id not in report.results:
                report.results[case.id] = _not_run(case, reason)
        report.seconds = trio.current_time() - began
        return report

    # The order.

    async def _play_all(self) -> None:
        cases = self.report.cases
        jobs = self.settings.jobs if self.report.profile.concurrent else 1
        limiter = trio.CapacityLimiter(jobs)
        async with trio.open_nursery() as nursery:
            for case in cases:
                if not case.alone:
                    await limiter.acquire_on_behalf_of(case)
                    nursery.start_soon(self._play_beside, case, limiter)
        for case in cases:
            first = self.report.results.get(case.id)
            if first is not None and first.verdict in _FOUND and self.settings.again:
                await self._play_again(case, first)
        for case in cases:
            if case.alone:
                await self._play_alone(case)

    async def _play_beside(self, case: Case, limiter: trio.CapacityLimiter) -> None:
        try:
            result = await self._play(case)
            self._keep(result)
            if result.verdict in _FOUND:
                await self._look(tuple(sorted({case.id, *self._running})))
        finally:
            limiter.release_on_behalf_of(case)

    async def _play_again(self, case: Case, first: Result) -> None:
        self._keep(milder(first, await self._play(case)))
        await self._look((case.id,))

    async def _play_alone(self, case: Case) -> None:
        result = await self._play(case)
        if not result.ran:
            self._keep(result)
            return
        if not await answers(self._stage(None)):
            said = "the server does not answer any more" + (
                f"; {result.said}" if result.said else ""
            )
            self._keep(attrs.evolve(result, verdict=Verdict.FAILED, said=said))
            self._dead((case.id,))
            return
        if result.verdict in _FOUND and self.settings.again:
            result = milder(result, await self._play(case))
        self._keep(result)

    async def _look(self, suspects: tuple[str, ...]) -> None:
        """Look whether the server lives."""
        if not await answers(self._stage(None)):
            self._dead(suspects)

    def _dead(self, suspects: tuple[str, ...]) -> None:
        if not self.report.died_in:
            self.report.died_in = suspects
        self._scope.cancel()

    def _why_not_run(self) -> str:
        report = self.report
        if report.died_in:
            return f"the server no longer answers, since {' or '.join(report.died_in)}"
        return report.stopped or "the run ended before it"

    # One case.

    def _stage(self, case: Case | None) -> Stage:
        word = f"{self._word}-{case.id.replace('.', '-')}" if case is not None else self._word
        return Stage(
            self._network,
            self._target,
            self.report.profile,
            case,
            patience=self.settings.patience,
            word=word,
            written=self.report.written,
        )

    async def _play(self, case: Case) -> Result:
        """Play a case; whatever it does, it comes to a result."""
        if WRITE in case.needs and not self._target.writes_many:
            async with self._write_lock:
                return await self._play_now(case)
        return await self._play_now(case)

    async def _play_now(self, case: Case) -> Result:
        stage = self._stage(case)
        limit = self.settings.patience * CASE_PATIENCES + (LONG_SECONDS if case.long else 0.0)
        began = trio.current_time()
        self._running.add(case.id)
        self._tell(case.id, None)
        ran, verdict, said = True, Verdict.OK, ""
        try:
            with trio.move_on_after(limit) as scope:
                try:
                    stage.check_needs()
                except Judged:
                    ran = False
                    raise
                said = await case.play(stage) or ""
            if scope.cancelled_caught:
                verdict, said = DEVIATION[case.level], f"did not come to an end within {limit:g} s"
        except Judged as judged:
            ran = ran and not isinstance(judged, Inapplicable)
            verdict = judged.verdict or DEVIATION[case.level]
            said = judged.said
        except OSError as failure:  # of a socket on this side
            verdict, ran = Verdict.INFORMATIONAL, False
            said = f"could not be tried from here: {failure.strerror or failure}"
        except Exception as bug:  # noqa: BLE001 - one case's mistake is not the end of the others
            verdict, ran = Verdict.INFORMATIONAL, False
            said = f"{OWN_MISTAKE}: {type(bug).__name__}: {bug}"
        finally:
            self._running.discard(case.id)
        return Result(
            case=case,
            verdict=verdict,
            said=said,
            ran=ran,
            seconds=trio.current_time() - began,
            evidence=tuple(stage.evidence.entries()),
        )

    def _keep(self, result: Result) -> None:
        self.report.results[result.case.id] = result
        self._tell(result.case.id, result)


def _tell_nobody(case_id: str, result: Result | None) -> None:
    del case_id, result


def _not_run(case: Case, reason: str) -> Result:
    return Result(case=case, verdict=Verdict.INFORMATIONAL, ran=False, said=f"not run: {reason}")


async def run_suite(
    network: Network,
    target: Target,
    cases: Sequence[Case],
    settings: Settings | None = None,
    *,
    tell: Tell | None = None,
) -> Report:
    """Run cases against a server and return the report.

    On real sockets `network` is a `snowowl.datagram.system.SystemNetwork`, which stays the caller's to
    close; on a simulated one, a `snowowl.testing.simnetwork.SimNetwork`.  `tell` is told of each case.
    Raises CannotRunError if the server is silent, or the file cannot be read.
    """
    return await Runner(network, target, cases, settings, tell=tell).run()


__all__ = ["CannotRunError", "Runner", "Settings", "choose", "run_suite"]
