"""Resolution beneath a directory, one component at a time: for kernels without openat2.

The rule: every open is relative to a directory that is held open, of one component, with
O_NOFOLLOW.  Symbolic links are read and walked by hand, so no step can leave the root, whatever is
renamed meanwhile.  No path with a `/` in it is ever given to the kernel here.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Final

LINKS_MAX: Final = 40
"""Symbolic links followed in one resolution: MAXSYMLINKS of Linux."""

# O_PATH needs no permission to read a directory, only to search it, as path resolution does.
_DIRECTORY: Final = (
    getattr(os, "O_PATH", 0) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
)
_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)

# What O_NOFOLLOW answers for a link: ELOOP, but ENOTDIR together with O_DIRECTORY; FreeBSD EMLINK.
_MAYBE_LINK: Final = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK, getattr(errno, "EFTYPE", None))


def os_error(number: int) -> OSError:
    """Return the OSError of an error number, without a file name in it."""
    return OSError(number, os.strerror(number))


def open_beneath(root_fd: int, path: Sequence[bytes], flags: int, mode: int = 0) -> int:
    """Open `path` beneath the directory and return the file descriptor.

    Links are followed while they stay beneath.  `flags` may not hold O_NOFOLLOW, and O_PATH only
    with O_DIRECTORY.  Raises OSError: EXDEV for what would leave the directory.
    """
    pending = [name for name in reversed(path) if name]  # the next component last
    held: list[int] = []  # the directories below the root that lead here: `..` goes back along them
    links = 0
    try:
        while pending:
            name = pending.pop()
            if name == b"..":
                if not held:
                    raise os_error(errno.EXDEV)
                os.close(held.pop())
                name = b"."
            if name == b"." and pending:
                continue
            here = held[-1] if held else root_fd
            try:
                fd = os.open(
                    name, (_DIRECTORY if pending else flags) | _NOFOLLOW, mode, dir_fd=here
                )
            except OSError as error:
                if error.errno not in _MAYBE_LINK:
                    raise
                pending += _link_components(name, here, error)
                links += 1
                if links > LINKS_MAX:
                    raise os_error(errno.ELOOP) from None
                continue
            if not pending:
                return fd
            held.append(fd)
        raise os_error(errno.ENOENT)
    finally:
        for fd in held:
            os.close(fd)


def _link_components(name: bytes, dir_fd: int, error: OSError) -> list[bytes]:
    """Return what to walk instead of a link, the next component last.

    `error` is why `name` could not be opened; it is raised again if that is no link at all.
    """
    try:
        target = os.readlink(name, dir_fd=dir_fd)
    except OSError:
        if error.errno == errno.ENOTDIR:
            raise error from None
        return [name]  # it was a link a moment ago: look again (and count it, so that this ends)
    if target.startswith(b"/"):  # also what the magic links of /proc show
        raise os_error(errno.EXDEV)
    parts = [part for part in target.split(b"/") if part]
    if target.endswith(b"/"):
        parts.append(b".")  # only a directory has a `.`
    return parts[::-1]
