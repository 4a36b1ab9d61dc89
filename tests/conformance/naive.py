"""A small server that does all that the suite asks for, in plain steps: what faults are planted in.

It shares nothing with snowowl's server but the network, so that the suite is tried on another one
too.  Every step that a fault may touch is a method.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import attrs
import trio

from snowowl.datagram.interface import Packet
from snowowl.testing.conformance.packets import ack, data, error
from snowowl.testing.simnetwork import SimEndpoint, SimNetwork
from tests.server.world import SERVER

Options = dict[str, str]

LIMITS = {"blksize": (8, 65464), "timeout": (1, 255), "windowsize": (1, 65535)}


@attrs.define
class Terms:
    blksize: int = 512
    windowsize: int = 1
    timeout: float | None = None
    granted: list[tuple[str, str]] = attrs.field(factory=list)


class Line:
    """A transfer's own port, and the peer at its other end."""

    def __init__(self, server: Naive, endpoint: SimEndpoint, peer: bytes) -> None:
        self.server = server
        self.endpoint = endpoint
        self.peer = peer
        self.answered = False
        self._inbox: list[tuple[bytes, bytes]] = []

    def send(self, octets: bytes, to: bytes | None = None) -> None:
        self.endpoint.send([Packet(to or self.peer, octets)])

    async def hear(self, seconds: float) -> bytes | None:
        """Return the peer's next datagram; strays are dealt with."""
        with trio.move_on_after(seconds):
            while True:
                while not self._inbox:
                    await self.endpoint.wait_readable()
                    for received in self.endpoint.receive():
                        self._inbox.append((bytes(received.data), received.peer))
                octets, peer = self._inbox.pop(0)
                if peer == self.peer or self.server.takes_strays(octets):
                    self.answered = True
                    return octets
                self.server.stray(self, octets, peer)
        return None


class Naive:
    timeout = 1.0
    retries = 5
    listening = True

    def __init__(self, network: SimNetwork, files: dict[bytes, bytes]) -> None:
        self.network = network
        self.files = files
        self._ports = itertools.count(30_000)
        self._open: dict[bytes, tuple[bytes, Line, trio.CancelScope]] = {}

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        endpoint = self.network.bind(SERVER, 69)
        try:
            async with trio.open_nursery() as nursery:
                task_status.started()
                while self.listening:
                    await endpoint.wait_readable()
                    for received in endpoint.receive():
                        octets, peer = bytes(received.data), received.peer
                        answer = self.requested(nursery, octets, peer)
                        if answer is not None:
                            endpoint.send([Packet(peer, answer)])
                nursery.cancel_scope.cancel()
        finally:
            endpoint.close()

    # The listening port.

    def requested(self, nursery: trio.Nursery, octets: bytes, peer: bytes) -> bytes | None:
        """Begin a transfer, or return what to answer."""
        opcode = int.from_bytes(octets[:2], "big") if len(octets) > 1 else 0
        if len(octets) < 2:
            return None
        if opcode not in (1, 2):
            return self.no_request(opcode)
        words = octets[2:].split(b"\0")
        if words.pop() or len(words) < 2:
            return error(4, b"malformed")
        name, mode = self.name_of(words[0]), words[1].lower()
        if mode not in self.modes():
            return error(4, b"mode")
        options: Options = {}
        for key, value in zip(words[2::2], words[3::2], strict=False):
            options.setdefault(self.option_name(key), value.decode("latin-1"))
        if peer in self._open:
            before, line, scope = self._open[peer]
            if before == octets and not line.answered:
                return None
            scope.cancel()
        if b".." in name and not self.climbs():
            return error(2, b"no")
        if opcode == 1 and name not in self.files:
            return self.missing(name)
        size = options.get("tsize", "0")
        if opcode == 2 and self.is_number(size) and int(size) > 1 << 40:
            return error(3, b"disk full")
        scope = trio.CancelScope()
        line = self.line(peer)
        self._open[peer] = (octets, line, scope)
        nursery.start_soon(self._transfer, opcode, name, mode, options, line, scope)
        return None

    def no_request(self, opcode: int) -> bytes | None:
        return None if opcode in (3, 4, 5, 6) else error(4, b"unknown opcode")

    def name_of(self, name: bytes) -> bytes:
        return name.lstrip(b"/").removeprefix(b"./").rstrip(b"\xff")

    def climbs(self) -> bool:
        return False

    def modes(self) -> tuple[bytes, ...]:
        return (b"octet", b"netascii")

    def option_name(self, key: bytes) -> str:
        return key.decode("latin-1").lower()

    def missing(self, name: bytes) -> bytes:
        return error(1, b"file not found")

    def line(self, peer: bytes) -> Line:
        return Line(self, self.network.bind(SERVER, next(self._ports)), peer)

    def takes_strays(self, octets: bytes) -> bool:
        return False

    def stray(self, line: Line, octets: bytes, peer: bytes) -> None:
        line.send(error(5, b"unknown TID"), peer)

    # Options.

    def grant(self, options: Options, size: int | None) -> Terms:
        terms = Terms()
        for name, value in options.items():
            if name == "tsize":
                terms.granted.append((name, value if size is None else self.told_size(size)))
                continue
            low, high = LIMITS.get(name, (1, 0))
            if not self.is_number(value) or not low <= int(value) <= high:
                continue
            number = int(value)
            terms.granted.append((name, str(number)))
            if name == "blksize":
                terms.blksize = number
            elif name == "windowsize":
                terms.windowsize = number
            else:
                terms.timeout = float(number)
        return terms

    def is_number(self, value: str) -> bool:
        return value.isascii() and value.isdigit() and len(value) < 20

    def told_size(self, size: int) -> str:
        return str(size)

    def oack(self, terms: Terms) -> bytes:
        words = [word.encode() for pair in terms.granted for word in pair]
        return b"\0\6" + b"".join(word + b"\0" for word in words)

    # Transfers.

    async def _transfer(
        self,
        opcode: int,
        name: bytes,
        mode: bytes,
        options: Options,
        line: Line,
        scope: trio.CancelScope,
    ) -> None:
        with scope:
            if opcode == 1:
                content = self.files[name]
                if mode == b"netascii":
                    content = self.to_wire(content)
                terms = self.grant(options, len(content))
                if await self.opened(line, terms):
                    await self.read(line, content, terms)
            else:
                await self.write(line, name, mode, self.grant(options, None))
        line.endpoint.close()
        if self._open.get(line.peer, (b"", None, None))[1] is line:
            del self._open[line.peer]

    def to_wire(self, content: bytes) -> bytes:
        return content.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")

    def from_wire(self, content: bytes) -> bytes:
        return content.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r")

    def waits(self, terms: Terms) -> Iterator[float]:
        """Yield how long to wait for an answer, time after time."""
        for attempt in range(self.retries + 1):
            yield terms.timeout or min(self.timeout * 2**attempt, 5.0)

    async def opened(self, line: Line, terms: Terms) -> bool:
        """Send the OACK, if there is to be one, until it is acknowledged."""
        if not terms.granted:
            return True
        for seconds in self.waits(terms):
            line.send(self.oack(terms))
            octets = await line.hear(seconds)
            if octets is not None and octets[:2] == b"\0\5":
                return False
            if octets is not None and octets[:4] == ack(0):
                return True
        return False

    def blocks(self, content: bytes, blksize: int) -> list[bytes]:
        count = len(content) // blksize + 1
        return [content[index * blksize : (index + 1) * blksize] for index in range(count)]

    async def read(self, line: Line, content: bytes, terms: Terms) -> None:
        blocks = self.blocks(content, terms.blksize)
        base = following = 0
        waits = self.waits(terms)
        seconds = next(waits)
        while base < len(blocks):
            end = min(base + self.window(terms), len(blocks))
            for index in range(following, end):
                line.send(self.data(index + 1, blocks[index]))
            following = max(following, end)
            octets = await line.hear(seconds)
            if octets is None:
                seconds = next(waits, 0.0)
                if not seconds:
                    return
                following = self.timed_out(base, following)
                continue
            if self.ends(line, octets):
                return
            if len(octets) < 4 or octets[:2] != b"\0\4":
                self.odd(line, octets)
                continue
            moved = (int.from_bytes(octets[2:4], "big") - base) % 65536
            if self.is_progress(moved, following - base):
                base += moved
                following = self.after_ack(base, following)
                waits = self.waits(terms)
                seconds = next(waits)
            elif moved == 0:
                following = self.duplicate_ack(terms, base, following)
        self.done(line)

    def window(self, terms: Terms) -> int:
        return terms.windowsize

    def data(self, block: int, payload: bytes) -> bytes:
        return data(block, payload)

    def ends(self, line: Line, octets: bytes) -> bool:
        return octets[:2] == b"\0\5"

    def odd(self, line: Line, octets: bytes) -> None: ...

    def done(self, line: Line) -> None: ...

    def timed_out(self, base: int, following: int) -> int:
        return base

    def is_progress(self, moved: int, in_flight: int) -> bool:
        return 0 < moved <= in_flight

    def after_ack(self, base: int, following: int) -> int:
        return base

    def duplicate_ack(self, terms: Terms, base: int, following: int) -> int:
        return following

    async def write(self, line: Line, name: bytes, mode: bytes, terms: Terms) -> None:
        pieces: list[bytes] = []
        due, acked, told = 1, 0, False
        answer = self.oack(terms) if terms.granted else ack(0)
        line.send(answer)
        waits = self.waits(terms)
        seconds = next(waits)
        while True:
            octets = await line.hear(seconds)
            if octets is None:
                seconds = next(waits, 0.0)
                if not seconds:
                    return
                line.send(answer)
                continue
            if self.ends(line, octets):
                return
            if octets[:2] != b"\0\3" or len(octets) < 4:
                continue
            number, payload = int.from_bytes(octets[2:4], "big"), octets[4:]
            if number != due % 65536 or not self.fits(payload, terms):
                behind = (due - number) % 65536
                ahead = self.is_stored(number, due)
                if ahead:
                    pieces.append(payload)
                if (behind == 1 and acked == due - 1) or (
                    behind > 32768 and not told and acked < due - 1
                ):
                    told, acked = True, due - 1
                    line.send(ack(due - 1))
                continue
            pieces.append(payload)
            due, told = due + 1, False
            waits = self.waits(terms)
            seconds = next(waits)
            last = len(payload) < terms.blksize
            if last:
                content = b"".join(pieces)
                self.files[name] = self.from_wire(content) if mode == b"netascii" else content
            if last or due - 1 - acked >= terms.windowsize:
                acked = due - 1
                answer = ack(acked)
                line.send(answer)
            if last:
                await self.dally(line, answer, due - 1)
                return

    def fits(self, payload: bytes, terms: Terms) -> bool:
        return len(payload) <= terms.blksize

    def is_stored(self, number: int, due: int) -> bool:
        return False

    async def dally(self, line: Line, answer: bytes, block: int) -> None:
        while (octets := await line.hear(2 * self.timeout)) is not None:
            if octets[:4] == data(block, b""):
                line.send(answer)
