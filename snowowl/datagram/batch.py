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
from snowowl.datagram.messages import Limits, Messages, Position
from snowowl.datagram.slots import Slots
from snowowl.datagram.zerocopy import ZeroCopy

_DONTWAIT: Final = getattr(socket, "MSG_DONTWAIT", 0)
_BLOCKED: Final = -errno.EAGAIN
_REFUSED: Final = frozenset({errno.EIO, errno.EINVAL, errno.EMSGSIZE})
"""What a device without segmentation says, and one whose MTU is too small for a segment."""
_NO_ROOM: Final = frozenset({errno.ENOBUFS, errno.ENOMEM})


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
        zerocopy_min: int | None = None,
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
        self._zerocopy_min = zerocopy_min
        self._second: Position = (0, 0)
        """What comes after the first message of the last call."""
        self.zerocopy = ZeroCopy()
        if zerocopy_min is not None:
            self._errors.completed = self.zerocopy.completed

    def receive(self) -> Sequence[Received]:
        """Return what has arrived, a batch at most; empty if nothing has."""
        if self._recvmmsg:
            slots = self._slots
            count = self._calls.recvmmsg(self._fd, slots.prepare(), slots.count, _DONTWAIT)
        else:
            count = self._receive_one()
        if count <= 0:
            if count not in (_BLOCKED, INTERRUPTED) and self._fd >= 0:
                self._take_errors()
            return ()
        batch = self._slots.take(count, self._name_size)
        self.counters.datagrams_received += count
        return batch

    def send(self, transmits: Sequence[Transmit]) -> Unsent | None:
        """Send all, as many in a call as there is room for."""
        unsent: Unsent | None = None
        position: Position = (0, 0)
        attempts = 0
        while position[0] < len(transmits):
            after, reason = self._send_some(transmits, position)
            if after != position:
                self.counters.datagrams_sent += _distance(transmits, position, after)
                position, attempts = after, 0
            if not reason or reason == errno.EINTR:
                continue
            transmit, datagram = transmits[position[0]], position[1]
            if reason == errno.EAGAIN:
                unsent = unsent or Unsent()
                unsent.blocked = [transmit.rest(datagram), *transmits[position[0] + 1 :]]
                break
            heard = self._take_errors()
            if not heard and self._lower(transmit, datagram, reason):
                continue  # at once, in a plainer way
            attempts += 1
            if attempts < ATTEMPTS_MAX and (heard or reason not in NEVER_SENT):
                continue
            attempts = 0
            if reason in NEVER_SENT:
                unsent = unsent or Unsent()
                unsent.failed.append((transmit.peer, reason))
                position = (position[0] + 1, 0)
            else:
                self.counters.datagrams_lost += _distance(transmits, position, self._second)
                position = self._second
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

    def _send_some(self, transmits: Sequence[Transmit], position: Position) -> tuple[Position, int]:
        """Make one call.  Return what comes after what went out, and an errno if nothing did."""
        messages = self._messages
        written = messages.fill(
            transmits, position, self._name_size, self._limits, tells_source=self._tells_local
        )
        self._second = written[1] if len(written) > 1 else messages.after
        if not written:
            self._second = _next(transmits, position)
            reason = self._send_file(transmits[position[0]], position[1])
            return (position if reason else self._second), reason
        if self._zerocopy_min is not None:
            count = self._send_zerocopy(transmits, written, self._zerocopy_min)
        elif self._sendmmsg:
            count = self._calls.sendmmsg(self._fd, messages.address, len(written), _DONTWAIT)
        else:
            count = min(self._calls.sendmsg(self._fd, messages.address, _DONTWAIT), 1)
            count = count or 1  # an empty datagram
        if count == len(written):
            return messages.after, 0
        return (written[count], 0) if count > 0 else (position, -count)

    def _send_file(self, transmit: Transmit, datagram: int) -> int:
        """Send one datagram of a train by `sendfile`; return 0 or an errno."""
        assert isinstance(transmit, Train)
        assert transmit.body.file is not None
        rest = transmit.rest(datagram)
        header = rest.headers.view[rest.headers_at : rest.headers_at + rest.header_size]
        size = min(rest.stride - rest.header_size, rest.size)
        self.counters.sent_by_file += 1
        return sendfile.send(
            self._socket,
            self._name_of(rest.peer),
            header,
            transmit.body.file.fileno(),
            rest.body_at,
            size,
        )

    def _send_zerocopy(
        self, transmits: Sequence[Transmit], written: list[Position], size_min: int
    ) -> int:
        """Send the first messages that are all large enough for it, or all are not."""
        stops = [*written[1:], self._messages.after]
        large = [
            isinstance(transmit := transmits[begin[0]], Train)
            and _distance(transmits, begin, stop) * transmit.stride >= size_min
            for begin, stop in zip(written, stops, strict=True)
        ]
        count = large.index(not large[0]) if (not large[0]) in large else len(large)
        address, call = self._messages.address, self._calls.sendmmsg
        if not large[0]:
            return call(self._fd, address, count, _DONTWAIT)
        sent = call(self._fd, address, count, _DONTWAIT | cmsg.MSG_ZEROCOPY)
        if -sent in _NO_ROOM:  # too many are under way, or too much memory is locked
            self._errors.empty()
            self.counters.zerocopy_refused += 1
            return call(self._fd, address, count, _DONTWAIT)
        for index, _ in written[: max(sent, 0)]:
            transmit = transmits[index]
            assert isinstance(transmit, Train)
            self.zerocopy.hold((transmit.headers, transmit.body))
        return sent

    def _lower(self, transmit: Transmit, datagram: int, reason: int) -> bool:
        """Do without what was refused; say whether that is a change."""
        if not isinstance(transmit, Train) or reason not in _REFUSED:
            return False
        limits, stride = self._limits, transmit.stride
        if limits.by_file(transmit):
            limits.other_stride_min = 1 << 30
            limits.lowered(f"sendfile ({os.strerror(reason)})")
            return True
        if transmit.count - datagram > 1 and stride <= limits.stride_max:
            # EIO is about the device, the others may be about this size: it is over the MTU.
            limits.stride_max = 0 if reason == errno.EIO else stride - 1
            limits.lowered(f"segmentation of {stride} octets ({os.strerror(reason)})")
            return True
        return False


def _next(transmits: Sequence[Transmit], position: Position) -> Position:
    """Return the position of the datagram that follows."""
    index, datagram = position
    transmit = transmits[index]
    if isinstance(transmit, Train) and datagram + 1 < transmit.count:
        return index, datagram + 1
    return index + 1, 0


def _distance(transmits: Sequence[Transmit], begin: Position, end: Position) -> int:
    """Return how many datagrams lie between two positions."""
    count = end[1] - begin[1]
    for transmit in transmits[begin[0] : end[0]]:
        count += transmit.count if isinstance(transmit, Train) else 1
    return count
