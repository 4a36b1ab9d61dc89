"""netascii of a large file, at any offset, without a temporary file.

Encoding makes a file longer, so the place of an octet on the wire depends on every line end before
it.  One pass over the file keeps the encoded offset of each piece; after that any piece is read
and encoded by itself (`snowowl.wire.netascii`: encoding needs no state).  The file is read, never
touched through its mapping, and no more than a few pieces are in memory.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import trio

from snowowl.content.files import changed
from snowowl.content.mapped import MappedFile
from snowowl.wire import netascii

PIECE: Final = 65536
"""Octets of the file in one piece: the table takes 8 octets for each, 1/8192 of the file."""

_SHARED_MAX: Final = 32
"""Encoded pieces kept for all transfers of a file: 2 to 4 MiB, a storm in step reads each once."""


class TextIndex:
    """The encoded offsets of a file's pieces, and the pieces encoded last.

    Every method that reads BLOCKS, and may be called from several threads.
    """

    def __init__(self, file: MappedFile) -> None:
        self.counting: Final = trio.Lock()  # for whoever calls `count`
        self._file = file
        # One more than there are pieces, once complete: the last is the size of the whole.
        self._offsets = array("Q", [0])
        self._encoded: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()  # of _encoded; held for a moment, never while reading
        self.pieces: Final = -(-file.size // PIECE)

    @property
    def complete(self) -> bool:
        """Whether the whole file was counted."""
        return len(self._offsets) > self.pieces

    @property
    def size(self) -> int:
        """Octets of the whole on the wire.  Only once complete."""
        return self._offsets[self.pieces]

    def count(self, pieces_max: int) -> None:
        """Count some more pieces.  BLOCKS.  For one thread at a time.  Raises ContentError."""
        first = len(self._offsets) - 1
        for piece in range(first, min(first + pieces_max, self.pieces)):
            size = netascii.encoded_size(self._raw(piece))
            self._offsets.append(self._offsets[piece] + size)
        self._file.check()

    def range(self, offset: int, length: int) -> range:
        """Return the pieces that these octets of the wire are in."""
        stop = min(offset + length, self.size)
        if offset >= stop:
            return range(0)
        return range(bisect_right(self._offsets, offset) - 1, bisect_left(self._offsets, stop))

    def start(self, piece: int) -> int:
        """Return the offset on the wire at which a piece begins."""
        return self._offsets[piece]

    def encode(self, piece: int) -> bytes:
        """Return a piece as it is on the wire.  BLOCKS.  Raises ContentError."""
        with self._lock:
            octets = self._encoded.get(piece)
            if octets is not None:
                self._encoded.move_to_end(piece)
                return octets
        octets = netascii.encode(self._raw(piece))
        if len(octets) != self._offsets[piece + 1] - self._offsets[piece]:
            raise changed("its line ends moved")
        with self._lock:
            self._encoded[piece] = octets
            if len(self._encoded) > _SHARED_MAX:
                self._encoded.popitem(last=False)
        return octets

    def _raw(self, piece: int) -> bytes:
        start = piece * PIECE
        return self._file.read(start, min(PIECE, self._file.size - start))


class NetasciiSource:
    """A transfer's hold on a file that it sends as netascii.

    It keeps the pieces of the range that was loaded last, one before and one behind, so that
    another transfer cannot take them from it between `load` and `view`.
    """

    __slots__ = ("_file", "_index", "_pieces", "_release", "check", "size")

    whole = None
    extent = 1

    def __init__(
        self, file: MappedFile, index: TextIndex, release: Callable[[MappedFile], None]
    ) -> None:
        self._file: MappedFile | None = file
        self._index = index
        self._release = release
        self._pieces: dict[int, bytes] = {}
        self.size = index.size
        self.check = file.check

    def ready(self, offset: int, length: int) -> bool:
        """Tell whether this range is encoded and in memory."""
        return all(piece in self._pieces for piece in self._index.range(offset, length))

    def load(self, offset: int, length: int) -> None:
        """Read and encode this range and one piece more.  BLOCKS.  Raises ContentError."""
        wanted = self._index.range(offset, length)
        held = self._pieces
        pieces = {
            piece: held[piece] for piece in range(wanted.start - 1, wanted.start) if piece in held
        }
        for piece in range(wanted.start, min(wanted.stop + 1, self._index.pieces)):
            pieces[piece] = held[piece] if piece in held else self._index.encode(piece)
        self._pieces = pieces  # in one step: `view` may run at the same time

    def view(self, offset: int, length: int) -> memoryview:
        """Return `length` octets, fewer only at the end.  BLOCKS if they are not ready."""
        wanted = self._index.range(offset, length)
        if not wanted:
            return memoryview(b"")
        if not self.ready(offset, length):
            self.load(offset, length)
        pieces = self._pieces
        start = offset - self._index.start(wanted.start)
        if len(wanted) == 1:
            return memoryview(pieces[wanted.start])[start : start + length]
        octets = b"".join([pieces[piece] for piece in wanted])
        return memoryview(octets)[start : start + length]

    def close(self) -> None:
        """Give the file back.  Idempotent."""
        file, self._file = self._file, None
        self._pieces = {}
        if file is not None:
            self._release(file)
