"""One script against one server, judged by every oracle.

A trial begins with a server that is well and ends with the question whether it still is.  It is here
that a finding is played again until it is believed; what to play next is the business of `hunt`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Final

import attrs
import trio

from snowowl.datagram.interface import Network
from snowowl.testing.fuzzing import leaks, rules
from snowowl.testing.fuzzing.canary import Canary, Health, Transfer
from snowowl.testing.fuzzing.finding import Finding, Oracle
from snowowl.testing.fuzzing.leaks import Secret
from snowowl.testing.fuzzing.owned import shape_of
from snowowl.testing.fuzzing.player import Pace, Player, Timing
from snowowl.testing.fuzzing.processes import Usage
from snowowl.testing.fuzzing.script import GOOD, Script
from snowowl.testing.fuzzing.target import Target, UnstartableError

CALM: Final = 4.0
"""How much more patience a finding is played again with."""

BASELINE_ASKS: Final = 5

PATIENCE: Final = (0.008, 0.04)
"""Bounds in seconds of the wait for an answer that may not come, eight good answers long: most of the
time of a hunt is spent in it, and what comes later is still heard, if not at its place."""

HURRY_SECONDS: Final = 0.4
"""While a hang is made smaller, a server that is silent for so long, and for fifty good answers, hangs."""

DYING_SECONDS: Final = 0.5
"""How long a process may take to end after its port was closed: it unwinds, and writes its traceback."""

HISTORY_MAX: Final = 64
"""Scripts since the server was started, to be played again where the last one alone shows nothing."""

GROWS_SECONDS: Final = 2.0
"""For what a suspected script leaves behind to end by itself; whoever runs a hunt is sure by then."""

DESCRIPTORS_MAX: Final = 24
PROCESSES_MAX: Final = 12
MEMORY_MAX: Final = 48 << 20
"""What a server may have more than at its start once it is left alone: more than caches and pools of the
servers that were tried take, and less than a thousand leaks of one descriptor."""


@attrs.frozen(kw_only=True)
class Conditions:
    """What is known of the server, and what is to be looked at."""

    oracles: frozenset[Oracle] = frozenset(Oracle)
    read: bytes | None = None
    write: bytes | None = None
    secrets: tuple[Secret, ...] = ()
    timeout_seconds: float = 2.0
    """A good request is to be answered within it."""
    wait_seconds: float = 10.0
    """For a server to start, or to come back."""
    rate: float | None = None
    seed: int = 0


class GoneError(Exception):
    """The server is not well, and does not come back."""


class Trial:
    """Plays scripts against one server."""

    def __init__(
        self, network: Network, server: bytes, target: Target, conditions: Conditions
    ) -> None:
        self.conditions = conditions
        self.target = target
        self.pace = Pace(conditions.rate)
        self.history: list[Script] = []
        self.restarts = 0
        self.hurries = False
        """Whether a hang is known already, and to be seen sooner."""
        self.bystands = False
        """Whether a valid transfer runs beside each script."""
        self.played: Callable[[Script, list[Finding]], None] | None = None
        """Is told of each script and what it showed."""
        self._network = network
        self._server = server
        self._canary = Canary(network, server, conditions.read, conditions.seed)
        self._player = Player(network, server, self.pace, conditions.write)
        self._timing = Timing()
        self._usual_seconds = 0.0
        self._well = False

    async def prepare(self) -> None:
        """Have a server that is well, and learn how quick it is.

        Raises `UnstartableError` or `GoneError`.
        """
        await self.renew()
        conditions = self.conditions
        if conditions.read is not None:
            problem = await self._canary.learn(conditions.timeout_seconds)
            if problem:
                raise GoneError(f"cannot read the file that --read names: {problem}")
        asked = [await self._canary.ask(conditions.timeout_seconds) for _ in range(BASELINE_ASKS)]
        wrong = [health.problem for health in asked if not health.is_well]
        if wrong:
            raise GoneError(f"a good request is not answered reliably: {wrong[0]}")
        self._usual_seconds = statistics.median(health.seconds for health in asked)
        least, most = PATIENCE
        patience = min(most, max(least, 8 * self._usual_seconds))
        self._timing = Timing(patience, patience / 8)
        if conditions.read is not None and Oracle.BYSTANDER in conditions.oracles:
            self.bystands = await self._serves_two(conditions.read)

    async def _serves_two(self, read: bytes) -> bool:
        """Say whether the server answers one while another reads: else nobody can stand by."""
        async with Transfer(self._network, self._server, read) as transfer:
            await transfer.begin(self.conditions.timeout_seconds)
            health = await self._canary.ask(self.conditions.timeout_seconds)
        return not transfer.problem and health.is_well

    async def renew(self) -> None:
        """Have a server that is well: a fresh one if it can be restarted.

        Raises `UnstartableError` or `GoneError`.
        """
        self.history.clear()
        self._well = False
        self.restarts += 1
        until = trio.current_time() + self.conditions.wait_seconds
        if self.target.can_restart:
            await self.target.restart()
        while True:
            left = until - trio.current_time()
            health = await self._canary.ask(min(0.25, max(0.05, left)))
            if health.is_well:
                break
            death = self.target.death() if self.target.can_restart else None
            if death is not None:
                words = getattr(self.target, "last_words", str)()
                raise UnstartableError(f"the server does not start: {death}: {words}")
            if trio.current_time() >= until:
                said = f"no good answer within {self.conditions.wait_seconds:g} s"
                hint = "" if self.target.can_restart else "; start it, or say how by --command"
                raise GoneError(f"{said}: {health.problem}{hint}")
            if not self.target.can_restart:
                await self.target.restart()
            elif health.closed:
                await trio.sleep(0.02)
        self.target.complaint()
        self._well = True

    async def play(self, script: Script, *, calm: bool = False) -> list[Finding]:
        """Play a script, on the server as it is if it is well; return all that is wrong."""
        if not self._well:
            await self.renew()
        self.history = [*self.history[1 - HISTORY_MAX :], script]
        timing = self._timing.calmer(CALM) if calm else self._timing
        found: dict[Finding, None] = {}
        if self.bystands:
            async with Transfer(self._network, self._server, self._canary.name) as transfer:
                await transfer.begin(self.conditions.timeout_seconds)
                await self._play(script, timing, transfer.tid, found)
                begun = not transfer.problem
                if begun:
                    await transfer.go_on(self._bound())
            health = await self._health(found)
            if begun and health.is_well:
                found.update(dict.fromkeys(self._harm(transfer)))
        else:
            await self._play(script, timing, None, found)
            await self._health(found)
        findings = [finding for finding in found if finding.oracle in self.conditions.oracles]
        if self.played is not None:
            self.played(script, findings)
        return findings

    async def _play(
        self, script: Script, timing: Timing, tid: bytes | None, found: dict[Finding, None]
    ) -> None:
        for _ in range(script.repeats):
            trace = await self._player.play(script, timing, {GOOD: tid})
            found.update(dict.fromkeys(rules.judge(trace)))
            public = self._canary.content or b""
            found.update(dict.fromkeys(leaks.judge(trace, self.conditions.secrets, public)))
            if self.target.death() is not None or trace.listening_closed:
                return

    def _harm(self, transfer: Transfer) -> list[Finding]:
        """Return what became of a valid transfer that nobody had a right to touch."""
        if transfer.problem:
            said = f"a valid transfer of another peer ended: {transfer.problem}"
            return [Finding(Oracle.BYSTANDER, "transfer-ended", said)]
        content = self._canary.content or b""
        if transfer.content != content[: len(transfer.content)] or (
            transfer.done and len(transfer.content) != len(content)
        ):
            said = f"a valid transfer of another peer brought other octets: {len(transfer.content)}"
            return [Finding(Oracle.BYSTANDER, "wrong-content", f"{said} of {len(content)}")]
        return []

    def _bound(self) -> float:
        if self.hurries:
            return min(
                self.conditions.timeout_seconds, max(HURRY_SECONDS, 50 * self._usual_seconds)
            )
        return self.conditions.timeout_seconds

    async def _health(self, found: dict[Finding, None]) -> Health:
        """Ask whether the server is well; note it if it is not."""
        bound = self._bound()
        health = await self._canary.ask(bound)
        death = await self._death(closed=health.closed)
        if health.is_well and death is None:
            return health
        self._well = False
        complaint = self.target.complaint()
        shape, said = shape_of(complaint), f" ({complaint})" if complaint else ""
        if death is not None or health.closed:
            rule = "died" if death is not None else "port-closed"
            found[Finding(Oracle.CRASH, rule, f"{death or health.problem}{said}", shape)] = None
        elif health.problem != "no answer":
            text = f"a good request brings {health.problem}{said}"
            found[Finding(Oracle.HANG, "wrong-answer", text, shape)] = None
        elif self.hurries:
            found[
                Finding(Oracle.HANG, "silent", f"no answer within {bound:.1f} s{said}", shape)
            ] = None
        else:
            found[await self._silence(bound, shape, said)] = None
        return attrs.evolve(health, problem=health.problem or "the server died")

    async def _death(self, *, closed: bool) -> str | None:
        """Return how the server died; its port is closed a moment before its process has ended."""
        death = self.target.death()
        if death is None and closed:
            with trio.move_on_after(DYING_SECONDS):
                while death is None:
                    await trio.sleep(DYING_SECONDS / 20)
                    death = self.target.death()
        return death

    async def _silence(self, bound: float, shape: str, said: str) -> Finding:
        """Return whether the server is silent for good, or only for long."""
        later = await self._canary.ask(bound)
        if later.is_well:
            self._well = True
            text = f"a good request was answered after {bound + later.seconds:.1f} s,"
            text += f" not {self._usual_seconds * 1000:.1f} ms as before{said}"
            return Finding(Oracle.HANG, "late", text, shape)
        text = f"a good request is not answered within {2 * bound:.1f} s,"
        text += f" though the port is open{said}"
        return Finding(Oracle.HANG, "silent", text, shape)

    async def shows(self, script: Script, finding: Finding, *, calm: bool, clean: bool) -> bool:
        """Say whether a script shows a finding, on a fresh server if `clean` and that can be had."""
        if finding.oracle is Oracle.EXHAUSTION:
            return await self.grows(script, finding)
        if clean and self.target.can_restart:
            await self.renew()
        found = await self.play(script, calm=calm)
        return any(each.key == finding.key for each in found)

    async def grows(self, script: Script, finding: Finding) -> bool:
        """Say whether a script, played as often as it says, leaves that much behind it."""
        await self.renew()
        before = await self.target.usage()
        await self.play(script)
        if not self._well or before is None:
            return False
        await self.settle(before, repeats=script.repeats, seconds=GROWS_SECONDS)
        after = await self.target.usage()
        return after is not None and any(
            grown.rule == finding.rule for grown in growth(before, after, script.repeats)
        )

    async def settle(self, before: Usage, *, repeats: int | None = None, seconds: float) -> None:
        """Wait until the server uses no more than before, as long as that takes, within bounds."""
        until = trio.current_time() + seconds
        while trio.current_time() < until:
            usage = await self.target.usage()
            if usage is None or not growth(before, usage, repeats):
                return
            await trio.sleep(0.2)


def growth(before: Usage, after: Usage, repeats: int | None = None) -> list[Finding]:
    """Return what a server uses more than it may.

    With `repeats`, of a script that is suspected: more than every second time something was left.
    """
    found = []
    bounds = (
        ("descriptors", before.descriptors, after.descriptors, DESCRIPTORS_MAX),
        ("processes", before.processes, after.processes, PROCESSES_MAX),
        ("memory", before.memory, after.memory, MEMORY_MAX),
    )
    for name, then, now, bound in bounds:
        allowed = bound
        if repeats is not None:
            allowed = bound * repeats // 1000 if name == "memory" else repeats // 2
        if now - then > allowed:
            said = f"{name}: {_amount(name, then)} at the start, {_amount(name, now)} after it was left alone"
            found.append(Finding(Oracle.EXHAUSTION, name, said))
    return found


def _amount(name: str, value: int) -> str:
    return f"{value / (1 << 20):.1f} MiB" if name == "memory" else str(value)
