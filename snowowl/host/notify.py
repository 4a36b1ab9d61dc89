"""What systemd is told by sd_notify(3): datagrams to the socket that `$NOTIFY_SOCKET` names.

Never blocks and never fails: who supervises us may be gone, or slow, and boards boot all the same.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final, Self

MESSAGES_MAX: Final = 16
"""Messages that wait while systemd does not read: the last ones say what is true."""


class Notifier:
    """A line to systemd.  Connects when it is made, so that a later confinement does not matter."""

    def __init__(self, sock: socket.socket | None, path: str = "") -> None:
        self._socket = sock
        self._path = path
        self._waiting: deque[bytes] = deque(maxlen=MESSAGES_MAX)

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Self:
        """Make one for who has started this process, of what it left in the environment.

        It is taken out of there: what we start is not to speak for us.
        """
        text = environ.pop("NOTIFY_SOCKET", "")
        if not text.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
            return cls(None)  # vsock:, of virtual machines, is for PID 1
        path = "\0" + text[1:] if text.startswith("@") else text
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.setblocking(False)
        with suppress(OSError):
            sock.connect(path)
        return cls(sock, path)

    @property
    def is_heard(self) -> bool:
        """There is somebody to tell."""
        return self._socket is not None

    def tell(self, **assignments: str | int) -> None:
        """Tell what is so, as ``READY=1``.  A value must be of one line."""
        if self._socket is None:
            return
        lines = [f"{name}={value}" for name, value in assignments.items()]
        self._waiting.append("\n".join(lines).encode())
        self.flush()

    def flush(self) -> None:
        """Send what still waits."""
        while self._waiting and self._socket is not None:
            try:
                self._send(self._socket, self._waiting[0])
            except BlockingIOError:
                return
            except OSError:
                pass  # nobody is there
            self._waiting.popleft()

    def _send(self, sock: socket.socket, message: bytes) -> None:
        """Send one message, also to who has come anew to the same place.  Raises OSError."""
        try:
            sock.send(message)
        except BlockingIOError:
            raise
        except OSError:  # ECONNREFUSED: it was restarted; ENOTCONN: it was not there yet
            sock.sendto(message, self._path)

    def close(self) -> None:
        """Hang up.  Idempotent."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None


def watchdog_seconds(environ: MutableMapping[str, str]) -> float | None:
    """Take from the environment how often systemd wants to hear of us; None: it does not."""
    text, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    if pid and pid != str(os.getpid()):
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18 or int(text) == 0:
        return None
    return int(text) / 1e6
