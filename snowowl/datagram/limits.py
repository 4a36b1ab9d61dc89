"""What may be sent in which way: by segmentation, by `sendfile`, without copying.

Limits belong to a local address, and are lowered when its device refuses something.  Nothing here
calls anything.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Final

import attrs

from snowowl.datagram.interface import Train

SEGMENTS_MAX: Final = 64
"""Datagrams in one call: UDP_MAX_SEGMENTS before Linux 6.9, and 64 KiB hold hardly more."""

OCTETS_MAX: Final = 65507
"""Octets in one call: what a UDP datagram of IPv4 may have."""

PIECES_MAX: Final = 17
"""Pages, or parts of them, in one message that is not to be copied: MAX_SKB_FRAGS of Linux, where it
was not configured to be more.  With more of them it is EMSGSIZE."""

NEVER: Final = 1 << 30
"""Octets that no datagram has: a limit that lets none, or all, through."""

_NARROW_MAX: Final = 1024
"""Peers to which segments do not go that are remembered; forgetting one costs a refused send."""


@attrs.define
class Limits:
    """What may be sent in which way; lowered when a device refuses."""

    stride_max: int
    """Octets of the largest datagrams that are sent by segmentation; 0: none are."""
    other_stride_min: int = NEVER
    """Octets of the smallest datagrams of a train that may be sent by `sendfile`."""
    file_min: int = 0
    """Octets that a file must have for that."""
    zerocopy_min: int = NEVER
    """Octets of the smallest sends that the kernel is asked not to copy."""
    lowered: Callable[[str], None] = attrs.field(default=lambda _: None)
    """Told of what is done without from now on."""
    _narrow: dict[bytes, int] = attrs.field(factory=dict)
    """Octets of the largest segments for peers to which those of others are too large.  It is for
    each to spoil its own transfer only: a client can make its path look as narrow as it likes, by
    an ICMP message to us (RFC 1191)."""

    def by_file(self, train: Train) -> bool:
        """Say whether a train is sent by `sendfile`, datagram by datagram.

        Not from odd places in the file: where a page ends amid a datagram after an odd number of
        octets, Linux gets the checksum wrong, and every client drops it (`skb_splice_from_iter` in
        net/core/skbuff.c adds up the pages' checksums as if the octets before were even; seen on
        6.18).
        """
        file = train.body.file
        return (
            train.stride >= self.other_stride_min
            and file is not None
            and not (train.body_at | (train.stride - train.header_size)) & 1
            and train.body.view.nbytes >= self.file_min
            and file.fileno() >= 0
        )

    def segments(self, train: Train, datagram: int) -> int:
        """Return how many datagrams of a train make one message, from one of them on."""
        stride = train.stride
        if stride > self.stride_max or (
            self._narrow and stride > self._narrow.get(train.peer, stride)
        ):
            return 1
        left = train.count - datagram
        if not train.header_size and train.size == (train.count - 1) * stride:
            left -= 1  # the last is empty, and would be no segment
        count = min(left, SEGMENTS_MAX, OCTETS_MAX // stride)
        if self.zerocopy_min < NEVER and self.without_copy(train, few := _pieces_max(train)):
            count = min(count, few)
        return max(count, 1)

    def without_copy(self, train: Train, count: int) -> bool:
        """Say whether so many datagrams of a train are sent without copying them."""
        return count * train.stride >= self.zerocopy_min and 0 < count <= _pieces_max(train)

    def without_file(self) -> None:
        """Send nothing by `sendfile` any more."""
        self.other_stride_min = NEVER

    def without_segments(self) -> None:
        """Send no segments any more."""
        self.stride_max = 0

    def narrow(self, train: Train) -> bool:
        """Send this peer no segments as large as these; say whether that is the first such peer."""
        is_first = not self._narrow
        if len(self._narrow) >= _NARROW_MAX:
            self._narrow.clear()
        self._narrow[train.peer] = train.stride - 1
        return is_first


def _pieces_max(train: Train) -> int:
    """Return how many datagrams of a train one message can hold that is not to be copied."""
    pages = (train.stride - train.header_size + mmap.PAGESIZE - 2) // mmap.PAGESIZE + 1
    return PIECES_MAX // (1 + pages)
