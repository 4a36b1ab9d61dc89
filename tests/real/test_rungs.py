"""The same server on each rung: what it serves is the same, and `--rung` gets where it should."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from snowowl.config.load import parse_config
from snowowl.datagram import system
from snowowl.datagram.capabilities import probe
from snowowl.datagram.settings import Settings
from snowowl.datagram.system import SystemNetwork
from snowowl.server.datapath import settings_of
from tests import rungs
from tests.real.harness import (
    Peer,
    Server,
    ack,
    data,
    fetch,
    option_ack,
    rrq,
    serving,
    store,
    wrq,
)
from tests.rungs import WAYS

pytestmark = pytest.mark.real

SMALL: Final = os.urandom(5000)
LARGE: Final = os.urandom(300_000)


@pytest.fixture(scope="module", params=list(WAYS))
def server(request: pytest.FixtureRequest, shared_root: Path) -> Iterator[Server]:
    """A server that goes one of the ways, and has said so."""
    way = WAYS[request.param]
    can = probe(way.settings)
    if can.rung != way.settings.rung or can.missing:
        pytest.skip(f"no {request.param} here: {can.missing}")
    (shared_root / "small").write_bytes(SMALL)
    (shared_root / "large").write_bytes(LARGE)
    config = f'{way.toml}[log]\nlevel = "debug"\n'
    with serving(shared_root, "--writable", "--overwrite", config=config) as running:
        running.wait_log(f"packets go by {way.settings.rung}")
        assert "has no effect" not in running.log()
        yield running


@pytest.mark.parametrize("name", ["small", "large"])
@pytest.mark.parametrize("blksize", [512, 1428, 32_768, 65_464])
def test_lock_step(server: Server, name: str, blksize: int) -> None:
    expected = SMALL if name == "small" else LARGE
    assert fetch(server.address, name.encode(), ("blksize", blksize)) == expected


@pytest.mark.parametrize(
    ("blksize", "windowsize"), [(512, 16), (1428, 64), (8192, 4), (1429, 3), (32_768, 2)]
)
def test_windows(server: Server, blksize: int, windowsize: int) -> None:
    """Each window comes whole and in order, and nothing of the next before it is asked for."""
    options = (("blksize", blksize), ("windowsize", windowsize))
    received = b""
    with Peer() as peer:
        packet, source = peer.ask(rrq(b"large", *options), server.address)
        assert option_ack(packet)[b"windowsize"] == b"%d" % windowsize
        peer.send(ack(0), source)
        block, last = 0, False
        while not last:
            for _ in range(windowsize):
                packet, sender = peer.receive()
                block += 1
                assert sender == source
                assert packet[:4] == data(block, b"")
                received += packet[4:]
                last = len(packet) < 4 + blksize
                if last:
                    break
            peer.send(ack(block), source)
    assert received == LARGE


@pytest.mark.parametrize("windowsize", [1, 16])
def test_uploads(server: Server, windowsize: int) -> None:
    name = b"up%d" % windowsize
    if windowsize == 1:
        store(server.address, name, SMALL, ("blksize", 1000))
    else:
        with Peer() as peer:
            options = (("blksize", 400), ("windowsize", windowsize))
            packet, source = peer.ask(wrq(name, *options), server.address)
            assert option_ack(packet)[b"windowsize"] == b"%d" % windowsize
            for number in range(1, len(SMALL) // 400 + 2):
                peer.send(data(number, SMALL[400 * (number - 1) : 400 * number]), source)
            assert peer.receive()[0] == ack(len(SMALL) // 400 + 1)
    assert (server.root / name.decode()).read_bytes() == SMALL


def test_many_at_once(server: Server) -> None:
    """More than one batch of requests, and then of ACKs, all of one moment."""
    peers = [Peer() for _ in range(50)]
    try:
        for peer in peers:
            peer.send(rrq(b"small", ("blksize", 1000)), server.address)
        sources = []
        for peer in peers:
            packet, source = peer.receive()
            assert packet[:2] == b"\0\6"
            sources.append(source)
        for number in range(6):
            for peer, source in zip(peers, sources, strict=True):
                peer.send(ack(number), source)
            for peer in peers:
                expected = SMALL[1000 * number : 1000 * (number + 1)]
                assert peer.receive()[0] == data(number + 1, expected)
        for peer, source in zip(peers, sources, strict=True):
            peer.send(ack(6), source)
    finally:
        for peer in peers:
            peer.socket.close()


# The option itself.


@pytest.mark.parametrize("name", list(WAYS))
def test_a_way_is_the_same_for_a_server_and_for_a_network(name: str) -> None:
    config = parse_config(WAYS[name].toml)
    assert settings_of(config) == WAYS[name].settings
    assert config.warnings() == ()


def test_what_is_forced_is_taken_where_nothing_is_said(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "file").write_bytes(SMALL)
    way = WAYS["portable"]
    monkeypatch.setattr(rungs, "_forced", [way])
    with serving(root, config='[log]\nlevel = "debug"\n') as server:
        server.wait_log("packets go by portable")
        assert fetch(server.address, b"file") == SMALL
    own = 'performance.platform.rung = "mmsg"\n'
    assert rungs.forced_toml(own) == own


def test_what_is_forced_is_taken_by_networks(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = pytestconfig.getoption("--rung")
    assert SystemNetwork().settings == (WAYS[str(name)].settings if name else Settings())
    monkeypatch.setattr(system, "Settings", lambda: WAYS["portable"].settings)
    assert SystemNetwork().capabilities.rung == "portable"
    assert SystemNetwork(Settings(rung="mmsg")).settings.rung == "mmsg"
