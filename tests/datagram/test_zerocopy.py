"""Sends for which the kernel takes the pages: what is held, until when."""

from __future__ import annotations

import gc
import random
import socket
import sys
import weakref
from pathlib import Path
from typing import Final

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from snowowl.datagram.batch import BatchEndpoint
from snowowl.datagram.interface import Region
from snowowl.datagram.system import SystemNetwork
from snowowl.datagram.zerocopy import ZeroCopy
from tests.datagram.loopback import LO4, RUNGS, SECONDS, datagrams, hear, mapped, window

WRAP: Final = 1 << 32


def region(number: int) -> Region:
    return Region(bytes([number % 256]))


def started(count: int, *, first: int = 0) -> ZeroCopy:
    zerocopy = ZeroCopy(next=first)
    for number in range(count):
        zerocopy.hold((region(number),))
    return zerocopy


def test_what_is_done_is_let_go() -> None:
    zerocopy = ZeroCopy()
    octets = region(1)
    alive = weakref.ref(octets)
    zerocopy.hold((octets,))
    zerocopy.hold((region(2),))
    del octets
    gc.collect()
    assert alive() is not None
    zerocopy.completed(0, 0, copied=False)
    gc.collect()
    assert alive() is None
    assert (zerocopy.pending, zerocopy.copied) == (1, 0)


def test_what_was_copied_is_counted() -> None:
    zerocopy = started(5)
    zerocopy.completed(0, 2, copied=True)
    zerocopy.completed(3, 4, copied=False)
    assert (zerocopy.pending, zerocopy.copied) == (0, 3)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.randoms(), st.integers(-30, 0))
def test_in_whatever_order_and_beyond_the_last_number(
    sizes: list[int], generator: random.Random, first: int
) -> None:
    first %= WRAP
    zerocopy = started(sum(sizes), first=first)
    ranges = []
    for size in sizes:
        ranges.append((first, (first + size - 1) % WRAP))
        first = (first + size) % WRAP
    generator.shuffle(ranges)
    left = sum(sizes)
    for begin, end in ranges:
        zerocopy.completed(begin, end, copied=False)
        left -= (end - begin) % WRAP + 1
        assert zerocopy.pending == left


def test_a_send_that_failed_may_have_taken_a_number() -> None:
    """It is told as done at once, alone or together with those before."""
    zerocopy = started(2)
    zerocopy.completed(0, 2, copied=False)  # number 2 is what failed
    assert zerocopy.pending == 0
    zerocopy.hold((region(3),))
    zerocopy.completed(2, 2, copied=False)
    assert zerocopy.pending == 1
    zerocopy.completed(3, 3, copied=False)
    assert zerocopy.pending == 0


def test_what_is_told_twice() -> None:
    zerocopy = started(3)
    for _ in range(2):
        zerocopy.completed(0, 1, copied=False)
        assert zerocopy.pending == 1


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="MSG_ZEROCOPY is Linux'")


@pytest.mark.real
@needs_linux
@pytest.mark.parametrize("rounds", [1, 20])
async def test_nothing_is_held_for_longer_than_the_kernel_needs_it(
    tmp_path: Path, rounds: int
) -> None:
    """Nobody sends or receives anything more: what is done wakes who waits to receive."""
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 300)
    network = SystemNetwork(RUNGS["zerocopy"])
    left, right = (network.open(socket.AF_INET, LO4, None) for _ in range(2))
    assert isinstance(left, BatchEndpoint)
    with mapped(path) as body:
        data = window(right.address, body, 1428, size=40_000)
        for _ in range(rounds):
            assert left.send([data]) is None
            assert [octets for _, octets in await hear(right, data.count)] == datagrams(data)
        wakes = 0
        with trio.fail_after(SECONDS):
            while left.zerocopy.pending:
                await left.wait_readable()
                assert left.receive() == ()
                wakes += 1
        assert wakes <= rounds
        messages = -(-data.count // 5)
        assert left.zerocopy.copied == rounds * messages, "loopback always copies"
        assert left.counters.errors == 0
        assert left.take_unreachable() == ()
        with trio.move_on_after(0.01):
            await left.wait_readable()
            raise AssertionError("the socket stays readable")
    left.close()
    right.close()
