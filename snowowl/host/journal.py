"""The systemd journal's socket: entries go out at once, or are lost and counted; nothing waits.

The protocol is systemd's "Native Journal Protocol": a datagram is an entry, made of fields.  What the
fields are is not decided here.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

JOURNAL_SOCKET: Final = "/run/systemd/journal/socket"

VALUE_MAX: Final = 16 * 1024
"""Octets of a value; one that is longer is cut.  An entry of a dozen fields then fits into what a
socket sends at once (net.core.wmem_default is 208 KiB), so that none has to go by a memfd."""

_GONE: Final = (errno.ECONNREFUSED, errno.ENOTCONN, errno.EPIPE, errno.ECONNRESET)
"""The journal was started anew, and whoever has a connection has one to the socket before."""

Field = tuple[str, str]
"""A name of capital letters, digits and underscores, and a value."""


class Journal:
    """A connection to the journal.  Raises OSError if there is none.

    Opened at the start: the path need not be reachable later, unless the journal's socket is
    replaced.
    """

    def __init__(self, path: str = JOURNAL_SOCKET) -> None:
        self.dropped = 0
        """Entries that were lost, and not told of yet."""
        self.lost = 0
        """All entries that were ever lost."""
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise

    def send(self, fields: Iterable[Field]) -> bool:
        """Send an entry; say whether it went out.  Never blocks and never raises."""
        octets = encode_entry(fields)
        if self._send(octets):
            return True
        self.dropped += 1
        self.lost += 1
        return False

    def close(self) -> None:
        """Close the connection.  Idempotent."""
        self._socket.close()

    def _send(self, octets: bytes) -> bool:
        try:
            self._socket.send(octets)
        except OSError as error:
            if error.errno not in _GONE:
                return False
        else:
            return True
        with suppress(OSError):
            self._socket.connect(self._path)
            self._socket.send(octets)
            return True
        return False


def encode_entry(fields: Iterable[Field]) -> bytes:
    """Return an entry as the journal reads it."""
    return b"".join(map(_encode_field, fields))


def _encode_field(field: Field) -> bytes:
    name, text = field
    value = text.encode("utf-8", "backslashreplace")[:VALUE_MAX]
    if b"\n" not in value:
        return b"%s=%s\n" % (name.encode("ascii"), value)
    # A value of several lines has its length before it: no line of it can pass for a field.
    return b"%s\n%s%s\n" % (name.encode("ascii"), len(value).to_bytes(8, "little"), value)
