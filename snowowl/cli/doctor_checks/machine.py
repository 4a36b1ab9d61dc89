"""What the kernel tells in files, read without raising: absent and forbidden are both nothing.

The root of the file system is an argument, so that a test can make a machine of a folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

_TEXT_MAX: Final = 1 << 20
"""Octets read of one file: enough for the sockets of a busy machine."""

CAP_NET_BIND_SERVICE: Final = 10  # include/uapi/linux/capability.h
CAP_SETGID: Final = 6
CAP_SETUID: Final = 7


def _euid() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else -1


@attrs.frozen(kw_only=True)
class Machine:
    """Where it is found out what kind of machine this is."""

    root: Path = Path("/")
    environ: Mapping[str, str] = attrs.field(factory=lambda: dict(os.environ))
    euid: int = attrs.field(factory=_euid)

    def path(self, name: str) -> Path:
        """Return where a file like `proc/net/udp` is."""
        return self.root / name

    def text(self, name: str) -> str:
        """Return the content of a file, "" if it cannot be read."""
        try:
            with self.path(name).open(encoding="utf-8", errors="replace") as file:
                return file.read(_TEXT_MAX)
        except (OSError, ValueError):
            return ""

    def number(self, name: str) -> int | None:
        """Return the number that a file holds, None if it holds none."""
        word = self.text(name).strip()
        return int(word) if word.isascii() and word.isdecimal() and len(word) < 20 else None

    def exists(self, name: str) -> bool:
        """Say whether a file is there."""
        try:
            return self.path(name).exists()
        except OSError:
            return False

    def status(self, field: str) -> str:
        """Return a field of this process's status, "" if there is none."""
        for line in self.text("proc/self/status").splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return value.strip()
        return ""

    def has_capability(self, number: int) -> bool:
        """Say whether this process has a capability in effect."""
        try:
            return bool(int(self.status("CapEff"), 16) >> number & 1)
        except ValueError:
            return False
