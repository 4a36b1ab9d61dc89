"""What the root of a simulated server holds, and held: which octets a client may have got.

Two parts.  `Library` has the files that are served; they are replaced, rewritten and cut short while
they are being read.  `Ledger` has what clients upload.  Both know what was true when.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

_EPOCH_NS: Final = 1_600_000_000_000_000_000
PARTIAL: Final = ".snowowl-"
"""How the temporary names of uploads begin."""


@attrs.define
class Version:
    """One content of a file, and from when to when it was the file's."""

    octets: bytes
    since: float
    until: float = math.inf


class Library:
    """Files that are served."""

    def __init__(self, root: Path, clock: Callable[[], float]) -> None:
        self._root = root
        self._clock = clock
        self._versions: dict[str, list[Version]] = {}

    @property
    def names(self) -> list[str]:
        """Return the names of all files, in the order in which they were made."""
        return list(self._versions)

    def put(self, name: str, octets: bytes, *, in_place: bool = False) -> None:
        """Make a file, or replace it, by a rename or by writing over it."""
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        now = self._clock()
        target = path if in_place else path.with_name("new")
        target.write_bytes(octets)
        # Virtual time, of which much passes between two ticks of the machine's clock.
        stamp = _EPOCH_NS + int(now * 1e9)
        os.utime(target, ns=(stamp, stamp))
        if not in_place:
            target.replace(path)
        versions = self._versions.setdefault(name, [])
        if versions:
            versions[-1].until = now
        versions.append(Version(octets, now))

    def current(self, name: str) -> bytes:
        """Return what a file holds now."""
        return self._versions[name][-1].octets

    def could_be(self, name: str, octets: bytes, since: float) -> bool:
        """Say whether a client that asked at that time, or later, may have got these octets."""
        return any(
            version.octets == octets and version.until >= since
            for version in self._versions.get(name, ())
        )

    def is_missing(self, name: str) -> bool:
        """Say whether there never was such a file."""
        return name not in self._versions


@attrs.define(eq=False)
class Upload:
    """One attempt to store something."""

    name: str
    octets: bytes
    began: float
    ended: float = math.inf
    acknowledged: bool = False

    def acknowledge(self, now: float) -> None:
        """Note that the client has got the last ACK."""
        self.ended, self.acknowledged = now, True


class Ledger:
    """Uploads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._uploads: dict[str, list[Upload]] = {}

    def begin(self, name: str, octets: bytes, now: float) -> Upload:
        """Note that a client begins."""
        upload = Upload(name, octets, now)
        self._uploads.setdefault(name, []).append(upload)
        return upload

    def looks(self) -> list[str]:
        """Return what is wrong with the files that can be seen now: something partial, say."""
        problems = []
        for name, uploads in self._uploads.items():
            path = self._root / name
            if not path.exists():
                continue
            octets = path.read_bytes()
            if all(upload.octets != octets for upload in uploads):
                problems.append(f"{name} holds {len(octets)} octets that nobody uploaded")
        return problems

    def settles(self) -> list[str]:
        """Return what is wrong at the end, when all that was acknowledged must be there."""
        problems = self.looks()
        for name, uploads in self._uploads.items():
            done = [upload for upload in uploads if upload.acknowledged]
            if not done:
                continue
            path = self._root / name
            if not path.exists():
                problems.append(f"{name} was acknowledged and is not there")
                continue
            octets = path.read_bytes()
            newest = max(done, key=lambda upload: upload.began)
            # What ended before the newest began is gone for good; what failed may come late.
            allowed = [
                upload.octets
                for upload in uploads
                if upload.ended >= newest.began or not upload.acknowledged
            ]
            if octets not in allowed:
                problems.append(f"{name} does not hold what was acknowledged last")
        return problems

    def count(self) -> tuple[int, int]:
        """Return how many uploads there were, and how many were acknowledged."""
        uploads = [upload for several in self._uploads.values() for upload in several]
        return len(uploads), sum(upload.acknowledged for upload in uploads)


def leftovers(root: Path) -> list[str]:
    """Return the temporary files beneath a root."""
    return sorted(str(path.relative_to(root)) for path in root.rglob(PARTIAL + "*"))
