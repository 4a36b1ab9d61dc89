"""The folder that every server of a comparison serves: one copy for each, made anew for each run.

Each file is there for a case; what two servers could find different about it (owner, mode, kind) is
set here and nowhere else.  Servers run as nobody: what only root may read is root's.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
from pathlib import Path
from typing import Final

from tests.peers.workspace import UnusableError

TEXT: Final = b"one\ntwo\r\nthree\rfour\0five\n\r\n\nend"
"""Each way in which a line can end, and each octet that netascii changes."""

TEXT_ACROSS: Final = b"x" * 511 + b"\n" + b"y" * 510 + b"\r" + b"z" * 3
"""CR LF and CR NUL that lie across the end of a block once they are netascii."""

_OCTETS: Final = {
    "empty": 0,
    "one": 1,
    "short": 700,
    "block": 512,
    "blocks": 1536,
    "medium": 10_000,
    "long": 140_000,
    "many-blocks": 8 * 65_540 + 3,
    "Upper": 10,
    ".hidden": 11,
    "with space": 12,
    "percent%41": 13,
    "tail ": 14,
    "\N{SNOWMAN}": 15,
    "sub/inner": 600,
    "sub/deep/er": 16,
    "locked/inner": 17,
    "unreadable": 18,
    "owner-only": 19,
    "group-only": 20,
    "overwritable": 21,
    "overwritable-later": 22,
    "overwritable-empty": 23,
    "overwritable-fails": 24,
    "read-only": 25,
}

NAMES: Final = tuple(_OCTETS)
"""The files, by their paths beneath the root."""

_MODES: Final = {
    "unreadable": 0o000,
    "owner-only": 0o600,
    "group-only": 0o640,
    "locked": 0o700,
    "sub": 0o777,
    "": 0o777,
    **dict.fromkeys((name for name in _OCTETS if name.startswith("overwritable")), 0o666),
}

_LINKS: Final = {
    "link-inside": "sub/inner",
    "link-chain": "link-inside",
    "link-up": "../root/short",
    "link-outside": "../outside/secret",
    "link-folder": "sub",
    "link-folder-outside": "../outside",
    "link-dangling": "nowhere",
    "link-loop": "link-loop",
    "link-to-overwritable": "overwritable-later",
    "link-to-new": "made-through-a-link",
}

OUTSIDE: Final = "outside/secret"
"""The file beside the root, as a path from the folder that holds both."""

_SECRET: Final = b"of no concern to clients\n"


def make(folder: Path) -> Path:
    """Make `root` and `outside` in a folder anew, and return the root; `UnusableError` if we are not root.

    Without root the files that only their owner may read would be readable by all servers.
    """
    if os.getuid():
        raise UnusableError("comparing servers takes root: all of them are started as nobody")
    root = folder / "root"
    for old in (root, folder / "outside"):
        shutil.rmtree(old, ignore_errors=True)
    for name in ("sub/deep", "locked", "empty-folder"):
        (root / name).mkdir(parents=True)
    (folder / "outside").mkdir()
    (folder / OUTSIDE).write_bytes(_SECRET)
    for name, size in _OCTETS.items():
        # No two blocks are alike, and no two files.
        (root / name).write_bytes(random.Random(name).randbytes(size))
    (root / "text").write_bytes(TEXT)
    (root / "text-across").write_bytes(TEXT_ACROSS)
    for name, target in _LINKS.items():
        (root / name).symlink_to(target)
    (root / "link-absolute").symlink_to(root / "short")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
        bound.bind(str(root / "socket"))
    for path in (folder, folder / "outside"):
        path.chmod(0o755)
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    for name, mode in _MODES.items():
        (root / name).chmod(mode)
    shutil.chown(root / "group-only", group="nogroup")
    return root
