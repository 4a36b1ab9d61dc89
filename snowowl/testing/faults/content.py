"""What is served and taken in: a folder, or files in memory.

A file is read whole before its transfer begins, so that no hook of a fault ever waits for a disk, and
so that a file that changes meanwhile changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import attrs
import trio

from snowowl.content.errors import ContentError, from_os_error
from snowowl.content.names import NameRules, components
from snowowl.content.source import Source
from snowowl.content.store import Store
from snowowl.content.uploads import WritePolicy
from snowowl.wire import netascii as text_mode
from snowowl.wire.constants import HEADER_SIZE, ErrorCode

SIZE_MAX: Final = 1 << 29
"""Octets of a file, either way: it is held in memory."""

_PIECE: Final = 1 << 20


class Content(Protocol):
    """Octets that can be sent."""

    @property
    def size(self) -> int:
        """How many."""

    def read(self, offset: int, length: int) -> bytes:
        """Return some of them; fewer at the end."""


@attrs.frozen
class Octets:
    """Content in memory."""

    octets: bytes

    @property
    def size(self) -> int:
        """How many octets."""
        return len(self.octets)

    def read(self, offset: int, length: int) -> bytes:
        """Return a piece."""
        return self.octets[offset : offset + length]


@attrs.frozen
class Generated:
    """Content of any size that takes no memory: each eight octets say where they are."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Return a piece."""
        length = max(0, min(length, self.size - offset))
        first, last = offset // 8, -(-(offset + length) // 8)
        words = b"".join(word.to_bytes(8, "big") for word in range(first, last))
        start = offset - first * 8
        return words[start : start + length]


class Files(Protocol):
    """Where content comes from and goes to."""

    async def open(self, name_untrusted: bytes, *, netascii: bool) -> Content:
        """Return a file as it is on the wire.  Raises ContentError."""

    async def refuse(self, name_untrusted: bytes) -> None:
        """Raise ContentError if no upload is taken under a name."""

    async def keep(self, name_untrusted: bytes, octets: bytes, *, netascii: bool) -> None:
        """Take an upload, as it was on the wire.  Raises ContentError."""

    def close(self) -> None:
        """Close what is open."""


class MemoryFiles:
    """Files in memory; uploads are added to `uploads`, and can be read from there."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = {_key(name.encode()): octets for name, octets in files.items()}
        self.uploads: dict[str, bytes] = {}

    async def open(self, name_untrusted: bytes, *, netascii: bool) -> Content:
        """Return a file.  Raises ContentError."""
        await trio.lowlevel.checkpoint()
        key = _key(name_untrusted)
        uploads = {_key(name.encode()): octets for name, octets in self.uploads.items()}
        octets = uploads.get(key, self._files.get(key))
        if octets is None:
            raise ContentError(ErrorCode.FILE_NOT_FOUND, "file not found")
        return Octets(text_mode.encode(octets) if netascii else octets)

    async def refuse(self, name_untrusted: bytes) -> None:
        """Raise ContentError for a name that is none."""
        await trio.lowlevel.checkpoint()
        _key(name_untrusted)

    async def keep(self, name_untrusted: bytes, octets: bytes, *, netascii: bool) -> None:
        """Keep an upload."""
        await trio.lowlevel.checkpoint()
        name = b"/".join(_key(name_untrusted)).decode("utf-8", "surrogateescape")
        self.uploads[name] = _decoded(octets) if netascii else octets

    def close(self) -> None:
        """Do nothing."""


class Folder:
    """A folder; uploads replace files.  Raises OSError if it cannot be opened."""

    def __init__(self, root: Path, *, writable: bool) -> None:
        policy = WritePolicy(enabled=writable, overwrite=True, size_max=SIZE_MAX)
        self._store = Store(root, rules=NameRules(), policy=policy)

    async def open(self, name_untrusted: bytes, *, netascii: bool) -> Content:
        """Read a file.  Raises ContentError."""
        source = await self._store.open(name_untrusted, netascii=False)
        try:
            if source.size > SIZE_MAX:
                raise ContentError(
                    ErrorCode.NOT_DEFINED, f"larger than {SIZE_MAX >> 20} MiB, the most here"
                )
            octets = await trio.to_thread.run_sync(_read, source, limiter=self._store.limiter)
            source.check()
        finally:
            source.close()
        return Octets(text_mode.encode(octets) if netascii else octets)

    async def refuse(self, name_untrusted: bytes) -> None:
        """Raise ContentError if an upload would be refused."""
        async with await self._store.create(name_untrusted, netascii=False, tsize=None):
            pass

    async def keep(self, name_untrusted: bytes, octets: bytes, *, netascii: bool) -> None:
        """Write an upload.  Raises ContentError."""
        async with await self._store.create(name_untrusted, netascii=netascii, tsize=None) as sink:
            for offset in range(0, len(octets), _PIECE):
                piece = bytes(HEADER_SIZE) + octets[offset : offset + _PIECE]
                sink.store(piece, len(piece), 1)
                await sink.flush()
            await sink.commit()

    def close(self) -> None:
        """Close the folder."""
        self._store.close()


def _read(source: Source) -> bytes:
    """Return the octets of a file.  BLOCKS.  Raises ContentError."""
    whole = source.whole
    file = None if whole is None else whole.file
    if file is None:  # small, and in memory
        return bytes(source.view(0, source.size))
    # Through its descriptor: a view of a mapped file that is cut short must not be touched.
    pieces: list[bytes] = []
    offset = 0
    try:
        while piece := os.pread(file.fileno(), _PIECE, offset):
            pieces.append(piece)
            offset += len(piece)
    except OSError as error:
        raise from_os_error(error, "reading a file") from error
    return b"".join(pieces)


def _key(name_untrusted: bytes) -> tuple[bytes, ...]:
    return components(name_untrusted, NameRules())


def _decoded(octets: bytes) -> bytes:
    decoder = text_mode.Decoder()
    return decoder.decode(octets) + decoder.finish()
