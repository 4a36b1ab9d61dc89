"""Play of the whole server: peers that send what they like, on a simulated network.

The calls are only noted; `close` makes them happen, in virtual time.  In between and at the end there
are clients that know the protocol, and they must be served as if nothing else was going on.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

import trio

import snowowl
from fuzz import simulated
from snowowl import ClientOptions
from snowowl.datagram import address
from snowowl.observe.log import LogObserver
from snowowl.protocol.retransmit import SENDS_UNANSWERED_MAX
from snowowl.testing.simnetwork import socket_address
from snowowl.wire.codec import encode_ack, encode_data_header
from snowowl.wire.constants import Opcode
from tests.server.world import LISTENING, SERVER, Board, Tid, World

TIDS: Final[tuple[Tid, ...]] = ("shared", "own", "listen")
PEERS: Final = 4
BLKSIZE: Final = 512

LISTEN, OWN, FOREIGN, UNUSED = range(4)
"""Where a datagram goes: to the listening port, to the port that has answered this peer, to the one
that has answered another peer, to one that nobody has."""

KERNEL: Final = bytes(range(256)) * 40
FILES: Final = {"f": b"x" * 1300, "empty": b"", "even": b"e" * 1024, "kernel": KERNEL}
SECRET: Final = b"no peer may see this"


class Peer:
    """A peer, and what it has heard last."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._number = number
        self._board: Board | None = None
        self.tid = b""
        self.heard = b""
        self.sent = 0
        self.answered = False
        """It has sent something to a port that is not the listening one."""

    @property
    def host(self) -> str:
        return f"192.0.2.{20 + self._number}"

    def send(self, octets: bytes, to: bytes) -> None:
        if self._board is None:
            self._board = self._world.board(2000 + self._number, self.host)
        self.sent += 1
        self.answered |= to != LISTENING
        self._board.send(octets, to)

    async def listen(self) -> None:
        if self._board is None:
            await trio.lowlevel.checkpoint()
            return
        while True:
            octets, source = await self._board.receive(0.002)
            if not source:
                return
            self.heard = octets
            self.tid = source

    def leave(self) -> None:
        if self._board is not None:
            self._board.endpoint.close()
            self._world._boards.remove(self._board.endpoint)
            self._board = None


class Server:
    """A server, its peers, and all that they send."""

    def __init__(self) -> None:
        self.datagrams = 0
        self._tid: Tid = "shared"
        self._coalesces = False
        self._workload: list[tuple[object, ...]] = []

    def setting(self, tid: int, coalesces: int) -> None:
        """Choose how the server's TIDs are chosen, and whether the kernel joins datagrams."""
        self._tid = TIDS[tid % len(TIDS)]
        self._coalesces = bool(coalesces % 2)

    def send(self, peer: int, where: int, octets: bytes) -> None:
        """Have a peer send a datagram."""
        self.datagrams += 1
        self._workload.append(("send", peer % PEERS, where % 4, octets[:65464]))

    def follow(self, peer: int, ahead: int, missing: int) -> None:
        """Have a peer answer what it heard last as it should, or not quite so."""
        self.datagrams += 1
        self._workload.append(("follow", peer % PEERS, ahead, missing))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._workload.append(("wait", min(abs(seconds), 300.0)))

    def leave(self, peer: int) -> None:
        """Have a peer close its port."""
        self._workload.append(("leave", peer % PEERS))

    def fetch(self, window: int) -> None:
        """Have a client fetch a file meanwhile."""
        self._workload.append(("fetch", window))

    def close(self) -> None:
        """Run the server, have it all happen, and see that nothing is left of it."""
        folder = Path(tempfile.mkdtemp(prefix="snowowl-fuzz-server-"))
        try:
            world = World(folder)
            for name, octets in FILES.items():
                world.file(name, octets)
            (world.root / "dir").mkdir()
            (folder / "secret").write_bytes(SECRET)
            (world.root / "out").symlink_to("../secret")
            world.network.coalesces = self._coalesces
            simulated.run(lambda: self._happen(world))
            world.check()
            self._check(world)
        finally:
            shutil.rmtree(folder)

    async def _happen(self, world: World) -> None:
        peers = [Peer(world, number) for number in range(PEERS)]
        lines: list[str] = []
        log = LogObserver(lines.append, form="logfmt", level="debug")
        async with world.serving(world.config(self._tid, drain_seconds=5.0), log):
            for step in self._workload:
                await self._take(world, peers, step)
            await self._be_served(world)
            for peer in peers:
                self._check_traffic(world, peer)
        for peer in peers:
            peer.leave()
        assert all("\n" not in line and line.isprintable() for line in lines), "a forged log line"

    async def _take(self, world: World, peers: list[Peer], step: tuple[object, ...]) -> None:
        match step:
            case ("send", int(number), int(where), bytes(octets)):
                peer = peers[number]
                peer.send(octets, self._target(peers, number, where))
                await peer.listen()
            case ("follow", int(number), int(ahead), int(missing)):
                peer = peers[number]
                if peer.heard:
                    peer.send(_following(peer.heard, ahead, missing), peer.tid)
                await peer.listen()
            case ("wait", float(seconds) | int(seconds)):
                await trio.sleep(seconds)
                for peer in peers:
                    await peer.listen()
            case ("leave", int(number)):
                peers[number].leave()
            case ("fetch", int(window)):
                options = ClientOptions(windowsize=1 + abs(window) % 64)
                assert await world.get("kernel", options) == KERNEL

    @staticmethod
    def _target(peers: list[Peer], number: int, where: int) -> bytes:
        if where == OWN:
            return peers[number].tid or LISTENING
        if where == FOREIGN:
            others = [peer.tid for peer in peers if peer.tid and peer is not peers[number]]
            return others[0] if others else LISTENING
        return LISTENING if where == LISTEN else socket_address(SERVER, 7)

    @staticmethod
    async def _be_served(world: World) -> None:
        """Whatever has happened: the next clients get what they ask for."""
        plain = ClientOptions(blksize=None, windowsize=None, tsize=False)
        assert await world.get("kernel") == KERNEL
        assert await world.get("f", plain) == FILES["f"]
        await world.put(KERNEL, "uploaded-at-the-end")
        assert (world.root / "uploaded-at-the-end").read_bytes() == KERNEL
        try:
            await snowowl.get(f"tftp://{SERVER}/nothing-of-this-name", network=world.network)
        except snowowl.ClientError as error:
            assert error.code == 1
        else:
            raise AssertionError("a file that does not exist was served")

    @staticmethod
    def _check_traffic(world: World, peer: Peer) -> None:
        """A peer that has answered nothing may be one whose address was forged."""
        if peer.answered:
            return
        packed = address.host_octets(socket_address(peer.host, 0))
        got = sum(
            address.host_octets(datagram.target) == packed for datagram in world.network.datagrams
        )
        assert got <= SENDS_UNANSWERED_MAX * peer.sent, "much traffic for a forged address"

    @staticmethod
    def _check(world: World) -> None:
        assert not any(SECRET in datagram.octets for datagram in world.network.datagrams)
        for name, octets in FILES.items():
            assert (world.root / name).read_bytes() == octets, "a file was overwritten"
        top = {path.name for path in world.root.parent.iterdir()}
        assert top == {"root", "secret"}, "something was written outside of the root"


def _following(heard: bytes, ahead: int, missing: int) -> bytes:
    """Return what comes after a datagram, a few blocks from where it should be."""
    number = int.from_bytes(heard[2:4], "big")
    if heard[:2] == Opcode.OACK.to_bytes(2, "big"):
        return encode_ack(ahead & 0xFFFF)
    if heard[:2] == Opcode.ACK.to_bytes(2, "big"):
        size = max(0, min(BLKSIZE - missing, 65464))
        return encode_data_header((number + 1 + ahead) & 0xFFFF) + b"u" * size
    return encode_ack((number + ahead) & 0xFFFF)
