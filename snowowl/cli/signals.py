"""Which signals end a command that has started other processes."""

from __future__ import annotations

import signal


def ending_signals() -> list[signal.Signals]:
    """Return Ctrl-C, the end, and the end of the terminal unless it is to be ignored, as nohup has it.

    A process in a session of its own hears of none of them: it has to be ended by who started it.
    """
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangs_up else [])]
