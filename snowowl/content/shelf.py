"""What stays open after its last user, and for how long: the tables of a store.

One open file for each version, however many transfers read it.  There are no timers: what is unused
for long enough goes when the next file is opened.  Everything here belongs to the event loop;
nothing here opens a file or waits for one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import trio

from snowowl.content.allowance import Allowance
from snowowl.content.errors import ContentError, busy
from snowowl.content.files import Identity, SmallFile
from snowowl.content.mapped import FileSource, MappedFile
from snowowl.content.text import NetasciiSource, TextIndex

UNUSED_MAX: Final = 64
"""Files kept open without a user.  Each holds one or two file descriptors of the usual 1024."""

UNUSED_SECONDS: Final = 5.0
"""How long a file is kept after its last user: a boot storm's clients follow each other closer."""

SMALL_KEPT_MAX: Final = 128
"""Small files kept in memory: 8 MiB at most (twice that if they are sent as netascii)."""


class Shelf:
    """The open files of a store.  A mapped file without users is always among the unused."""

    def __init__(self, allowance: Allowance | None = None) -> None:
        self.allowance = allowance or Allowance()
        """Counts the files.  To be replaced only before any is opened."""
        self._mapped: dict[Identity, MappedFile] = {}
        self._unused: OrderedDict[Identity, MappedFile] = OrderedDict()  # longest unused first
        self._indexes: dict[Identity, TextIndex] = {}
        self._small: OrderedDict[Identity, SmallFile] = OrderedDict()  # longest unused first
        self._closed = False

    def __len__(self) -> int:
        """Return how many files are mapped."""
        return len(self._mapped)

    def small(self, key: Identity) -> SmallFile | None:
        """Return the small file of this version, if it is kept."""
        return self._small.get(key)

    def keep_small(self, file: SmallFile) -> None:
        """Keep a small file, unless another version might be taken for it."""
        if not file.settled or self._closed:
            return
        self._small[file.key] = file
        self._small.move_to_end(file.key)
        if len(self._small) > SMALL_KEPT_MAX:
            self._small.popitem(last=False)

    def mapped(self, key: Identity) -> MappedFile | None:
        """Return the mapped file of this version, if it is open."""
        return self._mapped.get(key)

    def share(self, file: MappedFile) -> MappedFile:
        """Return the file to use for this version: the one that is open already, or this one.

        The other one is closed.  Raises ContentError if too many are in use; then it is closed, too.
        """
        shared = self._mapped.get(file.key)
        if shared is None:
            try:
                self.make_room()
            except ContentError:
                file.close()
                raise
            shared = self._mapped[file.key] = file
            self.allowance.open_files += 1
            self._rest(file)
        elif shared is not file:
            file.close()
        return shared

    def make_room(self) -> None:
        """Have one more file opened: close what is unused, if that is needed.

        Raises ContentError if too many are in use.
        """
        while self.allowance.files_full:
            if not self._unused:
                raise busy("open_files_max", self.allowance.limits.open_files_max)
            self._drop_oldest()

    def use(self, file: MappedFile) -> FileSource:
        """Return a transfer's hold on a file that is shared here."""
        self._take(file)
        return FileSource(file, self._release)

    def use_text(self, file: MappedFile, index: TextIndex) -> NetasciiSource:
        """Return a transfer's hold on a file that is sent as netascii."""
        self._take(file)
        return NetasciiSource(file, index, self._release)

    def index(self, file: MappedFile) -> TextIndex:
        """Return the netascii index of a file in use.  It may not be complete."""
        return self._indexes.setdefault(file.key, TextIndex(file))

    def known_index(self, file: MappedFile) -> TextIndex | None:
        """Return the netascii index of a file if it is complete."""
        index = self._indexes.get(file.key)
        return index if index is not None and index.complete else None

    def sweep(self) -> None:
        """Drop the file that is unused for longest, if that is long enough.

        One for each call, so that no open pays for many.
        """
        if self._unused:
            oldest = next(iter(self._unused.values()))
            if trio.current_time() - oldest.idle_since > UNUSED_SECONDS:
                self._drop_oldest()

    def close(self) -> None:
        """Close what nobody uses; the rest closes with its last user.  Idempotent."""
        self._closed = True
        while self._unused:
            self._drop_oldest()
        self._small.clear()

    def _take(self, file: MappedFile) -> None:
        file.users += 1
        self._unused.pop(file.key, None)

    def _release(self, file: MappedFile) -> None:
        file.users -= 1
        if file.users:
            return
        if self._closed:
            self._drop(file)
            return
        self._rest(file)
        if len(self._unused) > UNUSED_MAX:
            self._drop_oldest()

    def _rest(self, file: MappedFile) -> None:
        file.idle_since = trio.current_time()
        self._unused[file.key] = file

    def _drop_oldest(self) -> None:
        self._drop(self._unused.popitem(last=False)[1])

    def _drop(self, file: MappedFile) -> None:
        del self._mapped[file.key]
        self.allowance.open_files -= 1
        self._indexes.pop(file.key, None)
        file.close()
