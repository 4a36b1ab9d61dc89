"""The other ways of sending: by `sendfile`, and without copying."""

from __future__ import annotations

import errno
import socket
from collections import deque
from unittest import mock

import attrs
import pytest

from snowowl.datagram import cmsg
from snowowl.datagram.batch import BatchEndpoint
from snowowl.datagram.interface import Region, Train, Unsent
from snowowl.datagram.limits import Limits
from tests.datagram.batching import (
    ACK,
    MESSAGES,
    OTHER,
    PEER,
    SLOTS,
    THIRD,
    File,
    data,
    send_file,
)
from tests.datagram.kernel import Kernel
from tests.datagram.loopback import one
from tests.datagram.transmits import (
    BODY,
    HEADERS,
    expected,
)

# `sendfile`.


def by_file(peer: bytes = PEER, count: int = 3) -> Train:
    body = Region(BODY.view, File())
    return Train(peer, HEADERS, 0, body, 0, count * 1428, 1432, count)


def file_endpoint(
    sock: socket.socket, kernel: Kernel, told: list[str], stride_min: int = 1432, file_min: int = 1
) -> BatchEndpoint:
    limits = Limits(32767, stride_min, file_min, lowered=told.append)
    return BatchEndpoint(sock, kernel.calls(), SLOTS, MESSAGES[32], limits)


def test_only_large_blocks_of_large_files_are_sent_by_file(
    sock: socket.socket, kernel: Kernel, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snowowl.datagram.sendfile.send", send_file(kernel))
    odd_start = attrs.evolve(by_file(), body_at=1)
    odd_step = attrs.evolve(by_file(), stride=1433, size=3 * 1429)
    closed = attrs.evolve(by_file(), body=Region(BODY.view, File(-1)))
    transmits = [by_file(), data(OTHER), by_file(THIRD, 1), odd_start, odd_step, closed]
    for limits, count in (
        ((), 4),
        ((1433,), 0),
        ((1432, len(BODY.view) + 1), 0),
    ):
        kernel.sent.clear()
        endpoint = file_endpoint(sock, kernel, told, *limits)
        assert endpoint.send(transmits) is None
        assert kernel.sent == expected(transmits)
        assert endpoint.counters.sent_by_file == count


@pytest.mark.parametrize("reason", [errno.EINVAL, errno.EIO, errno.ENOSYS, errno.EBADF])
def test_a_file_that_sendfile_refuses_goes_out_of_memory(
    sock: socket.socket,
    kernel: Kernel,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
    reason: int,
) -> None:
    monkeypatch.setattr("snowowl.datagram.sendfile.send", lambda *_: reason)
    endpoint = file_endpoint(sock, kernel, told)
    assert endpoint.send([by_file(), by_file(OTHER)]) is None
    assert kernel.sent == expected([by_file(), by_file(OTHER)])
    assert endpoint.counters.sent_by_file == 1
    assert len(told) == 1


@pytest.mark.parametrize("reason", [errno.EAGAIN, errno.ENOBUFS, errno.EFAULT])
def test_what_ends_nothing_but_this_datagram(
    sock: socket.socket,
    kernel: Kernel,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
    reason: int,
) -> None:
    monkeypatch.setattr("snowowl.datagram.sendfile.send", lambda *_: reason)
    endpoint = file_endpoint(sock, kernel, told)
    transmits = [by_file(), one(OTHER, ACK)]
    unsent = endpoint.send(transmits)
    if reason == errno.EAGAIN:
        assert unsent == Unsent(blocked=transmits)
    else:
        assert unsent == (Unsent(failed=[(PEER, reason)]) if reason == errno.EFAULT else None)
        assert kernel.sent == expected([one(OTHER, ACK)])
    assert told == []


# Zero-copy.


@pytest.fixture
def zerocopy(sock: socket.socket, kernel: Kernel) -> BatchEndpoint:
    limits = Limits(stride_max=32767, zerocopy_min=5000)
    return BatchEndpoint(sock, kernel.calls(), SLOTS, MESSAGES[32], limits, zerocopy=True)


def test_large_sends_are_not_copied(zerocopy: BatchEndpoint, kernel: Kernel) -> None:
    transmits = [data(PEER, 4, 1428), one(OTHER, ACK), data(THIRD), data(OTHER, 4, 8192)]
    assert zerocopy.send(transmits) is None
    assert kernel.sent == expected(transmits)
    assert [bool(flags & cmsg.MSG_ZEROCOPY) for flags in kernel.flags] == [1, 0, 0, 1]
    assert zerocopy.zerocopy.pending == 2


@pytest.mark.parametrize(
    ("count", "blksize", "sizes", "zerocopy_count"),
    [
        (64, 512, [64], 0),  # five of them are less than 5000 octets
        (45, 1428, [5] * 9, 9),
        (9, 8192, [4, 4, 1], 3),
        (3, 32763, [1, 1, 1], 2),  # the last has one octet: who would know
        (2, 65464, [1, 1], 0),  # 18 pages
    ],
)
def test_what_is_not_copied_is_in_few_pieces(
    zerocopy: BatchEndpoint,
    kernel: Kernel,
    count: int,
    blksize: int,
    sizes: list[int],
    zerocopy_count: int,
) -> None:
    """The kernel would take it for too long (`skb_zerocopy_iter_dgram`)."""
    transmits = [data(PEER, count, blksize)]
    assert zerocopy.send(transmits) is None
    assert kernel.sent == expected(transmits)
    assert [len(message.datagrams()) for message in kernel.messages] == sizes
    asked = [bool(flags & cmsg.MSG_ZEROCOPY) for flags in kernel.flags]
    assert sum(asked) >= zerocopy_count
    assert zerocopy.zerocopy.pending == sum(asked)
    assert bool(zerocopy_count) == any(asked)


@pytest.mark.parametrize("reason", [errno.ENOBUFS, errno.ENOMEM, errno.EMSGSIZE])
def test_what_cannot_go_without_a_copy_goes_with_one(
    zerocopy: BatchEndpoint, kernel: Kernel, reason: int
) -> None:
    """Too many are under way (`optmem_max`), too much is locked, or it is in too many pieces."""
    kernel.script = deque([reason])
    transmits = [data(PEER, 4, 1428)]
    with mock.patch.object(zerocopy._errors, "empty", return_value=False) as empty:
        assert zerocopy.send(transmits) is None
    assert empty.called, "what is done makes room for more"
    assert kernel.sent == expected(transmits)
    assert [message.stride for message in kernel.messages] == [1432]
    assert zerocopy.counters.zerocopy_refused == 1
    assert zerocopy.zerocopy.pending == 0
    assert zerocopy.counters.datagrams_lost == 0


def test_segments_that_are_refused_without_a_copy_go_plainly(
    zerocopy: BatchEndpoint, kernel: Kernel
) -> None:
    kernel.mtu = 1500
    transmits = [data(PEER, 4, 8192)]
    assert zerocopy.send(transmits) is None
    assert kernel.sent == expected(transmits)
    assert not any(flags & cmsg.MSG_ZEROCOPY for flags in kernel.flags)
    assert zerocopy.counters.datagrams_lost == 0
