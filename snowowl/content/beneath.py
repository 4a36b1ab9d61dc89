"""Confinement: nothing outside the root is ever opened.

A `Root` is the only way from components to a file descriptor, and it is never a comparison of
strings: where there is openat2 the kernel confines (`snowowl.content.openat2`), elsewhere a walk by
directory file descriptors does (`snowowl.content.walk`), with the same result.  Symbolic links are
followed as long as they stay beneath the root; absolute ones, escapes and the magic links of /proc
are refused.

## Hazard: the portable strategy has a race

Windows knows no directory file descriptors, so there the path is resolved first and opened after.
Somebody who may replace directories beneath the root by links can get between the two.  A peer
cannot: nothing that TFTP offers makes directories or links.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import attrs

from snowowl.content.errors import ContentError, from_os_error
from snowowl.content.names import display
from snowowl.content.openat2 import Openat2
from snowowl.content.walk import open_beneath, os_error

Strategy = Literal["auto", "openat2", "walk", "portable"]

_PATH: Final = getattr(os, "O_PATH", 0)
_DIRECTORY: Final = _PATH | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)

# O_NONBLOCK: opening a FIFO must not wait for its writer.  O_NOCTTY: a terminal beneath the root
# must not become ours.  O_LARGEFILE: what the C library adds on 32-bit machines.
_ALWAYS: Final = (
    getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_LARGEFILE", 0)
    | getattr(os, "O_BINARY", 0)
)


@attrs.frozen
class Directory:
    """A directory to make names in: give functions of `os` the `prefix + name` and `dir_fd=fd`.

    Where there are directory file descriptors `prefix` is empty; where there are none `fd` is None.
    """

    fd: int | None
    prefix: bytes = b""

    def close(self) -> None:
        """Close the file descriptor.  Not idempotent: whoever holds the directory closes it."""
        if self.fd is not None:
            os.close(self.fd)


class Root:
    """A directory, and what can be opened beneath it.

    The directory is held open: when it is renamed it stays the root, and a link that was its path
    may be switched without changing the root.  Raises OSError when made of what is no directory, or
    with a `strategy` that this system lacks.  Every method but `open_cached` may block.
    """

    def __init__(self, path: str | os.PathLike[str], strategy: Strategy = "auto") -> None:
        self._path = os.path.realpath(os.fsencode(path))
        self._fd: int | None = None
        self._openat2: Openat2 | None = None
        if strategy == "auto" and os.open not in os.supports_dir_fd:
            strategy = "portable"
        if strategy == "portable":
            os.scandir(self._path).close()
        else:
            self._fd = os.open(self._path, _DIRECTORY)
            strategy = self._choose(self._fd, strategy)
        self.strategy: Final = strategy
        status = Path(path).stat() if self._fd is None else os.fstat(self._fd)
        self.identity: Final = (status.st_dev, status.st_ino)
        """What tells this directory from others, whatever its path is by now."""

    def _choose(self, fd: int, strategy: Strategy) -> Strategy:
        if strategy == "walk" or not _PATH:
            return "walk"
        try:
            self._openat2 = Openat2(fd)
        except OSError:
            if strategy == "openat2":
                self.close()
                raise
            return "walk"
        return "openat2"

    def open(self, components: Sequence[bytes], flags: int, mode: int = 0) -> int:
        """Open what the components lead to; return a file descriptor that is not inherited.

        Raises ContentError: code 2 for what would leave the root.
        """
        try:
            return self._open(components, flags | _ALWAYS, mode)
        except OSError as error:
            raise _refused(error, components) from error

    def open_cached(self, components: Sequence[bytes], flags: int) -> int | None:
        """Do as `open` where no disk is needed; return None where it might be.  Never blocks.

        Raises ContentError if that is certain already: a name known to be missing, an escape.
        """
        resolver = self._openat2
        if resolver is None:
            return None
        path = b"/".join(components)
        if b"\0" in path:  # C would end the path here
            raise _refused(os_error(errno.EACCES), components)
        try:
            return resolver.open_cached(path, flags | _ALWAYS)
        except OSError as error:
            raise _refused(error, components) from error

    def open_parent(self, components: Sequence[bytes]) -> Directory:
        """Open the directory that the last component is in, or would be.  Raises ContentError."""
        above = components[:-1] or (b".",)
        try:
            if self.strategy == "portable":
                path = self._resolved(above)
                os.scandir(path).close()
                return Directory(None, path + os.fsencode(os.sep))
            return Directory(self._open(above, _DIRECTORY, 0))
        except OSError as error:
            raise _refused(error, components) from error

    def close(self) -> None:
        """Let go of the directory.  Idempotent; what was opened stays open."""
        self._openat2 = None
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, components: Sequence[bytes], flags: int, mode: int) -> int:
        path = b"/".join(components)
        if b"\0" in path:
            raise os_error(errno.EACCES)
        if self.strategy == "portable":
            return os.open(self._resolved(components), flags, mode)
        if self._fd is None:
            raise os_error(errno.EBADF)
        if self._openat2 is not None:
            return self._openat2.open(path, flags, mode)
        return open_beneath(self._fd, path.split(b"/"), flags, mode)

    def _resolved(self, components: Sequence[bytes]) -> bytes:
        """Return the resolved path.  Raises OSError: EXDEV if it is not beneath the root."""
        if any(b"\0" in component for component in components):
            raise os_error(errno.EACCES)
        try:
            # Not pathlib, which would turn octets into text.
            path = os.path.realpath(os.path.join(self._path, *components))  # noqa: PTH118
            top = os.path.normcase(self._path)
            beneath = os.path.commonpath([top, os.path.normcase(path)]) == top
        except ValueError:  # another drive, or octets that are no name on this system
            raise os_error(errno.EXDEV) from None
        if not beneath:
            raise os_error(errno.EXDEV)
        return path


def _refused(error: OSError, components: Sequence[bytes]) -> ContentError:
    refusal = from_os_error(error, f"'{display(b'/'.join(components))}'")
    refusal.escape = error.errno == errno.EXDEV
    return refusal
