"""Whether an upload may begin: the policy, the target as it is, the space there is.

What is found here may have changed by the time the upload is whole; so the last word is that of the
file system, in `snowowl.content.temporary`.  A look here only saves a client from sending what
cannot be kept.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from fnmatch import fnmatchcase

import attrs

from snowowl.content.beneath import Directory, Root
from snowowl.content.errors import ContentError, from_os_error
from snowowl.content.names import display
from snowowl.content.temporary import Kind, Temporary
from snowowl.wire.constants import ErrorCode


@attrs.frozen
class WritePolicy:
    """Which uploads are taken.  The default takes none."""

    enabled: bool = False
    overwrite: bool = False
    """Replace files that exist and may be written.  A symbolic link is replaced itself, never written
    through."""
    create: bool = True
    """Take names that do not exist yet."""
    patterns: tuple[str, ...] = ("*",)
    """fnmatch patterns over the whole name beneath the root; `*` also matches `/`.  One must."""
    size_max: int = 1 << 30
    """Octets of one upload, counted on the wire."""

    def refuse_disabled(self) -> None:
        """Raise ContentError if no upload is taken at all."""
        if not self.enabled:
            raise ContentError(ErrorCode.ACCESS_VIOLATION, "uploads are not enabled")

    def refuse_unmatched(self, parts: Sequence[bytes]) -> None:
        """Raise ContentError unless a pattern matches the name that these components make."""
        name = b"/".join(parts).decode(errors="surrogateescape")
        if not any(fnmatchcase(name, pattern) for pattern in self.patterns):
            raise ContentError(
                ErrorCode.ACCESS_VIOLATION, "access violation", "no upload pattern matches the name"
            )


def begin(
    root: Root, parts: Sequence[bytes], policy: WritePolicy, tsize: int | None, kind: Kind
) -> Temporary:
    """Return the temporary file for an upload to these components.  BLOCKS.  Raises ContentError.

    The checks are in the order of `Store.create`, but for those of the policy alone.
    """
    directory = root.open_parent(parts)
    begun = False
    # The file is made now, though nobody may ever send its first block: nothing but making it tells
    # all that can be wrong (permissions, a read-only disk, no inode left) before the client sends.
    try:
        _refuse_target(directory, parts[-1], policy)
        _refuse_size(directory, policy, tsize)
        temporary = Temporary(directory, parts[-1], kind)
        begun = True
    except OSError as error:
        raise from_os_error(error, f"upload of '{display(b'/'.join(parts))}'") from error
    finally:
        if not begun:
            directory.close()
    return temporary


def _refuse_target(directory: Directory, name: bytes, policy: WritePolicy) -> None:
    try:
        status = os.stat(directory.prefix + name, dir_fd=directory.fd, follow_symlinks=False)
    except FileNotFoundError:
        if not policy.create:
            raise ContentError(
                ErrorCode.FILE_NOT_FOUND, "file not found, and creating files is not enabled"
            ) from None
        return
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        raise ContentError(ErrorCode.ACCESS_VIOLATION, "not a regular file")
    if not policy.overwrite:
        raise ContentError(ErrorCode.FILE_EXISTS, "file already exists")
    if stat.S_ISREG(status.st_mode) and not _may_be_written(directory, name):
        raise ContentError(
            ErrorCode.ACCESS_VIOLATION, "access violation", "the file is not writable"
        )


def _may_be_written(directory: Directory, name: bytes) -> bool:
    """Say whether the server's user may write a file.

    A rename only asks whether the folder may be written.  But who takes the permission to write from
    a file means to keep it, and every other server, which writes into it, would.
    """
    return os.access(
        directory.prefix + name,
        os.W_OK,
        dir_fd=directory.fd,
        effective_ids=os.access in os.supports_effective_ids,
    )


def _refuse_size(directory: Directory, policy: WritePolicy, tsize: int | None) -> None:
    # Only looked at, not taken by fallocate: a forged request would fill the disk with one datagram
    # until its transfer timed out.  It gains next to nothing: written as the file grows, 1 GiB
    # comes to 3 extents on ext4, and the CPU that it saves is too little to measure.
    if tsize is None:
        return
    limit, reason = policy.size_max, "write.size_max"
    if hasattr(os, "statvfs"):
        space = os.statvfs(directory.prefix if directory.fd is None else directory.fd)
        # f_bavail: what is left for us, without the blocks that are reserved for root.
        free = space.f_bavail * space.f_frsize
        if free < limit:
            limit, reason = free, "the free space"
    if tsize > limit:
        raise ContentError(
            ErrorCode.DISK_FULL,
            "disk full or allocation exceeded",
            f"{tsize} octets are announced, {reason} is {limit}",
        )
