"""Real sockets on loopback, on every rung, and ones that fail on purpose."""

from __future__ import annotations

import mmap
import os
import socket
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio

from snowowl.datagram.address import SocketAddress, pack
from snowowl.datagram.endpoint import SocketEndpoint
from snowowl.datagram.interface import (
    LocalAddress,
    Packet,
    Received,
    Region,
    Train,
    Transmit,
)
from snowowl.datagram.memory import Buffer
from snowowl.datagram.portable import PortableEndpoint
from snowowl.datagram.settings import Settings

LO4 = LocalAddress(b"\x7f\0\0\1")
LO6 = LocalAddress(bytes(15) + b"\1")
SECONDS = 5.0

RUNGS: Final = {
    "portable": Settings(rung="portable"),
    "mmsg": Settings(rung="mmsg", sendfile=False),
    "gso": Settings(rung="gso", sendfile=False),
    "gso without sendmmsg": Settings(rung="gso", sendmmsg=False, sendfile=False),
    "gso without recvmmsg": Settings(rung="gso", recvmmsg=False, sendfile=False),
    "gso without gro": Settings(rung="gso", gro=False, sendfile=False),
    "neither": Settings(rung="mmsg", recvmmsg=False, sendmmsg=False, sendfile=False),
    "zerocopy": Settings(rung="gso", zerocopy=True, zerocopy_min=1, sendfile=False),
    "sendfile": Settings(rung="gso", sendfile=True, sendfile_file_min=1, sendfile_block_min=1),
}
"""Every way to the kernel, by a name."""


def one(peer: bytes, *datagrams: bytes, source: LocalAddress | None = None) -> Transmit:
    """Return a transmit of datagrams that are all of one size, but for a shorter last one."""
    if len(datagrams) == 1:
        return Packet(peer, datagrams[0], source)
    return train(peer, *[(b"", octets) for octets in datagrams], source=source)


def train(
    peer: bytes, *datagrams: tuple[bytes, Buffer], source: LocalAddress | None = None
) -> Train:
    """Return a train of datagrams, each a header and a piece; a single piece may be any buffer."""
    headers = b"".join(header for header, _ in datagrams)
    pieces = [piece for _, piece in datagrams]
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    header_size = len(datagrams[0][0])
    stride = header_size + len(pieces[0])
    assert all(len(piece) == len(pieces[0]) for piece in pieces[:-1])
    return Train(
        peer,
        Region(headers),
        0,
        Region(body),
        0,
        len(body),
        stride,
        len(pieces),
        source,
        header_size,
    )


def window(
    peer: bytes,
    body: Region,
    blksize: int,
    *,
    start: int = 0,
    size: int | None = None,
    source: LocalAddress | None = None,
) -> Train:
    """Return a body from an octet on as DATA; as in TFTP, the last block is shorter than others."""
    left = len(body.view) - start
    size = left if size is None else min(size, left)
    count = size // blksize + 1
    headers = b"".join(b"\0\3" + (number & 0xFFFF).to_bytes(2, "big") for number in range(count))
    return Train(peer, Region(headers), 0, body, start, size, 4 + blksize, count, source)


def datagrams(*transmits: Transmit) -> list[bytes]:
    """Return what is to be sent."""
    return [b"".join(pieces) for transmit in transmits for pieces in transmit.datagrams()]


class OpenFile:
    """A file's descriptor, for as long as it is open."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY)

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)
        self._fd = -1


@contextmanager
def mapped(path: Path) -> Iterator[Region]:
    """Map a file, as the server does."""
    file = OpenFile(path)
    mapping = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    view = memoryview(mapping)
    region = Region(view, file)
    try:
        yield region
    finally:
        region.view.release()
        view.release()
        mapping.close()
        file.close()


def parts(received: Received) -> list[bytes]:
    """Return the datagrams of what was received, which may have come joined."""
    octets, stride = bytes(received.data), received.stride
    return [octets[start : start + stride] for start in range(0, len(octets) or 1, stride)]


async def hear(endpoint: SocketEndpoint, count: int) -> list[tuple[bytes, bytes]]:
    """Return (peer, octets) of `count` datagrams."""
    heard: list[tuple[bytes, bytes]] = []
    with trio.fail_after(SECONDS):
        while len(heard) < count:
            await endpoint.wait_readable()
            for received in endpoint.receive():
                heard += [(received.peer, part) for part in parts(received)]
    return heard


async def hear_one(endpoint: SocketEndpoint) -> Received:
    with trio.fail_after(SECONDS):
        while True:
            await endpoint.wait_readable()
            batch = endpoint.receive()
            if batch:
                assert len(batch) == 1
                return batch[0]


class FailingSocket(socket.socket):
    """Answers the next sends and receives with these errnos; 0 lets one through."""

    sending: deque[int] | None = None
    receiving: deque[int] | None = None

    def fail(self, *, sending: Iterable[int] = (), receiving: Iterable[int] = ()) -> None:
        self.sending = deque(sending)
        self.receiving = deque(receiving)

    def sendmsg(self, *arguments: object) -> int:
        if self.sending and (number := self.sending.popleft()):
            raise OSError(number, "on purpose")
        return super().sendmsg(*arguments)  # type: ignore[arg-type]

    def recvfrom_into(self, *arguments: object) -> tuple[int, SocketAddress]:
        if self.receiving and (number := self.receiving.popleft()):
            raise OSError(number, "on purpose")
        return super().recvfrom_into(*arguments)  # type: ignore[arg-type]


def failing() -> tuple[FailingSocket, PortableEndpoint]:
    sock = FailingSocket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock, PortableEndpoint(sock)


def closed_port(family: int = socket.AF_INET, host: str = "127.0.0.1") -> bytes:
    """Return an address that nobody listens at."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        return pack(sock.getsockname())


def descriptors() -> set[Path]:
    """Return the file descriptors that are open."""
    return set(Path("/proc/self/fd").iterdir())
