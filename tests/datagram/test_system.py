"""Sockets of the system: bound where they should be, telling what was asked, answering from there."""

from __future__ import annotations

import contextlib
import errno
import mmap
import random
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from snowowl.datagram import address
from snowowl.datagram.batch import BatchEndpoint
from snowowl.datagram.interface import LocalAddress, Packet, Region
from snowowl.datagram.settings import Rung, Settings
from snowowl.datagram.system import MTU_UNKNOWN, SystemNetwork, open_group
from tests.datagram.kernel import Kernel
from tests.datagram.loopback import LO4, LO6, descriptors, hear_one, one, window

pytestmark = pytest.mark.real

LO = socket.if_nametoindex("lo") if sys.platform == "linux" else 0


@pytest.mark.parametrize(
    ("listen", "asked", "told"),
    [
        ("127.0.0.1", ("127.0.0.1",), b"\x7f\0\0\1"),
        ("0.0.0.0", ("127.0.0.2",), b"\x7f\0\0\2"),
        ("", ("127.0.0.2",), b"\x7f\0\0\2"),
        ("", ("::1", 0, 0), bytes(15) + b"\1"),
        ("::1", ("::1", 0, 0), bytes(15) + b"\1"),
    ],
)
async def test_the_local_address_is_told_and_answered_from(
    listen: str, asked: tuple[str] | tuple[str, int, int], told: bytes
) -> None:
    network = SystemNetwork()
    server = network.listen(listen, 0)
    port = address.port_of(server.address)
    target = (asked[0], port) if len(asked) == 1 else (asked[0], port, asked[1], asked[2])
    client = network.open(socket.AF_INET if len(asked) == 1 else socket.AF_INET6, None, None)
    client.send([one(address.pack(target), b"request")])
    received = await hear_one(server)
    assert received.local == LocalAddress(told, LO)
    assert address.port_of(received.peer) == address.port_of(client.address)
    server.send([one(received.peer, b"answer", source=received.local)])
    answer = await hear_one(client)
    assert bytes(answer.data) == b"answer"
    assert answer.peer == address.pack(target)
    assert answer.local is None
    server.close()
    client.close()


@pytest.mark.parametrize(("family", "local"), [(socket.AF_INET, LO4), (socket.AF_INET6, LO6)])
def test_open_binds_to_the_local_address(family: int, local: LocalAddress) -> None:
    endpoint = SystemNetwork().open(family, local, None)
    assert address.host_octets(endpoint.address) == local.packed
    assert address.port_of(endpoint.address)
    endpoint.close()


def test_port_range_is_used_up_and_no_further() -> None:
    network = SystemNetwork(source_of_ports=random.Random(7))
    first = next(
        port for port in range(40000, 60000, 16) if all(map(is_free, range(port, port + 4)))
    )
    taken = [network.open(socket.AF_INET, LO4, (first, first + 3)) for _ in range(4)]
    ports = [address.port_of(endpoint.address) for endpoint in taken]
    assert sorted(ports) == list(range(first, first + 4))
    before = descriptors()
    with pytest.raises(OSError) as caught:
        network.open(socket.AF_INET, LO4, (first, first + 3))
    assert caught.value.errno == errno.EADDRINUSE
    assert descriptors() == before
    taken.pop(2).close()
    again = network.open(socket.AF_INET, LO4, (first, first + 3))
    assert address.port_of(again.address) == ports[2]
    for endpoint in (*taken, again):
        endpoint.close()


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def test_the_first_port_of_a_range_cannot_be_guessed() -> None:
    ports = set()
    for _ in range(8):
        endpoint = SystemNetwork().open(socket.AF_INET, LO4, (1024, 65535))
        ports.add(address.port_of(endpoint.address))
        endpoint.close()
    assert len(ports) > 4


@pytest.mark.parametrize(
    ("host", "number"),
    [("192.0.2.77", errno.EADDRNOTAVAIL), ("2001:db8::77", errno.EADDRNOTAVAIL), ("nohost", None)],
)
def test_an_address_that_is_not_ours(host: str, number: int | None) -> None:
    before = descriptors()
    with pytest.raises(OSError) as caught:
        SystemNetwork().listen(host, 0)
    assert number in (None, caught.value.errno)
    assert descriptors() == before


def test_a_port_that_is_taken() -> None:
    network = SystemNetwork()
    endpoint = network.listen("127.0.0.1", 0)
    with pytest.raises(OSError) as caught:
        network.listen("127.0.0.1", address.port_of(endpoint.address))
    assert caught.value.errno == errno.EADDRINUSE
    endpoint.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all goes to one socket")
@pytest.mark.parametrize(("host", "to"), [("", "127.0.0.1"), ("127.0.0.1", ""), ("::1", "")])
def test_a_group_shares_what_comes_to_one_port(host: str, to: str) -> None:
    group = open_group(host, 0, 3)
    port = group[0].getsockname()[1]
    assert {sock.getsockname()[1] for sock in group} == {port}
    family = socket.AF_INET6 if host == "::1" else socket.AF_INET
    clients = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(60)]
    for _ in range(2):  # the same client always comes to the same one
        for number, client in enumerate(clients):
            client.sendto(bytes([number]), (to or host, port))
    heard = [take_all(sock) for sock in group]
    assert all(heard)
    assert sorted(b"".join(heard)) == sorted([*range(60)] * 2)
    assert all(octets.count(octet) == 2 for octets in heard for octet in octets)
    for sock in (*group, *clients):
        sock.close()


def take_all(sock: socket.socket) -> bytes:
    sock.setblocking(False)
    octets = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            octets += sock.recv(10)
    return octets


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all goes to one socket")
def test_a_port_that_another_group_has() -> None:
    """The kernel would let both have it; half of the requests would come to the other server."""
    group = open_group("127.0.0.1", 0, 2)
    port = group[0].getsockname()[1]
    before = descriptors()
    for count in (1, 2):
        with pytest.raises(OSError) as caught:
            open_group("127.0.0.1", port, count)
        assert caught.value.errno == errno.EADDRINUSE
    assert descriptors() == before
    for sock in group:
        sock.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all goes to one socket")
def test_a_group_that_cannot_be_whole_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unshared(socket.socket):
        def setsockopt(self, *arguments: object) -> None:
            if arguments[1] != socket.SO_REUSEPORT:
                super().setsockopt(*arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(socket, "socket", Unshared)
    before = descriptors()
    with pytest.raises(OSError, match="in use"):
        open_group("127.0.0.1", 0, 2)
    assert descriptors() == before


@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_every_address_on_a_machine_without_ipv6(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OnlyIPv4(socket.socket):
        def bind(self, name: object) -> None:
            if self.family == socket.AF_INET6:
                raise OSError(number, "no IPv6 here")
            super().bind(name)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "socket", OnlyIPv4)
    endpoint = SystemNetwork().listen("", 0)
    assert address.family_of(endpoint.address) == socket.AF_INET
    endpoint.close()


@pytest.mark.parametrize(
    ("rung", "what"),
    [("portable", "PortableEndpoint"), ("mmsg", "Slots"), ("mmsg", "Messages")],
)
def test_what_fails_after_bind_leaves_no_socket(
    rung: Rung, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory for the arrays, say, which is mapped when the first endpoint is opened."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "no memory")

    monkeypatch.setattr(f"snowowl.datagram.system.{what}", fail)
    before = descriptors()
    with pytest.raises(OSError, match="no memory"):
        SystemNetwork(Settings(rung=rung)).listen("127.0.0.1", 0)
    with pytest.raises(OSError, match="no memory"):
        SystemNetwork(Settings(rung=rung)).open(socket.AF_INET, None, None)
    assert descriptors() == before


# What the endpoints of a network share.


def batch(network: SystemNetwork, local: LocalAddress = LO4) -> BatchEndpoint:
    endpoint = network.open(socket.AF_INET, local, None)
    assert isinstance(endpoint, BatchEndpoint)
    return endpoint


def test_what_a_device_refuses_is_remembered_for_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("snowowl.datagram.system._LIMITS_MAX", 3)
    network = SystemNetwork(Settings(rung="gso"))
    told: list[str] = []
    network.lowered = told.append
    endpoint, sibling = batch(network), batch(network)
    elsewhere = batch(network, LocalAddress(b"\x7f\0\0\2"))
    kernel = Kernel(refuses_segments=errno.EIO)
    endpoint._calls = sibling._calls = kernel.calls()
    body = Region(bytes(5000))
    assert endpoint.send([window(elsewhere.address, body, 512)]) is None
    assert sibling.send([window(elsewhere.address, body, 512)]) is None
    assert kernel.calls_made == 3, "the sibling knows"
    assert len(told) == 1
    assert elsewhere._limits.stride_max > 0
    for number in range(3, 9):
        batch(network, LocalAddress(bytes([127, 0, 0, number]))).close()
        assert len(network._limits) <= 3
    for opened in (endpoint, sibling, elsewhere):
        opened.close()


def test_slots_are_shared_if_a_batch_is_dealt_with_before_the_next() -> None:
    for shares_slots in (True, False):
        network = SystemNetwork(Settings(rung="mmsg"), shares_slots=shares_slots)
        one_endpoint, other = batch(network), batch(network)
        assert (one_endpoint._slots is other._slots) is shares_slots
        assert one_endpoint._messages is other._messages
        one_endpoint.close()
        other.close()


def test_threads_share_nothing_that_a_call_reads() -> None:
    """While the kernel reads the arrays of one thread's call, another thread may write its own."""
    network = SystemNetwork(Settings(rung="mmsg"), shares_slots=True)
    wrong: list[bytes] = []

    def talk(number: int) -> None:
        left, right = batch(network), batch(network)
        mine = bytes([number]) * 600
        transmits = [Packet(right.address, mine) for _ in range(20)]
        for _ in range(60):
            left.send(transmits)
            heard = 0
            while received := right.receive():
                heard += len(received)
                wrong.extend(
                    bytes(each.data)
                    for each in received
                    if each.data != mine or each.peer != left.address
                )
            if heard != len(transmits):
                wrong.append(b"%d datagrams" % heard)
        left.close()
        right.close()

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_socket_takes_little_memory_beside_the_kernels() -> None:
    """There may be one for each transfer, ten thousand of them (`tid = "own"`)."""
    network, count = SystemNetwork(Settings(), shares_slots=True), 200
    batch(network).close()
    before = resident()
    endpoints = [network.open(socket.AF_INET, LO4, None) for _ in range(count)]
    each = (resident() - before) / count
    for endpoint in endpoints:
        endpoint.close()
    assert each < 8192


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * mmap.PAGESIZE


@pytest.mark.rule("R9")
def test_no_datagram_says_do_not_fragment() -> None:
    network = SystemNetwork()
    for endpoint in (network.listen("", 0), network.open(socket.AF_INET, LO4, None)):
        assert endpoint._socket.getsockopt(socket.IPPROTO_IP, 10) == 0
        endpoint.close()


def test_mtu_without_a_descriptor_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    network = SystemNetwork()
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", fail)
        assert network.mtu(LocalAddress(b"\x7f\0\0\1", LO)) == MTU_UNKNOWN
    assert network.mtu(LocalAddress(b"\x7f\0\0\1", LO)) == 65536
    network.close()


def test_mtu() -> None:
    network = SystemNetwork()
    assert network.mtu(LocalAddress(b"\x7f\0\0\1", LO)) == 65536
    assert network.mtu(None) == MTU_UNKNOWN
    assert network.mtu(LocalAddress(b"\x7f\0\0\1")) == MTU_UNKNOWN
    assert network.mtu(LocalAddress(b"\x7f\0\0\1", 99999)) == MTU_UNKNOWN
    network.close()
    network.close()


PLATFORM = """
import socket, sys, trio
for name in ("CMSG_SPACE", "CMSG_LEN"):
    delattr(socket, name)
sys.platform = "win32"
sys.modules["fcntl"] = None
from snowowl.datagram import address, cmsg, interface, portable, system
from snowowl.datagram.batch import BatchEndpoint
from snowowl.datagram.interface import LocalAddress, Packet, Region
from snowowl.datagram.settings import Rung, Settings
network = system.SystemNetwork()
endpoint = network.listen("127.0.0.1", 0)
assert network.mtu(LocalAddress(b"", 1)) == 1500
endpoint.close()
"""


def test_a_platform_that_lacks_nearly_everything() -> None:
    subprocess.run([sys.executable, "-c", PLATFORM], check=True, timeout=60)
