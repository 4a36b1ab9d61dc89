"""Writes lines to a file descriptor without ever holding up the event loop.

A terminal that is stopped, a pipe that nobody reads, a full disk: lines wait, a bounded number of
them, then they are dropped and counted.  Nothing else notices.
"""

from __future__ import annotations

import os
import select
import stat
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

LINES_MAX: Final = 10_000
"""Lines that wait for a slow reader: some MB, and minutes of a busy lab."""

PIPE_WRITE_MAX: Final = select.PIPE_BUF if hasattr(select, "PIPE_BUF") else 512
"""Octets that a pipe or terminal takes at once when it says that it is writable (POSIX)."""

FILE_WRITE_MAX: Final = 64 * 1024
"""Octets written to a file in one trip to a thread, as a disk may make it wait."""

FLUSH_SECONDS: Final = 1.0
"""At the end, for the lines that still wait."""


class LineWriter:
    """Takes lines at once, writes them when it can.  Run `run` in a nursery."""

    def __init__(self, fd: int) -> None:
        self.dropped = 0
        """Lines that were lost, and not told of yet."""
        self._fd = fd
        self.dropped_line: Callable[[int], str] = "{} log lines were lost: nobody read them".format
        """Makes the line that tells of them."""
        self._regular = stat.S_ISREG(os.fstat(fd).st_mode)
        self._lines: deque[bytes] = deque()
        self._arrived = trio.Event()
        self._closed = False

    def write(self, line: str) -> None:
        """Take a line, without its end.  Never blocks; drops it if too many wait."""
        if len(self._lines) >= LINES_MAX:
            self.dropped += 1
            return
        self._lines.append(line.encode("utf-8", "backslashreplace") + b"\n")
        self._arrived.set()

    def close(self) -> None:
        """Let `run` end once all that waits is written."""
        self._closed = True
        self._arrived.set()

    async def run(self) -> None:
        """Write until `close`; an error of the descriptor loses lines and nothing else."""
        try:
            while not self._closed or self._lines:
                await self._arrived.wait()
                self._arrived = trio.Event()
                while self._lines:
                    await self._write_some()
        finally:
            with trio.move_on_after(FLUSH_SECONDS, shield=True):
                while self._lines:
                    await self._write_some()

    async def _write_some(self) -> None:
        """Write a few lines in one call."""
        size_max = FILE_WRITE_MAX if self._regular else PIPE_WRITE_MAX
        piece = self._lines.popleft()
        lines = 1
        while self._lines and len(piece) + len(self._lines[0]) <= size_max:
            piece += self._lines.popleft()
            lines += 1
        dropped, self.dropped = self.dropped, 0
        if dropped:
            piece += self.dropped_line(dropped).encode() + b"\n"
        try:
            await self._write(piece)
        except OSError:
            self.dropped += dropped + lines
            await trio.lowlevel.checkpoint()

    async def _write(self, octets: bytes) -> None:
        while octets:
            if self._regular:
                written = await trio.to_thread.run_sync(os.write, self._fd, octets)
            else:
                await self._wait_writable()
                written = os.write(self._fd, octets[:PIPE_WRITE_MAX])
            octets = octets[written:]

    async def _wait_writable(self) -> None:
        try:
            await trio.lowlevel.wait_writable(self._fd)
        except OSError:  # /dev/null and the like: always writable, unknown to epoll
            await trio.lowlevel.checkpoint()
