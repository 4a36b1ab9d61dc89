"""Who comes to a simulated server: honest clients, boards with bugs, strangers; and what each expects."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio

import snowowl
from snowowl import ClientOptions
from snowowl.client.errors import ClientError
from snowowl.observe.events import Direction, TransferFinished
from snowowl.protocol.outcome import OutcomeKind
from snowowl.testing.playbook import ack, data, error
from snowowl.wire import netascii
from snowowl.wire.codec import encode, opcode_of
from snowowl.wire.constants import Opcode
from snowowl.wire.packets import ReadRequest
from tests.server.world import SERVER, Board, Tid, World, rrq, wrq

HOST: Final = "192.0.2.9"
BOARDS: Final = socket.inet_aton(HOST)
TRANSFERS_MAX: Final = 24
UPLOAD_MAX: Final = 100_000

SIZES: Final = (0, 511, 512, 513, 5000, 70_000)
TEXT: Final = b"line\n" * 400 + b"\r\n\r" + b"x" * 507 + b"\r\n\n\r"
STRANGER: Final = error(5, "unknown TID")


class Visitors:
    """All who come to one server."""

    def __init__(self, world: World, draws: random.Random) -> None:
        self.world = world
        self.draws = draws
        self.uploads: dict[str, bytes] = {}
        """What is to be found under a name, once anything is."""
        self._files = {f"file-{size}": self._octets(size) for size in SIZES}
        self._told: dict[bytes, int] = {}
        """Octets on the wire of files that were read to their end."""
        for name, octets in self._files.items():
            world.file(name, octets)
        world.file("text", TEXT)
        world.file("long-text", TEXT * 40)
        outside = world.root.parent
        (outside / "secret").write_bytes(b"secret")
        (outside / f"{world.root.name}-other").mkdir()
        (outside / f"{world.root.name}-other/secret").write_bytes(b"secret")
        (world.root / "out").symlink_to("../secret")
        (world.root / "near").symlink_to(f"../{world.root.name}-other")

    def _octets(self, size: int) -> bytes:
        return self.draws.randbytes(size)

    def options(self, *, tsize: bool = True) -> ClientOptions:
        """Return options of an honest client."""
        draws = self.draws
        return ClientOptions(
            blksize=draws.choice((None, 256, 512, 1468)),
            windowsize=draws.choice((None, 1, 2, 7, 16)),
            timeout=draws.choice((None, None, 1)),
            retries=60,
            tsize=tsize,
        )

    def board(self) -> Board:
        """Return a board at a port of its own."""
        return self.world.board(2000 + len(self.world._boards), HOST)

    # Honest clients.

    async def reads(self, tid: Tid) -> None:
        """Read some files at once, several of them by clients of one host."""
        async with trio.open_nursery() as nursery:
            for name in self.draws.sample(sorted(self._files), 3):
                nursery.start_soon(self._read, name)

    async def _read(self, name: str) -> None:
        octets = self._files[name]
        assert await self.world.get(name, self.options()) == octets, name
        self._told[name.encode()] = len(octets)

    async def reads_text(self, tid: Tid) -> None:
        """Read text, decoded by the client."""
        for name, octets in (("text", TEXT), ("long-text", TEXT * 40)):
            got = await self.world.get(f"{name};mode=netascii", self.options())
            assert got == octets, name
            self._told[name.encode()] = len(netascii.encode(octets))

    async def writes(self, tid: Tid) -> None:
        """Upload; as soon as the client sees success, the file is there."""
        name = f"up-{len(self.uploads)}"
        octets = self.uploads[name] = self._octets(self.draws.choice((0, 512, 1000, 40_000)))
        url = f"tftp://{SERVER}/{name}"
        sent = await snowowl.put(octets, url, options=self.options(), network=self.world.network)
        if sent.confirmed:
            assert (self.world.root / name).exists(), "acknowledged before it is there"

    async def writes_too_much(self, tid: Tid) -> None:
        """Upload more than is allowed, without saying so."""
        octets, path = bytes(UPLOAD_MAX + 1), self.world.root / "too-much"
        options, network = self.options(tsize=False), self.world.network
        with suppress(ClientError):
            sent = await snowowl.put(
                octets, f"tftp://{SERVER}/too-much", options=options, network=network
            )
            assert not sent.confirmed
        assert not path.exists()

    # Boards that are played by hand.

    async def is_served_while_draining(self, task_status: trio.TaskStatus[None]) -> None:
        """Read on while the server drains, which begins after the first block."""
        octets, board = self._files["file-5000"], self.board()
        packet, source = await _answer(board, rrq("file-5000"))
        task_status.started()
        for number in range(1, 11):
            assert packet == data(number, octets[512 * (number - 1) : 512 * number])
            await trio.sleep(0.05)
            packet, source = await _answer(board, ack(number), source)

    async def asks_for_what_it_may_not(self, tid: Tid) -> None:
        """Ask for what lies outside the root, in every way, and for what is not there."""
        for name in ("out", "near/secret", "../secret", "file-512/../../secret", "nothing", "near"):
            packet, _ = await _answer(self.board(), rrq(name))
            assert opcode_of(packet) == Opcode.ERROR, name

    async def is_refused_an_upload(self, tid: Tid) -> None:
        """Try to overwrite."""
        packet, _ = await _answer(self.board(), wrq("file-512"))
        assert packet[:4] == error(6)[:4]

    async def is_doubled(self, tid: Tid) -> None:
        """Ask twice, as the network doubles requests: one transfer answers."""
        board = self.board()
        for _ in range(2):
            board.send(rrq("file-70000", blksize=1024))
        sources = set()
        for _ in range(4):
            packet, source = await board.receive()
            if packet:
                assert opcode_of(packet) == Opcode.OACK
                sources.add(source)
        assert len(sources) == 1, "one request, two transfers"
        board.send(error(0, "enough"), sources.pop())

    async def comes_again(self, tid: Tid) -> None:
        """Ask from the same port again and again: not from the same TID twice running."""
        board, last = self.board(), b""
        for _ in range(3):
            packet, source = await _answer(board, rrq("file-511"))
            assert packet == data(1, self._files["file-511"])
            board.send(ack(1), source)
            assert source != last or tid == "listen"
            await trio.sleep(1)
            last = source

    async def disturbs(self, tid: Tid) -> None:
        """Send to a transfer of somebody else."""
        board, stranger = self.board(), self.board()
        octets = self._files["file-5000"]
        packet, source = await _answer(board, rrq("file-5000"))
        assert packet == data(1, octets[:512])
        for number in range(1, 10):
            stranger.send(ack(number), source)
            answer, _ = await stranger.receive()
            assert answer == (b"" if tid == "listen" else STRANGER)
            stranger.send(error(0, "no"), source)
            assert await stranger.hears_nothing()
            packet, source = await _answer(board, ack(number), source)
            assert packet[4:] == octets[512 * number : 512 * number + 512]
        board.send(ack(10), source)

    async def falls_silent(self, tid: Tid) -> None:
        """Ask from a forged address: a few packets come, and then it is over."""
        board = self.board()
        board.send(rrq("file-70000", blksize=1024, windowsize=8))
        await trio.sleep(120)
        packets = self.world.sent_by_server(board.endpoint.address)
        assert 1 < len(packets) <= 6
        assert [packet[:2] for packet in packets] == [b"\0\6"] * len(packets)
        client = f"{HOST}:{int.from_bytes(board.endpoint.address[2:4], 'big')}"
        ended = [each for each in self.world.told(TransferFinished) if each.client == client]
        assert [each.outcome.kind for each in ended] == [OutcomeKind.TIMED_OUT]

    async def gives_up_an_upload(self, tid: Tid) -> None:
        """Begin an upload and break off."""
        board = self.board()
        self.uploads["given-up"] = b"never whole"
        packet, source = await _answer(board, wrq("given-up"))
        assert packet == ack(0)
        packet, source = await _answer(board, data(1, bytes(512)), source)
        assert packet == ack(1)
        board.send(error(0, "no"), source)
        await trio.sleep(1)
        assert not (self.world.root / "given-up").exists()

    async def comes_in_a_crowd(self) -> None:
        """Ask for more than is served at once."""
        boards = [self.board() for _ in range(TRANSFERS_MAX + 4)]
        for board in boards:
            board.send(encode(ReadRequest(b"file-5000", options=((b"blksize", b"512"),))))
        await trio.sleep(1)

    async def reads_what_changes(self, tid: Tid) -> None:
        """Read a file that is rewritten meanwhile: an ERROR, or what was there at first."""
        path = Path(self.world.root / "changing")
        path.write_bytes(b"a" * 150_000)
        board, got = self.board(), b""
        packet, source = await _answer(board, rrq("changing", blksize=1024))
        assert opcode_of(packet) == Opcode.OACK
        for number in range(148):
            if number == 60:
                with path.open("r+b") as stream:
                    stream.write(b"b" * 150_000)
                status = path.stat()
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**10))
            board.send(ack(number), source)
            while packet[:4] != data(number + 1):  # what was sent twice comes twice
                packet, source = await board.receive(5.0)
                if opcode_of(packet) != Opcode.DATA:
                    return
            got += packet[4:]
            if len(packet) < 1028:
                board.send(ack(number + 1), source)
                assert set(got) == set(b"a"), "two versions in one file"
                return

    def check(self) -> None:
        """Assert that what the server said of the transfers is what happened."""
        for finished in self.world.told(TransferFinished):
            if (
                finished.direction is Direction.READ
                and finished.outcome.kind is OutcomeKind.COMPLETED
            ):
                size = self._told.get(finished.filename, finished.octets)
                assert finished.octets == size, finished
        for name, octets in self.uploads.items():
            path = self.world.root / name
            assert not path.exists() or path.read_bytes() == octets


async def _answer(board: Board, octets: bytes, to: bytes | None = None) -> tuple[bytes, bytes]:
    """Send, and return what comes next: soon, or when the disk has turned, or asked again."""
    answer = (b"", b"")
    for _ in range(3):
        board.send(octets, to)
        answer = await board.receive(1.0)
        if answer[0]:
            break
    return answer


Visit = Callable[[Visitors, Tid], Awaitable[None]]

VISITS: Final[tuple[Visit, ...]] = (
    Visitors.reads,
    Visitors.reads,
    Visitors.reads_text,
    Visitors.writes,
    Visitors.writes,
    Visitors.writes_too_much,
    Visitors.asks_for_what_it_may_not,
    Visitors.is_refused_an_upload,
    Visitors.is_doubled,
    Visitors.comes_again,
    Visitors.disturbs,
    Visitors.falls_silent,
    Visitors.gives_up_an_upload,
    Visitors.reads_what_changes,
)
