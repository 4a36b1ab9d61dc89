"""Sockets for requests, before there is a server."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Literal

import pytest
import trio

from snowowl.config import Config, ServerConfig
from snowowl.datagram import cmsg
from snowowl.datagram.system import SystemNetwork
from snowowl.host.activation import ActivationError
from snowowl.server.errors import ListenError
from snowowl.server.listening import Listening, inherit, open_sockets

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="sockets are passed on Linux"),
]

CONFIG = Config(server=ServerConfig(listen=("127.0.0.1:0", "[::1]:0")))


def config(
    listen: tuple[str, ...] = CONFIG.server.listen,
    workers: int | Literal["auto"] = 1,
    tid: Literal["shared", "listen"] = "shared",
) -> Config:
    return Config(server=ServerConfig(listen=listen, workers=workers, tid=tid))


def udp(host: str = "127.0.0.1", port: int = 0, *, v6only: bool = True) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if ":" in host:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    sock.bind((host, port))
    return sock


@pytest.fixture
def pair() -> Iterator[tuple[list[socket.socket], int]]:
    """Give two sockets for one port, and two for another, in a row as a unit names them."""
    with ExitStack() as stack:
        first = stack.enter_context(udp())
        port = first.getsockname()[1]
        second = stack.enter_context(udp("::1"))
        other = second.getsockname()[1]
        rest = [stack.enter_context(udp(port=port)), stack.enter_context(udp("::1", other))]
        yield [first, rest[0], second, rest[1]], port


def test_they_are_opened() -> None:
    with open_sockets(CONFIG, 2) as listening:
        assert len(listening.places) == 2
        assert [len(place) for place in listening.places] == [2, 2]
        first, second = ([sock.getsockname() for sock in place] for place in listening.places)
        assert first == second
        assert [text.rpartition(":")[0] for text in listening.addresses] == ["127.0.0.1", "[::1]"]
        assert listening.applied(CONFIG) == CONFIG
        assert list(listening.overruled(config(workers=7))) == []
    assert all(sock.fileno() == -1 for place in listening.places for sock in place)


def test_one_of_them_cannot_be_opened() -> None:
    taken = udp()
    with taken:
        listen = ("127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ListenError, match="another server has this port"):
            open_sockets(config(listen=listen), 1)


def test_they_are_inherited() -> None:
    with inherit(CONFIG, [udp(), udp("::", v6only=False)]) as listening:
        (place,) = listening.places
        ports = [sock.getsockname()[1] for sock in place]
        applied = listening.applied(config(listen=("*:69",), workers=9))
        assert applied.server.listen == (f"127.0.0.1:{ports[0]}", f"*:{ports[1]}")
        assert applied.server.workers == 1
        for sock in place:  # as if we had opened them
            option = sock.getsockopt(socket.IPPROTO_IP, cmsg.IP_MTU_DISCOVER)
            assert option == cmsg.IP_PMTUDISC_DONT
        default = ServerConfig().listen
        assert list(listening.overruled(config(listen=default, workers=1))) == []
        listen, workers = listening.overruled(config(workers="auto"))
        assert listen.startswith("server.listen: has no effect")
        assert workers.startswith("server.workers: has no effect, 1 can serve")
        assert "ReusePort=yes" in workers


def test_several_for_one_address_are_for_several_processes(
    pair: tuple[list[socket.socket], int],
) -> None:
    sockets, port = pair
    with inherit(CONFIG, sockets) as listening:
        assert [[sock.family for sock in place] for place in listening.places] == [
            [socket.AF_INET, socket.AF_INET6]
        ] * 2
        assert {place[0].getsockname()[1] for place in listening.places} == {port}
        assert {sock.fileno() for place in listening.places for sock in place} == {
            sock.fileno() for sock in sockets
        }
        assert listening.applied(CONFIG).server.workers == 2


def test_one_is_missing(pair: tuple[list[socket.socket], int]) -> None:
    sockets, _ = pair
    with pytest.raises(ActivationError, match="repeat each ListenDatagram="):
        inherit(CONFIG, sockets[:3])
    assert [sock.fileno() for sock in sockets[:3]] == [-1, -1, -1]


def test_a_single_port_is_for_one_process(pair: tuple[list[socket.socket], int]) -> None:
    with pytest.raises(ActivationError, match=r'server\.tid is "listen"'):
        inherit(config(tid="listen"), pair[0])


def test_one_that_is_closed() -> None:
    closed = udp()
    closed.close()
    with pytest.raises(ActivationError, match="cannot be used"):
        inherit(CONFIG, [closed])


@pytest.mark.parametrize("inherited", [False, True])
async def test_a_server_hears_by_them(inherited: bool) -> None:
    """What came before there was an endpoint, too."""
    sock = udp()
    listening = Listening(((sock,),), inherited)
    network = SystemNetwork()
    with listening, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.sendto(b"early", sock.getsockname())
        endpoint = listening.network(network).listen("ignored", 0)
        with trio.fail_after(5):
            await endpoint.wait_readable()
        assert [bytes(received.data) for received in endpoint.receive()] == [b"early"]
        assert endpoint.dropped() == 0
        endpoint.close()
    network.close()
