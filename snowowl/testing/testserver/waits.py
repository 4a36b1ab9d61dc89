"""What tests ask of a server's records: was it asked for this, and wait until it was.

`Waits` blocks the thread that calls it; `TrioWaits` are the same for a task of Trio.  All of them
look at everything since the server started, or since `clear`: what has happened need not be waited
for.  Time is the real one, also under a `MockClock`: the board that is waited for has no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

import trio

from snowowl.observe.events import Direction
from snowowl.testing.testserver import explain
from snowowl.testing.testserver.explain import Until
from snowowl.testing.testserver.files import ServedFiles
from snowowl.testing.testserver.records import Records, Stop, Transfer

TIMEOUT_SECONDS: Final = 10.0
"""Enough for a client on the same machine; a board needs the time of its whole boot."""

Result = TypeVar("Result")


class Waits:
    """Assertions about what a server was asked for.  They raise AssertionError that tells all of it.

    Names are relative to the root, and may be patterns of shells: ``pxelinux.cfg/*``.
    """

    def __init__(self, records: Records, files: ServedFiles) -> None:
        self.records = records
        self.files = files
        """What is served, to be changed at any time: a dictionary of names and octets."""

    @property
    def address(self) -> str:
        """Where the server listens."""
        raise NotImplementedError

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """All requests, in the order in which they came, with what has come of them so far."""
        return self.records.transfers()

    @property
    def requested(self) -> list[str]:
        """The names that were asked for by RRQs, in that order, each as often as it was."""
        return [each.name for each in self.transfers if each.direction is Direction.READ]

    def clear(self) -> None:
        """Forget what was asked for, as before the next boot; what still runs is forgotten, too."""
        self.records.forget()

    def log(self) -> str:
        """Return all that the server had to say, a line for each event."""
        return self.records.log()

    # Assertions.

    def assert_requested(self, *names: str) -> None:
        """Assert that these files were asked for by RRQs, in this order; others may lie between."""
        __tracebackhide__ = True
        found_or_fail(self._look_now(names, Direction.READ, "requested"))

    def assert_complete(self, *names: str) -> None:
        """Assert that these files were fetched completely, in this order; see `Transfer.complete`."""
        __tracebackhide__ = True
        found_or_fail(self._look_now(names, Direction.READ, "complete"))

    def assert_not_requested(self, *names: str) -> None:
        """Assert that none of these was asked for, neither to read nor to write.

        Without a name: that nothing was.  What comes later is not waited for: see
        `wait_until_quiet`.
        """
        __tracebackhide__ = True
        unwanted = explain.unwanted(self.transfers, names or ("*",))
        found_or_fail(None if unwanted is None else self._with_all(unwanted))

    def uploaded(self, name: str) -> bytes:
        """Return the octets of a file that a client has uploaded completely; assert that one has."""
        __tracebackhide__ = True
        found = found_or_fail(self._look_now((name,), Direction.WRITE, "complete"))
        return self.files[found[-1].name]

    def _look_now(
        self, names: Sequence[str], direction: Direction, until: Until
    ) -> list[Transfer] | str:
        found = explain.in_order(self.transfers, names, direction, until)
        if len(found) < len(names):
            return self._missing(names, direction, until, None)
        return found

    # Waits.

    def wait_for(
        self, name: str, *, timeout: float = TIMEOUT_SECONDS, until: Until = "complete"
    ) -> Transfer:
        """Wait until a file was fetched completely; `until` it was "requested", or has "ended" anyhow.

        Returns the transfer.  Raises AssertionError after `timeout` seconds, which tells what was
        asked for instead; ServerFailedError if the server ends.
        """
        __tracebackhide__ = True
        return found_or_fail(self.look_for((name,), Direction.READ, until, timeout, Stop()))[0]

    def wait_for_all(
        self, *names: str, timeout: float = TIMEOUT_SECONDS, until: Until = "complete"
    ) -> tuple[Transfer, ...]:
        """Wait until all of these files were fetched, asked for in this order; as `wait_for`.

        Others may lie between them.  `timeout` is for all together.
        """
        __tracebackhide__ = True
        return found_or_fail(self.look_for(names, Direction.READ, until, timeout, Stop()))

    def wait_for_upload(self, name: str, *, timeout: float = TIMEOUT_SECONDS) -> bytes:
        """Wait until a client has uploaded a file completely; return its octets.  As `wait_for`."""
        __tracebackhide__ = True
        found = self.look_for((name,), Direction.WRITE, "complete", timeout, Stop())
        return self.files[found_or_fail(found)[0].name]

    def wait_until_quiet(self, seconds: float = 1.0, *, timeout: float = 60.0) -> None:
        """Wait until no transfer runs and nothing has come for so many seconds; as `wait_for`."""
        __tracebackhide__ = True
        found_or_fail(self.look_for_quiet(seconds, timeout, Stop()))

    # What both kinds of waits are made of.  They block; a str is why nothing was found.

    def look_for(
        self, names: Sequence[str], direction: Direction, until: Until, timeout: float, stop: Stop
    ) -> tuple[Transfer, ...] | str:
        """Return transfers in this order as soon as there are, or why there are not; BLOCKS.

        Raises ValueError for what is no `Until`, and for a `timeout` of NaN.
        """
        explain.check_until(until)

        def look() -> tuple[Transfer, ...] | None:
            found = explain.in_order(self.transfers, names, direction, until)
            return tuple(found) if len(found) == len(names) else None

        found = self.records.wait(look, timeout, stop)
        return self._missing(names, direction, until, timeout) if found is None else found

    def look_for_quiet(self, seconds: float, timeout: float, stop: Stop) -> tuple[()] | str:
        """Return when it is quiet, or why it is not; BLOCKS."""
        if self.records.wait_quiet(seconds, timeout, stop):
            return ()
        return self._with_all(f"It was not quiet for {seconds:g} s within {timeout:g} s.")

    def _missing(
        self, names: Sequence[str], direction: Direction, until: Until, within: float | None
    ) -> str:
        message = explain.missing(
            self.transfers, names, direction, until, within=within, files=self.files
        )
        return self._with_all(message)

    def _with_all(self, message: str) -> str:
        lines = explain.listing(self.transfers, self.address, self.records.noise())
        return "\n".join([message, *lines])


class TrioWaits:
    """The waits of a server for a task of Trio: they can be cancelled, and hold up no other task.

    Each is in a thread while it waits, which ends at once when nobody waits for it any more.  Their
    `timeout` is one of real time, and tells what was asked for instead.
    """

    def __init__(self, waits: Waits) -> None:
        self._waits = waits

    async def wait_for(
        self,
        name: str,
        *,
        timeout: float = TIMEOUT_SECONDS,  # noqa: ASYNC109 - as the class says
        until: Until = "complete",
    ) -> Transfer:
        """Do as `Waits.wait_for`."""
        __tracebackhide__ = True
        look = partial(self._waits.look_for, (name,), Direction.READ, until, timeout)
        return found_or_fail(await self._run(look))[0]

    async def wait_for_all(
        self,
        *names: str,
        timeout: float = TIMEOUT_SECONDS,  # noqa: ASYNC109 - as the class says
        until: Until = "complete",
    ) -> tuple[Transfer, ...]:
        """Do as `Waits.wait_for_all`."""
        __tracebackhide__ = True
        look = partial(self._waits.look_for, names, Direction.READ, until, timeout)
        return found_or_fail(await self._run(look))

    async def wait_for_upload(
        self,
        name: str,
        *,
        timeout: float = TIMEOUT_SECONDS,  # noqa: ASYNC109 - as the class says
    ) -> bytes:
        """Do as `Waits.wait_for_upload`."""
        __tracebackhide__ = True
        look = partial(self._waits.look_for, (name,), Direction.WRITE, "complete", timeout)
        upload = found_or_fail(await self._run(look))[0]
        return await trio.to_thread.run_sync(self._waits.files.__getitem__, upload.name)

    async def wait_until_quiet(
        self,
        seconds: float = 1.0,
        *,
        timeout: float = 60.0,  # noqa: ASYNC109 - as the class says
    ) -> None:
        """Do as `Waits.wait_until_quiet`."""
        __tracebackhide__ = True
        found_or_fail(await self._run(partial(self._waits.look_for_quiet, seconds, timeout)))

    async def _run(self, look: Callable[[Stop], Result]) -> Result:
        stop = Stop()
        try:
            return await trio.to_thread.run_sync(look, stop, abandon_on_cancel=True)
        finally:
            self._waits.records.stop(stop)


def found_or_fail(found: Result | str) -> Result:
    """Return what was found; raise AssertionError if it is a message instead."""
    __tracebackhide__ = True
    if isinstance(found, str):
        raise AssertionError(found)  # noqa: TRY004 - it is no wrong type, it is the message
    return found
