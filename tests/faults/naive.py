"""A client that is right unless it is told which mistake to make: it proves that verdicts bite."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

import trio

from snowowl.testing.faults import Judged, faulty_server
from snowowl.testing.probe import Heard, Probe
from snowowl.testing.simnetwork import SimNetwork, socket_address
from snowowl.wire.codec import block_number_of, encode_ack, encode_data_header, opcode_of
from snowowl.wire.constants import Opcode
from tests.faults.world import BIG, SERVER

TIMEOUT_SECONDS = 1.5
RETRIES = 4
BLKSIZE = 512
DALLY_SECONDS = 1.6
LISTENING = socket_address(SERVER, 69)


class Mistake(Enum):
    """What it does wrong."""

    NONE = auto()
    ANY_PORT = auto()
    """Takes DATA and ACK from whichever port, and answers there."""
    IGNORES_ERRORS = auto()
    ANSWERS_ERRORS = auto()
    NO_RETRIES = auto()
    FOR_EVER = auto()
    ANY_LENGTH = auto()
    ANY_NUMBER = auto()
    """Acknowledges whatever number comes, and takes it for the next one."""
    THREE_ACKS = auto()
    APPRENTICE = auto()
    """Sends DATA for each ACK of the block before it."""
    OTHER_OCTETS = auto()
    """Sends other octets when it sends a block again."""
    NO_SHORT_END = auto()
    """Goes on after a short block."""
    LISTENING_PORT = auto()
    """Sends its ACKs to the port that it asked."""
    HANGS_UP = auto()
    """Ends with ERROR 0 at whatever it does not expect."""
    READS_OACKS = auto()
    """Accepts whatever an OACK says."""


class Naive:
    """Reads or writes a file in lock-step, by hand."""

    def __init__(self, network: SimNetwork, mistake: Mistake) -> None:
        self.octets = b""
        self.done = False
        self._network = network
        self._mistake = mistake
        self._peer: bytes | None = None

    async def read(self, request: bytes) -> None:
        with Probe(self._network, 2) as probe:
            await self._read(probe, request)

    async def write(self, request: bytes, octets: bytes) -> None:
        with Probe(self._network, 2) as probe:
            await self._write(probe, request, octets)

    async def _hear(self, probe: Probe, seconds: float) -> Heard | None:
        """Return the next datagram of the server, None for silence; strays get ERROR 5."""
        deadline = trio.current_time() + seconds
        while True:
            heard = await probe.receive_until(deadline)
            if heard is None:
                if trio.current_time() >= deadline or probe.take_closed_ports():
                    return None
                continue
            if self._peer in (None, heard.source) or self._mistake is Mistake.ANY_PORT:
                if self._peer is None and len(heard.octets) < 4:
                    continue
                self._peer = heard.source
                return heard
            if opcode_of(heard.octets) != Opcode.ERROR:
                await probe.send(b"\0\5\0\5stray\0", heard.source)

    async def _is_over(self, probe: Probe, heard: Heard) -> bool:
        """Say whether an ERROR ends it."""
        if opcode_of(heard.octets) != Opcode.ERROR or len(heard.octets) < 4:
            return False
        if self._mistake is Mistake.ANSWERS_ERRORS:
            await probe.send(b"\0\5\0\0likewise\0", heard.source)
        return self._mistake is not Mistake.IGNORES_ERRORS

    def _tries(self) -> int:
        return {Mistake.NO_RETRIES: 0, Mistake.FOR_EVER: 1000}.get(self._mistake, RETRIES)

    async def _read(self, probe: Probe, request: bytes) -> None:
        expected, last, tries = 1, request, self._tries()
        await probe.send(request, LISTENING)
        while True:
            heard = await self._hear(probe, TIMEOUT_SECONDS)
            if heard is None:
                if tries == 0 or self.done:
                    return
                tries -= 1
                await probe.send(last, self._peer or LISTENING)
                continue
            if await self._is_over(probe, heard):
                return
            octets, mistake = heard.octets, self._mistake
            is_data = opcode_of(octets) == Opcode.DATA and len(octets) >= 4
            number = block_number_of(octets) if is_data else -1
            if mistake is Mistake.READS_OACKS and opcode_of(octets) == Opcode.OACK:
                number, is_data, expected = 0, True, 0
                octets = b"\0\3\0\0".ljust(4 + BLKSIZE)
            fits = len(octets) <= 4 + BLKSIZE or mistake is Mistake.ANY_LENGTH
            right = is_data and fits and not (self.done and mistake is not Mistake.NO_SHORT_END)
            if not right or (number != expected and mistake is not Mistake.ANY_NUMBER):
                if mistake is Mistake.HANGS_UP:
                    await probe.send(b"\0\5\0\0what is this\0", heard.source)
                    return
                if mistake is Mistake.IGNORES_ERRORS:
                    await probe.send(last, heard.source)
                if is_data and number in (expected - 1, 0) and last != request:
                    await probe.send(last, heard.source)  # the ACK was lost
                continue
            self.octets += octets[4:] if expected else b""
            expected, last, tries = number + 1, encode_ack(number), self._tries()
            to = LISTENING if mistake is Mistake.LISTENING_PORT else heard.source
            for _ in range(3 if mistake is Mistake.THREE_ACKS else 1):
                await probe.send(last, to)
            self.done = len(octets) < 4 + BLKSIZE

    async def _write(self, probe: Probe, request: bytes, octets: bytes) -> None:
        total = len(octets) // BLKSIZE + 1
        block, last, tries = 0, request, self._tries()
        await probe.send(request, LISTENING)
        while True:
            heard = await self._hear(probe, TIMEOUT_SECONDS)
            if heard is None:
                if tries == 0:
                    return
                tries -= 1
                if self._mistake is Mistake.OTHER_OCTETS and block:
                    last = last[:4] + bytes(len(last) - 4)
                await probe.send(last, self._peer or LISTENING)
                continue
            if await self._is_over(probe, heard):
                return
            is_ack = opcode_of(heard.octets) == Opcode.ACK and len(heard.octets) == 4
            number = block_number_of(heard.octets) if is_ack else -1
            if self._mistake is Mistake.APPRENTICE and is_ack and 0 < number + 1 <= block:
                await probe.send(self._data(octets, number + 1), heard.source)
                continue
            if number != block and not (is_ack and self._mistake is Mistake.ANY_NUMBER):
                if self._mistake is Mistake.IGNORES_ERRORS:
                    await probe.send(last, heard.source)
                continue
            if number >= total:
                self.done = True
                return
            block, tries = number + 1, self._tries()
            last = self._data(octets, block)
            await probe.send(last, heard.source)

    def _data(self, octets: bytes, block: int) -> bytes:
        return encode_data_header(block) + octets[(block - 1) * BLKSIZE : block * BLKSIZE]


def request(opcode: int, *options: tuple[str, object]) -> bytes:
    """Return an RRQ or a WRQ."""
    words = ["file", "octet", *(str(word) for option in options for word in option)]
    return opcode.to_bytes(2, "big") + "".join(f"{word}\0" for word in words).encode()


async def judge(
    fault: str,
    mistake: Mistake,
    *,
    writes: bool = False,
    options: Sequence[tuple[str, object]] = (),
) -> Judged:
    """Return what the server thinks of a client with a mistake."""
    network = SimNetwork()
    async with faulty_server(
        {"file": BIG}, fault, listen=f"{SERVER}:69", network=network
    ) as server:
        client = Naive(network, mistake)
        with trio.move_on_after(200):
            if writes:
                await client.write(request(2, *options), BIG)
            else:
                await client.read(request(1, *options))
        return (await server.settled())[0]
