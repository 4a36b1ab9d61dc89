"""Which port and which address answers come from: every `tid` over every kind of address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.commands import ATFTP_WINDOW, BUSYBOX, CURL, HPA, Client
from tests.real.harness import (
    Address,
    Peer,
    Server,
    ack,
    fetch,
    read_on,
    rrq,
    serving,
    store,
)

pytestmark = pytest.mark.real

SIZE = 100_000
TIDS = ("shared", "own", "listen")
LISTEN = ("127.0.0.1:0", "[::1]:0", "*:0")


@pytest.fixture(
    scope="module", params=[(tid, listen) for tid in TIDS for listen in LISTEN], ids=str
)
def server(request: pytest.FixtureRequest, shared_root: Path) -> Iterator[Server]:
    tid, listen = request.param
    (shared_root / "file").write_bytes(os.urandom(SIZE))
    config = f'[server]\ntid = "{tid}"\n[write]\nenabled = true\noverwrite = true\n'
    with serving(shared_root, listen=[listen], config=config) as running:
        yield running


def reachable(server: Server) -> list[Address]:
    """Return the loopback addresses at which a server can be asked."""
    host, port = server.address
    if host == "::":
        return [("127.0.0.1", port), ("127.0.0.2", port), ("::1", port)]
    return [(host, port)]


@pytest.mark.parametrize(
    "client", [CURL, HPA, ATFTP_WINDOW, BUSYBOX], ids=lambda client: client.name
)
def test_get_and_put(server: Server, tmp_path: Path, client: Client) -> None:
    expected = (server.root / "file").read_bytes()
    for index, address in enumerate(reachable(server)):
        local = tmp_path / f"got-{index}"
        client.fetch(address, "file", local, seconds=10)
        assert local.read_bytes() == expected
        client.store(address, f"put-{index}", local, seconds=10)
        assert (server.root / f"put-{index}").read_bytes() == expected
        (server.root / f"put-{index}").unlink()


@pytest.mark.rule("R10")
def test_answers_come_from_the_address_that_was_asked(server: Server) -> None:
    for host, port in reachable(server):
        for packet in (rrq(b"file"), rrq(b"missing"), b"\0\x09nonsense"):
            with Peer("::" if ":" in host else "0.0.0.0") as peer:
                _, source = peer.ask(packet, (host, port))
                assert source[0] == host


def test_the_port_of_the_answer(server: Server) -> None:
    """RFC 1350 section 4: a TID of its own, unless the listening port was asked to answer."""
    listens = 'tid = "listen"' in (server.log_file.parent / "snowowl.toml").read_text()
    for address in reachable(server):
        host = "::1" if ":" in address[0] else "127.0.0.1"
        with Peer(host) as first, Peer(host) as second:
            _, source = first.ask(rrq(b"file"), address)
            _, other = second.ask(rrq(b"file"), address)
            assert (source[1] == address[1]) is listens
            assert (other[1] == address[1]) is listens


@pytest.mark.parametrize("tid", TIDS)
def test_two_transfers_of_one_port_after_each_other(root: Path, tid: str) -> None:
    """A board that always asks from the same port, as U-Boot does with `tftpsrcp`."""
    (root / "a").write_bytes(b"a" * 700)
    (root / "b").write_bytes(b"b" * 700)
    with serving(root, config=f'[server]\ntid = "{tid}"\n') as server, Peer() as peer:
        last = None
        for name in (b"a", b"b", b"a", b"a", b"b", b"b"):
            packet, source = peer.ask(rrq(name), server.address)
            assert read_on(peer, packet, source) == name * 700
            if tid == "shared":
                assert source != last
            last = source


def test_port_range(root: Path) -> None:
    """Answers come from the range; when it is used up a client is told, and the next is served."""
    (root / "file").write_bytes(b"x" * 5000)
    config = '[server]\ntid = "own"\nport_range = [47211, 47212]\n'
    with serving(root, config=config) as server, Peer() as one, Peer() as two, Peer() as three:
        packet, source = one.ask(rrq(b"file"), server.address)
        _, other = two.ask(rrq(b"file"), server.address)
        assert {source[1], other[1]} == {47211, 47212}
        refusal, refused_from = three.ask(rrq(b"file"), server.address)
        assert refusal[:4] == b"\0\5\0\0"
        assert refused_from == server.address
        assert read_on(one, packet, source) == b"x" * 5000
        packet, source = three.ask(rrq(b"file"), server.address)
        assert read_on(three, packet, source) == b"x" * 5000


def test_several_listening_addresses(root: Path) -> None:
    (root / "file").write_bytes(b"x" * 5000)
    with serving(root, "--writable", listen=["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"]) as server:
        for address in server.addresses:
            host = "::1" if ":" in address[0] else "127.0.0.1"
            assert fetch(address, b"file", host=host) == b"x" * 5000
        store(server.addresses[1], b"new", b"y" * 3000)
        assert (root / "new").read_bytes() == b"y" * 3000


def test_clients_that_ask_and_go_away(root: Path) -> None:
    """With `own` the socket closes at the news that the client's port is closed: it was once waited
    for after that, which ended the server."""
    (root / "file").write_bytes(b"x" * 700)
    config = "[server]\ntid = 'own'\n[protocol]\ntimeout_initial_seconds = 0.05\n"
    config += "timeout_min_seconds = 0.05\n"
    with serving(root, config=config) as server:
        for _ in range(40):
            with Peer() as peer:
                peer.ask(rrq(b"file"), server.address)
        server.wait_log("RRQ from", 40)  # a port may be somebody else's by then
        assert fetch(server.address, b"file") == b"x" * 700


@pytest.mark.parametrize("tid", ["shared", "own", "listen"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_client_that_is_gone_is_sent_no_more(root: Path, tid: str, host: str) -> None:
    """The news that its port is closed ends its transfer, long before silence would."""
    (root / "file").write_bytes(b"x" * 5000)
    config = f"[server]\ntid = '{tid}'\n"
    with serving(root, listen=["*:0"], config=config) as server:
        address = (host, server.address[1])
        with Peer(host) as peer:
            _, source = peer.ask(rrq(b"file", ("windowsize", 4)), address)
            peer.ask(ack(0), source)
        server.wait_log("the peer's port is closed")
        assert fetch(address, b"file", host=host) == b"x" * 5000
