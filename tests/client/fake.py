"""A server that is a function: what it answers to each datagram, under virtual time.

No socket and no task: `FakeNetwork.open` gives endpoints whose `send` asks the script at once.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import trio

from snowowl.datagram.address import pack, unmapped
from snowowl.datagram.interface import Counters, LocalAddress, Received, Transmit, Unsent
from snowowl.wire.codec import Buffer, encode_ack, encode_data_header, encode_error, opcode_of
from snowowl.wire.constants import Opcode

URL: Final = "tftp://192.0.2.1/file"
LISTENING: Final = pack(("192.0.2.1", 69))
TID: Final = pack(("192.0.2.1", 50001))
OTHER_TID: Final = pack(("192.0.2.1", 50002))
OTHER_HOST: Final = pack(("192.0.2.9", 50001))

Answer = tuple[bytes, bytes]
"""Where it comes from, and its octets; no octets: that port is closed (ICMP)."""
Script = Callable[[bytes, bytes], Sequence[Answer]]
"""Returns what comes back for a datagram to a peer."""


class FakeEndpoint:
    def __init__(self, network: FakeNetwork) -> None:
        self.counters = Counters()
        self.address = pack(("192.0.2.100", 40000))
        self.closed = False
        self._network = network
        self._inbox: deque[Answer] = deque()
        self._arrived = trio.Event()

    def receive(self) -> Sequence[Received]:
        batch = [Received(octets, len(octets), peer) for peer, octets in self._inbox if octets]
        self._inbox = deque(answer for answer in self._inbox if not answer[1])
        return batch

    def send(self, transmits: Sequence[Transmit]) -> Unsent | None:
        for transmit in transmits:
            for buffers in transmit.datagrams():
                octets = b"".join(buffers)
                self._network.sent.append((trio.current_time(), transmit.peer, octets))
                self.deliver(self._network.script(transmit.peer, octets))
        return None

    def deliver(self, answers: Sequence[Answer]) -> None:
        if answers:
            self._inbox += answers
            self._arrived.set()

    def take_unreachable(self) -> Sequence[bytes]:
        peers = [peer for peer, octets in self._inbox if not octets]
        self._inbox = deque(answer for answer in self._inbox if answer[1])
        return peers

    def dropped(self) -> int:
        return 0

    async def wait_readable(self) -> None:
        await trio.lowlevel.checkpoint()
        while not self._inbox:
            self._arrived = trio.Event()
            await self._arrived.wait()

    async def wait_writable(self) -> None:
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        self.closed = True


class FakeNetwork:
    """Records what is `sent`: (time, peer, octets)."""

    def __init__(self, script: Script) -> None:
        self.capabilities = None
        self.lowered: Callable[[str], None] = lambda _: None
        self.script = script
        self.sent: list[tuple[float, bytes, bytes]] = []
        self.endpoints: list[FakeEndpoint] = []
        self.families: list[int] = []
        self.refused_families: set[int] = set()

    def listen(self, host: str, port: int) -> FakeEndpoint:
        raise NotImplementedError

    def open(
        self, family: int, local: LocalAddress | None, port_range: tuple[int, int] | None
    ) -> FakeEndpoint:
        del local, port_range
        self.families.append(family)
        if family in self.refused_families:
            raise OSError(97, "Address family not supported by protocol")
        self.endpoints.append(FakeEndpoint(self))
        return self.endpoints[-1]

    def mtu(self, local: LocalAddress | None) -> int:
        del local
        return 1500

    def sent_to(self, peer: bytes) -> list[bytes]:
        return [octets for _, to, octets in self.sent if to == peer]

    @property
    def all_closed(self) -> bool:
        return all(endpoint.closed for endpoint in self.endpoints)


def data(number: int, payload: bytes) -> bytes:
    return encode_data_header(number) + payload


def oack(*options: tuple[bytes, bytes]) -> bytes:
    return b"\0\6" + b"".join(name + b"\0" + value + b"\0" for name, value in options)


def number_of(datagram: Buffer) -> int:
    return int.from_bytes(datagram[2:4], "big")


def reader(content: bytes, grant: bytes | None = None, blksize: int = 512) -> Script:
    """Answer an RRQ with this content in lock-step, after this OACK if there is one."""

    def answer(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        def block(number: int) -> Sequence[Answer]:
            start = (number - 1) * blksize
            if start > len(content):
                return ()
            return ((TID, data(number, content[start : start + blksize])),)

        if opcode_of(datagram) == Opcode.RRQ and unmapped(peer) == LISTENING:
            return block(1) if grant is None else ((TID, grant),)
        if opcode_of(datagram) == Opcode.ACK and peer == TID:
            return block(number_of(datagram) + 1)
        return ()

    return answer


def writer(into: list[bytes], grant: bytes | None = None) -> Script:
    """Answer a WRQ and acknowledge every block, which is put `into` the list once."""

    def answer(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        if opcode_of(datagram) == Opcode.WRQ:
            return ((TID, grant or encode_ack(0)),)
        if opcode_of(datagram) == Opcode.DATA and peer == TID:
            if number_of(datagram) == len(into) + 1:
                into.append(datagram[4:])
            return ((TID, encode_ack(len(into))),)
        return ()

    return answer


def refuser(code: int, text: str = "") -> Script:
    """Answer every request by an ERROR."""

    def answer(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        del peer
        requests = (Opcode.RRQ, Opcode.WRQ)
        return ((TID, encode_error(code, text)),) if opcode_of(datagram) in requests else ()

    return answer


def silent(peer: bytes, datagram: bytes) -> Sequence[Answer]:
    del peer, datagram
    return ()


class Resolver(trio.abc.HostnameResolver):
    """Knows one name; asks nobody."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def getaddrinfo(  # type: ignore[override]
        self, host: object, port: int, *_: object, **__: object
    ) -> list[tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]]:
        await trio.lowlevel.checkpoint()
        return [
            (socket.AF_INET6, 2, 17, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, 2, 17, "", (address, port))
            for address in self._addresses
        ]

    async def getnameinfo(self, sockaddr: object, flags: int) -> tuple[str, str]:
        raise NotImplementedError
