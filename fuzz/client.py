"""Play of the client: a server that answers what it likes, on a simulated network.

The calls are what the server does for each datagram that it hears, in that order; when they are used
up it falls silent.  `close` makes it all happen, in virtual time.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

import snowowl
from fuzz import simulated
from snowowl import ClientError, ClientOptions
from snowowl.datagram.interface import Packet
from snowowl.testing.simnetwork import SimEndpoint, SimNetwork
from snowowl.wire.codec import encode_ack, encode_data_header
from snowowl.wire.constants import Opcode

SERVER: Final = "192.0.2.1"
PLACES: Final = ((SERVER, 69), (SERVER, 50001), (SERVER, 50002), ("192.0.2.9", 50001))
"""Where answers come from: the listening port, two TIDs, and a TID of another host."""

CONTENT: Final = bytes(range(251)) * 20

_Answer = tuple[str, int, int | bytes, int]


class Client:
    """A client, and what it is told."""

    def __init__(self) -> None:
        self.datagrams = 0
        self._writing = False
        self._netascii = False
        self._options = ClientOptions()
        self._answers: deque[_Answer] = deque()
        self._uploaded = b""

    def setting(self, writing: int, netascii: int, blksize: int, windowsize: int) -> None:
        """Choose what the client does, and with which options (0: not asked for)."""
        self._writing, self._netascii = bool(writing % 2), bool(netascii % 2)
        self._options = ClientOptions(
            blksize=min(max(blksize, 8), 65464) if blksize > 0 else None,
            windowsize=min(windowsize, 65535) if windowsize > 0 else None,
            retries=2,
        )

    def answer(self, place: int, octets: bytes) -> None:
        """Have the server answer by any octets."""
        self.datagrams += 1
        self._answers.append(("answer", place % len(PLACES), octets[:65464], 0))

    def also(self, place: int, octets: bytes) -> None:
        """Have it send one more at once."""
        self.datagrams += 1
        self._answers.append(("also", place % len(PLACES), octets[:65464], 0))

    def follow(self, ahead: int, missing: int) -> None:
        """Have it answer as it should, or not quite so."""
        self.datagrams += 1
        self._answers.append(("follow", 1, ahead, missing))

    def silence(self) -> None:
        """Have it miss one."""
        self._answers.append(("silence", 0, 0, 0))

    def shut(self) -> None:
        """Have it close its ports."""
        self._answers.append(("shut", 0, 0, 0))

    def close(self) -> None:
        """Run the client to its end."""
        folder = Path(tempfile.mkdtemp(prefix="snowowl-fuzz-client-"))
        try:
            before = _descriptors()
            simulated.run(lambda: self._happen(folder))
            if before:
                assert _descriptors() <= before, "a descriptor is left"
        finally:
            shutil.rmtree(folder)

    async def _happen(self, folder: Path) -> None:
        network = SimNetwork()
        places = [network.bind(*place) for place in PLACES]
        file = folder / "file"
        async with trio.open_nursery() as nursery:
            for place in places:
                nursery.start_soon(self._serve, place, places)
            url = f"tftp://{SERVER}/f" + (";mode=netascii" if self._netascii else "")
            done = False
            try:
                if self._writing:
                    await snowowl.put(CONTENT, url, options=self._options, network=network)
                else:
                    got = await snowowl.get(url, file, options=self._options, network=network)
                    assert got.octets is None
                done = True
            except ClientError as error:
                assert str(error)
                assert str(error).isprintable(), "something that steers a terminal"
            nursery.cancel_scope.cancel()
        for place in places:
            place.close()
        assert not network.endpoints, "a socket is left"
        left = [path.name for path in folder.iterdir()]  # noqa: ASYNC240 - nobody else waits
        assert left == (["file"] if done and not self._writing else []), left

    async def _serve(self, endpoint: SimEndpoint, places: Sequence[SimEndpoint]) -> None:
        while True:
            try:
                await endpoint.wait_readable()
            except trio.ClosedResourceError:
                return
            for received in endpoint.receive():
                octets, stride = bytes(received.data), received.stride
                for start in range(0, len(octets) or 1, stride):
                    self._react(places, octets[start : start + stride], received.peer)

    def _react(self, places: Sequence[SimEndpoint], heard: bytes, peer: bytes) -> None:
        first = True
        while self._answers and (first or self._answers[0][0] == "also"):
            first = False
            kind, number, what, missing = self._answers.popleft()
            if kind == "shut":
                for place in places:
                    place.close()
            elif isinstance(what, bytes):
                places[number].send([Packet(peer, what)])
            elif kind == "follow":
                places[number].send([Packet(peer, self._following(heard, what, missing))])

    def _following(self, heard: bytes, ahead: int, missing: int) -> bytes:
        opcode, number = int.from_bytes(heard[:2], "big"), int.from_bytes(heard[2:4], "big")
        if opcode in (Opcode.RRQ, Opcode.WRQ):
            number = 0
        if opcode in (Opcode.WRQ, Opcode.DATA):
            return encode_ack((number + ahead) & 0xFFFF)
        size = max(0, min((self._options.blksize or 512) - missing, 65464))
        return encode_data_header((number + 1 + ahead) & 0xFFFF) + b"d" * size


def _descriptors() -> int:
    """Return how many descriptors are open; 0 where nobody tells."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0
