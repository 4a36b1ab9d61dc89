"""Counts the octets of the files beneath a root that uploads may be named by: what a quota is of.

No link is followed, so there is no way round or out.  Memory is bounded: one open directory for
each level, and no list of names.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from fnmatch import translate
from typing import Final

import attrs

from snowowl.content.beneath import Root
from snowowl.content.errors import from_os_error
from snowowl.content.names import TEMPORARY_PREFIX

DEPTH_MAX: Final = 64
"""Folders within each other that are looked into.  Each takes a descriptor; no served tree has 20."""

_PAUSE_EVERY: Final = 256
_PAUSE_SECONDS: Final = 0.001
"""After so many names, which take 2 to 3 ms, others get their turn: a thread that is always ready
keeps the event loop waiting for its turn, 5 ms at a time."""


@attrs.frozen
class Counted:
    """Which names count."""

    patterns: tuple[str, ...]
    hidden: bool = False
    made: re.Pattern[bytes] | None = None
    """What matches the names that uploads make for themselves (`Template.pattern`)."""

    def matcher(self) -> Callable[[bytes, bytes], bool]:
        """Return a function that says whether a folder's path (`a/b/`) and a name count."""
        if "*" in self.patterns:
            return _all
        whole = re.compile("|".join(translate(pattern) for pattern in self.patterns) or r"(?!)")
        made = self.made

        def matches(folder: bytes, name: bytes) -> bool:
            def asked(part: bytes) -> bool:
                return whole.match((folder + part).decode(errors="surrogateescape")) is not None

            if asked(name):
                return True
            found = None if made is None else made.fullmatch(name)
            if found is None:
                return False
            kept = found.groupdict().get("name")
            return True if kept is None else asked(kept)

        return matches


def _all(_folder: bytes, _name: bytes) -> bool:
    return True


def count(root: Root, counted: Counted, checkpoint: Callable[[], None]) -> int:
    """Return how many octets these files have together.  BLOCKS.

    `checkpoint` is called now and then, and may end it by raising.  What cannot be looked into is not
    counted.  Raises ContentError if that is the root itself.
    """
    if os.scandir not in os.supports_fd:  # pragma: no cover - only Linux is tested
        return 0
    matches = counted.matcher()
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    total = seen = 0
    fd = root.open((b".",), os.O_RDONLY | os.O_DIRECTORY)
    try:
        levels = [_Level(fd, b"")]
    except OSError as error:  # to look into a folder takes one more descriptor
        raise from_os_error(error, "counting what a quota is of") from error
    try:
        while levels:
            level = levels[-1]
            entry = level.next()
            seen += 1
            if seen % _PAUSE_EVERY == 0:
                checkpoint()
                time.sleep(_PAUSE_SECONDS)
            if entry is None:
                levels.pop().close()
                continue
            name = os.fsencode(entry.name)
            if name.startswith(TEMPORARY_PREFIX) or (name[:1] == b"." and not counted.hidden):
                continue
            with suppress(OSError):  # it is gone, or may not be looked at
                if entry.is_dir(follow_symlinks=False):
                    if len(levels) < DEPTH_MAX:
                        fd = os.open(name, flags, dir_fd=level.fd)
                        levels.append(_Level(fd, level.path + name + b"/"))
                elif entry.is_file(follow_symlinks=False) and matches(level.path, name):
                    total += entry.stat(follow_symlinks=False).st_size
    finally:
        for level in levels:
            level.close()
    return total


class _Level:
    """A folder that is being counted.  Owns its descriptor."""

    def __init__(self, fd: int, path: bytes) -> None:
        self.fd = fd
        self.path = path
        try:
            self._entries = os.scandir(fd)
        except OSError:
            os.close(fd)
            raise

    def next(self) -> os.DirEntry[str] | None:
        """Return one more entry, None at the end."""
        try:
            return next(self._entries, None)
        except OSError:
            return None

    def close(self) -> None:
        """Close the folder.  Not idempotent."""
        self._entries.close()
        os.close(self.fd)
