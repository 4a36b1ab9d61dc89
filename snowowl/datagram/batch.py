"""The rungs `mmsg` and `gso`: many datagrams in one system call.

Peers are octets all the way, and nothing is converted for a datagram.  With segmentation a window
is one message, and the windows of many clients are one call; what a device refuses is sent again at
once in a plainer way.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import Final

from snowowl.datagram import cmsg, sendfile
from snowowl.datagram.calls import INTERRUPTED, Calls
from snowowl.datagram.endpoint import ATTEMPTS_MAX, NEVER_SENT, SocketEndpoint
from snowowl.datagram.interface import Received, Train, Transmit, Unsent
from snowowl.datagram.limits import Limits
from snowowl.datagram.messages import Messages, Position
from snowowl.datagram.slots import Slots
from snowowl.datagram.zerocopy import ZeroCopy

_DONTWAIT: Final = getattr(socket, "MSG_DONTWAIT", 0)
_BLOCKED: Final = -errno.EAGAIN
_REFUSED: Final = frozenset({errno.EIO, errno.EINVAL, errno.EMSGSIZE})
"""What a device without segmentation says, and one whose MTU is too small for a segment."""
_NO_ROOM: Final = frozenset({errno.ENOBUFS, errno.ENOMEM})

_PLAIN: Final = Limits(stride_max=0)
"""A call for each datagram's octets, out of memory: what is never refused."""


class BatchEndpoint(SocketEndpoint):
    """An `Endpoint` that receives and sends batches."""

    def __init__(
        self,
        sock: socket.socket,
        calls: Calls,
        slots: Slots,
        messages: Messages,
        limits: Limits,
        *,
        tells_local: bool = False,
        recvmmsg: bool = True,
        sendmmsg: bool = True,
        zerocopy: bool = False,
    ) -> None:
        super().__init__(sock, tells_local=tells_local)
        self._fd = sock.fileno()
        self._calls = calls
        self._slots = slots
        self._messages = messages
        self._limits = limits
        self._name_size = len(self._address)
        self._recvmmsg = recvmmsg
        self._sendmmsg = sendmmsg
        self._is_zerocopy = zerocopy
        self.zerocopy = ZeroCopy()
        self._errors.completed = self.zerocopy.completed

    def receive(self) -> Sequence[Received]:
        """Return what has arrived, a batch at most; empty if nothing has."""
        slots = self._slots
        if self._recvmmsg:
            count = self._calls.recvmmsg(self._fd, slots.prepare(), slots.count, _DONTWAIT)
        else:
            count = self._receive_one()
        if count <= 0:
            if count == _BLOCKED:
                self._received_nothing()
            elif count != INTERRUPTED and self._fd >= 0:
                self._take_errors()
            return ()
        self._said_readable = False
        batch = slots.take(count, self._name_size)
        self.counters.datagrams_received += count
        if slots.joined:
            self.counters.datagrams_received += slots.joined
            slots.joined = 0
        return batch

    def send(self, transmits: Sequence[Transmit]) -> Unsent | None:
        """Send all, as many in a call as there is room for."""
        unsent: Unsent | None = None
        position: Position = (0, 0)
        limits = self._limits
        attempts = refused = at_stake = 0
        while position[0] < len(transmits):
            after, reason = self._send_some(transmits, position, limits)
            if not reason:
                if limits is _PLAIN:  # then it was the way that was refused
                    self._lower(transmits[position[0]], refused)
                position, limits, attempts, at_stake = after, self._limits, 0, 0
                continue
            if reason == errno.EINTR:
                continue
            transmit, datagram = transmits[position[0]], position[1]
            if reason == errno.EAGAIN:
                unsent = unsent or Unsent()
                unsent.blocked = [transmit.rest(datagram), *transmits[position[0] + 1 :]]
                self._sent_nothing()
                break
            heard = self._take_errors()
            at_stake = at_stake or self._messages.datagrams(1)
            attempts += heard
            if (
                (not heard or attempts == ATTEMPTS_MAX)
                and limits is not _PLAIN
                and self._is_refused(transmit, datagram, reason)
            ):
                limits, refused = _PLAIN, reason  # at once
                continue
            attempts += not heard
            if attempts < ATTEMPTS_MAX and (heard or reason not in NEVER_SENT):
                continue
            if reason in NEVER_SENT:
                unsent = unsent or Unsent()
                unsent.failed.append((transmit.peer, reason))
                position = (position[0] + 1, 0)
            else:
                self.counters.datagrams_lost += at_stake
                position = _advance(transmits, position, at_stake)
            limits, attempts, at_stake = self._limits, 0, 0
        return unsent

    def close(self) -> None:
        """Close the socket; whoever waits for it gets `trio.ClosedResourceError`.  Idempotent."""
        self._fd = -1
        super().close()

    def _receive_one(self) -> int:
        """Receive a single message; return how many that makes, or -errno."""
        size = self._calls.recvmsg(self._fd, self._slots.prepare(), _DONTWAIT)
        if size < 0:
            return size
        self._slots.set_length(0, size)
        return 1

    def _send_some(
        self, transmits: Sequence[Transmit], begin: Position, limits: Limits
    ) -> tuple[Position, int]:
        """Make one call.  Return what comes after what went out, or an errno if nothing did."""
        messages = self._messages
        written = messages.fill(
            transmits, begin, self._name_size, limits, tells_source=self._tells_local
        )
        if not written:
            return self._send_file(transmits, begin)
        if self._is_zerocopy and limits is not _PLAIN:
            count = self._send_zerocopy(transmits, begin, written)
        elif self._sendmmsg:
            count = self._calls.sendmmsg(self._fd, messages.address, written, _DONTWAIT)
        else:
            size = self._calls.sendmsg(self._fd, messages.address, _DONTWAIT)
            count = 1 if size >= 0 else size
        if count <= 0:
            return begin, -count or errno.EAGAIN
        datagrams = messages.datagrams(count)
        self.counters.datagrams_sent += datagrams
        if count == written:
            return messages.after, 0
        # What stopped it has been told to nobody, and need not come again.
        self._look_for_news()
        return _advance(transmits, begin, datagrams), 0

    def _send_file(self, transmits: Sequence[Transmit], begin: Position) -> tuple[Position, int]:
        """Send one datagram of a train by `sendfile`; return as `_send_some` does."""
        transmit = transmits[begin[0]]
        assert isinstance(transmit, Train)
        assert transmit.body.file is not None
        rest = transmit.rest(begin[1])
        reason = sendfile.send(
            self._socket,
            self._name_of(rest.peer),
            rest.headers.view[rest.headers_at : rest.headers_at + rest.header_size],
            transmit.body.file.fileno(),
            rest.body_at,
            min(rest.stride - rest.header_size, rest.size),
            self._ancillary(rest.source),
        )
        self.counters.sent_by_file += 1
        if reason:
            if reason == errno.EAGAIN:
                self._look_for_news()  # emptying the cork left some
            return begin, reason
        self.counters.datagrams_sent += 1
        return _advance(transmits, begin, 1), 0

    def _send_zerocopy(self, transmits: Sequence[Transmit], begin: Position, written: int) -> int:
        """Send the first messages that are all to be copied, or all are not."""
        messages, limits, position = self._messages, self._limits, begin
        first: list[Transmit] = []
        without_copy = False
        for datagrams in messages.sizes(written):
            transmit = transmits[position[0]]
            differs = without_copy != (
                isinstance(transmit, Train) and limits.without_copy(transmit, datagrams)
            )
            if differs:
                if first:
                    break
                without_copy = True
            first.append(transmit)
            position = _advance(transmits, position, datagrams)
        address, call = messages.address, self._calls.sendmmsg
        if not without_copy:
            return call(self._fd, address, len(first), _DONTWAIT)
        sent = call(self._fd, address, len(first), _DONTWAIT | cmsg.MSG_ZEROCOPY)
        if -sent in _NO_ROOM or sent == -errno.EMSGSIZE:
            # Too many are under way, too much memory is locked, or it is in too many pieces.
            self._look_for_news()
            self.counters.zerocopy_refused += 1
            return call(self._fd, address, len(first), _DONTWAIT)
        for transmit in first[: max(sent, 0)]:
            assert isinstance(transmit, Train)
            self.zerocopy.hold((transmit.headers, transmit.body))
        return sent

    def _is_refused(self, transmit: Transmit, datagram: int, reason: int) -> bool:
        """Say whether it may be the way of sending that an errno is about."""
        if not isinstance(transmit, Train):
            return False
        if self._limits.by_file(transmit):
            return reason != errno.EFAULT and reason not in _NO_ROOM
        return reason in _REFUSED and self._limits.segments(transmit, datagram) > 1

    def _lower(self, transmit: Transmit, reason: int) -> None:
        """Do without what was refused, while the same went out in a plainer way."""
        assert isinstance(transmit, Train)
        limits = self._limits
        if limits.by_file(transmit):
            limits.without_file()
            limits.lowered(f"sendfile ({os.strerror(reason)})")
        elif reason == errno.EIO:  # it is about the device, and the others about this size
            limits.without_segments()
            limits.lowered(f"segmentation ({os.strerror(reason)})")
        elif limits.narrow(transmit):
            size = f"segments of {transmit.stride} octets"
            limits.lowered(f"{size} to some clients ({os.strerror(reason)})")


def _advance(transmits: Sequence[Transmit], position: Position, datagrams: int) -> Position:
    """Return the position so many datagrams further on."""
    index, datagram = position
    datagram += datagrams
    while index < len(transmits):
        transmit = transmits[index]
        count = transmit.count if isinstance(transmit, Train) else 1
        if datagram < count:
            break
        index, datagram = index + 1, datagram - count
    return index, datagram
