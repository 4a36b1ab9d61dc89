"""A FAT16 disk image with files in its root folder, for machines that need a disk to write to.

QEMU can show a folder as FAT, but 7.2 aborts in `commit_one_file` when a file on it is written
anew. Only what one image needs is here: names of 8.3, no folders, no partition table. The layout is
Microsoft's "FAT: General Overview of On-Disk Format", version 1.03.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

_SECTOR = 512
_SECTORS_PER_CLUSTER = 4
_CLUSTER = _SECTOR * _SECTORS_PER_CLUSTER
# Between 4085 and 65524 clusters make it FAT16; 16384 of 2 KiB are 32 MiB.
_CLUSTERS = 16384
_FAT_SECTORS = (_CLUSTERS + 2) * 2 // _SECTOR + 1
_ROOT_ENTRIES = 512
_ROOT_OCTETS = _ROOT_ENTRIES * 32
_MEDIA = 0xF8
_END_OF_CHAIN = 0xFFFF


def _boot_sector() -> bytes:
    total = 1 + _FAT_SECTORS + _ROOT_OCTETS // _SECTOR + _CLUSTERS * _SECTORS_PER_CLUSTER
    parameters = struct.pack(
        "<HBHBHHBHHHII",
        *(_SECTOR, _SECTORS_PER_CLUSTER, 1, 1, _ROOT_ENTRIES, 0, _MEDIA, _FAT_SECTORS),
        *(63, 255, 0, total),
    )
    extended = struct.pack("<BBBI11s8s", 0x80, 0, 0x29, 0x77, b"OWL        ", b"FAT16   ")
    sector = b"\xeb\x3c\x90MSDOS5.0" + parameters + extended
    return sector.ljust(_SECTOR - 2, b"\0") + b"\x55\xaa"


def _short_name(name: str) -> bytes:
    stem, _, extension = name.upper().partition(".")
    if not 0 < len(stem) <= 8 or len(extension) > 3:
        raise ValueError(f"{name!r} is no name of 8.3")
    return stem.encode("ascii").ljust(8) + extension.encode("ascii").ljust(3)


def fat_disk(files: Mapping[str, bytes]) -> bytes:
    """Return a disk of 32 MiB that holds `files`. Raises ValueError for a name that is not 8.3."""
    table = [0xFF00 | _MEDIA, _END_OF_CHAIN]
    folder, content = b"", b""
    for name, octets in files.items():
        clusters = math.ceil(len(octets) / _CLUSTER)
        first = len(table) if clusters else 0
        if clusters:
            table += [*range(first + 1, first + clusters), _END_OF_CHAIN]
        # Attributes, eight octets of times, the first cluster's upper half, times, lower half, size.
        folder += _short_name(name) + struct.pack("<B14xHI", 0x20, first, len(octets))
        content += octets.ljust(clusters * _CLUSTER, b"\0")
    assert len(table) <= _CLUSTERS + 2
    fat = struct.pack(f"<{len(table)}H", *table).ljust(_FAT_SECTORS * _SECTOR, b"\0")
    data = content.ljust(_CLUSTERS * _CLUSTER, b"\0")
    return _boot_sector() + fat + folder.ljust(_ROOT_OCTETS, b"\0") + data
