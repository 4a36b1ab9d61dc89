"""A server that systemd starts, with systemd's part played here: sockets are passed, words heard."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from tests.real.harness import (
    Peer,
    Server,
    environment,
    eventually,
    fetch,
    read_on,
    rrq,
    run,
    serve_command,
    serving,
)

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="systemd is of Linux"),
]

CONTENT = bytes(range(256)) * 20

# From descriptors 50, 51 ... to 3, 4 ..., as sd_listen_fds(3) has them.
PASS = """
import os, sys
count = int(sys.argv[1])
for index in range(count):
    os.dup2(50 + index, 3 + index, inheritable=True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count)}
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def unit() -> Iterator[socket.socket]:
    """Give a socket that stays open, as that of a socket unit."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", 0))
        yield sock


def activated(
    root: Path, *flags: str, sockets: list[socket.socket], **more: str
) -> AbstractContextManager[Server]:
    """Run a server by sockets that are passed to it."""
    for index, sock in enumerate(sockets):
        os.dup2(sock.fileno(), 50 + index, inheritable=True)
    passed = [50 + index for index in range(len(sockets))]
    prefix = [sys.executable, "-c", PASS, str(len(sockets))]
    return serving(root, *flags, listen=(), prefix=prefix, pass_fds=passed, extra=more)


def test_no_request_is_lost_in_a_restart(tmp_path: Path, unit: socket.socket) -> None:
    """What comes while nobody serves waits in the socket; a transfer that runs then ends well."""
    (tmp_path / "file").write_bytes(CONTENT)
    with Peer() as early, Peer() as running, Peer() as between:
        early.send(rrq(b"file"), unit.getsockname())
        with activated(tmp_path, sockets=[unit]) as server:
            assert server.port == unit.getsockname()[1]
            assert read_on(early, *early.receive()) == CONTENT
            packet, source = running.ask(rrq(b"file"), server.address)
            server.terminate()
            server.wait_log("draining")
            between.send(rrq(b"file"), server.address)
            assert read_on(running, packet, source) == CONTENT
            assert server.wait() == 0
            assert "has no effect" not in server.log()
        with activated(tmp_path, sockets=[unit]):
            assert read_on(between, *between.receive()) == CONTENT


def test_what_the_unit_says_comes_first(tmp_path: Path, unit: socket.socket) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    listen = ("--listen", "127.0.0.1:1", "--workers", "3")
    with activated(tmp_path, *listen, sockets=[unit]) as server:
        assert server.log().count("server.listen: has no effect") == 1
        assert server.log().count("server.workers: has no effect, 1 can serve") == 1
        assert fetch(server.address, b"file") == CONTENT


def test_as_many_processes_as_sockets(tmp_path: Path, unit: socket.socket) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    with ExitStack() as stack:
        other = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(unit.getsockname())
        with activated(tmp_path, sockets=[unit, other]) as server:
            assert "workers=2" in server.log()
            for _ in range(8):
                assert fetch(server.address, b"file") == CONTENT
            server.terminate()
            assert server.wait() == 0


def test_a_socket_of_another_kind(tmp_path: Path) -> None:
    with socket.socket() as wrong:
        wrong.bind(("127.0.0.1", 0))
        os.dup2(wrong.fileno(), 50, inheritable=True)
        result = subprocess.run(
            [sys.executable, "-c", PASS, "1", *serve_command(tmp_path)],
            capture_output=True,
            pass_fds=[50],
            env=environment(),
            timeout=30,
            check=False,
        )
    assert result.returncode == 1
    assert b"no UDP socket: the socket unit must say ListenDatagram=" in result.stderr


@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None,
    reason="needs systemd-socket-activate (Debian: systemd)",
)
def test_by_systemd_itself(tmp_path: Path) -> None:
    """It starts the server when the first request comes."""
    (tmp_path / "file").write_bytes(CONTENT)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    program = shutil.which("systemd-socket-activate")
    assert program is not None
    words = [program, "--datagram", "-l", f"127.0.0.1:{address[1]}"]
    words += ["-E", "PYTHONPATH", "-E", "SNOWOWL_USER"]
    with (
        Peer() as peer,
        subprocess.Popen(
            [*words, *serve_command(tmp_path)], stderr=subprocess.PIPE, env=environment()
        ) as process,
    ):
        try:
            assert process.stderr is not None
            assert b"Listening on" in process.stderr.readline()
            peer.send(rrq(b"file"), address)
            packet, source = peer.receive(20)
            assert read_on(peer, packet, source) == CONTENT
            process.terminate()
            assert process.wait(10) == 0
        finally:
            process.kill()


class Ear:
    """The socket that NOTIFY_SOCKET names."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        path.chmod(0o666)
        self.heard: list[str] = []

    def hears(self, text: str) -> bool:
        """Say whether a text has come by now."""
        try:
            while True:
                self.heard += self.socket.recv(4096).decode().split("\n")
        except BlockingIOError:
            return text in self.heard


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    made = Ear(tmp_path / "notify")
    yield made
    made.socket.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_systemd_hears(tmp_path: Path, ear: Ear, workers: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    more = {"NOTIFY_SOCKET": ear.socket.getsockname(), "WATCHDOG_USEC": "200000"}
    with serving(root, "--workers", workers, extra=more) as server:
        assert eventually(lambda: ear.hears("READY=1"))
        assert ear.hears(f"MAINPID={server.process.pid}")
        assert ear.heard.count("READY=1") == 1  # workers do not speak for themselves
        before = ear.heard.count("WATCHDOG=1")
        assert eventually(lambda: ear.hears("") or ear.heard.count("WATCHDOG=1") > before + 2)
        server.terminate()
        assert server.wait() == 0
        assert ear.hears("STOPPING=1")


def test_a_server_that_cannot_start_is_not_ready(tmp_path: Path, ear: Ear) -> None:
    words = ["env", f"NOTIFY_SOCKET={ear.socket.getsockname()}"]
    command = serve_command(tmp_path / "missing", "--listen", "127.0.0.1:0")
    assert run([*words, *command]).returncode == 1
    assert not ear.hears("READY=1")
