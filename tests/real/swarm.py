"""Many clients in one process, as light as Python allows: a helper program of the tests.

`swarm.py get|put HOST PORT CLIENTS TRANSFERS BLKSIZE FOLDER NAME... [KEY=VALUE...]`: TRANSFERS in
all, CLIENTS of them at a time, over the names in turn; what is read is compared with the file in
FOLDER, what is written is taken from there.  Prints the number of transfers that went well; no wait
is longer than a minute.

The keys are for what is read.  `windowsize`: lock-step if it is not given.  `receive_buffer`: octets
of SO_RCVBUF.  `loss`: the part of what comes, and of its own ACKs, that a client throws away.
"""

from __future__ import annotations

import random
import resource
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SILENCE_SECONDS = 2.0
GIVEN_UP_SECONDS = 60.0


class Link(NamedTuple):
    """What a client asks for, and what it can take."""

    windowsize: int = 1
    receive_buffer: int = 0
    loss: float = 0.0
    host: str = ""
    """Where the client is, if that is not left to the system."""


class Transfer:
    """One transfer: at any time one packet that is to be answered."""

    def __init__(
        self,
        direction: str,
        server: tuple[str, int],
        name: str,
        octets: bytes,
        blksize: int,
        link: Link,
        seed: int,
    ) -> None:
        self.reading = direction == "get"
        self.octets = memoryview(octets)
        self.blksize = blksize
        self.block = 0
        """The last block that was received, or sent."""
        self.windowsize = 1
        self.acked = 0
        """The block after which the window begins."""
        self.gap = (0, 0)
        """The block that was acknowledged last because the next was missing, and how far ahead of
        it the last one was."""
        self.loss = link.loss
        self.draws = random.Random(seed)
        self.connected = False
        self.result: bool | None = None
        self.heard = time.monotonic()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        if link.host:
            self.socket.bind((link.host, 0))
        if link.receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, link.receive_buffer)
        opcode = b"\0\1" if self.reading else b"\0\2"
        options = b"blksize\0%d\0" % blksize if blksize != 512 else b""
        options += b"windowsize\0%d\0" % link.windowsize if link.windowsize > 1 else b""
        self.sent = opcode + name.encode() + b"\0octet\0" + options
        self.server = server
        self.socket.sendto(self.sent, server)

    def resend(self) -> None:
        if self.connected:
            self.socket.send(self.sent)
        else:
            self.socket.sendto(self.sent, self.server)

    def receive(self, arena: memoryview) -> None:
        """Handle the datagram that has come."""
        try:
            if self.connected:
                size = self.socket.recv_into(arena)
            else:
                size, source = self.socket.recvfrom_into(arena)
                self.socket.connect(source)
                self.connected = True
        except OSError:  # the server's port is closed: it has given up on us
            self.result = False
            return
        if self.draws.random() < self.loss:
            return
        opcode, number = arena[1], (arena[2] << 8) | arena[3]
        if opcode == 6:
            number = 0
            words = bytes(arena[2:size]).split(b"\0")
            if b"windowsize" in words:
                self.windowsize = int(words[words.index(b"windowsize") + 1])
        elif opcode != (3 if self.reading else 4):
            self.result = False
            return
        if self.reading:
            self._data_received(arena[4:size], number, negotiated=opcode == 6)
        else:
            self._ack_received(number)

    def _data_received(self, payload: memoryview, number: int, *, negotiated: bool) -> None:
        if not negotiated:
            ahead = (number - self.block - 1) & 0xFFFF
            if ahead:
                self._other_block_received(ahead)
                return
            offset = self.block * self.blksize
            if payload != self.octets[offset : offset + self.blksize]:
                self.result = False
                return
            self.block += 1
            self.heard = time.monotonic()
            if len(payload) < self.blksize:
                self.result = offset + len(payload) == len(self.octets)
            elif self.block - self.acked < self.windowsize:
                self.sent = b"\0\4" + number.to_bytes(2, "big")  # if nothing more comes
                return
        elif self.block:
            return
        self._acknowledge()

    def _other_block_received(self, ahead: int) -> None:
        """Tell of a gap, once for each pass of the window; repeat an ACK that was lost."""
        if ahead < self.windowsize:
            told, (gap, was_ahead) = self.block, self.gap
            self.gap = (told, ahead)
            if gap != told or ahead <= was_ahead:
                self._acknowledge()
        elif ahead == 0xFFFF and self.acked == self.block:
            self._acknowledge()

    def _acknowledge(self) -> None:
        self.acked = self.block
        packet = b"\0\4" + (self.block & 0xFFFF).to_bytes(2, "big")
        if self.draws.random() < self.loss:
            self.sent = packet
        else:
            self._send(packet)

    def _ack_received(self, number: int) -> None:
        if number != self.block & 0xFFFF:
            return
        offset = self.block * self.blksize
        if offset > len(self.octets):
            self.result = True
            return
        self.block += 1
        header = b"\0\3" + (self.block & 0xFFFF).to_bytes(2, "big")
        self._send(header + self.octets[offset : offset + self.blksize])

    def _send(self, packet: bytes) -> None:
        self.heard = time.monotonic()
        self.sent = packet
        self.socket.send(packet)


def run(pending: Iterator[Transfer], clients: int) -> int:
    """Run transfers, so many at a time; return how many went well."""
    arena = memoryview(bytearray(65536))
    selector = selectors.DefaultSelector()
    active: dict[int, Transfer] = {}
    good, looked = 0, time.monotonic()
    while True:
        while len(active) < clients and (transfer := next(pending, None)) is not None:
            active[transfer.socket.fileno()] = transfer
            selector.register(transfer.socket, selectors.EVENT_READ)
        if not active:
            return good
        for key, _ in selector.select(0.2):
            transfer = active[key.fd]
            transfer.receive(arena)
            if transfer.result is not None:
                good += transfer.result
                selector.unregister(transfer.socket)
                transfer.socket.close()
                del active[key.fd]
        now = time.monotonic()
        if now - looked > SILENCE_SECONDS:
            looked = now
            for transfer in active.values():
                if now - transfer.heard > GIVEN_UP_SECONDS:
                    return good
                if now - transfer.heard > SILENCE_SECONDS:
                    transfer.resend()


def main(words: list[str]) -> None:
    direction, host, port, clients, transfers, blksize, folder, *rest = words
    names = [word for word in rest if "=" not in word]
    keys = dict(word.split("=") for word in rest if "=" in word)
    link = Link(
        int(keys.get("windowsize", 1)),
        int(keys.get("receive_buffer", 0)),
        float(keys.get("loss", 0)),
    )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    contents = {name: (Path(folder) / name).read_bytes() for name in names}

    def pending() -> Iterator[Transfer]:
        for index in range(int(transfers)):
            name = names[index % len(names)]
            remote = name if direction == "get" else f"{name}-{index}"
            server = (host, int(port))
            yield Transfer(direction, server, remote, contents[name], int(blksize), link, index)

    sys.stdout.write(f"{run(pending(), int(clients))}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
