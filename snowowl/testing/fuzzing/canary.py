"""The good request, whose answer says that the server is well; and the valid transfer beside a script.

With a file that is known, the answer must be its first block, and the transfer all of its beginning;
without one any answer to a request for a file that is missing will do.
"""

from __future__ import annotations

import random
from typing import Final, Self

import attrs
import trio

from snowowl.datagram import address
from snowowl.datagram.interface import Network
from snowowl.testing.fuzzing.describe import described
from snowowl.testing.fuzzing.player import FAREWELL
from snowowl.testing.probe import Heard, Probe
from snowowl.wire.codec import encode, encode_ack, encode_data_header, opcode_of
from snowowl.wire.constants import BLKSIZE_DEFAULT, HEADER_SIZE, Opcode
from snowowl.wire.packets import ReadRequest

TRANSFER_BLOCKS_MAX: Final = 64
"""Blocks that are read of a known file: the beginning is enough, and a large file takes long."""

_RESENDS_SECONDS: Final = 0.5


@attrs.frozen
class Health:
    """What became of a good request."""

    seconds: float
    """Until the answer; or that was waited, if none came."""
    problem: str = ""
    closed: bool = False
    """The listening port is closed."""

    @property
    def is_well(self) -> bool:
        """Say whether the answer was right."""
        return not self.problem


class Canary:
    """Asks the good request."""

    def __init__(self, network: Network, server: bytes, read: bytes | None, seed: int) -> None:
        self._network = network
        self._server = server
        self.name = read if read is not None else _missing(seed)
        self._known = read is not None
        self.content: bytes | None = None
        """The beginning of the known file, once it was read."""

    async def ask(self, seconds: float) -> Health:
        """Ask once, from a fresh port, sending again if no answer comes; wait so long at most."""
        began = trio.current_time()
        until = began + seconds
        request = encode(ReadRequest(self.name))
        with Probe(self._network, address.family_of(self._server)) as probe:
            while (now := trio.current_time()) < until:
                await probe.send(request, self._server)
                heard = await probe.receive_until(
                    min(until, now + max(_RESENDS_SECONDS, seconds / 4))
                )
                if heard is None:
                    if self._server in probe.take_closed_ports():
                        return Health(
                            trio.current_time() - began, "its port is closed", closed=True
                        )
                    continue
                await probe.send(FAREWELL, heard.source)
                return Health(heard.at - began, self._wrong(heard))
        return Health(trio.current_time() - began, "no answer")

    def _wrong(self, heard: Heard) -> str:
        """Return what is wrong with an answer."""
        if not self._known:
            return ""
        if opcode_of(heard.octets) != Opcode.DATA or heard.octets[2:HEADER_SIZE] != b"\0\1":
            return f"{described(heard.octets)} instead of the file"
        first = (self.content or heard.octets[HEADER_SIZE:])[:BLKSIZE_DEFAULT]
        return "" if heard.octets[HEADER_SIZE:] == first else "other octets than the file's"

    async def learn(self, seconds: float) -> str:
        """Read the known file once; return what went wrong, empty if nothing."""
        async with Transfer(self._network, self._server, self.name) as transfer:
            await transfer.begin(seconds)
            await transfer.go_on(seconds)
            if transfer.problem:
                return transfer.problem
            self.content = transfer.content
        return ""


class Transfer:
    """A valid read in lock-step without options, that can be begun before a script and ended after it."""

    def __init__(self, network: Network, server: bytes, name: bytes) -> None:
        self._probe = Probe(network, address.family_of(server))
        self._server = server
        self._name = name
        self._blocks: list[bytes] = []
        self.tid: bytes | None = None
        self.problem = ""
        self.done = False

    async def __aenter__(self) -> Self:
        await trio.lowlevel.checkpoint()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self.tid is not None and not self.done:
                with trio.CancelScope(shield=True):  # one datagram: it waits for nobody
                    await self._probe.send(FAREWELL, self.tid)
        finally:
            self._probe.close()

    @property
    def content(self) -> bytes:
        """Return what was read so far."""
        return b"".join(self._blocks)

    async def begin(self, seconds: float) -> None:
        """Ask, and get the first block, which is not acknowledged yet."""
        await self._next(encode(ReadRequest(self._name)), self._server, 1, seconds)

    async def go_on(self, seconds: float) -> None:
        """Read the rest, as far as that is done at all; each block must come in that time."""
        while not self.problem and not self.done:
            number = len(self._blocks)
            tid = self.tid or self._server
            if len(self._blocks[-1]) < BLKSIZE_DEFAULT:
                await self._probe.send(encode_ack(number), tid)
                self.done = True
            elif number == TRANSFER_BLOCKS_MAX:
                return
            else:
                await self._next(encode_ack(number), tid, number + 1, seconds)

    async def _next(self, octets: bytes, to: bytes, number: int, seconds: float) -> None:
        """Send until the block comes; what else comes is left alone as long as it is no ERROR."""
        until = trio.current_time() + seconds
        while (now := trio.current_time()) < until:
            await self._probe.send(octets, to)
            again_at = min(until, now + max(_RESENDS_SECONDS, seconds / 4))
            while (heard := await self._probe.receive_until(again_at)) is not None:
                if self.tid not in (None, heard.source):
                    continue
                if opcode_of(heard.octets) == Opcode.ERROR:
                    self.problem, self.done = f"{described(heard.octets)} for block {number}", True
                    return
                if heard.octets[:HEADER_SIZE] == encode_data_header(number & 0xFFFF):
                    self.tid = heard.source
                    self._blocks.append(heard.octets[HEADER_SIZE:])
                    return
            if to in self._probe.take_closed_ports():
                self.problem, self.done = f"its port was closed before block {number}", True
                return
        self.problem = f"no block {number} within {seconds:g} s"


def _missing(seed: int) -> bytes:
    """Return a name that no file has."""
    return b"snowowl-missing-%08x" % random.Random(seed).randrange(2**32)  # noqa: S311 - a name
