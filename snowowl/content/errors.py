"""What can go wrong with content, told twice: once to the peer, once to the log.

Everything in this package raises `ContentError` and nothing else for what a peer asked for or a
disk did.  `message` goes onto the wire, so it may hold no path of the server and no octet that the
peer sent; whatever helps the operator belongs in `detail`.
"""

from __future__ import annotations

import errno
from typing import Final, Literal

from snowowl.wire.constants import ErrorCode

Limit = Literal["uploads_max", "open_files_max", "size_max", "quota", "free_min"]
"""The limits, by their key, that content is refused for without there being anything wrong with it."""


class ContentError(Exception):
    """A name cannot be opened, or the octets behind it cannot be read or stored.

    `code` and `message` are the ERROR to answer with (RFC 1350 section 5), `detail` is for the log.
    `escape`: the name would have led out of the root.  `limit`: which limit left no room for it; None
    if it was none.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        detail: str = "",
        *,
        escape: bool = False,
        limit: Limit | None = None,
    ) -> None:
        super().__init__(f"{message} ({detail})" if detail else message)
        self.code = code
        self.message = message
        self.detail = detail
        self.escape = escape
        self.limit = limit


def busy(limit: Limit, maximum: int) -> ContentError:
    """Return the error for a request that a limit of the server leaves no room for."""
    return ContentError(
        ErrorCode.NOT_DEFINED,
        "server is busy, try again",
        f"limits.{limit} is {maximum}",
        limit=limit,
    )


def too_large(limit: Limit, detail: str) -> ContentError:
    """Return the error for an upload that a limit leaves no room for."""
    return ContentError(
        ErrorCode.DISK_FULL, "disk full or allocation exceeded", detail, limit=limit
    )


_ANSWERS: Final = (
    (ErrorCode.FILE_NOT_FOUND, "file not found", ("ENOENT", "ENOTDIR", "ENAMETOOLONG")),
    (
        ErrorCode.ACCESS_VIOLATION,
        "access violation",
        # EISDIR: a rename onto a directory; ENXIO and ENODEV: opening a socket or a dead device.
        ("EACCES", "EPERM", "ELOOP", "EXDEV", "EROFS", "EISDIR", "ENXIO", "ENODEV"),
    ),
    (
        ErrorCode.DISK_FULL,
        "disk full or allocation exceeded",
        ("ENOSPC", "EDQUOT", "EFBIG"),
    ),
    (ErrorCode.FILE_EXISTS, "file already exists", ("EEXIST",)),
    (
        ErrorCode.NOT_DEFINED,
        "server is out of resources, try again",
        # EAGAIN: somebody holds a lease on the file, and O_NONBLOCK does not wait for it.
        ("EMFILE", "ENFILE", "ENOMEM", "EAGAIN"),
    ),
)

_BY_ERRNO: Final = {
    number: (code, message)
    for code, message, names in _ANSWERS
    for name in names
    if isinstance(number := getattr(errno, name, None), int)  # Windows lacks EDQUOT
}

_OTHER: Final = (ErrorCode.NOT_DEFINED, "input or output error")


def from_os_error(error: OSError, detail: str) -> ContentError:
    """Return what to answer for an error of the operating system.

    `detail` says what was tried; the error's own text is added to it.
    """
    code, message = _BY_ERRNO.get(error.errno or 0, _OTHER)
    # Not str(error): that repeats the file name, unescaped.
    reason = error.strerror or type(error).__name__
    return ContentError(code, message, f"{detail}: {reason}" if detail else reason)
