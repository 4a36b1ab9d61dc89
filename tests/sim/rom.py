"""A boot ROM's TFTP: small, naive, written from the RFCs and from what real ones do.

It shares nothing with snowowl but the endpoint that it speaks by, so that a mistake of the core is
not made on both sides.  What a `Rom` hears that no server may say goes to `violations`.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Final

import attrs
import trio

from snowowl.datagram import address
from snowowl.datagram.interface import Endpoint, Packet

RRQ: Final = b"\0\1"
WRQ: Final = b"\0\2"
DATA, ACK, ERROR, OACK = 3, 4, 5, 6
UNKNOWN_TID: Final = b"\0\5\0\5unknown transfer ID\0"


class Mark(Enum):
    """How a file came, or did not."""

    DONE = "done"
    REFUSED = "refused"
    SILENT = "silent"
    """Given up: nothing came any more, all tries included."""
    ABANDONED = "abandoned"
    """Broken off by the ROM itself."""


@attrs.frozen(kw_only=True)
class Habits:
    """What a ROM asks for, and how it behaves.  See `tests.sim.machines` for real ones."""

    blksize: int | None = None
    windowsize: int | None = None
    tsize: bool = False
    timeout: int | None = None
    """The option; `wait` is what it does itself."""
    netascii: bool = False
    wait: float = 1.0
    """Seconds until it sends again."""
    tries: int = 10
    error_on_gap: bool = False
    """Sends ERROR 5 for a block that it does not expect, and goes on: lwIP."""
    acks_old: bool = False
    """Acknowledges old blocks again: GRUB."""
    thinks: float = 0.0
    """Seconds that it takes for each window: flash, or unpacking."""


@attrs.frozen
class Ended:
    """The end of a transfer."""

    mark: Mark
    octets: bytes = b""
    code: int = -1
    message: str = ""
    tsize: int | None = None


class Rom:
    """One socket of one machine."""

    def __init__(self, endpoint: Endpoint, habits: Habits) -> None:
        self.habits = habits
        self.violations: list[str] = []
        self.repeats = 0
        """Packets sent again."""
        self._endpoint = endpoint
        self._inbox: deque[tuple[bytes, bytes]] = deque()
        self._asked: dict[bytes, int] = {}

    async def probe(self, server: bytes, name: bytes, code: int = 8) -> Ended:
        """Ask for the size only, and break off: UEFI by ERROR 8, barebox and others by ERROR 0."""
        return await self.fetch(server, name, stop_after=0, stop_code=code)

    async def fetch(
        self, server: bytes, name: bytes, *, stop_after: int = -1, stop_code: int = 0
    ) -> Ended:
        """Fetch a file; break off after so many blocks, if that is not negative."""
        transfer = _Fetching(self, server, self._request(RRQ, name, 0), stop_after)
        ended = await transfer.run()
        if ended.mark is Mark.ABANDONED and transfer.peer is not None:
            self.send(b"\0\5" + stop_code.to_bytes(2, "big") + b"\0", transfer.peer)
        return ended

    async def store(self, server: bytes, name: bytes, octets: bytes) -> Ended:
        """Upload a file."""
        return await _Storing(self, server, self._request(WRQ, name, len(octets)), octets).run()

    def send(self, octets: bytes, to: bytes) -> None:
        """Send a datagram; what cannot be sent is lost."""
        self._endpoint.send([Packet(to, octets)])

    async def hear(self, seconds: float) -> tuple[bytes, bytes] | None:
        """Return the next datagram and its source, None if none comes."""
        if not self._inbox:
            with trio.move_on_after(seconds):
                while not self._inbox:
                    await self._endpoint.wait_readable()
                    self._take()
        return self._inbox.popleft() if self._inbox else None

    def terms(self, octets: bytes) -> dict[bytes, int]:
        """Return what an OACK grants; note what it may not say."""
        parts = octets[2:].split(b"\0")
        if parts.pop() != b"" or len(parts) % 2:
            self.violations.append(f"malformed OACK {octets!r}")
            return {}
        granted: dict[bytes, int] = {}
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            value = int(text) if text.isdigit() else -1
            granted[name] = value
            if name not in self._asked or value < 0:
                self.violations.append(f"OACK holds {name!r}={text!r}, asked: {self._asked}")
            elif name in (b"blksize", b"windowsize") and value > self._asked[name]:
                self.violations.append(f"OACK grants {name!r}={value}, asked: {self._asked}")
            elif name == b"timeout" and value != self._asked[name]:
                self.violations.append(f"OACK changes timeout to {value}")
        return granted

    def _request(self, opcode: bytes, name: bytes, size: int) -> bytes:
        habits = self.habits
        asked = {
            b"timeout": habits.timeout,
            b"tsize": size if habits.tsize else None,
            b"blksize": habits.blksize,
            b"windowsize": habits.windowsize,
        }
        self._asked = {option: value for option, value in asked.items() if value is not None}
        mode = b"netascii" if habits.netascii else b"octet"
        options = b"".join(b"%s\0%d\0" % pair for pair in self._asked.items())
        return opcode + name + b"\0" + mode + b"\0" + options

    def _take(self) -> None:
        self._endpoint.take_unreachable()  # no ROM knows of ICMP
        for received in self._endpoint.receive():
            octets, stride = bytes(received.data), received.stride
            source = address.unmapped(received.peer)
            for start in range(0, len(octets) or 1, stride):
                self._inbox.append((octets[start : start + stride], source))


class _Conversation:
    """What fetching and storing share: the TID, the tries, packets of others."""

    def __init__(self, rom: Rom, server: bytes, request: bytes) -> None:
        self.rom = rom
        self.peer: bytes | None = None
        self.blksize = 512
        self.window = 1
        self.tsize: int | None = None
        self._server = server
        self._request = request

    async def run(self) -> Ended:
        """Run to the end."""
        rom, habits = self.rom, self.rom.habits
        rom.send(self._request, self._server)
        tries = 0
        while True:
            heard = await rom.hear(habits.wait)
            if heard is None:
                tries += 1
                if tries > habits.tries:
                    return Ended(Mark.SILENT)
                rom.repeats += 1
                if self.peer is None:
                    rom.send(self._request, self._server)
                else:
                    self.repeat()
                continue
            octets, source = heard
            opcode = octets[1] if len(octets) >= 4 and octets[0] == 0 else 0
            if self.peer is None:
                if address.host_octets(source) != address.host_octets(self._server):
                    continue
                if opcode != ERROR:
                    if not self.opens(opcode, octets):
                        continue
                    self.peer = source
            elif source != self.peer:
                if opcode != ERROR:
                    rom.send(UNKNOWN_TID, source)
                continue
            if opcode == ERROR:
                code = int.from_bytes(octets[2:4], "big")
                if code == 5 and self.peer is None:
                    continue  # for the transfer before
                return Ended(Mark.REFUSED, b"", code, octets[4:].rstrip(b"\0").decode("latin-1"))
            progress = self.progress()
            ended = await self.take(opcode, octets)
            if ended is not None:
                return ended
            if self.progress() != progress:
                tries = 0

    def agree(self, octets: bytes) -> None:
        """Take what an OACK grants."""
        granted = self.rom.terms(octets)
        self.blksize = granted.get(b"blksize", 512)
        self.window = granted.get(b"windowsize", 1)
        self.tsize = granted.get(b"tsize")

    def opens(self, opcode: int, octets: bytes) -> bool:
        """Say whether this can be the first answer."""
        raise NotImplementedError

    def repeat(self) -> None:
        """Send again what was not answered."""
        raise NotImplementedError

    def progress(self) -> int:
        """Return a number that changes when the transfer gets on."""
        raise NotImplementedError

    async def take(self, opcode: int, octets: bytes) -> Ended | None:
        """Deal with a packet of the peer; return the end, if it is that."""
        raise NotImplementedError


class _Fetching(_Conversation):
    def __init__(self, rom: Rom, server: bytes, request: bytes, stop_after: int) -> None:
        super().__init__(rom, server, request)
        self._stop_after = stop_after
        self._octets: list[bytes] = []
        self._expected = 1
        self._acked = 0
        self._gap_told = 0
        self._agreed = False

    def opens(self, opcode: int, octets: bytes) -> bool:
        return opcode == OACK or (opcode == DATA and octets[2:4] == b"\0\1")

    def repeat(self) -> None:
        self._gap_told = 0
        self._ack()

    def progress(self) -> int:
        return self._expected

    async def take(self, opcode: int, octets: bytes) -> Ended | None:
        habits = self.rom.habits
        if opcode == OACK and self._expected == 1:
            if not self._agreed:
                self.agree(octets)
                self._agreed = True
            if self._stop_after == 0:
                return Ended(Mark.ABANDONED, tsize=self.tsize)
            self._ack()
        if opcode != DATA:
            return None
        number = int.from_bytes(octets[2:4], "big")
        ahead = (number - self._expected) & 0xFFFF
        if ahead:
            self._unexpected(ahead)
            return None
        payload = octets[4:]
        if len(payload) > self.blksize:
            self.rom.violations.append(f"DATA of {len(payload)} octets, blksize {self.blksize}")
        self._octets.append(payload)
        self._expected += 1
        last = len(payload) < self.blksize
        if last or self._expected - 1 - self._acked >= self.window:
            if habits.thinks:
                await trio.sleep(habits.thinks)
            self._ack()
        if last:
            return Ended(Mark.DONE, b"".join(self._octets), tsize=self.tsize)
        if 0 <= self._stop_after < self._expected:
            return Ended(Mark.ABANDONED, tsize=self.tsize)
        return None

    def _unexpected(self, ahead: int) -> None:
        habits, peer = self.rom.habits, self.peer
        assert peer is not None
        if habits.error_on_gap and ahead != 0xFFFF:
            self.rom.send(b"\0\5\0\5Wrong block number\0", peer)
            return
        if ahead >= 0x8000:  # behind
            if ahead == 0xFFFF and (self.window == 1 or habits.acks_old):
                self._ack()
        elif self.window > 1 and self._gap_told != self._expected:
            self._gap_told = self._expected  # one ACK for each gap, as U-Boot does
            self._ack()

    def _ack(self) -> None:
        assert self.peer is not None
        self._acked = self._expected - 1
        self.rom.send(b"\0\4" + (self._acked & 0xFFFF).to_bytes(2, "big"), self.peer)


class _Storing(_Conversation):
    def __init__(self, rom: Rom, server: bytes, request: bytes, octets: bytes) -> None:
        super().__init__(rom, server, request)
        self._octets = octets
        self._base = 1
        self._next = 1
        self._opened = False

    @property
    def _total(self) -> int:
        return len(self._octets) // self.blksize + 1

    def opens(self, opcode: int, octets: bytes) -> bool:
        return opcode == OACK or (opcode == ACK and octets[2:4] == b"\0\0")

    def repeat(self) -> None:
        self._next = self._base
        self._send()

    def progress(self) -> int:
        return self._base + self._opened

    async def take(self, opcode: int, octets: bytes) -> Ended | None:
        if not self._opened:
            if opcode == OACK:
                self.agree(octets)
            self._opened = True
            self._send()
            return None
        if opcode != ACK:
            return None
        acked = (int.from_bytes(octets[2:4], "big") - (self._base - 1)) & 0xFFFF
        if not 0 < acked <= self._next - self._base:
            return None  # old, or twice: only the clock sends again (RFC 1123 4.2.3.1)
        self._base += acked
        if self._base > self._total:
            return Ended(Mark.DONE)
        self._next = self._base  # an ACK inside a window: what is behind it was lost
        if self.rom.habits.thinks:
            await trio.sleep(self.rom.habits.thinks)
        self._send()
        return None

    def _send(self) -> None:
        assert self.peer is not None
        while self._next < self._base + self.window and self._next <= self._total:
            start = (self._next - 1) * self.blksize
            header = b"\0\3" + (self._next & 0xFFFF).to_bytes(2, "big")
            self.rom.send(header + self._octets[start : start + self.blksize], self.peer)
            self._next += 1
