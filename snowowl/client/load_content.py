"""The octets that transfers are compared with, or made of.

Comparing is what a load generator would be slow by, so a run of DATA datagrams is compared in one
go, headers and all, with what the whole file looks like on the wire: see `Content.image`.  Compared
by `startswith`, which unlike `==` of two memoryviews is a memcmp and copies nothing (0.15 us for a
block of 1428 octets; 1.5 us by `==`).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from functools import cache
from typing import Final

from snowowl.datagram.interface import Region
from snowowl.protocol.blocks import blocks_in
from snowowl.wire.codec import Buffer, data_headers, header_offset
from snowowl.wire.constants import HEADER_SIZE

IMAGES_MAX: Final = 2
"""Images of a file, one for each blksize; a server grants one, before and after the OACK is lost."""

_CHUNK: Final = 1 << 20
_SHIFT_MAX: Final = 65_521
"""Octets by which the content of uploads is shifted against each other, at most.  A prime."""


@cache
def headers(rollover: int) -> Region:
    """Return the headers of DATA, by the number that follows block 65535; made when wanted: 20 ms."""
    return Region(data_headers(rollover))


class Content:
    """A file that is expected, or sent: `size` octets of `octets`, from `start` on."""

    def __init__(self, octets: bytes, start: int = 0, size: int | None = None) -> None:
        self.octets = octets
        self.start = start
        self.size = len(octets) - start if size is None else size
        self._images: dict[int, bytes] = {}

    @property
    def digest(self) -> str:
        """The SHA-256, in hexadecimal."""
        stop = self.start + self.size
        return hashlib.sha256(memoryview(self.octets)[self.start : stop]).hexdigest()

    def image(self, blksize: int) -> bytes | None:
        """Return all DATA datagrams of the file one after another; None if there are too many sorts.

        After block 65535 the numbers go on with 0.
        """
        image = self._images.get(blksize)
        if image is None and len(self._images) < IMAGES_MAX:
            image = self._images[blksize] = b"".join(self._datagrams(blksize))
        return image

    def difference(self, payload: Buffer, offset: int) -> int | None:
        """Return how many octets of a payload that begins at an offset are right; None if all are."""
        if self._holds(payload, offset):
            return None
        right, wrong = 0, len(payload)
        while right < wrong:  # so many are right, and one more is not known to be
            middle = (right + wrong + 1) // 2
            if self._holds(payload[:middle], offset):
                right = middle
            else:
                wrong = middle - 1
        return right

    def _holds(self, payload: Buffer, offset: int) -> bool:
        return self.octets.startswith(payload, self.start + offset, self.start + self.size)

    def _datagrams(self, blksize: int) -> Iterator[Buffer]:
        numbers = headers(0).view
        view = memoryview(self.octets)[self.start : self.start + self.size]
        for block in range(1, blocks_in(self.size, blksize) + 1):
            at = header_offset(block, 0)
            yield numbers[at : at + HEADER_SIZE]
            yield view[(block - 1) * blksize : block * blksize]


class Uploads:
    """Content for any number of uploads of one size: pseudo-random octets, the same in every run.

    Each upload begins somewhere else in them, so that two that are mixed up are told apart.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        self.size = size
        draws = random.Random(seed)  # noqa: S311 - to be the same again
        total = size + _SHIFT_MAX
        # In pieces: `randbytes` makes a number of it, and takes no more than 256 MiB.
        pieces = [draws.randbytes(min(_CHUNK, total - at)) for at in range(0, total, _CHUNK)]
        self.octets = b"".join(pieces)

    def content(self, number: int) -> Content:
        """Return the content of one upload."""
        return Content(self.octets, number % _SHIFT_MAX, self.size)
