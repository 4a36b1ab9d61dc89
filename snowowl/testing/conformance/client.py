"""A client that a case plays by hand: it logs all it sends and hears, and can carry a transfer on.

What goes wrong in a transfer is a `Deviation`: the level of the case's clause says how bad that is.
It sends nothing by itself but what a plain client of RFC 1350 and 7440 would.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import attrs
import trio

from snowowl.datagram.address import host_octets, host_text, port_of
from snowowl.testing.conformance.packets import NUMBERS, Answer, ack, data, error
from snowowl.testing.conformance.verdicts import Deviation

if TYPE_CHECKING:
    from snowowl.testing.conformance.stage import Stage
    from snowowl.testing.probe import Probe

BLKSIZE_DEFAULT: Final = 512  # RFC 1350 section 2
REPEATS_MAX: Final = 2
"""How often a packet that was not answered is sent again: on the links that a suite is run over, a
third loss in a row is none."""

SIZE_MAX: Final = 4 << 20
"""Octets of the largest file that is read again and again: some sixty times, in blocks of 512."""
READ_MAX: Final = 2 * SIZE_MAX
"""Octets after which a file has no end: netascii makes two of one at most."""
HEARD_MAX: Final = 32 << 20
"""Octets that a client keeps of what comes, with those that Python needs; more if the file needs it."""
_DATAGRAM_COST: Final = 256
"""Octets that Python needs for a datagram beside its own."""
_FILE_COST: Final = 64
"""Octets for each of the file: in blocks of 8, the smallest, it is read twice then."""

_QUIT: Final = error(0, b"conformance suite: done with this transfer")


@attrs.frozen
class Agreed:
    """What a transfer goes by."""

    blksize: int = BLKSIZE_DEFAULT
    windowsize: int = 1


def agreed(answer: Answer) -> Agreed:
    """Return what an answer grants: the defaults, if it is no OACK."""
    if not answer.is_oack:
        return Agreed()
    granted = answer.granted
    return Agreed(
        _number(granted, "blksize", BLKSIZE_DEFAULT, 65464),
        _number(granted, "windowsize", 1, NUMBERS - 1),
    )


def _number(granted: Mapping[str, str], name: str, default: int, number_max: int) -> int:
    """Return a granted number.  Raises Deviation if no transfer can go by it."""
    text = granted.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= number_max):
        raise Deviation(f"grants {name}={text}, by which no transfer can go")
    return int(text)


class Client:
    """One UDP port, at most one transfer at a time."""

    def __init__(self, stage: Stage, probe: Probe) -> None:
        self._stage = stage
        self.probe = probe
        self.tid = stage.target.address
        """Where packets go: the listening port until something has answered."""
        self.over = True
        """There is no transfer that would have to be ended."""
        self.closed = False
        """The port that packets go to was reported closed."""
        self.came: list[Answer] = []
        """All that came."""
        self._room = HEARD_MAX + _FILE_COST * len(stage.content)

    # One datagram.

    async def send(self, octets: bytes, to: bytes | None = None) -> None:
        """Send a datagram: to the transfer's TID, if nothing else is said."""
        target = self.tid if to is None else to
        self._stage.evidence.add(
            trio.current_time(), "sent", (self.probe.port, port_of(target)), octets
        )
        await self.probe.send(octets, target)

    async def hear(self, seconds: float) -> Answer | None:
        """Return the next datagram, None if none comes in that time or the TID's port is closed.

        Raises Deviation if another address answers, or so much came that nothing would hold it.
        """
        deadline = trio.current_time() + seconds
        heard = await self.probe.receive_until(deadline)
        while heard is None:
            closed = self.probe.take_closed_ports()
            for port in dict.fromkeys(map(port_of, closed)):
                self._stage.note(f"port {port} was reported closed")
            self.closed = self.closed or self.tid in closed
            if not closed or self.closed or trio.current_time() >= deadline:
                return None
            heard = await self.probe.receive_until(deadline)
        answer = Answer(heard.octets, heard.source, heard.at)
        ports = (self.probe.port, heard.port)
        self._stage.evidence.add(heard.at, "came", ports, heard.octets)
        if host_octets(heard.source) != host_octets(self._stage.target.address):
            raise Deviation(f"answers from another address, {host_text(heard.source)}")
        self._room -= len(heard.octets) + _DATAGRAM_COST
        if self._room < 0:
            raise Deviation(f"floods: {len(self.came)} datagrams came to one client")
        self.came.append(answer)
        return answer

    async def hear_peer(self, seconds: float) -> Answer | None:
        """Return the next datagram from the transfer's TID: what others send is not of it."""
        deadline = trio.current_time() + seconds
        while True:
            answer = await self.hear(max(deadline - trio.current_time(), 0))
            if answer is None or answer.source == self.tid:
                return answer

    async def answer(self, seconds: float | None = None) -> Answer:
        """Return the next datagram.  Raises Deviation if none comes."""
        seconds = self._stage.patience if seconds is None else seconds
        answer = await self.hear(seconds)
        if answer is None:
            raise Deviation(f"expected an answer, but {self._silence(seconds)}")
        return answer

    async def ask(self, request: bytes) -> Answer:
        """Send a request to the listening port; the first to answer it has the transfer."""
        self.tid, self.closed = self._stage.target.address, False
        await self.send(request)
        answer = await self.answer()
        self.tid = answer.source
        self.over = answer.is_error()
        return answer

    async def hear_all(self, seconds: float, *, count_max: int = 100_000) -> list[Answer]:
        """Return all that comes in that time."""
        heard: list[Answer] = []
        deadline = trio.current_time() + seconds
        while len(heard) < count_max and trio.current_time() < deadline:
            answer = await self.hear(deadline - trio.current_time())
            if answer is not None:  # None before the time: a port is closed, another may not be
                heard.append(answer)
        return heard

    async def quit(self) -> None:
        """End the transfer, if there is one: a server need not wait for a client that is gone."""
        if not self.over:
            self.over = True
            await self.send(_QUIT)

    # Expectations.

    async def expect_data(self, block: int, seconds: float | None = None) -> Answer:
        """Return DATA of that block; earlier blocks that come again are passed over."""
        seconds = self._stage.patience if seconds is None else seconds
        deadline = trio.current_time() + seconds
        while True:
            answer = await self.hear_peer(max(deadline - trio.current_time(), 0))
            if answer is None:
                raise Deviation(f"expected DATA {block % NUMBERS}, but {self._silence(seconds)}")
            if answer.is_data(block):
                return answer
            self.fail_on_error(answer)
            behind = (block - answer.number) % NUMBERS
            if not (answer.is_data() and 0 < behind < NUMBERS // 2):
                raise Deviation(f"expected DATA {block % NUMBERS}, but {answer} came")

    async def expect_ack(self, block: int, seconds: float | None = None) -> Answer:
        """Return the ACK of that block; earlier ones that come again are passed over."""
        seconds = self._stage.patience if seconds is None else seconds
        deadline = trio.current_time() + seconds
        while True:
            answer = await self.hear_peer(max(deadline - trio.current_time(), 0))
            if answer is None:
                raise Deviation(f"expected ACK {block % NUMBERS}, but {self._silence(seconds)}")
            if answer.is_ack(block):
                return answer
            self.fail_on_error(answer)
            if not (answer.is_ack() or answer.is_oack):
                raise Deviation(f"expected ACK {block % NUMBERS}, but {answer} came")

    def _silence(self, seconds: float) -> str:
        return "the port is closed" if self.closed else f"none within {seconds:g} s"

    def fail_on_error(self, answer: Answer) -> None:
        """Raise Deviation if an answer is an ERROR, which ends the transfer."""
        if answer.is_error():
            self.over = True
            raise Deviation(f"the server ended the transfer: {answer}")

    # Whole transfers.

    async def read(self, request: bytes) -> bytes:
        """Read a file; return its octets as they are on the wire."""
        return await self.read_on(await self.ask(request))

    async def read_on(self, answer: Answer) -> bytes:
        """Read to the end from the first answer on: DATA 1, or an OACK."""
        self.fail_on_error(answer)
        terms = agreed(answer)
        if answer.is_oack:
            await self.send(ack(0))
            answer = await self.expect_data(1)
        if not answer.is_data(1):
            raise Deviation(f"expected DATA 1, but {answer} came")
        return await self.read_from(answer, 1, terms)

    async def read_from(self, answer: Answer, block: int, terms: Agreed) -> bytes:
        """Read to the end from the DATA of a block on; return the octets from it on."""
        pieces: list[bytes] = []
        size, acked, repeats = 0, block - 1, 0
        heard: Answer | None = answer
        while True:
            if heard is None:
                repeats += 1
                if repeats > REPEATS_MAX:
                    raise Deviation(f"expected DATA {block % NUMBERS}, but nothing comes any more")
                await self.send(ack(block - 1))
                acked = block - 1
            elif heard.is_data(block):
                repeats = 0
                pieces.append(heard.payload)
                size += len(heard.payload)
                if len(heard.payload) > terms.blksize:
                    long = len(heard.payload)
                    raise Deviation(f"DATA {heard.number} has {long} octets of {terms.blksize}")
                if size > READ_MAX:
                    raise Deviation(f"does not end the file: more than {READ_MAX} octets came")
                if len(heard.payload) < terms.blksize:
                    await self.send(ack(block))
                    self.over = True
                    return b"".join(pieces)
                if block - acked == terms.windowsize:
                    await self.send(ack(block))
                    acked = block
                block += 1
            elif not heard.is_data() and not heard.is_oack:
                self.fail_on_error(heard)
                raise Deviation(f"expected DATA {block % NUMBERS}, but {heard} came")
            heard = await self.hear_peer(self._stage.patience)

    async def write(self, request: bytes, content: bytes) -> Answer:
        """Write a file; return the answer to the request.  Raises Deviation if it is refused."""
        answer = await self.ask(request)
        self.fail_on_error(answer)
        if not (answer.is_ack(0) or answer.is_oack):
            raise Deviation(f"expected ACK 0 or an OACK, but {answer} came")
        terms = agreed(answer)
        blocks = blocks_of(content, terms.blksize)
        for first in range(0, len(blocks), terms.windowsize):
            last = min(first + terms.windowsize, len(blocks))
            await self.write_window(blocks, first, last)
        self.over = True
        return answer

    async def write_window(self, blocks: list[bytes], first: int, last: int) -> None:
        """Send blocks from index `first` (block `first` + 1) up to `last`; await the ACK of them all."""
        base, repeats = first, 0
        while base < last:
            for index in range(base, last):
                await self.send(data(index + 1, blocks[index]))
            moved = await self._await_ack(base, last)
            repeats = 0 if moved > base else repeats + 1
            if repeats > REPEATS_MAX:
                number = last % NUMBERS
                raise Deviation(f"expected ACK {number}, but it does not come")
            base = moved

    async def _await_ack(self, base: int, last: int) -> int:
        """Return how many blocks are acknowledged when the window is, or when nothing comes any more."""
        moved = base
        while moved < last:
            answer = await self.hear_peer(self._stage.patience)
            if answer is None:
                break
            self.fail_on_error(answer)
            ahead = (answer.number - base) % NUMBERS
            if answer.is_ack() and 0 < ahead <= last - base:
                moved = max(moved, base + ahead)
        return moved


def blocks_of(content: bytes, blksize: int) -> list[bytes]:
    """Return a file in blocks: the last one is shorter, and may be empty (RFC 1350 section 6)."""
    count = len(content) // blksize + 1
    return [content[index * blksize : (index + 1) * blksize] for index in range(count)]


@asynccontextmanager
async def open_client(stage: Stage, probe: Probe) -> AsyncIterator[Client]:
    """Give a client; whatever happens, its transfer is ended and its port is closed."""
    with probe:
        client = Client(stage, probe)
        try:
            yield client
        finally:
            with trio.move_on_after(1, shield=True):
                await client.quit()
