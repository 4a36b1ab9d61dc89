"""The rung for every platform: `recvfrom` and `sendmsg`, one datagram a call.

Also the reference for the faster ones: they must do nothing that this does not.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import socket
import sys
from collections.abc import Sequence
from typing import Final

import trio

from snowowl.datagram import cmsg
from snowowl.datagram.address import SocketAddress, pack, unpack
from snowowl.datagram.interface import Counters, LocalAddress, Received, Transmit, Unsent

BATCH_MAX: Final = 32
"""Datagrams in a batch: enough to share the cost of a wake-up, few enough to stay fair."""

DATAGRAM_MAX: Final = 65536
ARENA_SIZE: Final = 4 * DATAGRAM_MAX
"""Octets for one batch: 32 requests or ACKs, or four of the largest DATA."""

_NAMES_MAX: Final = 4096
"""Peers whose address is remembered in both forms; more only costs conversions."""

_NEVER_SENT: Final = frozenset({errno.EFAULT, errno.EMSGSIZE})

_ATTEMPTS_MAX: Final = 3
"""Times to try one datagram: an error may be news of an earlier one, which took its place."""

_ERRORS_MAX: Final = 4096
"""Entries read from an error queue in one go: more than the receive buffer holds, and an end."""


class PortableEndpoint:
    """An `Endpoint` over a non-blocking UDP socket, which it owns."""

    def __init__(self, sock: socket.socket, *, tells_local: bool = False) -> None:
        self.counters = Counters()
        self._socket = sock
        self._tells_local = tells_local and hasattr(sock, "recvmsg_into")
        self._arena = _arena()
        self._octets: dict[SocketAddress, bytes] = {}
        self._names: dict[bytes, SocketAddress] = {}
        self._unreachable: list[bytes] = []
        self._address = pack(sock.getsockname())
        sock.setblocking(False)

    @property
    def address(self) -> bytes:
        """The socket address that it is bound to."""
        return self._address

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
                break
            except OSError:
                self._take_errors()
                break
            data = arena[offset : offset + size]
            batch.append(Received(data, size or 1, self._octets_of(name), local))
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
            if reason in _NEVER_SENT:
                unsent.failed.append((transmit.peer, reason))
                continue
            unsent.blocked = [_rest(transmit, sent), *transmits[index + 1 :]]
            break
        return unsent

    def take_unreachable(self) -> Sequence[bytes]:
        """Return the peers whose port was reported closed since the last call."""
        if not self._unreachable:
            return ()
        peers, self._unreachable = self._unreachable, []
        return peers

    async def wait_readable(self) -> None:
        """Wait until something can be received."""
        await trio.lowlevel.wait_readable(self._socket)

    async def wait_writable(self) -> None:
        """Wait until something can be sent."""
        await trio.lowlevel.wait_writable(self._socket)

    def close(self) -> None:
        """Close the socket; whoever waits for it gets `trio.ClosedResourceError`.  Idempotent."""
        if self._socket.fileno() >= 0:
            with contextlib.suppress(RuntimeError):  # outside of trio nobody can be waiting
                trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
            self._arena = memoryview(b"")

    def _send_one(self, transmit: Transmit) -> tuple[int, int | None]:
        """Return how many datagrams went out (or were lost), and the errno that stopped it."""
        name = self._name_of(transmit.peer)
        ancillary = self._ancillary(transmit.source)
        buffers, count = transmit.buffers, transmit.count
        each = len(buffers) // count
        for index in range(count):
            pieces = buffers if count == 1 else buffers[index * each : (index + 1) * each]
            reason = self._send_datagram(pieces, ancillary, name)
            if reason is not None:
                return index, reason
        return count, None

    def _send_datagram(
        self,
        pieces: Sequence[bytes | bytearray | memoryview],
        ancillary: cmsg.Ancillary,
        name: SocketAddress,
    ) -> int | None:
        """Return None once the datagram has gone out or is lost, or the errno that stopped it."""
        error_number = 0
        for _ in range(_ATTEMPTS_MAX):
            try:
                if hasattr(self._socket, "sendmsg"):
                    self._socket.sendmsg(pieces, ancillary, 0, name)
                else:  # Windows: pragma: no cover
                    self._socket.sendto(b"".join(pieces), name)
            except BlockingIOError:
                return errno.EAGAIN
            except OSError as error:
                error_number = error.errno or 0
                if not self._take_errors() and error_number in _NEVER_SENT:
                    return error_number  # nothing came from the network: it is about this datagram
            else:
                self.counters.datagrams_sent += 1
                return None
        if error_number in _NEVER_SENT:
            return error_number
        self.counters.datagrams_lost += 1
        return None

    def _ancillary(self, source: LocalAddress | None) -> cmsg.Ancillary:
        if source is None or not self._tells_local:
            return []
        return cmsg.write_source(source, self._socket.family)

    def _take_errors(self) -> bool:
        """Empty the error queue; say whether any of it came from the network.

        All of it, whatever it is about: what stays there keeps the socket readable for ever, with
        nothing to receive.  An entry that is no news of a closed port is only counted.  Most are
        about a host that did not answer ARP, and a board that reboots is one.
        """
        self.counters.errors += 1
        heard = False
        for _ in range(_ERRORS_MAX):
            try:
                _, ancillary, _, name = self._socket.recvmsg(0, cmsg.ERROR_SPACE, cmsg.MSG_ERRQUEUE)
            except (OSError, AttributeError):
                break
            number, from_network = cmsg.read_error(ancillary)
            heard = heard or from_network
            if number == errno.ECONNREFUSED and from_network and name:
                self._unreachable.append(self._octets_of(name))
        return heard

    def _octets_of(self, name: SocketAddress) -> bytes:
        octets = self._octets.get(name)
        if octets is None:
            if len(self._octets) >= _NAMES_MAX:
                self._octets.clear()
                self._names.clear()
            octets = self._octets[name] = pack(name)
            self._names[octets] = name
        return octets

    def _name_of(self, octets: bytes) -> SocketAddress:
        name = self._names.get(octets)
        return unpack(octets) if name is None else name


def _arena() -> memoryview:
    """Return the octets of one batch, all of them zero.  Raises OSError.

    Mapped, not a bytearray, which writes its zeros: of 10 000 sockets (`tid = "own"`) that is
    2.6 GB, while nearly all of them receive nothing but ACKs and touch a single page.
    """
    if sys.platform == "win32":  # pragma: no cover - only Linux is tested
        return memoryview(bytearray(ARENA_SIZE))
    return memoryview(mmap.mmap(-1, ARENA_SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def _rest(transmit: Transmit, sent: int) -> Transmit:
    """Return what of a transmit is left when the first datagrams have gone out."""
    if sent == 0:
        return transmit
    each = len(transmit.buffers) // transmit.count
    return Transmit(
        transmit.peer,
        transmit.buffers[sent * each :],
        transmit.stride,
        transmit.count - sent,
        transmit.source,
    )
