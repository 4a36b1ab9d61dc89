"""Uploads that cannot be kept, or never end: the right ERROR, and no trace."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
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


@pytest.mark.rule("R12")
def test_a_disk_whose_floor_is_reached(small_disk: Path) -> None:
    """Several uploads at once, that say nothing of their size, stop where there would be too little."""
    floor = 400_000
    least: list[int] = []
    codes: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            space = os.statvfs(small_disk)
            least.append(space.f_bavail * space.f_frsize)

    def upload(address: tuple[str, int], number: int) -> None:
        try:
            store(address, b"up%d" % number, bytes(300_000), ("blksize", 8192))
        except RefusedError as refused:
            codes.append(refused.code)

    with serving(small_disk, "--writable", config=f"[write]\nfree_min = {floor}\n") as server:
        watcher = threading.Thread(target=watch)
        watcher.start()
        uploads = [
            threading.Thread(target=upload, args=[server.address, number]) for number in range(4)
        ]
        for thread in uploads:
            thread.start()
        for thread in uploads:
            thread.join()
        over.set()
        watcher.join()
        assert set(codes) == {3}
        assert eventually(lambda: len(names_in(small_disk)) == 4 - len(codes))
        with Peer() as peer:
            answer, _ = peer.ask(wrq(b"large", ("tsize", 700_000)), server.address)
            assert error_code(answer) == 3
    assert min(least) >= floor
    assert {(small_disk / name).stat().st_size for name in names_in(small_disk)} <= {300_000}


@pytest.mark.parametrize(
    "command",
    [
        ["curl", "-sS", "-T", "{file}", "tftp://{host}:{port}/up.bin"],
        ["curl", "-sS", "-T", "-", "tftp://{host}:{port}/up.bin"],
        ["busybox", "tftp", "-p", "-l", "{file}", "-r", "up.bin", "{host}", "{port}"],
        ["busybox", "tftp", "-b", "1400", "-p", "-l", "{file}", "-r", "up.bin", "{host}", "{port}"],
        ["atftp", "--option", "tsize 0", "-p", "-l", "{file}", "-r", "up.bin", "{host}", "{port}"],
    ],
    ids=["curl", "curl, of a pipe", "busybox", "busybox, blksize", "atftp"],
)
def test_real_clients_at_once_each_get_a_name(
    root: Path, tmp_path: Path, command: list[str]
) -> None:
    """And what they announce is what they send, or else they would be refused."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here")
    octets = os.urandom(100_000)
    (tmp_path / "file").write_bytes(octets)
    config = '[write]\nunique = "if-taken"\nunique_name = "{stem}_{client}_{number}{suffix}"\n'
    with serving(root, "--writable", config=config) as server:
        host, port = server.address
        words = [word.format(file=tmp_path / "file", host=host, port=port) for word in command]
        with ExitStack() as stack:
            clients = [
                subprocess.Popen(
                    words,
                    stdin=stack.enter_context((tmp_path / "file").open("rb")),
                    stdout=subprocess.DEVNULL,
                )
                for _ in range(3)
            ]
            assert [client.wait(30) for client in clients] == [0, 0, 0]
        server.wait_log("stored=up_127.0.0.1_2.bin")
    assert names_in(root) == ["up.bin", "up_127.0.0.1_1.bin", "up_127.0.0.1_2.bin"]
    for name in names_in(root):
        assert (root / name).read_bytes() == octets
