"""The error queue: all of it is read, and only where there is one."""

from __future__ import annotations

import errno
import socket
import struct
from collections import deque
from typing import cast

import pytest

from snowowl.datagram import cmsg, errqueue
from snowowl.datagram.address import SocketAddress, pack
from snowowl.datagram.errqueue import ErrorQueue

PEER = ("192.0.2.1", 2000)
ICMP, LOCAL = 2, 1


def entry(
    number: int, origin: int, *, code: int = 0, info: int = 0, value: int = 0
) -> list[tuple[int, int, bytes]]:
    data = struct.pack("=IBBBBII", number, origin, 0, code, 0, info, value)
    return [(socket.IPPROTO_IP, cmsg.IP_RECVERR, data)]


class Queue:
    """A socket, of which only the error queue is there."""

    def __init__(self, *entries: list[tuple[int, int, bytes]], name: object = PEER) -> None:
        self.entries = deque(entries)
        self.name = name
        self.asked = 0

    def recvmsg(self, size: int, space: int, flags: int) -> tuple[bytes, object, int, object]:
        self.asked += 1
        assert (size, flags) == (0, cmsg.MSG_ERRQUEUE)
        assert space >= 48  # the error, and a struct sockaddr_in6 after it
        if not self.entries:
            raise BlockingIOError(errno.EAGAIN, "empty")
        return b"", self.entries.popleft(), 0, self.name


def queue(sock: Queue) -> ErrorQueue:
    return ErrorQueue(cast("socket.socket", sock))


REFUSED = entry(errno.ECONNREFUSED, ICMP)


def test_closed_ports() -> None:
    errors = queue(Queue(REFUSED, entry(errno.EHOSTUNREACH, ICMP), REFUSED))
    assert errors.empty()
    assert errors.take_unreachable() == [pack(PEER), pack(PEER)]
    assert errors.take_unreachable() == ()


@pytest.mark.parametrize(
    "entries",
    [[], [entry(errno.EMSGSIZE, LOCAL)], [entry(errno.ECONNREFUSED, LOCAL)], [[]]],
)
def test_what_does_not_come_from_the_network(entries: list[list[tuple[int, int, bytes]]]) -> None:
    errors = queue(Queue(*entries))
    assert not errors.empty()
    assert errors.take_unreachable() == ()


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES])
def test_news_that_is_not_about_a_port(number: int) -> None:
    errors = queue(Queue(entry(number, ICMP)))
    assert errors.empty()
    assert errors.take_unreachable() == ()


def test_news_of_nobody() -> None:
    errors = queue(Queue(REFUSED, name=None))
    assert errors.empty()
    assert errors.take_unreachable() == ()


def test_zero_copy_sends_that_are_done() -> None:
    done: list[tuple[int, int, bool]] = []
    sock = Queue(
        entry(0, cmsg.ORIGIN_ZEROCOPY, info=3, value=5),
        REFUSED,
        entry(0, cmsg.ORIGIN_ZEROCOPY, info=6, value=6, code=cmsg.ZEROCOPY_COPIED),
    )
    errors = queue(sock)
    errors.completed = lambda first, last, copied: done.append((first, last, copied))
    assert errors.empty()
    assert done == [(3, 5, False), (6, 6, True)]
    assert not sock.entries


def test_zero_copy_sends_of_somebody_else() -> None:
    errors = queue(Queue(entry(0, cmsg.ORIGIN_ZEROCOPY)))
    assert not errors.empty()


def test_there_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errqueue, "_ENTRIES_MAX", 5)
    sock = Queue(*[REFUSED] * 20)
    errors = queue(sock)
    assert errors.empty()
    assert sock.asked == 5
    assert errors.empty()
    assert len(errors.take_unreachable()) == 5


def test_where_there_is_none_no_datagram_is_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag is MSG_NOTIFICATION on FreeBSD, and the call would take a datagram and drop it."""
    monkeypatch.setattr(errqueue, "HERE", False)
    sock = Queue(REFUSED)
    errors = queue(sock)
    assert not errors.empty()
    assert sock.asked == 0
    assert errors.take_unreachable() == ()


def test_the_address_is_told_as_the_endpoint_has_it() -> None:
    asked: list[SocketAddress] = []

    def octets_of(name: SocketAddress) -> bytes:
        asked.append(name)
        return b"peer"

    errors = ErrorQueue(cast("socket.socket", Queue(REFUSED)), octets_of)
    errors.empty()
    assert errors.take_unreachable() == [b"peer"]
    assert asked == [PEER]
