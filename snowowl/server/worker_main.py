"""A worker process begins here: ``python -P -m snowowl.server.worker_main NUMBER``.

`snowowl.server.supervisor` runs it, with the line to itself (`snowowl.server.channel`) as stdin.
Nothing may be imported at the top that takes time: until `main` is reached, a signal that a
terminal or systemd sends to all processes ends this one.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback

EX_USAGE = 64  # sysexits.h
EX_SOFTWARE = 70


def main() -> int:
    """Serve as the supervisor orders; return the exit status."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        sock = _take_stdin()
    except OSError:
        sys.stderr.write("snowowl: workers are started by `snowowl serve`, see server.workers\n")
        return EX_USAGE
    try:
        from snowowl.server.worker import work

        with sock:
            return work(int(sys.argv[1]), sock)
    except Exception:  # noqa: BLE001 - a bug, told in one piece: others write to the same place
        sys.stderr.write(traceback.format_exc())
        sys.stderr.flush()
        return EX_SOFTWARE


def _take_stdin() -> socket.socket:
    """Return stdin as a socket, and leave /dev/null in its place.  Raises OSError."""
    line = os.dup(0)
    try:
        sock = socket.socket(fileno=line)
    except OSError:
        os.close(line)
        raise
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    return sock


if __name__ == "__main__":
    sys.exit(main())
