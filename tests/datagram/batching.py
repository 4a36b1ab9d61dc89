"""What the tests of the rungs that batch have in common."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Protocol

import attrs

from snowowl.datagram import cmsg
from snowowl.datagram.address import pack
from snowowl.datagram.batch import BatchEndpoint
from snowowl.datagram.interface import Train, Transmit
from snowowl.datagram.layouts import LINUX
from snowowl.datagram.messages import Messages
from snowowl.datagram.portable import PortableEndpoint
from snowowl.datagram.slots import Slots
from tests.datagram.kernel import Kernel, Sent
from tests.datagram.loopback import window
from tests.datagram.transmits import (
    BODY,
    PEERS,
)

MESSAGES = {count: Messages(LINUX, count) for count in (1, 3, 32)}
SLOTS = Slots(LINUX, 4)
PEER, OTHER, THIRD = PEERS[:3]
ACK = b"\0\4\0\1"


@attrs.define
class File:
    """A file that `sendfile` would be asked to send."""

    descriptor: int = 5

    def fileno(self) -> int:
        return self.descriptor


def data(peer: bytes, count: int = 8, blksize: int = 512) -> Train:
    return window(peer, BODY, blksize, size=(count - 1) * blksize + 1)


def send_all(
    endpoint: BatchEndpoint | PortableEndpoint, transmits: Sequence[Transmit]
) -> list[tuple[bytes, int]]:
    """Send until nothing is blocked; return what failed."""
    failed: list[tuple[bytes, int]] = []
    left = list(transmits)
    for _ in range(200):
        unsent = endpoint.send(left)
        if unsent is None:
            return failed
        failed += unsent.failed
        left = unsent.blocked
        if not left:
            return failed
    raise AssertionError("it makes no progress")


class SendFile(Protocol):
    """`sendfile.send`."""

    def __call__(
        self,
        _sock: socket.socket,
        name: tuple[str, int],
        header: memoryview,
        _file: int,
        offset: int,
        size: int,
        ancillary: cmsg.Ancillary,
    ) -> int: ...


def send_file(kernel: Kernel) -> SendFile:
    """Return a `sendfile.send` that goes to this kernel, too."""

    def send(
        _sock: socket.socket,
        name: tuple[str, int],
        header: memoryview,
        _file: int,
        offset: int,
        size: int,
        ancillary: cmsg.Ancillary,
    ) -> int:
        local = cmsg.read_local(ancillary)
        if reason := kernel.script.popleft() if kernel.script else 0:
            return reason
        octets = bytes(header) + bytes(BODY.view[offset : offset + size])
        kernel.sent.append(Sent(pack(name), octets, b"" if local is None else local.packed))
        return 0

    return send
