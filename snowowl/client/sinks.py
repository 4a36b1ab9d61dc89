"""Where a client puts what it receives: memory, a stream, or a file that appears when it is whole."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final

import trio

from snowowl.client.session import Sink
from snowowl.content.errors import from_os_error
from snowowl.content.names import NameRules
from snowowl.content.store import Store
from snowowl.content.uploads import WritePolicy
from snowowl.observe.writer import write_all
from snowowl.wire.codec import Buffer
from snowowl.wire.constants import HEADER_SIZE, TSIZE_MAX
from snowowl.wire.netascii import Decoder

LITERAL_NAMES: Final = NameRules(strip_trailing=False, backslash=False, hidden=True)
_REPLACE: Final = WritePolicy(enabled=True, overwrite=True, size_max=TSIZE_MAX, mode=0o666)
"""As every program that makes files: the umask says who may do what with them."""


class MemorySink:
    """Keeps everything in `octets`."""

    def __init__(self, *, netascii: bool) -> None:
        self._buffer = bytearray()
        self._decoder = Decoder() if netascii else None

    @property
    def octets(self) -> bytes:
        """All that was received, decoded."""
        return bytes(self._buffer)

    @property
    def pending(self) -> int:
        """Nothing waits to be written."""
        return 0

    def store(self, data: Buffer, stride: int, count: int) -> None:
        """Take the payload of DATA datagrams."""
        for payload in payloads(data, stride, count):
            octets = bytes(payload)
            self._buffer += self._decoder.decode(octets) if self._decoder else octets

    async def flush(self) -> None:
        """Do nothing."""

    async def commit(self) -> None:
        """Take what a decoder holds back at the end."""
        if self._decoder is not None:
            self._buffer += self._decoder.finish()


class StreamSink(MemorySink):
    """Writes to a file descriptor as octets come in: a pipe, a terminal, a device."""

    def __init__(self, fd: int, *, netascii: bool) -> None:
        super().__init__(netascii=netascii)
        self._fd = fd

    @property
    def pending(self) -> int:
        """Octets that are not written yet."""
        return len(self._buffer)

    async def flush(self) -> None:
        """Write what has come in.  Raises ContentError."""
        octets, self._buffer = self._buffer, bytearray()
        try:
            # Abandoned if cancelled: a pipe that nobody reads would never let the thread go.  The
            # thread has a descriptor of its own, lest it write to what is opened after that.
            own = os.dup(self._fd)
            await trio.to_thread.run_sync(_write_and_close, own, octets, abandon_on_cancel=True)
        except OSError as error:
            raise from_os_error(error, "cannot write") from error

    async def commit(self) -> None:
        """Write the rest.  Raises ContentError."""
        await super().commit()
        await self.flush()


@asynccontextmanager
async def file_sink(path: Path, *, netascii: bool) -> AsyncIterator[Sink]:
    """Give a sink for a file: a new one appears when it is whole, nothing appears if it is not.

    What is no regular file (a device, a pipe) is written to as octets come.  Raises ContentError.
    """
    try:
        # Abandoned if cancelled: opening a pipe waits for its reader.
        real, special = await trio.to_thread.run_sync(_look, path, abandon_on_cancel=True)
    except OSError as error:
        raise from_os_error(error, f"cannot write {path}") from error
    if special is not None:
        try:
            yield StreamSink(special, netascii=netascii)
        finally:
            os.close(special)
        return
    try:
        store = Store(real.parent, rules=LITERAL_NAMES, policy=_REPLACE)
    except OSError as error:
        raise from_os_error(error, f"cannot write {path}") from error
    with closing(store):
        name = os.fsencode(real.name)
        async with await store.create(name, netascii=netascii, tsize=None) as sink:
            yield sink


def _look(path: Path) -> tuple[Path, int | None]:
    """Return a path without links, and a descriptor if it is there and no regular file.  Blocks.

    A link is followed, as by every program that writes files; the store would replace it.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a directory")
    special = path.exists() and not path.is_file()
    # Not Path.resolve, which raises RuntimeError for a loop of links before Python 3.13.
    real = Path(os.path.realpath(path))
    if real.is_symlink():  # what is left of a loop
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return real, os.open(path, os.O_WRONLY) if special else None


def payloads(data: Buffer, stride: int, count: int) -> list[memoryview]:
    """Return the payload of each of `count` DATA datagrams that lie `stride` octets apart."""
    view = memoryview(data)
    return [
        view[start + HEADER_SIZE : start + stride] for start in range(0, count * stride, stride)
    ]


def _write_and_close(fd: int, octets: bytearray) -> None:
    """BLOCKS."""
    try:
        write_all(fd, octets)
    finally:
        os.close(fd)
