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
from itertools import chain
from typing import Literal

import attrs

from snowowl.content.allowance import Claim
from snowowl.content.beneath import Directory, Root
from snowowl.content.errors import ContentError, from_os_error, too_large
from snowowl.content.names import NameRules, display
from snowowl.content.naming import Template, Uploader
from snowowl.content.temporary import MODE, Kind, Temporary, free_octets
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
    """fnmatch patterns over the whole name beneath the root that is asked for; `*` also matches `/`.
    One must.  What `unique_name` makes of the name is not asked again."""
    size_max: int = 1 << 30
    """Octets of one upload, counted on the wire."""
    mode: int = MODE
    """Permissions of a new file, less the umask.  One that is replaced leaves its own."""
    unique: Literal["off", "if-taken", "always"] = "off"
    """Whether an upload makes a name for itself: then nothing is replaced."""
    unique_name: Template = attrs.field(factory=Template)

    @property
    def replaces(self) -> bool:
        """Whether an upload may end what another has stored."""
        return self.overwrite and self.unique == "off"

    def refuse_disabled(self) -> None:
        """Raise ContentError if no upload is taken at all."""
        if not self.enabled:
            raise ContentError(ErrorCode.ACCESS_VIOLATION, "uploads are not enabled")
        if self.unique != "off" and not self.create:
            raise ContentError(
                ErrorCode.ACCESS_VIOLATION,
                "access violation",
                "write.unique makes new files, and write.create allows none",
            )

    def refuse_unmatched(self, parts: Sequence[bytes]) -> None:
        """Raise ContentError unless a pattern matches the name that these components make."""
        name = b"/".join(parts).decode(errors="surrogateescape")
        if not any(fnmatchcase(name, pattern) for pattern in self.patterns):
            raise ContentError(
                ErrorCode.ACCESS_VIOLATION, "access violation", "no upload pattern matches the name"
            )


@attrs.frozen(kw_only=True)
class Wish:
    """What is asked for."""

    parts: Sequence[bytes]
    tsize: int | None = None
    uploader: Uploader = attrs.field(factory=Uploader)


def begin(
    root: Root,
    wish: Wish,
    policy: WritePolicy,
    kind: Kind,
    *,
    rules: NameRules,
    claim: Claim,
) -> Temporary:
    """Return the temporary file for an upload.  BLOCKS.  Raises ContentError.

    The checks are in the order of `Store.create`, but for those of the policy alone.
    """
    parts = wish.parts
    directory = root.open_parent(parts)
    begun = False
    # The file is made now, though nobody may ever send its first block: nothing but making it tells
    # all that can be wrong (permissions, a read-only disk, no inode left) before the client sends.
    try:
        replaced = _refuse_target(directory, parts[-1], policy)
        names = None
        if policy.unique != "off":
            names = policy.unique_name.names(parts[-1], wish.uploader, rules)
            names = chain([next(names)], names)  # what can be no name is told now
            if policy.unique == "if-taken":
                names = chain([parts[-1]], names)
        _refuse_size(directory, policy, wish.tsize, claim)
        temporary = Temporary(directory, parts[-1], kind, mode=policy.mode, names=names)
        try:
            _aim(claim, directory, parts[-1], replaced, policy)
        except BaseException:
            begun = True  # it owns the directory
            temporary.close()
            raise
        begun = True
    except OSError as error:
        raise from_os_error(error, f"upload of '{display(b'/'.join(parts))}'") from error
    finally:
        if not begun:
            directory.close()
    return temporary


def _aim(
    claim: Claim, directory: Directory, name: bytes, replaced: int, policy: WritePolicy
) -> None:
    """Tell the claim which name it is for: one of its own, where it makes one."""
    if policy.unique != "off":
        claim.aim((0, id(claim), name), 0)
        return
    status = os.stat(directory.prefix or b".", dir_fd=directory.fd)
    claim.aim((status.st_dev, status.st_ino, name), replaced)


def _refuse_target(directory: Directory, name: bytes, policy: WritePolicy) -> int:
    """Look at what has the name; return the octets of the file that would be replaced."""
    if policy.unique == "always":
        return 0
    try:
        status = os.stat(directory.prefix + name, dir_fd=directory.fd, follow_symlinks=False)
    except FileNotFoundError:
        if not policy.create:
            raise ContentError(
                ErrorCode.FILE_NOT_FOUND, "file not found, and creating files is not enabled"
            ) from None
        return 0
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        raise ContentError(ErrorCode.ACCESS_VIOLATION, "not a regular file")
    if policy.unique == "if-taken":
        return 0
    if not policy.overwrite:
        raise ContentError(ErrorCode.FILE_EXISTS, "file already exists")
    if stat.S_ISREG(status.st_mode) and not _may_be_written(directory, name):
        raise ContentError(
            ErrorCode.ACCESS_VIOLATION, "access violation", "the file is not writable"
        )
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


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


def _refuse_size(
    directory: Directory, policy: WritePolicy, tsize: int | None, claim: Claim
) -> None:
    # Only looked at, not taken by fallocate: a forged request would fill the disk with one datagram
    # until its transfer timed out.  It gains next to nothing: written as the file grows, 1 GiB
    # comes to 3 extents on ext4, and the CPU that it saves is too little to measure.
    if tsize is not None and tsize > policy.size_max:
        raise too_large(
            "size_max", f"{tsize} octets are announced, write.size_max is {policy.size_max}"
        )
    claim.refuse_space(free_octets(directory.prefix if directory.fd is None else directory.fd))
