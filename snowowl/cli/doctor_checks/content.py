"""The folder that is served: may the server's user read it, and what in it will not be served."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from snowowl.cli.doctor_checks.finding import Finding, Subject, fail, note, ok, warn
from snowowl.cli.doctor_checks.users import User, kind_of, user_of
from snowowl.observe.words import printable

ENTRIES_MAX: Final = 20_000
SCAN_SECONDS: Final = 1.0
NAMES_MAX: Final = 3
"""Names told of each kind."""


def content(subject: Subject) -> Iterator[Finding]:
    """Look at the root, and at what is in it, as far as time allows."""
    root = Path(os.path.abspath(subject.config.server.root))  # noqa: PTH100 - links are to stay
    shown = printable(str(root))
    user = user_of(subject)
    whose = f"user {user.name}" if user is not None else "the server's user"
    try:
        status = root.stat()
    except OSError as error:
        yield fail("root", f"{shown}: {error.strerror}", f"create it: mkdir -p {shown}")
        return
    if not stat.S_ISDIR(status.st_mode):
        yield fail("root", f"{shown} is no folder", "name the folder that holds the files")
        return
    if user is not None and (obstacle := user.first_obstacle(root.resolve())) is not None:
        yield fail(
            "root",
            f"{whose} may not pass {printable(str(obstacle))} on the way to {shown}",
            f"chmod o+x {printable(str(obstacle))}, or serve a folder elsewhere, like /srv/tftp",
        )
        return
    if user is not None and not user.may(status, 5):
        yield fail("root", f"{whose} may not read {shown}", f"chmod o+rx {shown}")
        return
    yield ok("root", f"{shown} can be read by {whose}")
    yield from _tell(_scan(root, user, hidden=subject.config.names.hidden), whose)


@attrs.define
class _Seen:
    """What was found beneath the root."""

    files: int = 0
    entries: int = 0
    cut: bool = False
    special: list[str] = attrs.field(factory=list)
    leaving: list[str] = attrs.field(factory=list)
    broken: list[str] = attrs.field(factory=list)
    unreadable: list[str] = attrs.field(factory=list)
    hidden: list[str] = attrs.field(factory=list)
    foreign: list[str] = attrs.field(factory=list)


def _scan(root: Path, user: User | None, *, hidden: bool) -> _Seen:
    """Walk the root without following links, a bounded way."""
    seen, ends_at = _Seen(), time.monotonic() + SCAN_SECONDS
    real = os.path.realpath(root)
    folders = [os.fsencode(root)]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    seen.entries += 1
                    if seen.entries > ENTRIES_MAX or time.monotonic() > ends_at:
                        seen.cut = True
                        return seen
                    inside = _look(entry, root, real, user, seen, hidden=hidden)
                    if inside:
                        folders.append(entry.path)
        except OSError:
            seen.unreadable.append(_name(folder, root))
    return seen


def _look(
    entry: os.DirEntry[bytes],
    root: Path,
    real: str,
    user: User | None,
    seen: _Seen,
    *,
    hidden: bool,
) -> bool:
    """Take note of one entry; say whether it is a folder to look into."""
    name = _name(entry.path, root)
    if entry.name.startswith(b".") and not hidden:
        seen.hidden.append(name)
        return False
    if not entry.name.isascii():
        seen.foreign.append(name)
    if entry.is_symlink():
        if not os.path.lexists(os.path.realpath(entry.path)):
            seen.broken.append(name)
        elif _leaves(entry.path, os.fsencode(real)):
            seen.leaving.append(name)
        return False
    status = entry.stat(follow_symlinks=False)
    folder = stat.S_ISDIR(status.st_mode)
    if not folder and not stat.S_ISREG(status.st_mode):
        seen.special.append(f"{name} ({kind_of(status.st_mode)})")
    elif user is not None and not user.may(status, 1 if folder else 4):
        seen.unreadable.append(name)
        return False
    seen.files += stat.S_ISREG(status.st_mode)
    return folder


def _leaves(link: bytes, real: bytes) -> bool:
    """Say whether a link leaves the root.  For who resolves beneath it, an absolute one does, too."""
    if os.readlink(link).startswith(b"/"):  # noqa: PTH115 - it is octets, and a Path is text
        return True
    return os.path.commonpath([real, os.path.realpath(link)]) != real


def _name(path: bytes, root: Path) -> str:
    return printable(os.fsdecode(os.path.relpath(path, os.fsencode(root))))


def _tell(seen: _Seen, whose: str) -> Iterator[Finding]:
    counted = "1 file" if seen.files == 1 else f"{seen.files} files"
    if seen.cut:
        yield note(
            "files",
            f"{counted} among the first {seen.entries - 1} entries; the rest was not looked at",
        )
    elif seen.files:
        yield ok("files", f"{counted} can be fetched")
    else:
        yield note("files", "there is nothing to fetch", "put the files of the boards there")
    mount = "copy the files, or mount the folder there (mount --bind)"
    for names, what, advice in (
        (seen.unreadable, f"{whose} may not read", "chmod o+r them, and o+x folders"),
        (seen.leaving, "links that leave the root are not followed:", mount),
        (seen.broken, "links that lead nowhere:", "remove or repair them"),
    ):
        if names:
            yield warn("files", f"{what} {_few(names)}", advice)
    if seen.special:
        yield note("files", f"not served: {_few(seen.special)}")
    if seen.hidden:
        yield note(
            "files",
            f"hidden, and not served: {_few(seen.hidden)}",
            "names.hidden = true serves them",
        )
    if seen.foreign:
        yield note(
            "files",
            f"names with letters beyond ASCII: {_few(seen.foreign)}",
            "clients must send the same octets; most boot loaders cannot",
        )


def _few(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:NAMES_MAX])
    return shown if len(names) <= NAMES_MAX else f"{shown} and {len(names) - NAMES_MAX} more"
