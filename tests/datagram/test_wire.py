"""Over a wire with an MTU, in namespaces of our own: fragments, refused segments, a full queue."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import attrs
import pytest
import trio

from snowowl.datagram.batch import BatchEndpoint
from snowowl.datagram.endpoint import SocketEndpoint
from snowowl.datagram.interface import LocalAddress, Region, Transmit
from snowowl.datagram.settings import Settings
from snowowl.datagram.system import SystemNetwork
from tests.datagram.loopback import RUNGS, SECONDS, datagrams, mapped, one, parts, window

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None,
        reason="needs root and ip (Debian: iproute2) to make network namespaces",
    ),
]

CLONE_NEWNET: Final = 0x40000000  # linux/sched.h
OCTETS: Final = random.Random(9).randbytes(400_000)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=10, capture_output=True)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Open sockets in a namespace: they stay there."""
    library = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open() as before, Path(f"/run/netns/{name}").open() as there:
        assert library.setns(there.fileno(), CLONE_NEWNET) == 0
        try:
            yield
        finally:
            assert library.setns(before.fileno(), CLONE_NEWNET) == 0


@attrs.frozen
class Wire:
    """Two hosts, 192.168.78.1 and .2, fd78::1 and ::2."""

    names: tuple[str, str]

    def open(
        self, host: int, network: SystemNetwork, family: int = socket.AF_INET
    ) -> SocketEndpoint:
        packed = (
            bytes([192, 168, 78, host])
            if family == socket.AF_INET
            else b"\xfd\x78" + bytes(13) + bytes([host])
        )
        with inside(self.names[host - 1]):
            return network.open(family, LocalAddress(packed), None)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    left, right = names = tuple(f"owl-wire-{side}-{os.getpid()}" for side in "ab")
    with ExitStack() as stack:
        for name in names:
            made = subprocess.run(
                ["ip", "netns", "add", name], check=False, timeout=10, capture_output=True
            )
            if made.returncode:
                pytest.skip("network namespaces cannot be made here")
            stack.callback(ip, "netns", "del", name)
        ip("link", "add", "owl0", "netns", left, "type", "veth", "peer", "owl0", "netns", right)
        for host, name in enumerate(names, 1):
            ip("-n", name, "addr", "add", f"192.168.78.{host}/24", "dev", "owl0")
            ip("-n", name, "addr", "add", f"fd78::{host}/64", "dev", "owl0", "nodad")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "owl0", "up")
        yield Wire((left, right))


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    path = tmp_path_factory.mktemp("file") / "file"
    path.write_bytes(OCTETS)
    with mapped(path) as region:
        yield region


async def hear(endpoint: SocketEndpoint, count: int) -> list[bytes]:
    heard: list[bytes] = []
    with trio.fail_after(SECONDS):
        while len(heard) < count:
            await endpoint.wait_readable()
            while batch := endpoint.receive():
                heard += [part for received in batch for part in parts(received)]
    return heard


async def greet(left: SocketEndpoint, right: SocketEndpoint) -> None:
    """Send one datagram, so that the hosts know each other's hardware address."""
    for _ in range(20):
        left.send([one(right.address, b"hello")])
        with trio.move_on_after(0.1):
            await right.wait_readable()
            right.receive()
            return
    raise AssertionError("nothing arrives")


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
async def test_blocks_of_every_size(wire: Wire, body: Region, rung: str, family: int) -> None:
    """Those that are larger than the MTU arrive in fragments, for which segments are given up."""
    told: list[str] = []
    network = SystemNetwork(RUNGS[rung])
    network.lowered = told.append
    left, right = (wire.open(host, network, family) for host in (1, 2))
    await greet(left, right)
    fits = 1468 if family == socket.AF_INET else 1448
    for blksize in (
        512,
        fits,
        fits + 1,
        8192,
        40_001,
        65_464 if family == socket.AF_INET else 65_000,
    ):
        data = window(right.address, body, blksize, size=min(30 * blksize - 5, 150_000))
        assert left.send([data]) is None
        assert await hear(right, data.count) == datagrams(data), blksize
    assert left.counters.datagrams_lost == 0
    assert len(told) == network.capabilities.gso
    await let_go(left)
    left.close()
    right.close()


async def test_a_window_that_fits_goes_in_one_call(wire: Wire, body: Region) -> None:
    network = SystemNetwork(RUNGS["gso"])
    left, right = (wire.open(host, network) for host in (1, 2))
    assert isinstance(left, BatchEndpoint)
    await greet(left, right)
    calls: list[int] = []
    real = left._calls

    def count(fd: int, address: int, messages: int, flags: int) -> int:
        calls.append(messages)
        return real.sendmmsg(fd, address, messages, flags)

    left._calls = real._replace(sendmmsg=count)
    for blksize, size in ((1428, 44 * 1428), (512, 63 * 512), (1468, 43 * 1468), (8, 63 * 8)):
        data = window(right.address, body, blksize, size=size)
        assert left.send([data]) is None
        assert await hear(right, data.count) == datagrams(data)
    assert calls == [1] * 4
    left.close()
    right.close()


def forged(about: SocketEndpoint, sender: SocketEndpoint, mtu: int) -> bytes:
    """Return ICMP's "fragmentation needed" for what the sender sent to one of us."""
    source, port = about._socket.getsockname()
    target, target_port = sender._socket.getsockname()
    quoted = struct.pack(
        "!BBHHHBBH4s4sHHHH",
        0x45, 0, 1460, 1, 0, 64, 17, 0,
        socket.inet_aton(target), socket.inet_aton(source),
        target_port, port, 1440, 0,
    )  # fmt: skip
    octets = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quoted
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    total = (total >> 16) + (total & 0xFFFF)
    checksum: int = ~(total + (total >> 16)) & 0xFFFF
    return octets[:2] + checksum.to_bytes(2, "big") + octets[4:]


async def test_a_client_cannot_take_segments_from_others(wire: Wire, body: Region) -> None:
    """It may well say that its own path is narrow."""
    network = SystemNetwork(RUNGS["gso"])
    told: list[str] = []
    network.lowered = told.append
    left, right, other = (wire.open(host, network) for host in (1, 2, 2))
    assert isinstance(left, BatchEndpoint)
    await greet(left, right)
    with (
        inside(wire.names[1]),
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as icmp,
    ):
        icmp.sendto(forged(right, left, 600), ("192.168.78.1", 0))
    data = window(right.address, body, 1428, size=20_000)
    with trio.fail_after(SECONDS):
        while not told:
            await trio.sleep(0.001)
            assert left.send([data]) is None
            assert await hear(right, data.count) == datagrams(data)
    assert left._limits.stride_max > 1432
    assert list(left._limits._narrow) == [right.address]
    # Until the kernel forgets, another client of that host pays for it with one refused call.
    data = window(other.address, body, 1428, size=20_000)
    assert left.send([data]) is None
    assert await hear(other, data.count) == datagrams(data)
    ip("-n", wire.names[0], "route", "flush", "cache")
    for endpoint in (left, right, other):
        endpoint.close()


@contextmanager
def shaped(wire: Wire, *words: str) -> Iterator[None]:
    """Send no faster than 100 Mbit/s, by a queue as it is told."""
    tc = ["ip", "netns", "exec", wire.names[0], "tc", "qdisc"]
    shaper = ["tbf", "rate", "100mbit", "burst", "4kb", *words]
    added = subprocess.run(
        [*tc, "add", "dev", "owl0", "root", *shaper], check=False, timeout=10, capture_output=True
    )
    if added.returncode:
        pytest.skip("needs tc and its token bucket")
    try:
        yield
    finally:
        subprocess.run([*tc, "del", "dev", "owl0", "root"], check=True, timeout=10)


@pytest.fixture
def slow(wire: Wire) -> Iterator[Wire]:
    with shaped(wire, "latency", "2s"):
        yield wire


@pytest.fixture
def short(wire: Wire) -> Iterator[Wire]:
    with shaped(wire, "limit", "9000"):
        yield wire


@pytest.mark.parametrize("rung", RUNGS)
async def test_a_send_buffer_that_is_full(slow: Wire, body: Region, rung: str) -> None:
    """Everything arrives in order, and nothing twice, however often it has to wait."""
    settings: Settings = RUNGS[rung]
    network = SystemNetwork(attrs.evolve(settings, send_buffer=30_000))
    left, right = (slow.open(host, network) for host in (1, 2))
    await greet(left, right)
    transmits = [
        window(right.address, body, blksize, start=start, size=60_000)
        for start, blksize in ((0, 1428), (1000, 512), (3000, 4096))
    ]
    waits = 0
    heard: list[bytes] = []

    async def send() -> None:
        nonlocal waits
        rest: list[Transmit] = list(transmits)
        while unsent := left.send(rest):
            assert not unsent.failed
            rest = unsent.blocked
            waits += 1
            await left.wait_writable()

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            heard = await hear(right, len(datagrams(*transmits)))
    assert heard == datagrams(*transmits)
    assert 1 <= waits < 300
    assert left.counters.datagrams_lost == 0
    await let_go(left)
    left.close()
    right.close()


@pytest.mark.parametrize("rung", RUNGS)
async def test_a_queue_that_is_short(short: Wire, body: Region, rung: str) -> None:
    """What it drops is ENOBUFS: counted as lost; the rest is in order, and nothing comes twice."""
    network = SystemNetwork(RUNGS[rung])
    left, right = (short.open(host, network) for host in (1, 2))
    await greet(left, right)
    transmits = [
        window(right.address, body, 1428, start=start, size=3 * 1428)
        for start in range(0, 60_000, 3000)
    ]
    wanted = datagrams(*transmits)
    assert left.send(transmits) is None
    counters = left.counters
    sent = counters.datagrams_sent - 1
    assert sent + counters.datagrams_lost == len(wanted)
    heard: list[bytes] = []
    with trio.move_on_after(0.1):
        while len(heard) < sent:
            heard += await hear(right, 1)
    rest = iter(wanted)
    assert all(any(one_heard == other for other in rest) for one_heard in heard)
    assert len(heard) < len(wanted)
    if not network.capabilities.gso:  # of segments the queue drops a part, and says nothing
        assert len(heard) == sent
    await let_go(left)
    left.close()
    right.close()


async def let_go(endpoint: SocketEndpoint) -> None:
    """Wait until the kernel is done with all that was not copied."""
    with trio.fail_after(SECONDS):
        while isinstance(endpoint, BatchEndpoint) and endpoint.zerocopy.pending:
            await endpoint.wait_readable()
            assert endpoint.receive() == ()
