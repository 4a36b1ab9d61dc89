"""The audit stream of one process, and the file that it is appended to.

Several processes append to one file.  Each write is of whole lines and goes to its end (O_APPEND),
and on a local file system writes exclude each other, so lines stay whole; NFS promises neither.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import trio

from snowowl.observe.audit import AuditObserver
from snowowl.observe.events import Event, LinesLost
from snowowl.observe.observers import Observer
from snowowl.observe.writer import LineWriter, error_text

MODE: Final = 0o640
"""Names and addresses of clients are nobody's business but root's and a group's."""

LOOK_SECONDS: Final = 60.0
"""Between two looks whether lines were lost."""

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
"""Without O_NONBLOCK, a FIFO that nobody reads would hold up the start for ever."""


class AuditError(OSError):
    """The audit stream cannot be written; says what to do."""

    def __init__(self, path: Path, error: OSError, who: str = "") -> None:
        whose = f" as {who}" if who else ""
        super().__init__(
            f"cannot append to the audit file {path} (audit.file){whose}: {error_text(error)};"
            " the server does not serve without it: correct the path or its permissions,"
            " or take the key out"
        )


def open_audit(path: Path, who: str = "") -> int:
    """Open the file, make it if there is none.  BLOCKS.  Raises AuditError.

    `who` is whose rights are to be named if these are not enough.
    """
    try:
        return os.open(path, _FLAGS, MODE)
    except OSError as error:
        raise AuditError(path, error, who) from error


class AuditStream:
    """An observer that appends to a file.  Run `run` in a nursery that outlives the server.

    Open it as who will serve: `reopen` needs the same rights, and they are to be missed at the start.
    `tell` hears of lines that were lost, `who` is named in errors.  Raises AuditError.
    """

    def __init__(
        self, path: Path, tell: Observer, *, worker: int | None = None, who: str = ""
    ) -> None:
        self._path = path
        self._who = who
        self._tell = tell
        self._told = 0
        self.writer = LineWriter(open_audit(path, who))
        self.observer = AuditObserver(self.writer.write, worker=worker)
        self.writer.dropped_line = self.observer.lost

    def __call__(self, event: Event) -> None:
        """Take an event."""
        self.observer(event)

    async def reopen(self, path: Path | None = None) -> None:
        """Go on in the file that has the path now, for logrotate, or in one with another path.

        Raises AuditError, and goes on in the old one then.
        """
        path = path or self._path
        # Left to itself, if a disk hangs and nobody waits any more: nothing can be appended then.
        descriptor = await trio.to_thread.run_sync(
            open_audit, path, self._who, abandon_on_cancel=True
        )
        self.writer.replace(descriptor)
        self._path = path

    async def run(self) -> None:
        """Write until `close` or until cancelled, as `LineWriter.run` does; tell what was lost."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_losses)
            nursery.start_soon(self._watch_repeats)
            await self.writer.run()
            nursery.cancel_scope.cancel()
        self._look()
        self.writer.release()

    def close(self) -> None:
        """Let `run` end once all is written, soon at any rate."""
        self.observer.flush()
        self.writer.close()

    async def _watch_losses(self) -> None:
        """Look at once when something is lost, and then once a minute."""
        while True:
            await self.writer.wait_lost()
            lost = self._look()
            while lost:
                await trio.sleep(LOOK_SECONDS)
                lost = self._look()

    async def _watch_repeats(self) -> None:
        while True:
            await trio.sleep(LOOK_SECONDS)
            self.observer.flush(due_only=True)

    def _look(self) -> bool:
        """Tell of lines that were lost; say whether any were."""
        lost = self.writer.lost - self._told
        if lost:
            self._told += lost
            self._tell(LinesLost("the audit stream", lost, self.writer.reason))
        return lost > 0
