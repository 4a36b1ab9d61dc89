"""The files beneath one root: opened for transfers, shared between them, taken in as uploads.

`Store` opens nothing but through its `Root`, keeps nothing but on its `Shelf`, and knows neither
sockets nor the protocol.  Threads only open, read and write, and are always waited for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar, TypeVarTuple, Unpack

import trio

from snowowl.content.beneath import Root, Strategy
from snowowl.content.errors import ContentError, from_os_error
from snowowl.content.files import (
    SMALL_MAX,
    SmallFile,
    identity,
    read_small,
    read_small_now,
)
from snowowl.content.mapped import FileHints, MappedFile
from snowowl.content.names import NameRules, components, display
from snowowl.content.shelf import Shelf
from snowowl.content.sink import Sink
from snowowl.content.source import BytesSource, Source
from snowowl.content.temporary import Kind
from snowowl.content.text import TextIndex
from snowowl.content.uploads import WritePolicy, begin
from snowowl.wire.constants import ErrorCode

__all__ = ["Store", "WritePolicy"]

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")

THREADS_MAX: Final = 32
"""Threads of one store: enough to keep a disk array busy, few enough for their stacks not to count
(trio's own default is 40 for everything)."""

_COUNTED_AT_ONCE: Final = 256
"""Pieces that one thread hop counts (16 MiB), so that cancelling waits for no more than that."""

Recent = dict[tuple[bytes, bool], SmallFile]
"""Small files by the name that was asked for, and whether as netascii: those of one moment."""


class Store:
    """What can be read and written beneath `root`.

    Raises OSError if the root cannot be opened (see `snowowl.content.beneath.Root`).  All methods
    but `close` are for one trio thread.  `limiter` bounds the threads; whoever calls
    `Source.load` in a thread uses it too.
    """

    def __init__(
        self,
        root: Path,
        *,
        rules: NameRules,
        policy: WritePolicy,
        strategy: Strategy = "auto",
        temporary: Kind = "auto",
        hints: FileHints | None = None,
    ) -> None:
        self.limiter: Final = trio.CapacityLimiter(THREADS_MAX)
        self._root = Root(root, strategy)
        self._rules = rules
        self._policy = policy
        self._temporary: Kind = temporary
        self._hints = hints or FileHints()
        self._turns = trio.Semaphore(THREADS_MAX)
        self._shelf = Shelf()
        self._resolving = 0  # threads that use the root
        self._closed = False

    def open_now(
        self, name_untrusted: bytes, *, netascii: bool, recent: Recent | None = None
    ) -> Source | None:
        """Open a file for reading if that takes no disk; return None if it may.  Never blocks.

        Small files are taken from `recent`, and kept there, unlooked at: requests that came at the
        same time are answered by one look at what they ask for.  Raises ContentError if it is
        certain that the file cannot be opened.
        """
        key = (name_untrusted, netascii)
        if recent is not None and key in recent:
            return self._use_small(recent[key], netascii=netascii)
        source = self._open_now(components(name_untrusted, self._rules), netascii=netascii)
        if recent is not None and isinstance(source, SmallSource):
            recent[key] = source.file
        return source

    async def open(self, name_untrusted: bytes, *, netascii: bool) -> Source:
        """Open a file for reading.  Raises ContentError.

        The whole file is read once for netascii, as its size on the wire must be known first.
        """
        parts = components(name_untrusted, self._rules)
        # Whoever waited for its turn looks again first: a storm for one new file opens it once.
        async with self._turns:
            source = self._open_now(parts, netascii=netascii)
            if source is not None:
                return source
            opened = await self._resolve(_open, self._root, parts, self._hints)
        if isinstance(opened, SmallFile):
            return self._use_small(opened, netascii=netascii)
        file = self._shelf.share(opened)
        holder = self._shelf.use(file)
        if not netascii:
            return holder
        try:
            return self._shelf.use_text(file, await self._counted(file))
        finally:
            holder.close()

    async def create(self, name_untrusted: bytes, *, netascii: bool, tsize: int | None) -> Sink:
        """Begin an upload: `async with await store.create(...) as sink`.

        `tsize` is the size that the client announced, in octets on the wire.  Raises ContentError,
        in this order: uploads are off, the name matches no pattern (2), no such directory (1), the
        target is no regular file (2), exists (6) or is missing (1) against the policy, the size is
        beyond the policy or the free space (3).
        """
        policy = self._policy
        policy.refuse_disabled()
        parts = components(name_untrusted, self._rules, writing=True)
        policy.refuse_unmatched(parts)
        # Nothing is awaited after this: the sink reaches the caller, or was never made.
        temporary = await self._resolve(begin, self._root, parts, policy, tsize, self._temporary)
        return Sink(
            temporary,
            self.limiter,
            netascii=netascii,
            overwrite=policy.overwrite,
            size_max=policy.size_max,
            label=f"upload of '{display(b'/'.join(parts))}'",
        )

    def retire(self) -> None:
        """Keep nothing open that nobody uses: only who has begun will still ask.  Idempotent."""
        self._shelf.close()

    def close(self) -> None:
        """Close what no transfer uses; the rest closes with its last user.  Idempotent."""
        self._closed = True
        self._shelf.close()
        if not self._resolving:
            self._root.close()

    def _open_now(self, parts: tuple[bytes, ...], *, netascii: bool) -> Source | None:
        self._refuse_closed()
        shelf = self._shelf
        shelf.sweep()
        fd = self._root.open_cached(parts, os.O_RDONLY)
        if fd is None:
            return None
        try:
            key = identity(os.fstat(fd))
            if key[4] <= SMALL_MAX:
                small = shelf.small(key) or read_small_now(fd, key)
                return None if small is None else self._use_small(small, netascii=netascii)
            file = shelf.mapped(key)
            if file is None:
                # A mapping takes no disk either; whether its pages are cached is asked later.
                file = MappedFile(fd, key, self._hints)
                fd = -1
                shelf.share(file)
        except OSError as error:
            raise from_os_error(error, "looking at a file") from error
        finally:
            if fd >= 0:
                os.close(fd)
        if not netascii:
            return shelf.use(file)
        index = shelf.known_index(file)
        return None if index is None else shelf.use_text(file, index)

    def _use_small(self, file: SmallFile, *, netascii: bool) -> SmallSource:
        self._shelf.keep_small(file)
        return SmallSource(file, file.encoded if netascii else file.octets)

    async def _counted(self, file: MappedFile) -> TextIndex:
        """Return the file's netascii index, once it is complete."""
        index = self._shelf.index(file)
        async with index.counting:
            while not index.complete:
                await trio.to_thread.run_sync(
                    index.count, _COUNTED_AT_ONCE, abandon_on_cancel=False, limiter=self.limiter
                )
        return index

    async def _resolve(
        self, function: Callable[[Unpack[_Arguments]], _Result], *arguments: *_Arguments
    ) -> _Result:
        """Run what uses the root in a thread; the root is not closed before that is over."""
        self._refuse_closed()
        self._resolving += 1
        try:
            return await trio.to_thread.run_sync(
                function, *arguments, abandon_on_cancel=False, limiter=self.limiter
            )
        finally:
            self._resolving -= 1
            if self._closed and not self._resolving:
                self._root.close()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise ContentError(ErrorCode.NOT_DEFINED, "shutting down")


class SmallSource(BytesSource):
    """A small file's octets, and the file."""

    __slots__ = ("file",)

    def __init__(self, file: SmallFile, octets: bytes) -> None:
        super().__init__(octets)
        self.file = file


def _open(root: Root, parts: Sequence[bytes], hints: FileHints) -> MappedFile | SmallFile:
    """Open a file for reading.  BLOCKS.  Raises ContentError."""
    fd = root.open(parts, os.O_RDONLY)
    try:
        key = identity(os.fstat(fd))
        if key[4] <= SMALL_MAX:
            return read_small(fd, key)
        file = MappedFile(fd, key, hints)
        fd = -1
    except OSError as error:
        raise from_os_error(error, "looking at a file") from error
    finally:
        if fd >= 0:
            os.close(fd)
    return file
