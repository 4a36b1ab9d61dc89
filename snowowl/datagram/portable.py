"""The rung for every platform: `recvfrom` and `sendmsg`, one datagram a call.

Also the reference for the faster ones: they must do nothing that this does not.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from typing import Final

from snowowl.datagram import cmsg
from snowowl.datagram.address import SocketAddress
from snowowl.datagram.endpoint import ATTEMPTS_MAX, NEVER_SENT, SocketEndpoint
from snowowl.datagram.interface import LocalAddress, Received, Transmit, Unsent, word_of
from snowowl.datagram.memory import Buffer, arena

BATCH_MAX: Final = 32
"""Datagrams in a batch: enough to share the cost of a wake-up, few enough to stay fair."""

DATAGRAM_MAX: Final = 65536
ARENA_SIZE: Final = 4 * DATAGRAM_MAX
"""Octets for one batch: 32 requests or ACKs, or four of the largest DATA."""


class PortableEndpoint(SocketEndpoint):
    """An `Endpoint` that makes a system call for each datagram."""

    def __init__(self, sock: socket.socket, *, tells_local: bool = False) -> None:
        super().__init__(sock, tells_local=tells_local and hasattr(sock, "recvmsg_into"))
        self._arena = arena(ARENA_SIZE)

    def receive(self) -> Sequence[Received]:
        """Return what has arrived, a batch at most; empty if nothing has."""
        batch: list[Received] = []
        arena, offset = self._arena, 0
        while len(batch) < BATCH_MAX and offset + DATAGRAM_MAX <= len(arena):
            local: LocalAddress | None = None
            try:
                if self._tells_local:
                    space = arena[offset : offset + DATAGRAM_MAX]
                    size, ancillary, _, name = self._socket.recvmsg_into([space], cmsg.SPACE)
                    local = cmsg.read_local(ancillary)
                else:
                    size, name = self._socket.recvfrom_into(arena[offset:], DATAGRAM_MAX)
            except BlockingIOError:
                if not batch:
                    self._received_nothing()
                break
            except OSError:
                self._take_errors()
                break
            self._said_readable = False
            data = arena[offset : offset + size]
            batch.append(Received(data, size or 1, self._octets_of(name), local, word_of(data)))
            offset += size
        self.counters.datagrams_received += len(batch)
        return batch

    def send(self, transmits: Sequence[Transmit]) -> Unsent | None:
        """Send all, datagram by datagram."""
        unsent: Unsent | None = None
        for index, transmit in enumerate(transmits):
            sent, reason = self._send_one(transmit)
            if reason is None:
                continue
            unsent = unsent or Unsent()
            if reason in NEVER_SENT:
                unsent.failed.append((transmit.peer, reason))
                continue
            unsent.blocked = [transmit.rest(sent), *transmits[index + 1 :]]
            self._sent_nothing()
            break
        return unsent

    def close(self) -> None:
        """Close the socket; whoever waits for it gets `trio.ClosedResourceError`.  Idempotent."""
        super().close()
        self._arena = memoryview(b"")

    def _send_one(self, transmit: Transmit) -> tuple[int, int | None]:
        """Return the errno that stopped it, and how many datagrams had gone out (or been lost)."""
        name = self._name_of(transmit.peer)
        ancillary = self._ancillary(transmit.source)
        for index, pieces in enumerate(transmit.datagrams()):
            reason = self._send_datagram(pieces, ancillary, name)
            if reason is not None:
                return index, reason
        return 0, None

    def _send_datagram(
        self,
        pieces: Sequence[Buffer],
        ancillary: cmsg.Ancillary,
        name: SocketAddress,
    ) -> int | None:
        """Return None once the datagram has gone out or is lost, or the errno that stopped it."""
        error_number = 0
        for _ in range(ATTEMPTS_MAX):
            try:
                if hasattr(self._socket, "sendmsg"):
                    self._socket.sendmsg(pieces, ancillary, 0, name)
                else:  # Windows: pragma: no cover
                    self._socket.sendto(b"".join(pieces), name)
            except BlockingIOError:
                return errno.EAGAIN
            except OSError as error:
                error_number = error.errno or 0
                if not self._take_errors() and error_number in NEVER_SENT:
                    return error_number  # nothing came from the network: it is about this datagram
            except (TypeError, ValueError):  # how the socket module says EAFNOSUPPORT
                self.counters.errors += 1
            else:
                self.counters.datagrams_sent += 1
                return None
        if error_number in NEVER_SENT:
            return error_number
        self.counters.datagrams_lost += 1
        return None
