"""What the programs of this folder share: a line that says how far they are, and an orderly end."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Final

WIDTH: Final = 100
EXIT_TERMINATED: Final = 128 + signal.SIGTERM


class Line:
    """One line of a terminal that is written again and again; nothing where there is no terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def show(self, text: str) -> None:
        """Write it anew."""
        if self._shown:
            sys.stderr.write(f"\r\x1b[K{text[: WIDTH - 1]}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Take it away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def end_in_order() -> None:
    """Have SIGTERM unwind the program, so that no process that it has started outlives it."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        sys.exit(EXIT_TERMINATED)

    signal.signal(signal.SIGTERM, end)
