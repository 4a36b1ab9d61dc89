"""Which signals end a command, and whether SIGHUP is a word or the end of the terminal."""

from __future__ import annotations

import os
import signal

import attrs


def ending_signals() -> list[signal.Signals]:
    """Return Ctrl-C, the end, and the end of the terminal unless it is to be ignored, as nohup has it.

    A process in a session of its own hears of none of them: it has to be ended by who started it.
    """
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangs_up else [])]


@attrs.frozen
class Terminal:
    """The terminal that this process was started at, and may lose."""

    descriptor: int

    @classmethod
    def find(cls) -> Terminal | None:
        """Return it; None if there is none, or if the process is to outlive it, as nohup has it.

        Asked by a descriptor: /dev/tty may not be opened any more once the process is confined.
        """
        if not hasattr(os, "tcgetpgrp") or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            return None
        for terminal in map(cls, range(3)):
            if not terminal.is_gone():
                return terminal
        return None

    def is_gone(self) -> bool:
        """Say whether the process has no terminal any more: it was hung up (tty_vhangup in Linux)."""
        try:
            os.tcgetpgrp(self.descriptor)
        except OSError:  # EIO: hung up; ENOTTY: no terminal, or not the one of this session
            return True
        return False
