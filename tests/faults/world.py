"""A fault server and a client on the simulated network, and what went to and fro, for people."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import trio

import snowowl
from snowowl.client.errors import ClientError
from snowowl.client.options import ClientOptions
from snowowl.observe.events import Direction
from snowowl.testing.faults import Judged, Verdict, faulty_server
from snowowl.testing.faults.conduct import Entry
from snowowl.testing.faults.model import Via
from snowowl.testing.simnetwork import SimNetwork
from snowowl.wire.codec import opcode_of
from snowowl.wire.constants import Opcode

SERVER = "192.0.2.1"
BLKSIZE = 100
FILE = bytes(index * 7 % 251 for index in range(1150))
"""Eleven whole blocks and a half one."""

WINDOW = ClientOptions(blksize=BLKSIZE, windowsize=4, timeout=2, retries=5)
LOCK_STEP = ClientOptions(blksize=BLKSIZE, windowsize=None, tsize=False, retries=5)
TSIZE = ClientOptions(blksize=None, windowsize=None)
PLAIN = ClientOptions.none(timeout=2)
BIG = FILE * 4
"""For blocks of 512 octets: nearly nine of them."""

READ, WRITE = Direction.READ, Direction.WRITE


@attrs.frozen
class Run:
    """How a client fared."""

    transfers: Sequence[Judged]
    error: ClientError | None
    octets: bytes | None
    """What arrived, on whichever side."""
    expected: bytes

    @property
    def first(self) -> Judged:
        """The first transfer; a client that is refused may ask again."""
        return self.transfers[0]

    @property
    def verdict(self) -> Verdict:
        return self.first.verdict

    @property
    def whole(self) -> bool:
        return self.octets == self.expected


async def run_client(
    fault: str, direction: Direction, options: ClientOptions, *, seed: int = 0
) -> Run:
    """Have snowowl's client fetch, or send, a file with a fault."""
    network = SimNetwork()
    expected = BIG if options.blksize is None else FILE
    octets: bytes | None = None
    error: ClientError | None = None
    async with faulty_server(
        {"file": expected}, fault, listen=f"{SERVER}:69", network=network, seed=seed
    ) as server:
        with trio.fail_after(1000):
            try:
                if direction is READ:
                    octets = (
                        await snowowl.get(server.url("file"), options=options, network=network)
                    ).octets
                else:
                    await snowowl.put(expected, server.url("up"), options=options, network=network)
            except ClientError as failure:
                error = failure
            transfers = await server.settled()
        if direction is WRITE:
            octets = server.uploads.get("up")
    assert not network.endpoints, "a socket is left"
    return Run(transfers, error, octets, expected)


def story(judged: Judged) -> list[str]:
    """Return a transfer's datagrams: ``> DATA 2``, ``> DATA 2 lost``, ``< ACK 1``, ``~`` for strays."""
    return [_told(entry) for entry in judged.trace]


def has_in_order(told: Sequence[str], *wanted: str) -> bool:
    """Say whether these lines are among a story's, in this order, whatever is between them."""
    left = iter(told)
    return all(line in left for line in wanted)


def _told(entry: Entry) -> str:
    if not entry.octets and entry.what in ("request", "port closed"):
        return entry.what
    arrow = "<" if entry.what in ("heard", "dropped") else ">"
    arrow = {Via.OWN: arrow, Via.STRAY: f"~{arrow}", Via.LISTENING: f"listening {arrow}"}[entry.via]
    lost = " lost" if entry.what in ("lost", "dropped") else ""
    return f"{arrow} {packet_text(entry.octets, entry.size)}{lost}"


def packet_text(octets: bytes, size: int) -> str:
    """Return what a datagram is, in short."""
    opcode = opcode_of(octets)
    if len(octets) >= 4 and opcode in (Opcode.DATA, Opcode.ACK, Opcode.ERROR):
        return f"{Opcode(opcode).name} {int.from_bytes(octets[2:4], 'big')}"
    if opcode == Opcode.OACK:
        words = octets[2:].decode("latin-1").split("\0")
        return " ".join(["OACK", *words]).strip()
    return f"{size} octets"
