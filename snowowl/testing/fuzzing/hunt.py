"""The whole: draws scripts until time is up, makes what fails small, believes it only when it fails again.

Needs hypothesis (through `search`).  What it found is in `Result`; whoever shows progress gives `tell`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs
import trio

from snowowl.testing.fuzzing.finding import LESSER, Finding, Oracle
from snowowl.testing.fuzzing.generate import World, scripts
from snowowl.testing.fuzzing.processes import Usage
from snowowl.testing.fuzzing.reduce import reduced
from snowowl.testing.fuzzing.replay import STEPS_MAX
from snowowl.testing.fuzzing.script import Close, Script, Send, Step, Wait, made_harmless
from snowowl.testing.fuzzing.search import ROUND_EXAMPLES, Failure, Search
from snowowl.testing.fuzzing.target import UnstartableError
from snowowl.testing.fuzzing.trial import GoneError, Trial, growth

CONFIRM_TIMES: Final = 3
"""Times that a small script is played again, more calmly, each time on a fresh server if there is one."""

CONFIRM_MIN: Final = 2
"""Of these, for what a timer or a busy machine could explain."""

REDUCE_ATTEMPTS: Final = 150

WARM_UP_SCRIPTS: Final = 20
"""Scripts after which a server has its caches and pools: what it uses then is what it is compared with."""

USAGE_SCRIPTS: Final = 100
"""Scripts between two looks at what the server uses."""

SETTLE_SECONDS: Final = 30.0
"""For transfers that were left alone to time out, when it looks as if something grew."""

LEAK_REPEATS: Final = 8
"""Times that a script is played that is suspected to leave something behind."""

SUSPECTS_MAX: Final = 5

DISMISSALS_MAX: Final = 3
"""Times that one suspicion may come to nothing before it is left alone."""

_ORDER: Final = tuple(Oracle)
"""The worst first."""

_CERTAIN: Final = frozenset({Oracle.CRASH, Oracle.LEAK, Oracle.PATHS})
"""What was seen once is true, if it can be shown again or not."""

_BY_HISTORY: Final = frozenset({Oracle.CRASH, Oracle.HANG})
"""What earlier scripts may have prepared."""


@attrs.frozen(kw_only=True)
class Plan:
    """How long, and how thoroughly."""

    seconds: float | None = 60.0
    examples: int | None = None
    seed: int = 0
    keep_going: bool = False
    shrink_seconds: float = 15.0
    """For Hypothesis, and as long again for `reduce`, for each finding."""


@attrs.frozen(kw_only=True)
class Found:
    """A finding, and the smallest script that shows it."""

    finding: Finding
    script: Script
    confirmed: int
    """Of `CONFIRM_TIMES` times that it was played again."""
    at_script: int
    """Scripts that were played before it was found."""
    after_seconds: float
    unfinished: bool = False
    """It was interrupted before it was made small and played again."""


@attrs.define
class Result:
    """What came of a hunt."""

    seed: int
    scripts: int = 0
    datagrams: int = 0
    seconds: float = 0.0
    restarts: int = 0
    found: list[Found] = attrs.field(factory=list)
    dismissed: int = 0
    """Suspicions that were not seen again, and that time alone explains."""
    gone: str = ""
    """Why the server could not be tested any further, empty if it could."""
    bystands: bool = False
    """Whether a valid transfer ran beside each script."""
    watches_usage: bool = False
    """Whether it was known what the server uses."""


Tell = Callable[[Result, str], None]
"""Is told how it stands, and what is being done."""


class Hunt:
    """One run against one server."""

    def __init__(self, trial: Trial, plan: Plan, tell: Tell | None = None) -> None:
        self.result = Result(plan.seed)
        self._trial = trial
        self._plan = plan
        self._tell = tell or (lambda _result, _stage: None)
        self._stage = "starting"
        self._known: set[tuple[str, str, str]] = set()
        self._dismissed: dict[tuple[str, str, str], int] = {}
        self._history: list[Script] = []
        self._began = 0.0
        self._found_after = 0.0
        self._before: Usage | None = None
        self._before_restarts = 0
        self._since_usage = 0
        self._recent: list[Script] = []
        conditions = trial.conditions
        secrets = tuple(secret.path for secret in conditions.secrets)
        self._scripts = scripts(World(conditions.read, conditions.write, secrets))

    async def run(self) -> Result:
        """Hunt until time is up, or until something is found unless it is to go on.

        Raises `UnstartableError` or `GoneError` if the server is not well at the beginning.
        """
        self._began = trio.current_time()
        await self._trial.prepare()
        self.result.bystands = self._trial.bystands
        self.result.watches_usage = await self._trial.target.usage() is not None
        try:
            await self._rounds()
        except (GoneError, UnstartableError) as error:
            self.result.gone = str(error)
        finally:
            self._count()
        return self.result

    async def _rounds(self) -> None:
        plan, number = self._plan, 0
        while not self._is_over() and not self._should_stop():
            self._stage = "searching"
            left = ROUND_EXAMPLES if plan.examples is None else plan.examples - self.result.scripts
            search = Search(
                play=self._play,
                scripts=self._scripts,
                seed=plan.seed * 1_000_003 + number,
                examples=min(ROUND_EXAMPLES, left),
                shrink_seconds=plan.shrink_seconds,
                is_over=self._is_over,
            )
            number += 1
            try:
                failure = await search.run()
            except trio.Cancelled:
                if search.failure is not None:  # who interrupts a search wants what it has found
                    self._note(attrs.evolve(self._seen(search.failure), unfinished=True))
                raise
            self._trial.hurries = False
            if failure is not None:
                await self._take(failure, search.ended_by)
            if search.ended_by is not None:
                raise search.ended_by
            if not self._should_stop():
                await self._look_at_usage()
            if search.count == 0:
                return

    def _is_over(self) -> bool:
        plan = self._plan
        if plan.examples is not None and self.result.scripts >= plan.examples:
            return True
        return plan.seconds is not None and trio.current_time() - self._began >= plan.seconds

    def _should_stop(self) -> bool:
        return not self._plan.keep_going and any(
            found.finding.oracle not in LESSER for found in self.result.found
        )

    def _count(self) -> None:
        result = self.result
        result.datagrams = self._trial.pace.datagrams
        result.seconds = trio.current_time() - self._began
        result.restarts = max(0, self._trial.restarts - 1)
        self._tell(result, self._stage)

    async def _play(self, script: Script, wanted: Finding | None) -> Finding | None:
        """Play a script of the search; return what is new of what is wrong with it, the worst first.

        While a finding is made smaller, it alone is `wanted`.
        """
        if wanted is not None:
            self._stage = "making it smaller"
            self._trial.hurries = _can_hurry(wanted)
            found = await self._trial.play(script)
            self._count()
            return next((finding for finding in found if finding.key == wanted.key), None)
        if self._since_usage >= USAGE_SCRIPTS:
            await self._look_at_usage()
        found = await self._trial.play(script)
        self.result.scripts += 1
        self._recent.append(script)
        self._since_usage += 1
        if self._since_usage == WARM_UP_SCRIPTS and self._before is None:
            self._before, self._before_restarts = (
                await self._trial.target.usage(),
                self._trial.restarts,
            )
        self._count()
        new = [finding for finding in found if finding.key not in self._known]
        if not new:
            return None
        self._history = list(self._trial.history)
        self._found_after = trio.current_time() - self._began
        return min(new, key=lambda finding: _ORDER.index(finding.oracle))

    # What failed.

    async def _take(self, failure: Failure, ended_by: Exception | None) -> None:
        """Make a failure as small as can be, see whether it happens again, and note it."""
        found = self._seen(failure)
        if ended_by is None:
            try:
                found = await self._confirmed(found, failure)
            except (GoneError, UnstartableError, trio.Cancelled):
                self._note(attrs.evolve(found, unfinished=True))
                raise
        key, oracle = found.finding.key, found.finding.oracle
        if found.confirmed >= CONFIRM_MIN or oracle in _CERTAIN or ended_by is not None:
            self._note(found)
            return
        # A busy machine or a timer explains it.
        self.result.dismissed += 1
        self._dismissed[key] = self._dismissed.get(key, 0) + 1
        if self._dismissed[key] == DISMISSALS_MAX:
            self._known.add(key)

    def _seen(self, failure: Failure) -> Found:
        return Found(
            finding=failure.finding,
            script=failure.script,
            confirmed=0,
            at_script=self.result.scripts,
            after_seconds=self._found_after,
        )

    async def _confirmed(self, found: Found, failure: Failure) -> Found:
        small = await self._smaller(found.script, found.finding)
        for script in dict.fromkeys((small, failure.script, failure.first)):
            self._say("playing it again")
            confirmed = await self._again(script, found.finding)
            if confirmed > found.confirmed:
                found = attrs.evolve(found, script=script, confirmed=confirmed)
            if confirmed == CONFIRM_TIMES:
                return found
        if not found.confirmed and found.finding.oracle in _BY_HISTORY and len(self._history) > 1:
            joined = _joined(self._history)
            if await self._again(joined, found.finding, times=1):
                small = await self._smaller(joined, found.finding)
                confirmed = await self._again(small, found.finding)
                found = attrs.evolve(found, script=small, confirmed=confirmed)
        return found

    async def _smaller(self, script: Script, finding: Finding) -> Script:
        async def fails(candidate: Script) -> bool:
            return await self._trial.shows(candidate, finding, calm=False, clean=False)

        self._say("making it smaller")
        self._trial.hurries = _can_hurry(finding)
        try:
            return await reduced(
                self._normal(script),
                fails,
                attempts=REDUCE_ATTEMPTS,
                seconds=self._plan.shrink_seconds
                * (4 if finding.oracle is Oracle.EXHAUSTION else 1),
            )
        finally:
            self._trial.hurries = False

    async def _again(self, script: Script, finding: Finding, times: int = CONFIRM_TIMES) -> int:
        """Play a script some times, calmly, on a fresh server if there is one; return how often it fails."""
        count = 0
        for _ in range(times):
            count += await self._trial.shows(script, finding, calm=True, clean=True)
            self._count()
        return count

    def _normal(self, script: Script) -> Script:
        """Return a script that says what is really sent."""
        write = self._trial.conditions.write
        steps = (
            attrs.evolve(step, octets=made_harmless(step.octets, write))
            if isinstance(step, Send)
            else step
            for step in script.steps
        )
        return attrs.evolve(script, steps=tuple(steps))

    def _note(self, found: Found) -> None:
        self._known.add(found.finding.key)
        self.result.found.append(attrs.evolve(found, script=self._normal(found.script)))
        self._count()

    def _say(self, stage: str) -> None:
        self._stage = stage
        self._tell(self.result, stage)

    # What grows.

    async def _look_at_usage(self) -> None:
        """Compare what the server uses with what it used at the start, and look for who is to blame."""
        recent, self._recent, self._since_usage = self._recent, [], WARM_UP_SCRIPTS
        before = self._before
        trial = self._trial
        if before is None or trial.restarts != self._before_restarts:
            self._before, self._since_usage = None, 0  # it is a fresh one: it must get warm first
            return
        if Oracle.EXHAUSTION not in trial.conditions.oracles:
            return
        if (usage := await trial.target.usage()) is None or not growth(before, usage):
            return
        self._say("waiting for what is left to end")
        await trial.settle(before, seconds=SETTLE_SECONDS)
        usage = await trial.target.usage()
        new = [] if usage is None else growth(before, usage)
        for finding in new:
            if finding.key not in self._known:
                await self._blame(finding, recent)

    async def _blame(self, finding: Finding, recent: list[Script]) -> None:
        """Find a script that leaves something behind each time; note the finding with it, or with all."""
        found = Found(
            finding=finding,
            script=_joined(recent),
            confirmed=0,
            at_script=self.result.scripts,
            after_seconds=trio.current_time() - self._began,
        )
        self._say("looking for what makes it grow")
        for script in await self._suspects(finding, recent):
            suspect = attrs.evolve(script, repeats=LEAK_REPEATS)
            if await self._trial.grows(suspect, finding):
                small = await self._smaller(suspect, finding)
                confirmed = await self._again(small, finding)
                found = attrs.evolve(found, script=small, confirmed=confirmed)
                break
        self._note(found)
        self._before, self._since_usage = None, 0

    async def _suspects(self, finding: Finding, recent: list[Script]) -> list[Script]:
        """Return the scripts after which the server used more than before, those with most first."""
        trial = self._trial
        left: list[tuple[int, int]] = []
        for index, script in enumerate(recent):
            before = await trial.target.usage()
            await trial.play(script)
            after = await trial.target.usage()
            self._count()
            if before is not None and after is not None:
                left.append((_amount(after, finding) - _amount(before, finding), -index))
        left.sort(reverse=True)
        return [recent[-index] for more, index in left[:SUSPECTS_MAX] if more > 0]


def _amount(usage: Usage, finding: Finding) -> int:
    amounts = {"descriptors": usage.descriptors, "processes": usage.processes}
    return amounts.get(finding.rule, usage.memory)


def _can_hurry(finding: Finding) -> bool:
    return finding.key[:2] == (Oracle.HANG.value, "silent")


def _joined(history: Sequence[Script]) -> Script:
    """Return several scripts as one; each begins with ports of its own."""
    steps: list[Step] = []
    for script in history:
        peers = {step.peer for step in steps if not isinstance(step, Wait)}
        steps += [Close(peer) for peer in sorted(peers)] if steps else []
        steps += script.steps
    return Script(tuple(steps[-STEPS_MAX:]))
