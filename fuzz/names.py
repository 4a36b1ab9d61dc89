"""Play of the confinement: names of peers against a tree full of traps.

The tree lies beside files that no name may reach.  It is made once for a process and never written
to; each name is opened by every way there is (openat2, the walk, resolved paths), as it came and as
the server would take it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from snowowl.content.beneath import Root, Strategy
from snowowl.content.errors import ContentError
from snowowl.content.names import TEMPORARY_PREFIX, NameRules, components
from snowowl.wire.constants import ErrorCode

SECRET: Final = b"no peer may see this"
STRATEGIES: Final[tuple[Strategy, ...]] = ("openat2", "walk", "portable")
RULES: Final = tuple(
    NameRules(strip_trailing=strip, backslash=backslash)
    for strip in (True, False)
    for backslash in (True, False)
)

FILES: Final = ("file", "dir/file", "dir/deep/file", "a b", "dir/.hidden", "\udcff\udcfe", "C:")
LINKS: Final = {
    "to_file": "file",
    "to_dir": "dir",
    "dir/up": "../file",
    "dir/deep/up": "../../dir/file",
    "round": "dir/../to_dir/deep/.././deep/file",
    "self": ".",
    "dir/self": ".",
    "dir/parent": "..",
    "dangling": "nothing",
    "loop": "loop",
    "ping": "pong",
    "pong": "ping",
    "absolute": "/etc/hostname",
    "slash": "/",
    "out": "../secret",
    "out_dir": "../outside",
    "out_up": "..",
    "dir/deep/out": "../../../secret",
    "in_and_out": "../root/file",
    "magic": "/proc/self/root",
    "cwd": "/proc/self/cwd",
    "fd": "/proc/self/fd",
    "to_out_dir": "to_dir/../out_dir",
}
PIECES: Final = tuple(
    os.fsencode(piece)
    for piece in dict.fromkeys(
        part for name in (*FILES, *LINKS) for part in ("fifo", "socket", *name.split("/"))
    )
)
"""What names of this tree are made of."""


class Tree:
    """The tree, and its roots."""

    def __init__(self) -> None:
        self.top = Path(os.path.realpath(tempfile.mkdtemp(prefix="snowowl-fuzz-names-")))
        atexit.register(shutil.rmtree, self.top, ignore_errors=True)
        self.root = self.top / "root"
        (self.root / "dir/deep").mkdir(parents=True)
        (self.top / "outside").mkdir()
        for secret in ("secret", "outside/file", "outside/secret"):
            (self.top / secret).write_bytes(SECRET)
        for name in FILES:
            (self.root / name).write_bytes(b"inside")
        for name, target in LINKS.items():
            (self.root / name).symlink_to(target)
        os.mkfifo(self.root / "fifo")
        with socket.socket(socket.AF_UNIX) as unix, contextlib.chdir(self.root):
            unix.bind("socket")
        self.files = {path.stat().st_ino for path in self.root.rglob("*") if not path.is_symlink()}
        self.files.add(self.root.stat().st_ino)
        self.device = self.root.stat().st_dev
        self.roots: dict[Strategy, Root] = {}
        for strategy in STRATEGIES:
            with contextlib.suppress(OSError):  # a kernel without openat2
                self.roots[strategy] = Root(self.root, strategy)


_trees: list[Tree] = []


def tree() -> Tree:
    """Return the tree of this process."""
    if not _trees or not _trees[0].root.is_dir():
        _trees[:] = [Tree()]
    return _trees[0]


class Names:
    """Names against the tree."""

    def __init__(self) -> None:
        self.datagrams = 0
        self._tree = tree()

    def name(self, name: bytes) -> None:
        """Open what a name leads to, in every way, for reading and as the folder of an upload."""
        self.datagrams += 1
        for rules in RULES:
            for writing in (False, True):
                try:
                    parts = components(name, rules, writing=writing)
                except ContentError as error:
                    self._check_error(error)
                    continue
                assert parts
                for part in parts:
                    assert part not in (b"", b".", b"..")
                    assert not set(part) & {0, 0x2F}
                    assert not part.startswith(TEMPORARY_PREFIX)
                self._open(parts, agree=True)
        # As no peer can have it: a root must hold by itself, though the ways may differ in why.
        self._open(tuple(name.split(b"/")), agree=False)

    def _open(self, parts: Sequence[bytes], *, agree: bool) -> None:
        results = {
            strategy: self._opened(root, parts) for strategy, root in self._tree.roots.items()
        }
        found = {results[strategy] for strategy in ("openat2", "walk") if strategy in results}
        assert not agree or len(found) == 1, f"they differ: {results}"
        for root in self._tree.roots.values():
            try:
                directory = root.open_parent(parts)
            except ContentError as error:
                self._check_error(error)
                continue
            try:
                if directory.fd is not None:
                    self._check_inside(directory.fd)
                else:
                    real = os.path.realpath(directory.prefix)
                    assert Path(os.fsdecode(real)).is_relative_to(self._tree.root)
            finally:
                directory.close()

    def _opened(self, root: Root, parts: Sequence[bytes]) -> int:
        """Return the inode of what was opened, or minus the code of the error."""
        cached = None
        with contextlib.suppress(ContentError):
            cached = root.open_cached(parts, os.O_RDONLY)
        if cached is not None:
            self._check_inside(cached)
            os.close(cached)
        try:
            fd = root.open(parts, os.O_RDONLY)
        except ContentError as error:
            self._check_error(error)
            return -1 - int(error.code)
        try:
            self._check_inside(fd)
            return os.fstat(fd).st_ino
        finally:
            os.close(fd)

    def _check_inside(self, fd: int) -> None:
        status = os.fstat(fd)
        assert status.st_dev == self._tree.device, "a file of another device was opened"
        assert status.st_ino in self._tree.files, "something outside of the root was opened"

    def _check_error(self, error: ContentError) -> None:
        assert error.code in tuple(ErrorCode)
        assert str(self._tree.top) not in error.message, "the message tells where the root is"
        assert error.message.isascii()
        assert error.detail.isprintable()

    def close(self) -> None:
        """There is nothing to end."""
