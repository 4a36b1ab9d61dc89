"""A simulated disk: files are real ones, but a seed decides what is slow, cold, full or broken.

Which file is in the page cache, and how long a disk takes, no test can know of a real machine; so
while a `Disk` is installed snowowl's content ring is told by it instead of the kernel.  Everything
else about files (names, links, renames) is the real file system's.
"""

from __future__ import annotations

import errno
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from snowowl.content import store
from snowowl.content.beneath import Root
from snowowl.content.errors import from_os_error
from snowowl.content.files import Identity, SmallFile, read_small
from snowowl.content.mapped import MappedFile
from snowowl.content.temporary import Temporary


class _Publish(Protocol):
    """`Temporary.publish`, unbound."""

    def __call__(self, temporary: Temporary, /, *, overwrite: bool) -> None:
        """Make a file durable and give it its name."""


_KINDS: Final = {"full": errno.ENOSPC, "broken": errno.EIO}


class Disk:
    """What a disk is like.  Its attributes are knobs, to be turned at any time."""

    def __init__(self, seed: int = 0) -> None:
        self.seconds = 0.0
        """How long a trip to a thread takes, at most: each takes a part of it."""
        self.cold = 0.0
        """The probability that something is not in memory, and so takes such a trip."""
        self.full = 0.0
        """The probability that a write finds no room (ENOSPC), after some of it was written."""
        self.broken = 0.0
        """The probability that a read, or making an upload durable, fails (EIO)."""
        self.faults: Counter[str] = Counter()
        """What it has done: `slow`, `cold`, `ENOSPC`, `EIO`."""
        self._random = random.Random(seed)  # noqa: S311 - a simulation

    def pause(self) -> float:
        """Return how long the next trip to a thread takes, in seconds."""
        if not self.seconds:
            return 0.0
        self.faults["slow"] += 1
        return self._random.uniform(0, self.seconds)

    def is_cold(self) -> bool:
        """Say whether what is asked for next is not in memory."""
        cold = bool(self.cold) and self._random.random() < self.cold
        self.faults["cold"] += cold
        return cold

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Have the content ring ask this disk, and no other, meanwhile."""
        replaced = (
            (Root, "open_cached", self._open_cached()),
            (MappedFile, "_cached", self._cached()),
            (MappedFile, "load", self._load(MappedFile.load)),
            (store, "read_small_now", self._read_small_now),
            (Temporary, "write", self._write(Temporary.write)),
            (Temporary, "publish", self._publish(Temporary.publish)),
        )
        originals = [(owner, name, getattr(owner, name)) for owner, name, _ in replaced]
        try:
            for owner, name, replacement in replaced:
                setattr(owner, name, replacement)
            yield
        finally:
            for owner, name, original in originals:
                setattr(owner, name, original)

    def _fails(self, knob: str) -> None:
        probability: float = getattr(self, knob)
        if probability and self._random.random() < probability:
            reason = _KINDS[knob]
            self.faults[errno.errorcode[reason]] += 1
            raise OSError(reason, os.strerror(reason))

    def _open_cached(self) -> Callable[[Root, Sequence[bytes], int], int | None]:
        def open_cached(root: Root, components: Sequence[bytes], flags: int) -> int | None:
            return None if self.is_cold() else root.open(components, flags)

        return open_cached

    def _cached(self) -> Callable[[MappedFile, int], bool]:
        def cached(file: MappedFile, extent: int) -> bool:
            del file, extent
            return not self.is_cold()

        return cached

    def _load(
        self, original: Callable[[MappedFile, int, int], None]
    ) -> Callable[[MappedFile, int, int], None]:
        def load(file: MappedFile, offset: int, length: int) -> None:
            try:
                self._fails("broken")
            except OSError as error:
                raise from_os_error(error, "reading a file") from error
            original(file, offset, length)

        return load

    def _read_small_now(self, fd: int, key: Identity) -> SmallFile | None:
        return None if self.is_cold() else read_small(fd, key)

    def _write(
        self, original: Callable[[Temporary, Sequence[bytes]], None]
    ) -> Callable[[Temporary, Sequence[bytes]], None]:
        def write(temporary: Temporary, pieces: Sequence[bytes]) -> None:
            try:
                self._fails("full")
            except OSError:
                original(temporary, pieces[: len(pieces) // 2])
                raise
            original(temporary, pieces)

        return write

    def _publish(self, original: _Publish) -> _Publish:
        def publish(temporary: Temporary, /, *, overwrite: bool) -> None:
            self._fails("broken")
            original(temporary, overwrite=overwrite)

        return publish
