"""A datagram from a file: whole, or none at all."""

from __future__ import annotations

import errno
import os
import random
import select
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from snowowl.datagram import cmsg, sendfile
from snowowl.datagram.interface import LocalAddress
from snowowl.datagram.system import SystemNetwork
from tests.datagram.loopback import LO4, RUNGS, datagrams, descriptors, hear, mapped, window

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="other kernels send files by TCP only"),
]

OCTETS = random.Random(6).randbytes(200_000)
FAMILIES = pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)


@attrs.frozen
class Pair:
    """A sender that hears of errors, as the server's do, and a receiver."""

    sender: socket.socket
    receiver: socket.socket

    def send(self, file: int, offset: int, size: int, header: bytes = b"head") -> int:
        return sendfile.send(self.sender, self.receiver.getsockname(), header, file, offset, size)

    def received(self) -> list[bytes]:
        """Return all that has arrived."""
        found = []
        while True:
            try:
                found.append(self.receiver.recv(65536))
            except BlockingIOError:
                return found


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "file"
    path.write_bytes(OCTETS)
    fd = os.open(path, os.O_RDWR)
    yield fd
    os.close(fd)


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    family, host = getattr(request, "param", (socket.AF_INET, "127.0.0.1"))
    with (
        socket.socket(family, socket.SOCK_DGRAM) as sender,
        socket.socket(family, socket.SOCK_DGRAM) as receiver,
    ):
        receiver.bind((host, 0))
        for sock in (sender, receiver):
            sock.setblocking(False)
        if family == socket.AF_INET:
            sender.setsockopt(socket.IPPROTO_IP, cmsg.IP_RECVERR, 1)
        else:
            sender.setsockopt(socket.IPPROTO_IPV6, cmsg.IPV6_RECVERR, 1)
        yield Pair(sender, receiver)


both = pytest.mark.parametrize(
    "pair",
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")],
    indirect=True,
    ids=["IPv4", "IPv6"],
)


@both
@pytest.mark.parametrize("size", [0, 1, 8, 1428, 8192, 16384, 65464])
@pytest.mark.parametrize("offset", [0, 4000, 70_002])
def test_it_arrives_whole(pair: Pair, file: int, offset: int, size: int) -> None:
    assert pair.send(file, offset, size) == 0
    assert pair.received() == [b"head" + OCTETS[offset : offset + size]]


@both
@pytest.mark.parametrize("there", [0, 1, 700, 4096, 16_383])
def test_a_file_that_is_too_short_sends_nothing(pair: Pair, file: int, there: int) -> None:
    """A short datagram is the end of the file, for the client."""
    assert pair.send(file, len(OCTETS) - there, 16_384) == errno.EFAULT
    assert pair.received() == []
    assert pair.send(file, 0, 16_384) == 0
    assert pair.received() == [b"head" + OCTETS[:16_384]]


@both
@pytest.mark.parametrize("reason", [errno.EAGAIN, errno.EIO, errno.EINVAL, errno.ENOBUFS])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_file_that_fails_amid_a_datagram_sends_nothing(
    pair: Pair, file: int, reason: int, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.sendfile, 0

    def fail(out: int, source: int, offset: int, count: int) -> int:
        nonlocal calls
        calls += 1
        if calls > after:
            raise OSError(reason, os.strerror(reason))
        return real(out, source, offset, min(count, 5000))

    with monkeypatch.context() as patch:
        patch.setattr(os, "sendfile", fail)
        assert pair.send(file, 0, 16_384) == reason
    assert pair.received() == []
    assert pair.send(file, 0, 16_384) == 0
    assert pair.received() == [b"head" + OCTETS[:16_384]]


def test_in_several_portions(pair: Pair, file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.sendfile
    monkeypatch.setattr(
        os, "sendfile", lambda out, source, offset, count: real(out, source, offset, min(count, 7))
    )
    assert pair.send(file, 100, 200) == 0
    assert pair.received() == [b"head" + OCTETS[100:300]]


def test_what_cannot_be_sent_at_all(pair: Pair, file: int) -> None:
    assert pair.send(-1, 0, 512) == errno.EBADF
    assert pair.send(file, 0, 65_504) == errno.EMSGSIZE
    assert sendfile.send(pair.sender, ("::1", 9, 0, 0), b"head", file, 0, 9) == errno.EAFNOSUPPORT
    assert sendfile.send(pair.sender, ("127.0.0.1", 0), b"head", file, 0, 9) == errno.EINVAL
    assert pair.received() == []
    assert pair.send(file, 0, 512) == 0
    assert len(pair.received()) == 1
    pair.sender.close()
    assert pair.send(file, 0, 512) == errno.EBADF


def test_the_source_can_be_chosen(pair: Pair, file: int) -> None:
    ancillary = cmsg.write_source(LocalAddress(b"\x7f\0\0\x09"), socket.AF_INET)
    name = pair.receiver.getsockname()
    assert sendfile.send(pair.sender, name, b"head", file, 0, 100, ancillary) == 0
    octets, (host, _) = pair.receiver.recvfrom(1000)
    assert (octets, host) == (b"head" + OCTETS[:100], "127.0.0.9")


def test_it_works_here_and_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sendfile.works.cache_clear()
    before = descriptors()
    assert sendfile.works()
    assert descriptors() == before
    monkeypatch.setattr(socket, "socket", None)
    assert sendfile.works()


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Forget what came of trying it, before and after."""
    sendfile.works.cache_clear()
    yield monkeypatch
    sendfile.works.cache_clear()


@pytest.mark.parametrize("size", [65536, 10])
def test_a_kernel_that_lets_a_short_datagram_out(size: int, untried: pytest.MonkeyPatch) -> None:
    """As Linux does over IPv4, if what empties the cork is longer by one octet."""
    untried.setattr(sendfile, "_TOO_LONG", bytes(size))
    assert not sendfile.works()


def test_a_kernel_that_puts_something_else_together(untried: pytest.MonkeyPatch) -> None:
    real = os.sendfile
    untried.setattr(
        os, "sendfile", lambda out, source, offset, count: real(out, source, offset + 1, count)
    )
    assert not sendfile.works()


def test_a_kernel_without_it(untried: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    untried.setattr(os, "sendfile", fail)
    assert not sendfile.works()


@pytest.mark.parametrize("name", ["memfd_create"])
def test_a_python_without_it(name: str, untried: pytest.MonkeyPatch) -> None:
    untried.delattr(os, name)
    assert not sendfile.works()


def test_a_machine_without_loopback(untried: pytest.MonkeyPatch) -> None:
    untried.setattr(sendfile, "_LOOPBACK", ((socket.AF_INET, "192.0.2.1"),))
    assert not sendfile.works()


def test_a_machine_without_ipv6(untried: pytest.MonkeyPatch) -> None:
    loopback = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "2001:db8::1"))
    untried.setattr(sendfile, "_LOOPBACK", loopback)
    assert sendfile.works()


async def test_nothing_is_left_of_a_file_that_has_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What emptied the cork is an error too, and would keep the socket readable for ever."""
    path = tmp_path / "file"
    path.write_bytes(OCTETS)

    def fail(*_: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "full")

    network = SystemNetwork(RUNGS["sendfile"])
    left, right = (network.open(socket.AF_INET, LO4, None) for _ in range(2))
    with mapped(path) as body:
        data = window(right.address, body, 1428, size=5000)
        with monkeypatch.context() as patch:
            patch.setattr(os, "sendfile", fail)
            unsent = left.send([data])
        assert unsent is not None
        assert unsent.blocked == [data]
        assert not select.select([left._socket], [], [], 0)[0]
        assert left.send(unsent.blocked) is None
        assert [octets for _, octets in await hear(right, data.count)] == datagrams(data)
    left.close()
    right.close()


async def test_blocks_at_odd_places_are_not_sent_by_file(tmp_path: Path) -> None:
    """Linux gets their checksum wrong where a page ends amid them, and nobody would receive them."""
    path = tmp_path / "file"
    path.write_bytes(OCTETS)
    network = SystemNetwork(RUNGS["sendfile"])
    left, right = (network.open(socket.AF_INET, LO4, None) for _ in range(2))
    with mapped(path) as body:
        for blksize, start, by_file in ((1428, 0, 9), (1429, 0, 0), (1428, 1, 0), (1428, 2, 9)):
            data = window(right.address, body, blksize, start=start, size=8 * blksize + 1)
            before = left.counters.sent_by_file
            assert left.send([data]) is None
            assert [octets for _, octets in await hear(right, 9)] == datagrams(data)
            assert left.counters.sent_by_file - before == by_file
    left.close()
    right.close()
