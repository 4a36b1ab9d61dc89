"""The rungs that batch: nothing lost or doubled, whatever a kernel made of Python answers."""

from __future__ import annotations

import errno
import socket
from collections import deque
from unittest import mock

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.datagram import cmsg
from snowowl.datagram.address import pack
from snowowl.datagram.batch import BatchEndpoint
from snowowl.datagram.calls import Calls
from snowowl.datagram.interface import LocalAddress, Packet, Train, Transmit, Unsent
from snowowl.datagram.limits import NEVER, Limits
from snowowl.datagram.portable import PortableEndpoint
from tests.datagram.batching import (
    ACK,
    MESSAGES,
    OTHER,
    PEER,
    SLOTS,
    THIRD,
    File,
    data,
    send_all,
    send_file,
)
from tests.datagram.kernel import Kernel, Sent
from tests.datagram.loopback import FailingSocket, one
from tests.datagram.transmits import (
    BODY,
    PEERS,
    SOURCES,
    expected,
    is_subsequence,
    transmit_lists,
)

# Whatever happens.

ERRNOS = [
    errno.EAGAIN,
    errno.EINTR,
    errno.ENOBUFS,
    errno.ENOMEM,
    errno.EIO,
    errno.EINVAL,
    errno.EMSGSIZE,
    errno.EFAULT,
    errno.EPERM,
    errno.ECONNREFUSED,
]
scripts = st.lists(st.just(0) | st.sampled_from(ERRNOS), max_size=80)


@attrs.frozen
class Way:
    """How an endpoint is set up."""

    stride_max: int
    messages: int
    sendmmsg: bool
    tells_source: bool
    zerocopy_min: int

    def endpoint(self, sock: socket.socket, kernel: Kernel) -> BatchEndpoint:
        return BatchEndpoint(
            sock,
            kernel.calls(),
            SLOTS,
            MESSAGES[self.messages if self.sendmmsg else 1],
            Limits(
                stride_max=self.stride_max,
                other_stride_min=1428,
                file_min=1,
                zerocopy_min=self.zerocopy_min,
            ),
            tells_local=self.tells_source,
            sendmmsg=self.sendmmsg,
            zerocopy=self.sendmmsg and self.zerocopy_min < NEVER,
        )


ways = st.builds(
    Way,
    st.sampled_from([0, 12, 516, 1472, 32767]),
    st.sampled_from([1, 3, 32]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([NEVER, NEVER, 0, 600, 20_000]),
)


@given(transmit_lists, ways, scripts, st.sampled_from([600, 1500, 65535]), st.data())
def test_what_goes_out_is_the_whole_but_for_what_is_reported(
    sock: socket.socket,
    transmits: list[Transmit],
    way: Way,
    script: list[int],
    mtu: int,
    draw: st.DataObject,
) -> None:
    """In order, and nothing twice; `blocked` goes on exactly where it stopped."""
    kernel = Kernel(script=deque(script), mtu=mtu)
    kernel.refuses_segments = draw.draw(st.sampled_from([0, 0, 0, errno.EIO, errno.EINVAL]))
    endpoint = way.endpoint(sock, kernel)
    news = draw.draw(st.lists(st.booleans(), max_size=10))
    wanted = expected(transmits, tells_source=way.tells_source)
    with (
        mock.patch.object(endpoint._errors, "empty", side_effect=lambda: bool(news and news.pop())),
        mock.patch.object(BODY, "file", File()),
        mock.patch("snowowl.datagram.sendfile.send", send_file(kernel)),
    ):
        failed = send_all(endpoint, transmits)
    assert is_subsequence(kernel.sent, wanted)
    counters = endpoint.counters
    assert counters.datagrams_sent == len(kernel.sent)
    if not failed:
        assert counters.datagrams_sent + counters.datagrams_lost == len(wanted)
    assert {reason for _, reason in failed} <= {errno.EFAULT, errno.EMSGSIZE}
    if not set(script) - {0, errno.EAGAIN, errno.EINTR}:
        assert kernel.sent == wanted


@given(
    transmit_lists,
    ways,
    st.dictionaries(st.sampled_from(PEERS), st.sampled_from(ERRNOS[2:]), max_size=3),
    st.sampled_from([600, 65535]),
)
def test_it_does_what_the_portable_rung_does(
    sock: socket.socket,
    transmits: list[Transmit],
    way: Way,
    refused: dict[bytes, int],
    mtu: int,
) -> None:
    """For errors that are a peer's; those of the batch rungs' own means change nothing."""
    kernel = Kernel(mtu=mtu, refuses=lambda peer: refused.get(peer, 0))
    batch = attrs.evolve(way, zerocopy_min=NEVER).endpoint(sock, kernel)
    failed = send_all(batch, transmits)
    with RefusingSocket(socket.AF_INET, socket.SOCK_DGRAM) as plain_socket:
        plain_socket.bind(("127.0.0.1", 0))
        plain_socket.kernel = Kernel(refuses=lambda peer: refused.get(peer, 0))
        portable = PortableEndpoint(plain_socket, tells_local=way.tells_source)
        assert send_all(portable, transmits) == failed
    assert kernel.sent == plain_socket.kernel.sent
    assert batch.counters.datagrams_sent == portable.counters.datagrams_sent
    assert batch.counters.datagrams_lost == portable.counters.datagrams_lost


class RefusingSocket(FailingSocket):
    """Sends to a kernel made of Python."""

    kernel: Kernel

    def sendmsg(self, *arguments: object) -> int:
        pieces, ancillary, _, name = arguments
        octets = b"".join(pieces)  # type: ignore[arg-type]
        peer = pack(name)  # type: ignore[arg-type]
        if reason := self.kernel.refuses(peer):
            raise OSError(reason, "on purpose")
        local = cmsg.read_local(ancillary)  # type: ignore[arg-type]
        self.kernel.sent.append(Sent(peer, octets, b"" if local is None else local.packed))
        return len(octets)


# Segments that are refused.


@pytest.mark.parametrize("reason", [errno.EIO, errno.EINVAL, errno.EMSGSIZE])
def test_a_window_that_is_refused_goes_at_once_without_segments(
    endpoint: BatchEndpoint, kernel: Kernel, told: list[str], reason: int
) -> None:
    kernel.refuses_segments = reason
    transmits = [one(OTHER, ACK), data(PEER), data(THIRD, count=1)]
    assert endpoint.send(transmits) is None
    assert kernel.sent == expected(transmits)
    assert kernel.calls_made == 3  # the packet; the window, refused; all that is left
    assert len(told) == 1
    assert endpoint.counters.datagrams_lost == 0
    calls_before = kernel.calls_made
    assert endpoint.send([data(PEER)]) is None
    assert kernel.calls_made == calls_before + 1
    assert len(told) == 1


def test_a_device_without_segmentation_is_not_asked_again(
    endpoint: BatchEndpoint, kernel: Kernel, told: list[str]
) -> None:
    kernel.refuses_segments = errno.EIO
    endpoint.send([data(PEER)])
    kernel.calls_made = 0
    assert endpoint.send([data(OTHER, blksize=8), data(THIRD)]) is None
    assert kernel.calls_made == 1
    assert told == ["segmentation (Input/output error)"]


def test_a_peer_with_a_narrow_path_spoils_its_own_transfer_only(
    endpoint: BatchEndpoint, kernel: Kernel, told: list[str]
) -> None:
    """An ICMP message makes the kernel believe so, and a client can forge one about itself."""
    kernel.mtu = 600
    endpoint.send([data(PEER, blksize=1428)])
    kernel.mtu, kernel.calls_made = 1500, 0
    kernel.messages.clear()
    endpoint.send([data(OTHER, blksize=1428), data(PEER, blksize=1428), data(PEER, blksize=512)])
    assert [message.stride for message in kernel.messages] == [1432, *[0] * 8, 516]
    assert kernel.calls_made == 1
    kernel.mtu = 600
    endpoint.send([data(OTHER, blksize=1428)])
    assert told == ["segments of 1432 octets to some clients (Message too long)"]


def test_narrow_peers_are_forgotten_rather_than_all_remembered(
    endpoint: BatchEndpoint, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snowowl.datagram.limits._NARROW_MAX", 2)
    kernel.mtu = 600
    for peer in PEERS:
        assert endpoint.send([data(peer, blksize=1428)]) is None
        assert len(endpoint._limits._narrow) <= 2
    assert len(kernel.sent) == 8 * len(PEERS)


@pytest.mark.parametrize("reason", [errno.EINVAL, errno.EPERM, errno.ENETUNREACH])
def test_a_peer_that_nothing_can_be_sent_to_says_nothing_about_segments(
    endpoint: BatchEndpoint, kernel: Kernel, told: list[str], reason: int
) -> None:
    """A request from port 0, say: EINVAL (`udp_sendmsg` in net/ipv4/udp.c)."""
    kernel.refuses = lambda peer: reason if peer == PEER else 0
    assert endpoint.send([data(PEER, count=64), data(OTHER)]) is None
    assert kernel.sent == expected([data(OTHER)])
    assert endpoint.counters.datagrams_lost == 64
    assert kernel.calls_made <= 6
    assert told == []
    kernel.calls_made = 0
    assert endpoint.send([data(OTHER)]) is None
    assert kernel.calls_made == 1


def test_blocked_after_a_refusal(endpoint: BatchEndpoint, kernel: Kernel, told: list[str]) -> None:
    kernel.refuses_segments = errno.EMSGSIZE
    kernel.script = deque([0, errno.EAGAIN])
    transmits: list[Transmit] = [data(PEER)]
    assert endpoint.send(transmits) == Unsent(blocked=transmits)
    assert told == []
    assert endpoint.send(transmits) is None
    assert kernel.sent == expected([data(PEER)])


def test_news_that_take_the_place_of_a_window_refuse_nothing(
    endpoint: BatchEndpoint, kernel: Kernel, told: list[str]
) -> None:
    kernel.script = deque([errno.EINVAL])
    with mock.patch.object(endpoint._errors, "empty", return_value=True):
        assert endpoint.send([data(PEER)]) is None
    assert kernel.messages[0].stride == 516
    assert told == []


def test_octets_that_are_gone_fail_and_refuse_nothing(
    endpoint: BatchEndpoint, kernel: Kernel, told: list[str]
) -> None:
    kernel.script = deque([errno.EFAULT])
    assert endpoint.send([data(PEER), one(OTHER, ACK)]) == Unsent(failed=[(PEER, errno.EFAULT)])
    assert kernel.sent == expected([one(OTHER, ACK)])
    assert told == []


# Nothing goes for a while, or only a part.


def test_each_call_sends_a_part(endpoint: BatchEndpoint, kernel: Kernel) -> None:
    """The second message of a call fails, and then the first of the next."""
    transmits = [one(PEER, ACK), data(OTHER, count=3), data(THIRD, count=200), one(PEER, b"x")]
    kernel.script = deque([0, errno.EAGAIN, errno.EAGAIN] * 30)
    rest: list[Transmit] = list(transmits)
    waits = 0
    while rest:
        unsent = endpoint.send(rest)
        rest = [] if unsent is None else unsent.blocked
        waits += bool(rest)
    assert kernel.sent == expected(transmits)
    assert waits > 3


def test_what_is_blocked_begins_amid_a_window(endpoint: BatchEndpoint, kernel: Kernel) -> None:
    after = one(OTHER, ACK)
    kernel.script = deque([0, errno.EAGAIN, errno.EAGAIN])
    unsent = endpoint.send([data(PEER, count=100), after])
    assert unsent is not None
    rest, last = unsent.blocked
    assert isinstance(rest, Train)
    assert (rest.count, rest.peer, last) == (36, PEER, after)
    assert unsent.failed == []


@pytest.mark.parametrize("reason", [errno.ENOBUFS, errno.ENOMEM])
def test_a_buffer_that_is_short_now_and_then(
    endpoint: BatchEndpoint, kernel: Kernel, told: list[str], reason: int
) -> None:
    transmits = [data(PEERS[number % 5], count=1 + number % 4) for number in range(100)]
    kernel.script = deque([0, 0, reason] * 100)
    assert endpoint.send(transmits) is None
    assert kernel.sent == expected(transmits)
    assert (endpoint.counters.datagrams_lost, told) == (0, [])


def test_a_buffer_that_stays_short_loses_one_message(
    endpoint: BatchEndpoint, kernel: Kernel, told: list[str]
) -> None:
    kernel.script = deque([errno.ENOBUFS] * 3)
    assert endpoint.send([data(PEER, count=5), data(OTHER)]) is None
    assert kernel.sent == expected([data(OTHER)])
    assert (endpoint.counters.datagrams_lost, told) == (5, [])


def test_interrupted_calls_are_made_again(endpoint: BatchEndpoint, kernel: Kernel) -> None:
    kernel.script = deque([errno.EINTR] * 10)
    assert endpoint.send([data(PEER)]) is None
    assert kernel.sent == expected([data(PEER)])
    assert endpoint.counters.errors == 0


def test_a_call_that_sends_nothing_and_says_nothing_blocks(
    sock: socket.socket, kernel: Kernel
) -> None:
    calls = kernel.calls()._replace(sendmmsg=lambda *_: 0)
    endpoint = BatchEndpoint(sock, calls, SLOTS, MESSAGES[3], Limits(stride_max=0))
    assert endpoint.send([one(PEER, ACK)]) == Unsent(blocked=[one(PEER, ACK)])


def test_a_peer_that_is_gone_takes_nothing_from_the_others(
    endpoint: BatchEndpoint, kernel: Kernel
) -> None:
    """ECONNREFUSED stands for an earlier datagram, and comes in the place of any later one."""
    transmits = [data(peer) for peer in PEERS] + [one(peer, ACK) for peer in PEERS]
    kernel.script = deque([0, 0, errno.ECONNREFUSED, errno.ECONNREFUSED, 0, errno.ECONNREFUSED])
    with mock.patch.object(endpoint._errors, "empty", return_value=True):
        assert endpoint.send(transmits) is None
    assert kernel.sent == expected(transmits)


# Receiving.


def test_what_is_received(endpoint: BatchEndpoint, kernel: Kernel) -> None:
    kernel.arriving = deque([(PEER, ACK, []), (OTHER, b"", []), (THIRD, b"hello", [])])
    batch = endpoint.receive()
    assert [(received.peer, bytes(received.data)) for received in batch] == [
        (PEER, ACK),
        (OTHER, b""),
        (THIRD, b"hello"),
    ]
    assert endpoint.counters.datagrams_received == 3


@pytest.mark.parametrize("recvmmsg", [True, False])
def test_no_errno_makes_receive_raise(sock: socket.socket, kernel: Kernel, recvmmsg: bool) -> None:
    for number in errno.errorcode:
        endpoint = BatchEndpoint(
            sock, kernel.calls(), SLOTS, MESSAGES[1], Limits(stride_max=0), recvmmsg=recvmmsg
        )
        kernel.arriving = deque([(PEER, b"kept", [])])
        kernel.receiving = deque([number])
        assert endpoint.receive() == ()
        assert endpoint.counters.errors == (number not in (errno.EAGAIN, errno.EINTR))
        (received,) = endpoint.receive()
        assert bytes(received.data) == b"kept"
        assert endpoint.receive() == ()


def test_one_at_a_time(sock: socket.socket, kernel: Kernel) -> None:
    endpoint = BatchEndpoint(
        sock, kernel.calls(), SLOTS, MESSAGES[1], Limits(stride_max=0), recvmmsg=False
    )
    kernel.arriving = deque([(PEER, ACK, []), (OTHER, b"", []), (THIRD, bytes(65507), [])])
    sizes = [len(received.data) for _ in range(3) for received in endpoint.receive()]
    assert sizes == [4, 0, 65507]


def test_joined_datagrams_are_counted_each(endpoint: BatchEndpoint, kernel: Kernel) -> None:
    stride = (cmsg.SOL_UDP, cmsg.UDP_GRO, (516).to_bytes(4, "little"))
    kernel.arriving = deque([(PEER, bytes(2 * 516 + 4), [stride]), (OTHER, ACK, [])])
    endpoint.receive()
    assert endpoint.counters.datagrams_received == 4


def test_a_closed_endpoint_asks_the_kernel_for_nothing_good() -> None:
    descriptors: list[int] = []

    def call(fd: int, *_: int) -> int:
        descriptors.append(fd)
        return -errno.EBADF

    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    endpoint = BatchEndpoint(sock, Calls(call, call, call, call), SLOTS, MESSAGES[3], Limits(0))
    endpoint.close()
    assert endpoint.receive() == ()
    assert endpoint.send([one(PEER, ACK)]) is None
    assert set(descriptors) == {-1}, "another socket may have the number by now"


def test_sources_that_differ_within_a_batch(sock: socket.socket, kernel: Kernel) -> None:
    limits = Limits(stride_max=32767)
    endpoint = BatchEndpoint(sock, kernel.calls(), SLOTS, MESSAGES[32], limits, tells_local=True)
    for shift in range(3):
        transmits: list[Transmit] = [
            Packet(PEERS[number], ACK, SOURCES[(number + shift) % 3]) for number in range(5)
        ]
        transmits.append(attrs.evolve(data(PEER), source=SOURCES[shift]))
        transmits.append(Packet(PEER, ACK, LocalAddress(b"", 3)))
        kernel.sent.clear()
        assert endpoint.send(transmits) is None
        assert kernel.sent == expected(transmits, tells_source=True)
    assert kernel.calls_made == 3
