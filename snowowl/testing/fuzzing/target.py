"""The server under test, apart from its packets: whether it lives, what it uses, how it is started.

`Target` is what a hunt asks for; tests give one that lives in the same process.  `Foreign` is a server
that others run, `owned.Owned` one that is started by a command.
"""

from __future__ import annotations

from typing import Final, Protocol

import attrs
import trio

from snowowl.testing.fuzzing.processes import Usage, usage_of

REVIVED_POLL_SECONDS: Final = 0.25


class UnstartableError(Exception):
    """The server does not run, and cannot be made to; the text says what to do."""


class Target(Protocol):
    """A server."""

    @property
    def can_restart(self) -> bool:
        """Whether `restart` gives a server that knows nothing of what was sent before."""

    async def restart(self) -> None:
        """Have a fresh server, as far as that can be had.  Raises `UnstartableError`."""

    def death(self) -> str | None:
        """Return how the server died, None if it lives or nobody knows."""

    def complaint(self) -> str:
        """Return the last error that the server wrote since the last call, empty if none."""

    async def usage(self) -> Usage | None:
        """Return what the server uses of the machine, None if nobody knows."""


@attrs.define
class Foreign:
    """A server that is run by others, perhaps by a process that is known."""

    pid: int | None = None
    can_restart: bool = False

    async def restart(self) -> None:
        """Wait a little: whoever watches over the server starts it again."""
        await trio.sleep(REVIVED_POLL_SECONDS)

    def death(self) -> str | None:
        """Return that the process is gone, if it is."""
        if self.pid is None or usage_of(self.pid) is not None:
            return None
        return f"process {self.pid} is gone"

    def complaint(self) -> str:
        """Return nothing: its log is not ours."""
        return ""

    async def usage(self) -> Usage | None:
        """Return what the process and its children use."""
        return None if self.pid is None else usage_of(self.pid)
