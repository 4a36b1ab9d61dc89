"""Writes lines to a file descriptor without ever holding up the event loop.

A terminal that is stopped, a pipe that nobody reads, a full disk: lines wait, a bounded number of
them, then they are dropped and counted.  Nothing else notices.

All writing is done in a thread.  There is no other way that never blocks: a terminal that says it
is writable may have room for one octet, and O_NONBLOCK would be set for the shell, too, that shares
the terminal with us.
"""

from __future__ import annotations

import os
import select
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import accumulate
from typing import Final

import trio

LINES_MAX: Final = 10_000
"""Lines that wait for a slow reader: some MB, and minutes of a busy lab."""

WRITE_MAX: Final = 64 * 1024
"""Octets written in one trip to a thread, if more wait: what a pipe of Linux holds."""

_NEWLINE: Final = ord("\n")

FLUSH_SECONDS: Final = 1.0
"""At the end, for the lines that still wait."""


class LineWriter:
    """Takes lines at once, writes them when it can.  Run `run` in a nursery.

    Where other processes write to the same pipe, `write_max` of `select.PIPE_BUF` keeps lines whole
    (pipe(7)); a longer one is written alone, and may be torn.
    """

    def __init__(self, fd: int, *, write_max: int = WRITE_MAX) -> None:
        self.dropped = 0
        """Lines that were lost, and not told of yet."""
        self.lost = 0
        """All lines that were ever lost."""
        self.reason = ""
        """Why the last ones were."""
        self._fd = fd
        self._next_fd: int | None = None
        self._in_flight = 0
        """Lines that a thread writes; more than none for ever, if it had to be abandoned."""
        self._missed = trio.Event()
        self._torn = False
        """The last thing written is the beginning of a line that could not be finished."""
        self._write_max = write_max
        self.dropped_line: Callable[[int], str] = "{} log lines were lost: nobody read them".format
        """Makes the line that tells of them."""
        self._lines: deque[bytes] = deque()
        self._arrived = trio.Event()
        self._closing = trio.Event()
        self._limiter = trio.CapacityLimiter(1)

    def write(self, line: str) -> None:
        """Take a line, without its end.  Never blocks; drops it if too many wait."""
        if len(self._lines) >= LINES_MAX:
            self._lose(1, "nobody reads them")
            return
        self._lines.append(line.encode("utf-8", "backslashreplace") + b"\n")
        self._arrived.set()

    def replace(self, fd: int) -> None:
        """Write to this descriptor from the next write on; the one before is closed then."""
        if self._next_fd is not None:  # replaced twice before anything was written
            os.close(self._next_fd)
        self._next_fd = fd
        self._arrived.set()

    async def wait_lost(self) -> None:
        """Wait until a line is lost."""
        await self._missed.wait()

    def release(self) -> None:
        """Close the descriptor, once `run` has ended; not under a thread that still hangs in it."""
        self._take_next()
        if not self._in_flight:
            os.close(self._fd)

    def close(self) -> None:
        """Let `run` end once all that waits is written, or `FLUSH_SECONDS` have passed."""
        self._closing.set()
        self._arrived.set()

    async def run(self) -> None:
        """Write until `close`, or until cancelled: it then writes for `FLUSH_SECONDS` at most.

        An error of the descriptor loses lines and nothing else.
        """
        # Shielded: a write that a cancellation cut off could not be gone on with.
        writing = trio.CancelScope(shield=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_lines, writing)
            try:
                await self._closing.wait()
            finally:
                writing.deadline = trio.current_time() + FLUSH_SECONDS
                self.close()

    async def _write_lines(self, scope: trio.CancelScope) -> None:
        with scope:
            while not self._closing.is_set() or self._lines:
                await self._arrived.wait()
                self._arrived = trio.Event()
                self._take_next()
                while self._lines:
                    await self._write_some()
                    self._take_next()
        if scope.cancelled_caught:
            self._lose(self._in_flight + len(self._lines), "nobody reads them")

    def _take_next(self) -> None:
        if self._next_fd is None or self._in_flight:
            return
        fd, self._fd, self._next_fd, self._torn = self._fd, self._next_fd, None, False
        with suppress(OSError):
            os.close(fd)

    def _lose(self, count: int, reason: str) -> None:
        self.lost += count
        self.dropped += count
        self.reason = reason
        missed, self._missed = self._missed, trio.Event()
        missed.set()

    async def _write_some(self) -> None:
        """Write what waits, as much as one write should hold."""
        dropped, self.dropped = self.dropped, 0
        told = self.dropped_line(dropped).encode() + b"\n" if dropped else b""
        # Lest the next line becomes a part of one that a full disk has cut off.
        pieces = [b"\n" * self._torn + self._lines.popleft()]
        size = len(told) + len(pieces[0])
        while self._lines and size + len(self._lines[0]) <= self._write_max:
            size += len(self._lines[0])
            pieces.append(self._lines.popleft())
        octets = b"".join([*pieces, told])
        self._in_flight = len(pieces)
        error: Exception | None
        try:
            written, error = await trio.to_thread.run_sync(
                write_until_error,
                self._fd,
                octets,
                abandon_on_cancel=True,
                limiter=self._limiter,
            )
        except RuntimeError as no_thread:
            written, error = 0, no_thread
        self._in_flight = 0
        if written:
            self._torn = octets[written - 1] != _NEWLINE
        if error is not None:
            whole = sum(end <= written for end in accumulate(map(len, pieces)))
            self._lose(len(pieces) - whole, error_text(error))
            self.dropped += dropped


def stderr_descriptor() -> int:
    """Return where log lines go; nowhere if the program was started with a closed stderr."""
    return os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno()


def write_all(fd: int, octets: bytes | bytearray) -> None:
    """Write all of the octets; wait where others made the descriptor non-blocking.

    BLOCKS.  Raises OSError.
    """
    _, error = write_until_error(fd, octets)
    if error is not None:
        raise error


def write_until_error(fd: int, octets: bytes | bytearray) -> tuple[int, OSError | None]:
    """Write as `write_all` does; return how many octets were written, and what stopped it.

    BLOCKS.
    """
    view = memoryview(octets)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            writable = select.poll()  # not select.select, which knows 1024 descriptors
            writable.register(fd, select.POLLOUT)
            writable.poll()
        except OSError as error:
            return len(octets) - len(view), error
    return len(octets), None


def error_text(error: Exception) -> str:
    """Return what is wrong, without a number."""
    return (isinstance(error, OSError) and error.strerror) or str(error)
