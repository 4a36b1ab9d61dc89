"""Plays a script: opens a port for each peer, sends, answers, waits, and keeps the trace.

It judges nothing.  Nothing that it sends can overwrite a file of the server (`made_harmless`), and
no port of it is open when `play` has returned: a transfer that is under way is broken off first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs
import trio

from snowowl.datagram import address
from snowowl.datagram.interface import Network
from snowowl.testing.fuzzing.script import (
    GOOD,
    LISTENING,
    OWN,
    Again,
    Answer,
    Close,
    Follow,
    Script,
    Send,
    Step,
    Wait,
    made_harmless,
)
from snowowl.testing.fuzzing.trace import Entry, Life, Trace, What, blksize_of
from snowowl.testing.probe import Probe
from snowowl.wire.codec import block_number_of, encode, encode_ack, encode_data_header
from snowowl.wire.constants import BLKSIZE_DEFAULT, HEADER_SIZE, Opcode
from snowowl.wire.packets import Error

HEARD_MAX: Final = 512
"""Datagrams that are heard after one step: more than any window here, and an end to any storm."""

UPLOAD_BLOCKS: Final = 3
"""DATA packets of an upload that is followed to its end; the last is short."""

FAREWELL: Final = encode(Error(0, b"over"))


@attrs.frozen
class Timing:
    """How long to wait for a server, in seconds."""

    patience: float = 0.05
    """For the first answer to something that may have none."""
    quiet: float = 0.005
    """After an answer, for more of it."""

    def calmer(self, factor: float) -> Timing:
        """Return the same with more patience: so that a late answer is not taken for one to the next."""
        return Timing(self.patience * factor, self.quiet * factor)


class Pace:
    """Keeps to so many datagrams a second; None: as fast as it goes."""

    def __init__(self, rate: float | None) -> None:
        self._gap = 1.0 / rate if rate else 0.0
        self._next_at = 0.0
        self.datagrams = 0

    async def wait(self) -> None:
        """Wait until another datagram may be sent."""
        self.datagrams += 1
        if self._gap:
            now = trio.current_time()
            at = max(now, self._next_at)
            self._next_at = at + self._gap
            await trio.sleep_until(at)


class _Port:
    """One life of a peer."""

    def __init__(self, peer: str, network: Network, server: bytes) -> None:
        self.life = Life(peer, server)
        self.probe = Probe(network, address.family_of(server))
        self.tid: bytes | None = None
        self.asked: bytes | None = None
        """What went to the listening port last."""
        self.pending: Entry | None = None
        """The last packet of a transfer that came and was not answered."""
        self.blksize = BLKSIZE_DEFAULT
        self.over = False

    def answer(self) -> bytes | None:
        """Return what a good client sends now, None if it sends nothing."""
        if self.pending is None:
            return None
        octets = self.pending.octets
        uploads = self.asked is not None and self.asked[:2] == b"\0\2"
        if self.pending.opcode == Opcode.OACK:
            return self._data(1) if uploads else encode_ack(0)
        if self.pending.opcode == Opcode.DATA:
            return encode_ack(block_number_of(octets))
        if self.pending.opcode == Opcode.ACK and uploads:
            number = block_number_of(octets) + 1
            return self._data(number) if number <= UPLOAD_BLOCKS else None
        return None

    def _data(self, number: int) -> bytes:
        size = self.blksize if number < UPLOAD_BLOCKS else min(self.blksize, 8) - 1
        return (
            encode_data_header(number & 0xFFFF) + b"snowowl."[:8] * (size // 8) + b"x" * (size % 8)
        )


class Player:
    """Plays scripts against one server."""

    def __init__(self, network: Network, server: bytes, pace: Pace, write: bytes | None) -> None:
        self._network = network
        self._server = server
        self._pace = pace
        self._write = write

    async def play(
        self, script: Script, timing: Timing, others: Mapping[str, bytes | None] | None = None
    ) -> Trace:
        """Play a script once; `others` tells the TIDs of transfers beside it by name."""
        game = _Game(self._network, self._server, self._pace, self._write, timing)
        game.others = dict(others or {})
        try:
            for index, step in enumerate(script.steps):
                game.step = index
                await game.play(step)
            await game.part()
        finally:
            game.close()
        return game.trace


class _Game:
    """One script that is being played."""

    def __init__(
        self, network: Network, server: bytes, pace: Pace, write: bytes | None, timing: Timing
    ) -> None:
        self.trace = Trace()
        self.step = 0
        self.others: dict[str, bytes | None] = {}
        self._network = network
        self._server = server
        self._pace = pace
        self._write = write
        self._timing = timing
        self._ports: dict[str, _Port] = {}

    async def play(self, step: Step) -> None:
        """Play one step."""
        match step:
            case Send(peer, octets, to):
                port = self._port(peer)
                await self._send(port, octets, self._address(port, to))
            case Follow(peer, count):
                await self._follow(self._port(peer), count)
            case Answer(peer, damage, number):
                await self._answer(self._port(peer), damage, number)
            case Again(peer):
                port = self._port(peer)
                if port.asked is not None:
                    await self._send(port, port.asked, self._server, copy=True)
            case Close(peer):
                if peer in self._ports:
                    self._end(self._ports.pop(peer))
                    await trio.lowlevel.checkpoint()
            case Wait(seconds):
                await self._wait(seconds)

    async def part(self) -> None:
        """Hear what is left, and break off what is under way, as a good client does."""
        for port in self._ports.values():
            await self._hear(port, self._timing.quiet)
            if port.tid is not None and not port.over:
                await self._pace.wait()
                await port.probe.send(FAREWELL, port.tid)

    def close(self) -> None:
        """Close all ports."""
        for port in self._ports.values():
            self._end(port)
        self._ports.clear()

    def _end(self, port: _Port) -> None:
        port.life.ended_at = trio.current_time()
        self._take_closed(port)
        port.probe.close()

    def _port(self, peer: str) -> _Port:
        if peer not in self._ports:
            port = _Port(peer, self._network, self._server)
            self._ports[peer] = port
            self.trace.lives.append(port.life)
        return self._ports[peer]

    def _address(self, port: _Port, to: str) -> bytes:
        if to == LISTENING:
            return self._server
        if to == OWN:
            return port.tid or self._server
        if to == GOOD:
            return self.others.get(GOOD) or self._server
        other = self._ports.get(to)
        return (other.tid if other is not None else None) or self._server

    async def _send(self, port: _Port, octets: bytes, to: bytes, *, copy: bool = False) -> None:
        """Send a datagram, and hear what comes of it."""
        # What came already is no answer to what goes out now.
        await self._hear(port, 0.0)
        octets = made_harmless(octets, self._write)
        if to == self._server:
            port.asked = octets
            if octets[:2] in (b"\0\1", b"\0\2"):
                port.blksize, port.over = BLKSIZE_DEFAULT, False
        await self._pace.wait()
        now = trio.current_time()
        port.life.entries.append(Entry(What.SENT, now, octets, to, self.step, copy=copy))
        if octets[:2] == b"\0\5" and to == port.tid:
            port.over = True
        await port.probe.send(octets, to)
        await self._hear(port, self._timing.patience)

    async def _hear(self, port: _Port, seconds: float) -> None:
        """Hear until nothing comes any more; return early if the port is closed."""
        count = 0
        while count < HEARD_MAX and not self.trace.listening_closed:
            heard = await port.probe.receive(seconds)
            if heard is None:
                self._take_closed(port)
                break
            count += 1
            seconds = min(seconds, self._timing.quiet)
            if address.host_octets(heard.source) != address.host_octets(self._server):
                continue  # a stranger's: it says nothing of the server
            entry = Entry(What.HEARD, heard.at, heard.octets, heard.source, self.step)
            port.life.entries.append(entry)
            self._note(port, entry)

    def _note(self, port: _Port, entry: Entry) -> None:
        if entry.opcode == Opcode.ERROR:
            if port.tid in (None, entry.address):
                port.tid, port.pending, port.over = entry.address, None, True
            return
        if entry.opcode == Opcode.OACK:
            port.blksize = max(1, min(blksize_of(entry.octets), 65464))
        if entry.opcode == Opcode.OACK or len(entry.octets) >= HEADER_SIZE:
            port.tid, port.pending = entry.address, entry

    def _take_closed(self, port: _Port) -> None:
        self.trace.listening_closed |= self._server in port.probe.take_closed_ports()

    async def _follow(self, port: _Port, count: int) -> None:
        for _ in range(count):
            octets = port.answer()
            if octets is None or port.tid is None:
                return
            last = port.pending
            port.pending = None
            await self._send(port, octets, port.tid)
            if last is not None and last.opcode == Opcode.DATA and self._was_last(port, last):
                port.over = True
                return

    @staticmethod
    def _was_last(port: _Port, entry: Entry) -> bool:
        return len(entry.octets) - HEADER_SIZE < port.blksize and port.pending is None

    async def _answer(self, port: _Port, damage: str, number: int) -> None:
        octets = port.answer()
        if octets is None or port.tid is None:
            return
        to = port.tid
        if damage == "stranger":
            await self._by_a_stranger(port, octets)
            return
        port.pending = None
        if damage == "listen":
            await self._send(port, octets, self._server)
            return
        await self._send(port, damaged(octets, damage, number), to)
        if damage == "twice":
            for _ in range(number):
                await self._send(port, octets, to, copy=True)

    async def _by_a_stranger(self, port: _Port, octets: bytes) -> None:
        """Send from a port that is nobody's, and see whether the peer hears of it."""
        stranger = _Port("stranger", self._network, self._server)
        self.trace.lives.append(stranger.life)
        try:
            await self._send(stranger, octets, port.tid or self._server)
        finally:
            self._end(stranger)
        await self._hear(port, 0.0)

    async def _wait(self, seconds: float) -> None:
        """Let the time pass, and hear all peers meanwhile."""
        until = trio.current_time() + seconds
        for port in list(self._ports.values()):
            await self._hear_until(port, until)
        await trio.sleep_until(until)
        for port in list(self._ports.values()):
            await self._hear(port, 0.0)

    async def _hear_until(self, port: _Port, until: float) -> None:
        count = 0
        while trio.current_time() < until and count < HEARD_MAX:
            before = len(port.life.entries)
            await self._hear(port, until - trio.current_time())
            if len(port.life.entries) == before:
                return
            count += len(port.life.entries) - before


def damaged(octets: bytes, damage: str, number: int) -> bytes:
    """Return an answer with something wrong."""
    if damage == "ahead":
        block = (block_number_of(octets) + number) % 65536
        return octets[:2] + block.to_bytes(2, "big") + octets[HEADER_SIZE:]
    if damage == "cut":
        return octets[:number]
    if damage == "pad":
        return octets + bytes(number)
    if damage == "flip":
        bits = bytearray(octets)
        bits[number // 8 % len(bits)] ^= 1 << number % 8
        return bytes(bits)
    if damage == "opcode":
        return number.to_bytes(2, "big") + octets[2:]
    if damage == "error":
        return encode(Error(number, b"broken off"))
    return octets
