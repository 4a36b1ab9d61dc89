"""Requests that come again from the same port: repeated by the network or a hasty client, or anew."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from snowowl.server.acceptor import DOUBLED_SECONDS
from tests.real.harness import (
    Peer,
    Server,
    ack,
    data,
    error_code,
    option_ack,
    read_on,
    rrq,
    serving,
    wrq,
)

pytestmark = [pytest.mark.real, pytest.mark.rule("R5")]

OLD, NEW = b"o" * 5000, b"n" * 5000


@pytest.fixture(scope="module", params=["shared", "own", "listen"])
def server(request: pytest.FixtureRequest, shared_root: Path) -> Iterator[Server]:
    (shared_root / "old").write_bytes(OLD)
    (shared_root / "new").write_bytes(NEW)
    config = f"[server]\ntid = '{request.param}'\n[write]\nenabled = true\noverwrite = true\n"
    # Seconds that no test waits for: what is heard was not sent by a timer.
    config += "[protocol]\ntimeout_initial_seconds = 20\ntimeout_max_seconds = 20\n"
    with serving(shared_root, config=config) as running:
        yield running


def drain(peer: Peer) -> list[bytes]:
    """Return all that has come and still comes."""
    heard: list[bytes] = []
    while True:
        try:
            heard.append(peer.receive(0.15)[0])
        except AssertionError:
            return heard


@pytest.mark.parametrize("options", [(), (("blksize", 1000), ("tsize", 0))])
def test_a_repeated_request(server: Server, options: tuple[tuple[str, int], ...]) -> None:
    """busybox asks again after 100 ms: the same first packet, from the same port."""
    request = rrq(b"old", *options)
    with Peer() as peer:
        first = peer.ask(request, server.address)
        assert peer.ask(request, server.address) == first
        assert peer.ask(request, server.address) == first
        packet, source = first
        blksize = 512
        if options:
            blksize = int(option_ack(packet)[b"blksize"])
            packet, source = peer.ask(ack(0), source)
        assert read_on(peer, packet, source, blksize) == OLD
        assert drain(peer) == []


def test_a_repeated_upload_request(server: Server) -> None:
    request = wrq(b"up", ("blksize", 1000))
    with Peer() as peer:
        first = peer.ask(request, server.address)
        assert peer.ask(request, server.address) == first
        assert peer.ask(data(1, b"x"), first[1]) == (ack(1), first[1])
        assert drain(peer) == []
    assert (server.root / "up").read_bytes() == b"x"


def test_asked_twice_at_once(server: Server) -> None:
    """Two copies in one batch make one transfer; the second copy may be answered as well."""
    with Peer() as peer:
        peer.send(rrq(b"old"), server.address)
        peer.send(rrq(b"old"), server.address)
        packet, source = peer.receive()
        assert set(drain(peer)) <= {packet}
        assert read_on(peer, packet, source) == OLD


@pytest.mark.parametrize("name", [b"old", b"new"])
def test_a_board_that_was_reset(server: Server, name: bytes) -> None:
    """After ACKs a new request, even the same one, begins anew; the old transfer is silent."""
    with Peer() as peer:
        packet, old_source = peer.ask(rrq(b"old"), server.address)
        for number in (1, 2, 3):
            packet, _ = peer.ask(ack(number), old_source)
        if old_source == server.address:
            time.sleep(
                DOUBLED_SECONDS + 0.1
            )  # with one port, sooner it would be taken for a double
            drain(peer)
        packet, source = peer.ask(rrq(name), server.address)
        expected = OLD if name == b"old" else NEW
        assert packet == data(1, expected[:512])
        assert read_on(peer, packet, source) == expected
        assert drain(peer) == []
        if source != old_source:  # the old transfer is gone for good
            peer.send(ack(3), old_source)  # `own`: the port is closed; `shared`: not for this peer
            assert [error_code(packet) for packet in drain(peer)] in ([], [5])
    server.wait_log(f"from {peer.address[0]}:{peer.address[1]} ", 2)


def test_a_request_that_the_network_doubled(server: Server) -> None:
    """A late copy of the request comes in mid-transfer: a client that goes on loses nothing."""
    with Peer() as peer:
        packet, source = peer.ask(rrq(b"old"), server.address)
        second, _ = peer.ask(ack(1), source)
        if source == server.address:
            peer.send(rrq(b"old"), server.address)  # with one port for both it is not answered
        else:
            assert peer.ask(rrq(b"old"), server.address)[0] == packet
        assert packet[4:] + read_on(peer, second, source, first=2) == OLD


def test_a_download_gives_way_to_an_upload(server: Server) -> None:
    with Peer() as peer:
        _, source = peer.ask(rrq(b"old"), server.address)
        peer.ask(ack(1), source)
        answer, source = peer.ask(wrq(b"given"), server.address)
        assert answer == ack(0)
        assert peer.ask(data(1, b"octets"), source)[0] == ack(1)
        assert drain(peer) == []
    assert (server.root / "given").read_bytes() == b"octets"


def test_a_board_that_was_reset_and_asks_for_a_missing_file(server: Server) -> None:
    """The new request comes to nothing, and yet the old transfer is over at once."""
    with Peer() as peer:
        _, source = peer.ask(rrq(b"old"), server.address)
        peer.ask(ack(1), source)
        answer, _ = peer.ask(rrq(b"missing"), server.address)
        assert error_code(answer) == 1
        client = f"from {peer.address[0]}:{peer.address[1]} "
        server.wait_log(client, 2)
        assert drain(peer) == []


@pytest.mark.rule("R12")
def test_missing_files_before_the_right_one(server: Server) -> None:
    """GRUB and PXELINUX probe about nine names in a row, here all from one port."""
    with Peer() as peer:
        for number in range(9):
            answer, _ = peer.ask(rrq(b"missing-%d" % number), server.address)
            assert error_code(answer) == 1
        packet, source = peer.ask(rrq(b"new"), server.address)
        assert read_on(peer, packet, source) == NEW
