"""Real sockets on loopback, and ones that fail on purpose."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable
from pathlib import Path

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

LO4 = LocalAddress(b"\x7f\0\0\1")
LO6 = LocalAddress(bytes(15) + b"\1")
SECONDS = 5.0


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


async def hear(endpoint: SocketEndpoint, count: int) -> list[tuple[bytes, bytes]]:
    """Return (peer, octets) of `count` datagrams."""
    heard: list[tuple[bytes, bytes]] = []
    with trio.fail_after(SECONDS):
        while len(heard) < count:
            await endpoint.wait_readable()
            heard += [(received.peer, bytes(received.data)) for received in endpoint.receive()]
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


def closed_port() -> bytes:
    """Return an address that nobody listens at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return pack(sock.getsockname())


def descriptors() -> set[Path]:
    """Return the file descriptors that are open."""
    return set(Path("/proc/self/fd").iterdir())
