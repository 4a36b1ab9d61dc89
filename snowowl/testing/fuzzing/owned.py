"""A server that a command starts: in a session of its own, restarted at will, gone at the end.

Whatever happens, cancellation included, `running` leaves no process of it.  It reads what the server
writes only to tell one death from another.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import trio

from snowowl.testing.fuzzing.processes import Usage, tree_of, usage_of
from snowowl.testing.fuzzing.said import Said
from snowowl.testing.fuzzing.target import UnstartableError

STOP_SECONDS: Final = 2.0
"""Between asking a server to end and making it."""

_ERROR: Final = re.compile(
    r"^(?P<python>[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|\.error))\b(?:: (?P<text>.*))?$"
    r"|^.*?(?P<other>panic|[Ss]egmentation fault|[Aa]ssert\w* .*failed|stack smashing|AddressSanitizer)",
)


def arguments(command: str, port: int) -> list[str]:
    """Split a command as a shell does, with the port in place of `{port}`.  Raises ValueError."""
    words = shlex.split(command)
    if not words:
        raise ValueError("the command is empty")
    if not any("{port}" in word for word in words):
        raise ValueError(
            "the command does not say {port}: the server must listen on the port of the URL"
        )
    return [word.replace("{port}", str(port)) for word in words]


@asynccontextmanager
async def running(
    words: Sequence[str], *, folder: Path | None = None, environment: dict[str, str] | None = None
) -> AsyncIterator[Owned]:
    """Have a server as long as the block lasts; it is started by its first `restart`."""
    failure: Exception | None = None
    with Said() as said:
        owned = Owned(words, said, folder, environment)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(said.run)
            try:
                yield owned
            except Exception as error:  # noqa: BLE001 - raised below: the nursery would wrap it
                failure = error
            finally:
                with trio.CancelScope(shield=True):
                    await owned.stop()
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


class Owned:
    """A `Target` that is started by a command."""

    can_restart = True

    def __init__(
        self,
        words: Sequence[str],
        said: Said,
        folder: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._words = list(words)
        self._said = said
        self._folder = folder
        self._environment = {**os.environ, **(environment or {})}
        self._process: trio.Process | None = None
        self.starts = 0

    async def restart(self) -> None:
        """Stop the server if it runs, and start it.  Raises `UnstartableError`."""
        await self.stop()
        self._said.clear()
        try:
            self._process = await trio.lowlevel.open_process(
                self._words,
                stdin=subprocess.DEVNULL,
                stdout=self._said.descriptor,
                stderr=self._said.descriptor,
                cwd=self._folder,
                start_new_session=True,
                env=self._environment,
            )
        except (OSError, ValueError) as error:
            raise UnstartableError(f"cannot start {self._words[0]}: {error}") from error
        self.starts += 1

    async def stop(self) -> None:
        """End the server and all that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        _signal(tree_of(process.pid) or [process.pid], signal.SIGTERM)
        with trio.move_on_after(STOP_SECONDS):
            await process.wait()
        while left := tree_of(process.pid):
            _signal(left, signal.SIGKILL)
            await trio.sleep(0.01)
        await process.wait()

    def death(self) -> str | None:
        """Return how the process ended, None if it did not."""
        if self._process is None:
            return "the server was not started"
        code = self._process.poll()
        if code is None:
            return None
        if code < 0:
            with suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        return f"exit status {code}"

    def complaint(self) -> str:
        """Return the last error that the server wrote since the last call, empty if none."""
        found = ""
        for line in self._said.take().decode("utf-8", "replace").splitlines():
            match = _ERROR.match(line.strip())
            if match is not None:
                found = match[0].strip()
        return found

    def last_words(self) -> str:
        """Return the last line that the server wrote."""
        lines = self._said.end().decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip()[:200] if lines else "it wrote nothing"

    async def usage(self) -> Usage | None:
        """Return what the server and its children use."""
        return None if self._process is None else usage_of(self._process.pid)


def shape_of(complaint: str) -> str:
    """Return what tells one complaint from another: the name of the exception, no data of it."""
    match = _ERROR.match(complaint)
    if match is None:
        return ""
    name = str(match["python"] or match["other"] or "")
    return name if name.endswith(".error") else name.rpartition(".")[2]


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
