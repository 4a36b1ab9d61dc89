"""The system calls themselves, and a C library that has not all of them."""

from __future__ import annotations

import ctypes
import errno
import socket
from collections.abc import Iterator

import pytest

from snowowl.datagram import calls
from snowowl.datagram.address import pack
from snowowl.datagram.calls import Calls
from snowowl.datagram.interface import Packet
from snowowl.datagram.layouts import LINUX
from snowowl.datagram.limits import Limits
from snowowl.datagram.messages import Messages
from snowowl.datagram.slots import Slots

pytestmark = pytest.mark.real


@pytest.fixture
def real() -> Calls:
    real = calls.load()
    assert real is not None
    return real


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


def test_there_and_back(real: Calls, sock: socket.socket) -> None:
    messages, slots = Messages(LINUX, 4), Slots(LINUX, 4)
    peer = pack(sock.getsockname())
    transmits = [Packet(peer, octets) for octets in (b"a", b"", b"\0\4\0\1")]
    count = messages.fill(transmits, (0, 0), 16, Limits(stride_max=0), tells_source=False)
    fd = sock.fileno()
    assert real.sendmmsg(fd, messages.address, count, 0) == 3
    assert real.sendmsg(fd, messages.address, 0) == 1
    assert real.recvmmsg(fd, slots.prepare(), 4, socket.MSG_DONTWAIT) == 4
    assert [bytes(received.data) for received in slots.take(4, 16)] == [
        b"a",
        b"",
        b"\0\4\0\1",
        b"a",
    ]
    assert real.sendmsg(fd, messages.address, 0) == 1
    assert real.recvmsg(fd, slots.prepare(), socket.MSG_DONTWAIT) == 1


def test_errors_are_numbers(real: Calls, sock: socket.socket) -> None:
    slots = Slots(LINUX, 1)
    at, fd = slots.prepare(), sock.fileno()
    assert real.recvmmsg(fd, at, 1, socket.MSG_DONTWAIT) == -errno.EAGAIN
    assert real.recvmsg(fd, at, socket.MSG_DONTWAIT) == -errno.EAGAIN
    for many in (real.recvmmsg, real.sendmmsg):
        assert many(-1, at, 1, 0) == -errno.EBADF
        assert many(fd, 1, 1, socket.MSG_DONTWAIT) == -errno.EFAULT
    for single in (real.recvmsg, real.sendmsg):
        assert single(-1, at, 0) == -errno.EBADF


@pytest.mark.parametrize("name", ["recvmmsg", "sendmmsg", "recvmsg", "sendmsg"])
def test_a_library_that_lacks_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        def __getattr__(self, asked: str) -> object:
            if asked == name:
                raise AttributeError(asked)
            return object()

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Library())
    assert calls.load.__wrapped__() is None


@pytest.mark.parametrize("error", [OSError("no library"), TypeError("not on Windows")])
def test_no_library(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", fail)
    assert calls.load.__wrapped__() is None
