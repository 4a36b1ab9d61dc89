"""The line between supervisor and worker: whole words, whatever the pieces, and nobody to tell."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from snowowl.config import Config, LogConfig, ProtocolConfig, ServerConfig, WriteConfig
from snowowl.server.channel import (
    Channel,
    Message,
    Order,
    OrderError,
    decode_order,
    read_line,
)

pytestmark = pytest.mark.real

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    left, right = socket.socketpair()
    with left, right:
        yield left, right


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(
            server=ServerConfig(
                root=Path("/srv/na\u00efve \u2028"), listen=("[::1]:0",), port_range=(5000, 5009)
            ),
            protocol=ProtocolConfig(refuse_options=("blksize",), timeout_min_seconds=0.001),
            write=WriteConfig(patterns=("*.bin", "\u00e9")),
            log=LogConfig(format="json"),
        ),
    ],
)
def test_an_order_is_read_as_it_was_given(config: Config) -> None:
    order = Order(config, (5, 7), colors=True)
    line = order.encode()
    assert line.count(b"\n") == 1
    assert decode_order(line.rstrip()) == order


def test_an_order_of_another_version() -> None:
    """A worker that dies after an upgrade is replaced by one of the new version."""
    plain = json.loads(Order(Config(), (), colors=False).encode())
    plain["config"]["server"]["magic"] = True
    with pytest.raises(
        OrderError,
        match=r"\(server.magic: unknown key\): was snowowl changed .* restart the server",
    ):
        decode_order(json.dumps(plain).encode())


@pytest.mark.parametrize("line", [b"", b"[]", b'["stop", ""]', b"{", b'{"config": {}}', b"\xff"])
def test_no_order(line: bytes) -> None:
    with pytest.raises(OrderError):
        decode_order(line)


def test_an_order_with_a_configuration_that_cannot_be() -> None:
    server = attrs.evolve(ServerConfig(), drain_seconds=-1)
    with pytest.raises(OrderError):
        decode_order(Order(Config(server=server), (), colors=False).encode())


def test_a_line_comes_in_pieces(pair: Pair) -> None:
    left, right = pair
    left.sendall(b"first ")
    left.sendall(b"second\n")
    assert read_line(right) == b"first second"
    left.sendall(b"cut o")
    left.close()
    assert read_line(right) == b"cut o"


async def test_words(pair: Pair) -> None:
    left, right = map(Channel, pair)
    left.tell("ready")
    left.tell("draining", "7")
    assert await right.receive() == Message("ready")
    assert await right.receive() == Message("draining", "7")
    right.tell("failed", 'no "root"\nanywhere \udcff')
    assert await left.receive() == Message("failed", 'no "root"\nanywhere \udcff')


async def test_words_in_pieces(pair: Pair) -> None:
    channel = Channel(pair[0])
    pair[1].sendall(b'["go", ""]\n["dr')
    assert await channel.receive() == Message("go")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.testing.wait_all_tasks_blocked)
        pair[1].sendall(b'ain", ""]\n')
        assert await channel.receive() == Message("drain")


async def test_a_line_that_is_larger_than_the_buffers(pair: Pair) -> None:
    line = b"x" * 4_000_000 + b"\n"
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(read_line(pair[1])))
    reader.start()
    with trio.fail_after(5):
        await Channel(pair[0]).send(line)
    reader.join(5)
    assert read == [line[:-1]]


async def test_the_other_side_has_gone(pair: Pair) -> None:
    channel = Channel(pair[0])
    channel.tell("ready")
    pair[1].close()  # with something unread: a reset
    assert await channel.receive() is None
    assert await channel.receive() is None
    channel.tell("draining", "1")
    await channel.send(b"x" * 4_000_000)
    channel.close()
    channel.close()
    channel.tell("ready")


async def test_who_does_not_listen_does_not_hold_us_up(pair: Pair) -> None:
    channel = Channel(pair[0])
    for _ in range(20_000):
        channel.tell("failed", "x" * 100)
