"""What DATA is made of: octets by offset.

A `Source` belongs to one transfer; what may be shared lies behind it.  This module neither opens
nor reads a file, and it touches no octet of a view: a view goes to `sendmsg` and nowhere else, for
the reason given in `snowowl.content.mapped`.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class File(Protocol):
    """A file that is open, for now."""

    def fileno(self) -> int:
        """Return its descriptor, -1 once it is closed."""
        ...


class Whole(NamedTuple):
    """All octets of a source.  Like any view of it, the view is for `sendmsg` only."""

    view: memoryview
    file: File | None
    """The same octets as a file, for `sendfile`."""


class Source(Protocol):
    """The octets that one transfer sends."""

    @property
    def size(self) -> int:
        """Octets on the wire: for netascii, after encoding."""
        ...

    @property
    def whole(self) -> Whole | None:
        """All octets, if they lie in one piece that does not move."""
        ...

    @property
    def extent(self) -> int:
        """Octets that are always ready together: up to the next multiple of it."""
        ...

    def ready(self, offset: int, length: int) -> bool:
        """Tell whether `view` of this range does without a disk.  Never blocks itself."""
        ...

    def load(self, offset: int, length: int) -> None:
        """Make this range ready.  BLOCKS: for a thread.  Raises ContentError."""
        ...

    def view(self, offset: int, length: int) -> memoryview:
        """Return `length` octets, fewer only at the end.  Only ever pass them to `sendmsg`.

        May raise ContentError, and may block, if the range is not ready.
        """
        ...

    def check(self) -> None:
        """Raise ContentError if the file changed since it was opened.  Costs one fstat."""
        ...

    def close(self) -> None:
        """Give the content back.  Idempotent; views that were handed out stay valid."""
        ...


class BytesSource:
    """Octets in memory: always ready, never changing."""

    __slots__ = ("_octets", "extent", "size", "whole")

    def __init__(self, octets: bytes) -> None:
        self._octets = memoryview(octets)
        self.size = len(octets)
        self.extent = self.size or 1
        self.whole = Whole(self._octets, None)

    def ready(self, offset: int, length: int) -> bool:  # noqa: ARG002 - the protocol's shape
        """Tell that memory needs no disk."""
        return True

    def load(self, offset: int, length: int) -> None:
        """Do nothing: there is nothing to load."""

    def view(self, offset: int, length: int) -> memoryview:
        """Return `length` octets, fewer only at the end."""
        return self._octets[offset : offset + length]

    def check(self) -> None:
        """Do nothing: octets in memory do not change."""

    def close(self) -> None:
        """Do nothing: the memory goes with the last reference."""
