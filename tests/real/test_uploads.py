"""Uploads that cannot be kept, or never end: the right ERROR, and no trace."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.harness import (
    Peer,
    RefusedError,
    Server,
    ack,
    data,
    error,
    error_code,
    eventually,
    fetch,
    names_in,
    option_ack,
    rrq,
    serving,
    store,
    wrq,
)

pytestmark = pytest.mark.real

QUICK = """
[write]
enabled = true
size_max = 10000
[protocol]
timeout_initial_seconds = 0.05
timeout_min_seconds = 0.05
timeout_max_seconds = 0.1
retries = 1
silence_max_seconds = 0.2
"""


@pytest.fixture
def server(root: Path) -> Iterator[Server]:
    """Run a server that gives up soon; prove afterwards that it serves, and that no trace is left."""
    with serving(root, config=QUICK) as running:
        yield running
        store(running.address, b"last", b"octets")
        assert fetch(running.address, b"last") == b"octets"
        assert eventually(lambda: names_in(root) == ["last"])


def test_size_max_with_tsize(server: Server) -> None:
    with Peer() as peer:
        answer, _ = peer.ask(wrq(b"new", ("tsize", 10_001)), server.address)
        assert error_code(answer) == 3


@pytest.mark.parametrize("options", [(), (("tsize", 10),), (("blksize", 1000),)])
def test_size_max_without_tsize(server: Server, options: tuple[tuple[str, int], ...]) -> None:
    with pytest.raises(RefusedError) as refused:
        store(server.address, b"new", b"x" * 10_001, *options)
    assert refused.value.code == 3


def test_size_max_is_allowed(server: Server) -> None:
    store(server.address, b"new", b"x" * 10_000)
    assert (server.root / "new").read_bytes() == b"x" * 10_000
    (server.root / "new").unlink()


def test_a_client_that_falls_silent(server: Server) -> None:
    with Peer() as peer:
        answer, source = peer.ask(wrq(b"new"), server.address)
        assert answer == ack(0)
        answer, _ = peer.ask(data(1, b"x" * 512), source)
        assert answer == ack(1)
        server.wait_log("fell silent")
    assert not (server.root / "new").exists()


def test_a_client_that_breaks_off(server: Server) -> None:
    with Peer() as peer:
        _, source = peer.ask(wrq(b"new"), server.address)
        peer.ask(data(1, b"x" * 512), source)
        peer.send(error(0, b"changed my mind"), source)
        server.wait_log("changed my mind")


@pytest.mark.parametrize("uploading", [True, False])
def test_a_client_that_is_killed(server: Server, *, uploading: bool) -> None:
    """Its port is closed, which the network tells, or else nobody answers: the transfer ends."""
    (server.root / "last").write_bytes(b"x" * 5000)
    with Peer() as peer:
        request = wrq(b"new") if uploading else rrq(b"last")
        _, source = peer.ask(request, server.address)
        peer.ask(data(1, b"x" * 512) if uploading else ack(1), source)
    log = server.wait_log("failed (")
    assert "port is closed" in log or "fell silent" in log
    (server.root / "last").unlink()


def test_nothing_partial_is_visible(server: Server) -> None:
    """The name appears with the last ACK, whole."""
    with Peer() as peer:
        answer, source = peer.ask(wrq(b"new", ("blksize", 4096)), server.address)
        assert option_ack(answer) == {b"blksize": b"4096"}
        assert peer.ask(data(1, b"x" * 4096), source)[0] == ack(1)
        assert not (server.root / "new").exists()
        assert peer.ask(data(2, b"y"), source)[0] == ack(2)
        assert (server.root / "new").read_bytes() == b"x" * 4096 + b"y"
        # The last ACK was lost, says the client: it gets it again (RFC 1123 4.2.3.1).
        assert peer.ask(data(2, b"y"), source)[0] == ack(2)
    (server.root / "new").unlink()


@pytest.mark.rule("R12")
def test_policies(root: Path) -> None:
    (root / "old").write_bytes(b"old")
    config = '[write]\nenabled = true\npatterns = ["up-*"]\n'
    with serving(root) as server, pytest.raises(RefusedError) as refused:
        store(server.address, b"new", b"x")
    assert refused.value.code == 2
    with serving(root, config=config) as server:
        store(server.address, b"up-1", b"x")
        for name, code in ((b"new", 2), (b"old", 2), (b"up-1", 6)):
            with pytest.raises(RefusedError) as refused:
                store(server.address, name, b"y")
            assert refused.value.code == code
    assert (root / "old").read_bytes() == b"old"
    assert (root / "up-1").read_bytes() == b"x"


@pytest.fixture
def small_disk(root: Path) -> Iterator[Path]:
    """Mount a file system of 1 MiB."""
    folder = root / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    result = subprocess.run(command, capture_output=True, timeout=10, check=False)
    if result.returncode != 0:
        pytest.skip(f"cannot mount here: {result.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], timeout=10, check=True)


@pytest.mark.rule("R12")
def test_a_disk_that_fills_up(small_disk: Path) -> None:
    octets = os.urandom(2_000_000)
    with serving(small_disk, "--writable", config="[write]\nfree_min = 0\n") as server:
        for options in ([("tsize", len(octets)), ("blksize", 8192)], [("blksize", 8192)], []):
            with pytest.raises(RefusedError) as refused:
                store(server.address, b"new", octets, *options)
            assert refused.value.code == 3
            assert eventually(lambda: names_in(small_disk) == [])
        store(server.address, b"fits", octets[:500_000], ("blksize", 8192))
        assert (small_disk / "fits").read_bytes() == octets[:500_000]
