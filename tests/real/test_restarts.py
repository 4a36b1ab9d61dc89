"""Restarts and reloads under load: no transfer fails, and what each client gets is one version.

The test has the part of systemd: it holds the socket, passes it on as systemd does
(sd_listen_fds(3)), ends the server by SIGTERM and starts the next one.  The clients are as patient
as boards are: they send again what is not answered.
"""

from __future__ import annotations

import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from tests.real.harness import (
    ANSWER_SECONDS,
    READY_SECONDS,
    Address,
    Peer,
    ack,
    environment,
    error_code,
    option_ack,
    rrq,
)

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="systemd passes sockets on Linux"),
]

RESEND_SECONDS = 1.0
"""What PXE ROMs and U-Boot wait at first, about."""

PATIENCE_SECONDS = 20.0
"""For one answer: boards ask five times or more, ever more slowly."""

CLIENTS = 6
SIZES = (0, 511, 512, 20_000, 70_000, 300_000)
WINDOWS = (1, 4, 16)


@attrs.define
class Tally:
    """What the clients have met."""

    transfers: int = 0
    failures: list[str] = attrs.field(factory=list)
    slowest_seconds: float = 0.0
    asked_again: int = 0
    slowest_answer_seconds: float = 0.0
    """From a request to its first answer, with all that were sent again."""
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    def __str__(self) -> str:
        return (
            f"{self.transfers} transfers, {len(self.failures)} failed,"
            f" slowest {self.slowest_seconds:.2f} s, longest without an answer to a request"
            f" {self.slowest_answer_seconds:.2f} s, {self.asked_again} requests sent again"
        )


ACTIVATE = """
import os, sys
fds = [os.dup(int(fd)) for fd in sys.argv[1].split(",")]  # none of them is one of the places
places = range(3, 3 + len(fds))
fds = [fd if fd not in places else os.dup(fd) for fd in fds]
for place, fd in zip(places, fds):
    os.dup2(fd, place)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(fds))}
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Passes descriptors on as systemd does: from 3 on, to the process that has this number."""


class Board:
    """A client that fetches one file after another, and looks at every octet."""

    def __init__(
        self, address: Address, files: dict[bytes, Sequence[bytes]], tally: Tally, seed: int
    ) -> None:
        self._address = address
        self._files = files
        self._tally = tally
        self._draws = random.Random(seed)

    def run(self, over: threading.Event) -> None:
        while not over.is_set():
            name = self._draws.choice(list(self._files))
            began = time.monotonic()
            try:
                octets = self._fetch(name)
                problem = "" if octets in self._files[name] else f"{len(octets)} wrong octets"
            except (AssertionError, OSError) as error:
                problem = str(error) or repr(error)
            with self._tally.lock:
                self._tally.transfers += 1
                seconds = time.monotonic() - began
                self._tally.slowest_seconds = max(self._tally.slowest_seconds, seconds)
                if problem:
                    self._tally.failures.append(f"{name!r} after {seconds:.1f} s: {problem}")

    def _fetch(self, name: bytes) -> bytes:
        windowsize = self._draws.choice(WINDOWS)
        blksize = self._draws.choice((512, 1428))
        request = rrq(name, ("blksize", blksize), ("windowsize", windowsize))
        with Peer() as peer:
            packet, source = self._ask(peer, request)
            assert option_ack(packet)[b"blksize"] == b"%d" % blksize
            pieces: list[bytes] = []
            last = ack(0)
            peer.send(last, source)
            since = 0
            while True:
                packet = self._receive(peer, last, source)
                number = int.from_bytes(packet[2:4], "big")
                if packet[:2] != b"\0\3" or number != (len(pieces) + 1) & 0xFFFF:
                    if packet[:2] == b"\0\3":  # sent again, or behind a gap: once for a window
                        since += 1
                        if since % windowsize == 0:
                            peer.send(last, source)
                    continue
                pieces.append(packet[4:])
                since += 1
                if len(packet) - 4 < blksize or since >= windowsize:
                    last, since = ack(number), 0
                    peer.send(last, source)
                if len(packet) - 4 < blksize:
                    return b"".join(pieces)

    def _ask(self, peer: Peer, request: bytes) -> tuple[bytes, Address]:
        """Return the first answer; ask again while there is none."""
        began = time.monotonic()
        asked = 0
        while time.monotonic() - began < PATIENCE_SECONDS:
            peer.send(request, self._address)
            asked += 1
            if select.select([peer.socket], [], [], RESEND_SECONDS)[0]:
                packet, source = peer.receive()
                assert error_code(packet) is None, packet
                with self._tally.lock:
                    waited = time.monotonic() - began
                    self._tally.asked_again += asked - 1
                    self._tally.slowest_answer_seconds = max(
                        self._tally.slowest_answer_seconds, waited
                    )
                return packet, source
        raise AssertionError(f"a request was not answered in {PATIENCE_SECONDS:g} s")

    def _receive(self, peer: Peer, last: bytes, source: Address) -> bytes:
        """Return the next datagram of the transfer; send the last packet again while there is none."""
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE_SECONDS:
            if not select.select([peer.socket], [], [], RESEND_SECONDS)[0]:
                peer.send(last, source)
                continue
            packet, sender = peer.receive()
            if sender == source:  # else another answer to a request that was sent twice
                assert error_code(packet) is None, packet
                return packet
        raise AssertionError(f"a transfer stood still for {PATIENCE_SECONDS:g} s")


@contextmanager
def boards(address: Address, files: dict[bytes, Sequence[bytes]]) -> Iterator[Tally]:
    """Have clients fetch all the while; give what they meet, complete at the end."""
    tally, over = Tally(), threading.Event()
    threads = [
        threading.Thread(target=Board(address, files, tally, seed).run, args=(over,))
        for seed in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield tally
    finally:
        over.set()
        for thread in threads:
            thread.join(4 * PATIENCE_SECONDS)
    assert not any(thread.is_alive() for thread in threads)


# What starts servers.


class Activator:
    """Holds sockets, as systemd does for a socket unit, and starts servers on them."""

    def __init__(self, folder: Path, versions: Sequence[Path], tid: str, workers: int) -> None:
        self._config = folder / "snowowl.toml"
        self._log = folder / "log"
        self._versions = versions
        self._lines = f'tid = "{tid}"\nworkers = {workers}\n'
        self._reloaded = 0
        self._configure()
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(workers)]
        port = 0
        for sock in self._sockets:
            if workers > 1:  # ReusePort=yes
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.bind(("127.0.0.1", port))
            port = sock.getsockname()[1]
        self.address: Address = ("127.0.0.1", port)
        self._looked_at = 0
        self.process = self._start()

    def _configure(self) -> None:
        """Write a configuration with another root than before."""
        root = self._versions[self._reloaded % len(self._versions)]
        # The root changes: Landlock would keep one process to the first.
        lines = f'[server]\nroot = "{root}"\nlandlock = false\ndrain_seconds = 20\n{self._lines}'
        self._config.write_text(lines)

    def _start(self) -> subprocess.Popen[bytes]:
        """Start a server on descriptors from 3 on, with its own number in LISTEN_PID."""
        fds = [sock.fileno() for sock in self._sockets]
        command = [sys.executable, "-m", "snowowl", "serve", "--config", str(self._config)]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", ACTIVATE, ",".join(map(str, fds)), *command],
                stdin=subprocess.DEVNULL,
                stderr=log,
                pass_fds=fds,
                env=environment(),
                cwd="/",
            )
        self._wait_log("listening on", process)
        return process

    def _wait_log(self, text: str, process: subprocess.Popen[bytes]) -> None:
        """Wait until a text is in what was not looked at before: all of it would take ever longer."""
        began, waiting = time.monotonic(), True
        while waiting:
            assert process.poll() is None, self.log()[-2000:]
            assert time.monotonic() - began < READY_SECONDS, self.log()[-2000:]
            time.sleep(0.01)
            with self._log.open("rb") as log:
                log.seek(self._looked_at)
                waiting = text.encode() not in (new := log.read())
            self._looked_at += max(0, len(new) - len(text)) if waiting else len(new)

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def restart(self) -> None:
        """End the server as `systemctl restart` does, and start another."""
        self.process.terminate()
        assert self.process.wait(30) == 0, self.log()
        self.process = self._start()

    def reload(self) -> None:
        self._reloaded += 1
        self._configure()
        self.process.send_signal(signal.SIGHUP)
        self._wait_log("changed='server.root: ", self.process)

    def close(self) -> None:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(ANSWER_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
        for sock in self._sockets:
            sock.close()


@contextmanager
def activated(
    root: Path, tid: str, workers: int
) -> Iterator[tuple[Activator, dict[bytes, Sequence[bytes]]]]:
    """Run a server on sockets that are held for it; give it, and the versions of each file."""
    draws = random.Random(1)
    versions: list[Path] = []
    files: dict[bytes, Sequence[bytes]] = {}
    for version in range(2):
        folder = root / f"version{version}"
        folder.mkdir()
        versions.append(folder)
        for size in SIZES:
            octets = draws.randbytes(size)
            (folder / f"{size}").write_bytes(octets)
            files[b"%d" % size] = (*files.get(b"%d" % size, ()), octets)
    folder = Path(tempfile.mkdtemp(prefix="snowowl-log-"))
    activator = Activator(folder, versions, tid, workers)
    try:
        yield activator, files
        log = activator.log()
        assert "Traceback" not in log, log[-3000:]
        assert "internal error" not in log
    finally:
        activator.close()
        shutil.rmtree(folder)


ALONE: Sequence[tuple[str, int]] = (("shared", 1), ("own", 1), ("listen", 1))
SHARING: Sequence[tuple[str, int]] = (("shared", 2), ("own", 2))


def ways(quick: dict[tuple[str, int], int]) -> pytest.MarkDecorator:
    """Have a test run a few times in some ways, and a hundred times in each when there is time."""
    few = [pytest.param(*way, count, id=f"{way[0]}-{way[1]}") for way, count in quick.items()]
    many = [
        pytest.param(
            *way,
            100,
            id=f"{way[0]}-{way[1]}-hundred",
            marks=[pytest.mark.slow, pytest.mark.timeout(1800)],
        )
        for way in (*ALONE, *SHARING)
    ]
    return pytest.mark.parametrize(("tid", "workers", "count"), [*few, *many])


@ways({("listen", 1): 2, ("shared", 2): 1})
def test_restarts_lose_no_transfer(root: Path, tid: str, workers: int, count: int) -> None:
    """What is asked while nobody serves waits in the socket."""
    with activated(root, tid, workers) as (server, files):
        with boards(server.address, files) as tally:
            for _ in range(count):
                time.sleep(0.2)
                server.restart()
        print(f"\n{count} restarts, {tid}, {workers} processes: {tally}")  # noqa: T201
        assert not tally.failures
        assert tally.transfers > count * CLIENTS


@ways({("shared", 1): 3, ("own", 2): 2})
def test_reloads_harm_no_transfer(root: Path, tid: str, workers: int, count: int) -> None:
    """Of the root, too: what a client gets is of one of its versions."""
    with activated(root, tid, workers) as (server, files):
        with boards(server.address, files) as tally:
            for _ in range(count):
                time.sleep(0.1)
                server.reload()
        print(f"\n{count} reloads, {tid}, {workers} processes: {tally}")  # noqa: T201
        assert not tally.failures
        assert tally.transfers > count * CLIENTS
