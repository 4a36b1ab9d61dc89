"""What a server writes to its stdout and stderr: the end of it, and no more.

A pipe that is always read, and not a file: a server that writes for ever would fill the disk.
Knows nothing of processes.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Final, Self

import trio

KEPT_MAX: Final = 1 << 16
"""Octets that are kept."""

_READ_MAX: Final = 1 << 16
"""Octets at a time: what a pipe of Linux holds."""

_READS_MAX: Final = 16
"""Reads in a row: who writes as quickly as it is read gets no further then."""

_PAUSE_SECONDS: Final = 0.001
"""Between reads in a row: some 60 MB a second, which is more than a server has to say."""


class Said:
    """The reading end, and the writing end for servers to inherit."""

    def __init__(self) -> None:
        self._reader, self.descriptor = os.pipe()
        os.set_blocking(self._reader, False)
        self._kept = bytearray()
        self._new = 0
        """Octets of those that `take` has not returned yet."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._reader)
        os.close(self.descriptor)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._reader)
            self._read()
            await trio.sleep(_PAUSE_SECONDS)

    def clear(self) -> None:
        """Forget all that was written."""
        self._read()
        self._kept.clear()
        self._new = 0

    def take(self) -> bytes:
        """Return what was written since the last call, the end of it if that is much."""
        self._read()
        taken = bytes(self._kept[len(self._kept) - self._new :])
        self._new = 0
        return taken

    def end(self) -> bytes:
        """Return the end of all that was written."""
        self._read()
        return bytes(self._kept)

    def _read(self) -> None:
        for _ in range(_READS_MAX):
            try:
                octets = os.read(self._reader, _READ_MAX)
            except BlockingIOError:
                return
            self._kept += octets
            del self._kept[:-KEPT_MAX]
            self._new = min(self._new + len(octets), len(self._kept))
