"""Lets Hypothesis look for a script that fails, and shrink it.

Hypothesis is synchronous, so it has a thread of its own; each script is played in the Trio of the
caller, which the thread waits for.  The search ends when it is told to: by time, by the caller's
cancellation, or because the server does not come back.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import hypothesis
import trio
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.errors import Flaky, HypothesisWarning
from hypothesis.strategies import SearchStrategy

from snowowl.testing.fuzzing.finding import Finding
from snowowl.testing.fuzzing.script import Script
from snowowl.testing.fuzzing.target import UnstartableError
from snowowl.testing.fuzzing.trial import GoneError

ROUND_EXAMPLES: Final = 200
"""Scripts that one run of Hypothesis draws: it varies what it drew before, so a new run brings more that
is new; and it keeps all of them in memory."""


class _FoundError(Exception):
    """The script fails as the first one did."""


class _OverError(BaseException):
    """No more scripts: not an Exception, so that Hypothesis takes it for no failure."""


@attrs.frozen
class Failure:
    """A script that fails, the smallest that was seen."""

    script: Script
    finding: Finding
    first: Script
    """The one that failed first."""


Play = Callable[[Script, Finding | None], Awaitable[Finding | None]]
"""Plays a script; returns what is new of what is wrong, or the finding that it is asked for."""


@attrs.define
class Search:
    """One run of Hypothesis."""

    play: Play
    scripts: SearchStrategy[Script]
    seed: int
    examples: int
    shrink_seconds: float
    is_over: Callable[[], bool]
    """Whether to draw no more."""
    count: int = 0
    """Scripts that were drawn, up to the first that failed."""
    failure: Failure | None = None
    ended_by: GoneError | UnstartableError | None = None
    """What ended the search early: there is no server any more."""
    _shrink_until: float = 0.0

    async def run(self) -> Failure | None:
        """Return a script that fails, None if none did."""
        await trio.to_thread.run_sync(self._run)
        return self.failure

    def _run(self) -> None:
        @hypothesis.seed(self.seed)
        @settings(
            max_examples=max(1, self.examples),
            database=None,
            deadline=None,
            derandomize=False,
            report_multiple_bugs=False,
            verbosity=Verbosity.quiet,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(self.scripts)
        def play_one(script: Script) -> None:
            if trio.from_thread.run(self._one, script):
                raise _FoundError

        with warnings.catch_warnings(), contextlib.suppress(_FoundError, _OverError, Flaky):
            # That the strategy is large, which it says when it has found something.
            warnings.simplefilter("ignore", HypothesisWarning)
            play_one()

    async def _one(self, script: Script) -> bool:
        """Play a script; say whether it fails as the first did."""
        failure = self.failure
        over = self.is_over() if failure is None else trio.current_time() > self._shrink_until
        if over:
            raise _OverError
        try:
            finding = await self.play(script, None if failure is None else failure.finding)
        except (GoneError, UnstartableError) as error:
            self.ended_by = error
            raise _OverError from None
        if failure is None:
            self.count += 1
            if finding is not None:
                self.failure = Failure(script, finding, script)
                self._shrink_until = trio.current_time() + self.shrink_seconds
        elif finding is not None and script.weight < failure.script.weight:
            self.failure = attrs.evolve(failure, script=script, finding=finding)
        return finding is not None
