"""The error queue of a socket: closed ports (ICMP), and what became of zero-copy sends.

What stays in the queue keeps the socket readable for ever, with nothing to receive; so all of it is
read, whatever it is about.  Only Linux has one.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Final

from snowowl.datagram import cmsg
from snowowl.datagram.address import SocketAddress, pack

HERE: Final = sys.platform == "linux"
"""Elsewhere the flag means something else, and what is asked for by it is a datagram."""

_ENTRIES_MAX: Final = 4096
"""Entries read in one go: more than the receive buffer holds, and an end."""


class ErrorQueue:
    """Reads one socket's error queue."""

    def __init__(
        self, sock: socket.socket, octets_of: Callable[[SocketAddress], bytes] = pack
    ) -> None:
        self._socket = sock
        self._octets_of = octets_of
        self._unreachable: list[bytes] = []
        self.completed: Callable[[int, int, bool], None] | None = None
        """Told of zero-copy sends: the first and the last of their numbers, and if the kernel has
        copied them after all."""

    def empty(self) -> bool:
        """Read all of it; say whether any of it is news from the network.

        An entry that is no news of a closed port is only read.  Most are about a host that did not
        answer ARP, and a board that reboots is one.
        """
        heard = False
        for _ in range(_ENTRIES_MAX if HERE else 0):
            try:
                _, ancillary, _, name = self._socket.recvmsg(0, cmsg.ERROR_SPACE, cmsg.MSG_ERRQUEUE)
            except OSError:
                break
            error = cmsg.read_error(ancillary)
            if error.origin == cmsg.ORIGIN_ZEROCOPY:
                if self.completed is not None:
                    self.completed(error.info, error.data, error.code == cmsg.ZEROCOPY_COPIED)
                continue
            from_network = error.origin in cmsg.ORIGINS_ICMP
            heard = heard or from_network
            if (
                error.number == errno.ECONNREFUSED
                and from_network
                and name
                and len(self._unreachable) < _ENTRIES_MAX
            ):
                self._unreachable.append(self._octets_of(name))
        return heard

    def take_unreachable(self) -> Sequence[bytes]:
        """Return the peers whose port was reported closed since the last call."""
        if not self._unreachable:
            return ()
        peers, self._unreachable = self._unreachable, []
        return peers
