"""Uploads: may the server's user write, and does the file system do what whole uploads need."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from snowowl.cli.doctor_checks.finding import Finding, Subject, fail, note, ok, warn
from snowowl.cli.doctor_checks.users import User, user_of
from snowowl.content.names import TEMPORARY_PREFIX
from snowowl.observe.words import printable, size_text


def uploads(subject: Subject) -> Iterator[Finding]:
    """Look at the root as a place to write to, if it is one."""
    write, root = subject.config.write, subject.config.server.root
    if not write.enabled:
        yield ok("uploads", "off: nothing can be written")
        return
    user = user_of(subject)
    try:
        yield _writable(root, user)
        usage = shutil.disk_usage(root)
    except OSError:
        return  # the check of the root says so
    yield from _room(usage.free, write.free_min, write.quota)
    if os.name == "posix":
        yield _file_system(root)


def _writable(root: Path, user: User | None) -> Finding:
    if user is None or user.may(root.stat(), 3):
        return ok("uploads", "new files may be made in the root")
    name = printable(str(root))
    return warn(
        "uploads",
        f"user {user.name} may not make files in {name} itself",
        f"chown {user.name} {name}, or let clients upload to a folder in it that belongs to {user.name}",
    )


def _room(free: int, free_min: int, quota: int) -> Iterator[Finding]:
    said = f"{size_text(free)} free; uploads end at {size_text(free_min)} (write.free_min)"
    if free <= free_min:
        yield fail("uploads", said, "make room, or lower write.free_min")
    elif quota > free - free_min:
        yield warn(
            "uploads",
            f"{said}, before the quota of {size_text(quota)} is used up",
            "lower write.quota, or serve from a larger disk",
        )
    else:
        yield ok("uploads", said)


def _file_system(root: Path) -> Finding:
    """Make a file without a name there, and give it one for a moment, if this user may."""
    anonymous = getattr(os, "O_TMPFILE", None)
    if anonymous is None:
        return note("uploads", "this system has no files without a name (O_TMPFILE)")
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return _anonymous(folder, anonymous)
    finally:
        os.close(folder)


def _anonymous(folder: int, flag: int) -> Finding:
    try:
        fd = os.open(".", flag | os.O_WRONLY, 0o600, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return note("uploads", f"the file system cannot be tried: {error.strerror}")
        return note(
            "uploads",
            "the file system has no files without a name (O_TMPFILE): an upload that is cut short"
            " by a crash leaves a temporary file",
        )
    # A name that the server takes for its own, and never serves.
    name = TEMPORARY_PREFIX + secrets.token_hex(8).encode() + b".part"
    try:
        os.fsync(fd)
        os.link(f"/proc/self/fd/{fd}".encode(), name, dst_dir_fd=folder, follow_symlinks=True)
    except OSError as error:
        return note("uploads", f"the file system cannot link files ({error.strerror}); renames do")
    else:
        return ok("uploads", "the file system has O_TMPFILE, hard links and fsync")
    finally:
        os.close(fd)
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
