"""The files beneath one root: opened for transfers, shared between them, taken in as uploads.

`Store` opens nothing but through its `Root`, keeps nothing but on its `Shelf`, and knows neither
sockets nor the protocol.  Threads only open, read and write, and are always waited for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, TypeVarTuple, Unpack

import trio

from snowowl.content.allowance import Allowance
from snowowl.content.beneath import Root, Strategy
from snowowl.content.census import Counted, count
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
from snowowl.content.naming import Uploader
from snowowl.content.shelf import Shelf
from snowowl.content.sink import Sink
from snowowl.content.source import BytesSource, Source
from snowowl.content.temporary import Kind
from snowowl.content.text import TextIndex
from snowowl.content.uploads import Wish, WritePolicy, begin
from snowowl.wire.constants import ErrorCode

__all__ = ["Store", "WritePolicy"]

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")

THREADS_MAX: Final = 32
"""Threads of one store: enough to keep a disk array busy, few enough for their stacks not to count
(trio's own default is 40 for everything)."""

_COUNTED_AT_ONCE: Final = 256
"""Pieces that one thread hop counts (16 MiB), so that cancelling waits for no more than that."""

COUNT_SECONDS: Final = 60.0
"""How often the files of a quota are counted: others put some there, and take some away."""

COUNT_SHARE: Final = 50
"""How much longer than a count the pause after it is: of a large tree no more than 2 % of a core."""

COUNT_AGE_SECONDS: Final = 5.0
"""How old a count must be for an upload that does not fit to wait for another one."""

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
        allowance: Allowance | None = None,
    ) -> None:
        self.limiter: Final = trio.CapacityLimiter(THREADS_MAX)
        self._root = Root(root, strategy)
        self._rules = rules
        self._policy = policy
        self._temporary: Kind = temporary
        self._hints = hints or FileHints()
        self._turns = trio.Semaphore(THREADS_MAX)
        self.allowance = allowance or Allowance()
        self._shelf = Shelf(self.allowance)
        self._counting = trio.Lock()
        self._counted_at: float | None = None
        self._count_took = 0.0
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

    async def create(
        self, name_untrusted: bytes, *, netascii: bool, tsize: int | None, client: str = ""
    ) -> Sink:
        """Begin an upload: `async with await store.create(...) as sink`.

        `tsize` is the size that the client announced, in octets on the wire.  Raises ContentError,
        in this order: uploads are off, the name matches no pattern (2), too many uploads or open
        files (0), no such directory (1), the target is no regular file (2), exists (6) or is
        missing (1) against the policy, the size is beyond the policy, the free space or the quota
        (3).
        """
        policy = self._policy
        policy.refuse_disabled()
        parts = components(name_untrusted, self._rules, writing=True)
        policy.refuse_unmatched(parts)
        await self._count_if_needed(tsize)
        self._shelf.make_room()
        claim = self.allowance.claim(tsize)
        now = time.time()  # noqa: TID251 - people read it in a file's name
        uploader = Uploader(client, now)
        wish = Wish(parts=parts, tsize=tsize, uploader=uploader)
        try:
            # Nothing is awaited after this: the sink reaches the caller, or was never made.
            temporary = await self._resolve(
                partial(begin, rules=self._rules, claim=claim),
                self._root,
                wish,
                policy,
                self._temporary,
            )
        except BaseException:
            claim.close()
            raise
        return Sink(
            temporary,
            self.limiter,
            netascii=netascii,
            overwrite=policy.replaces,
            size_max=policy.size_max,
            label=f"upload of '{display(b'/'.join(parts))}'",
            folder=b"".join([part + b"/" for part in parts[:-1]]),
            tsize=tsize,
            claim=claim,
        )

    async def keep_count(self) -> None:
        """Count now and then what the quota is of, if there is one.  For a task of its own.

        Raises nothing but Cancelled.
        """
        while self.allowance.limits.quota:
            # Without descriptors, memory or threads, too: the count stays what it was.
            with suppress(Exception):
                await self.count()
            await trio.sleep(max(COUNT_SECONDS, COUNT_SHARE * self._count_took))

    async def count(self) -> None:
        """Count what the quota is of.  Raises ContentError if the root cannot be looked at."""
        async with self._counting:
            await self._count()

    async def _count(self) -> None:
        policy = self._policy
        made = None if policy.unique == "off" else policy.unique_name.pattern()
        counted = Counted(policy.patterns, self._rules.hidden, made)
        since = trio.current_time()
        self.allowance.begin_count()
        octets = await self._resolve(count, self._root, counted, trio.from_thread.check_cancelled)
        self.allowance.counted(octets)
        self._counted_at = trio.current_time()
        self._count_took = self._counted_at - since

    async def _count_if_needed(self, tsize: int | None) -> None:
        """Count what the quota is of, unless that is known, or leaves room as it is known."""
        if self._is_well_known(tsize):
            return
        async with self._counting:
            if not self._is_well_known(tsize):  # whoever waited for others has their count
                await self._count()

    def _is_well_known(self, tsize: int | None) -> bool:
        if not self.allowance.limits.quota:
            return True
        if self._counted_at is None:
            return False
        age = trio.current_time() - self._counted_at
        # No flood of uploads that do not fit has a large tree counted over and over.
        enough = max(COUNT_AGE_SECONDS, COUNT_SHARE * self._count_took)
        return age < enough or not self.allowance.is_short(tsize)

    def succeed(self, before: Store) -> None:
        """Count on from another store, if its root is the same.  Before anything is opened here.

        What is running there counts here, and all of it by the limits of this one.
        """
        if self._root.identity == before._root.identity:
            limits = self.allowance.limits
            self.allowance = self._shelf.allowance = before.allowance
            self.allowance.limits = limits

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
                shelf.make_room()
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
