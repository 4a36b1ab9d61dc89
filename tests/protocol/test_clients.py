"""A server's side of an RRQ against clients that behave as real ones do, on a link that loses.

The clients are simulated from what their sources do with a window; what is asserted is what somebody
waits for: seconds, and DATA that crosses the network more than once.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Final

import pytest

from snowowl.protocol.actions import Actions, SendBlocks, SendPacket
from snowowl.protocol.events import DatagramsReceived, TimerExpired
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.pace import PAUSE_MIN_SECONDS
from snowowl.protocol.read import ReadTransfer
from snowowl.testing.playbook import ack
from tests.protocol.stories import reading

LATENCY: Final = 0.0005
SPACING: Final = 0.000012  # 1468 octets at 1 Gbit/s

Loss = Callable[[int, int], bool]
"""Says by its number among all DATA, and by its place in its burst, whether one is lost."""


class Client:
    """Receives blocks in order; what it says when, subclasses know."""

    timeout = 5.0

    def __init__(self, windowsize: int) -> None:
        self.windowsize = windowsize
        self.last = 0
        """The last block received in order."""
        self.acked = 0
        """The block from which the window is counted."""
        self.deadline = self.timeout

    def receive(self, block: int, now: float) -> int | None:
        """Take a block; return the one to acknowledge, if any."""
        if block != self.last + 1:
            return self.surprised()
        self.last = block
        self.deadline = now + self.timeout
        if self.last - self.acked >= self.windowsize:
            self.acked = self.last
            return self.last
        return None

    def surprised(self) -> int | None:
        """Return what to acknowledge when another block than the next has come."""
        raise NotImplementedError

    def expire(self, now: float) -> int:
        """Return the block to acknowledge when nothing has come."""
        self.deadline = now + self.timeout
        return self.last


class UBoot(Client):
    """One ACK for a gap, however often it is found; after a timeout it counts on as before."""

    def __init__(self, windowsize: int) -> None:
        super().__init__(windowsize)
        self._complained_after = -1

    def surprised(self) -> int | None:
        if self._complained_after == self.last:
            return None
        self._complained_after = self.last
        self.acked = self.last
        return self.last


class Edk2(Client):
    """One ACK for each packet out of order, and for each that comes again."""

    timeout = 4.0

    def surprised(self) -> int | None:
        self.acked = self.last
        return self.last


class Silent(Client):
    """Tells of no gap, and asks again after a second."""

    timeout = 1.0

    def surprised(self) -> int | None:
        return None

    def expire(self, now: float) -> int:
        self.acked = self.last
        return super().expire(now)


class EachBlock(Client):
    """Agrees to a window, and acknowledges every block all the same."""

    timeout = 1.0

    def __init__(self, windowsize: int) -> None:
        super().__init__(1)

    def surprised(self) -> int | None:
        return None


class Link:
    """Carries DATA to a client and its ACKs back."""

    def __init__(self, transfer: ReadTransfer, client: Client, is_lost: Loss) -> None:
        self.transfer = transfer
        self.client = client
        self.now = 0.0
        self.sent = 0
        self._is_lost = is_lost
        self._flying: list[tuple[float, int, int, bool]] = []
        self._count = 0
        self._free_at = {True: 0.0, False: 0.0}
        """When the wire, in either direction, has carried all that it was given."""

    def run(self) -> None:
        """Run until the server has finished."""
        transfer, client = self.transfer, self.client
        transfer.start(0.0)
        self.carry_out(transfer.handle(DatagramsReceived(ack(0), 4, 0.0)))
        while not transfer.finished:
            timers = min(transfer.deadline, client.deadline)
            if self._flying and self._flying[0][0] <= timers:
                self.now, _, block, is_ack = heapq.heappop(self._flying)
                self.arrive(block, is_ack=is_ack)
                continue
            self.now = max(self.now, timers)
            assert self.now < 1000.0, f"this never ends: {transfer!r}"
            if client.deadline <= self.now:
                self.say(client.expire(self.now))
            else:
                self.carry_out(transfer.handle(TimerExpired(self.now)))

    def arrive(self, block: int, *, is_ack: bool) -> None:
        if is_ack:
            event = DatagramsReceived(ack(block & 0xFFFF), 4, self.now)
            self.carry_out(self.transfer.handle(event))
        elif self.client.last < self.transfer.window.total:
            self.say(self.client.receive(block, self.now))
            if self.client.last == self.transfer.window.total:  # the short one
                self.say(self.client.last)

    def say(self, block: int | None) -> None:
        if block is not None:
            self.fly(block, is_ack=True)

    def carry_out(self, actions: Actions) -> None:
        for action in actions:
            assert not isinstance(action, SendPacket)
            if isinstance(action, SendBlocks):
                for place in range(action.count):
                    self.sent += 1
                    if not self._is_lost(self.sent, place):
                        self.fly(action.first + place, is_ack=False)

    def fly(self, block: int, *, is_ack: bool) -> None:
        self._count += 1
        self._free_at[is_ack] = max(self._free_at[is_ack], self.now) + SPACING
        arrival = self._free_at[is_ack] + LATENCY
        heapq.heappush(self._flying, (arrival, self._count, block, is_ack))


def fetched(client: Client, blocks: int, windowsize: int, is_lost: Loss, **options: int) -> Link:
    """Have a client fetch a file; return the link, when all is over."""
    transfer = reading(blocks * 8 - 1, blksize=8, windowsize=windowsize, **options)
    link = Link(transfer, client, is_lost)
    link.run()
    assert transfer.outcome is not None
    assert transfer.outcome.kind is OutcomeKind.COMPLETED
    assert client.last == blocks
    return link


def nothing(number: int, place: int) -> bool:
    return False


def one(lost: int) -> Loss:
    return lambda number, place: number == lost


@pytest.mark.parametrize("make", [UBoot, Edk2])
@pytest.mark.parametrize("windowsize", [4, 32])
def test_without_loss_nothing_is_sent_twice(make: type[Client], windowsize: int) -> None:
    assert fetched(make(windowsize), 999, windowsize, nothing).sent == 999


@pytest.mark.rule("R6")
@pytest.mark.parametrize("make", [UBoot, Edk2])
@pytest.mark.parametrize("windowsize", [4, 32])
@pytest.mark.parametrize("lost", range(97, 130))
def test_one_loss_costs_a_window_or_two_and_no_more(
    make: type[Client], windowsize: int, lost: int
) -> None:
    """Wherever in its window: first, middle, last.  Then everything is in step again."""
    link = fetched(make(windowsize), 2999, windowsize, one(lost))
    assert link.sent <= 2999 + 2 * windowsize
    assert link.now < 1.0


@pytest.mark.parametrize("lost", range(97, 130))
def test_uboot_with_its_own_timeout_falls_in_step_again(lost: int) -> None:
    """U-Boot always negotiates five seconds: then the end of a window that is lost costs them."""
    link = fetched(UBoot(32), 2999, 32, one(lost), timeout=5)
    assert link.sent <= 2999 + 3 * 32
    assert link.now < 6.0


@pytest.mark.parametrize("make", [UBoot, Edk2])
def test_every_31st_packet_lost(make: type[Client]) -> None:
    link = fetched(make(4), 2000, 4, lambda number, place: number % 31 == 0)
    assert link.sent < 2000 * 1.25
    assert link.now < 10.0


def buffered(buffers: int, loss: float = 0.0) -> Loss:
    """Take so many blocks of a burst, whatever else is lost by chance."""
    draws = random.Random(buffers)
    return lambda number, place: place >= buffers or draws.random() < loss


@pytest.mark.parametrize("make", [UBoot, Edk2])
@pytest.mark.parametrize("buffers", [1, 2, 13, 20, 31])
@pytest.mark.parametrize("timeout", [0, 5])
def test_a_client_that_takes_less_than_its_window(
    make: type[Client], buffers: int, timeout: int
) -> None:
    """U-Boot's virtio driver has 32 buffers; a socket's holds 13 blocks of 8 KiB.

    Each burst loses its tail, and nothing but a later block can tell.
    """
    options = {"timeout": timeout} if timeout else {}
    link = fetched(make(32), 10_000, 32, buffered(buffers), **options)
    pauses = 10_000 / min(buffers, 16) * 2
    # The window's size is tried again now and then; that it fails costs a timeout.
    assert link.now < 0.5 + pauses * PAUSE_MIN_SECONDS + 2 * timeout
    assert link.sent < 12_000


@pytest.mark.parametrize("buffers", [2, 13])
def test_a_client_that_takes_little_and_tells_of_no_gap(buffers: int) -> None:
    """It asks again after a second; what it has then is what it takes at once."""
    link = fetched(Silent(32), 10_000, 32, buffered(buffers))
    assert link.now < 30.0


@pytest.mark.parametrize("buffers", [2, 13])
def test_a_client_that_takes_little_on_a_bad_link(buffers: int) -> None:
    link = fetched(UBoot(64), 5_000, 64, buffered(buffers, 0.05))
    assert link.now < 15.0
    assert link.sent < 5_000 * 2.5


@pytest.mark.parametrize("make", [UBoot, Edk2])
@pytest.mark.parametrize("windowsize", [1, 4, 16, 64])
def test_one_packet_lost_in_a_hundred_costs_milliseconds(
    make: type[Client], windowsize: int
) -> None:
    """In windows of 16 that is 8 MiB in a second and a half, where 0.2 s for each silence are five."""
    link = fetched(make(windowsize), 6_000, windowsize, buffered(64, 0.01))
    assert link.now < 6_000 / windowsize * (2 * LATENCY + 0.02 * 0.05) + 1.0


def test_a_client_that_acknowledges_every_block_is_served() -> None:
    """Each of its ACKs looks like a complaint; that costs windows, but comes to an end."""
    link = fetched(EachBlock(8), 500, 8, nothing)
    assert link.now < 5.0
    assert link.sent <= 500 * 8
