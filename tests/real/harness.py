"""A server process, a raw UDP peer and bounded commands, for the tests on real sockets.

The packets are made here by hand: a test of the server must not take the server's own codec for
granted.  Every wait has an end.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import attrs

from tests.rungs import forced_toml
from tests.users import STAYS

REPOSITORY = Path(__file__).parents[2]
READY_SECONDS = 20.0
ANSWER_SECONDS = 5.0
SILENCE_SECONDS = 0.25
"""Loopback answers within a millisecond; a busy machine within some tens."""
NOBODY = 65534

PORTS = (10_000, 30_000)
"""Where peers have their ports: outside of what the kernel gives to those who do not mind."""
_ports = itertools.count(random.Random().randrange(*PORTS))

Address = tuple[str, int]
_LISTENING = re.compile(r"listening on (\S+):(\d+)")


class RefusedError(Exception):
    """The server answered with an ERROR."""

    def __init__(self, code: int, text: bytes) -> None:
        super().__init__(f"ERROR {code} {text!r}")
        self.code = code
        self.text = text


# Packets (RFC 1350 section 5, RFC 2347).


def _request(opcode: int, name: bytes, mode: bytes, options: Sequence[tuple[str, object]]) -> bytes:
    words = [name, mode]
    for option, value in options:
        words += [option.encode(), str(value).encode()]
    return opcode.to_bytes(2, "big") + b"".join(word + b"\0" for word in words)


def rrq(name: bytes, *options: tuple[str, object], mode: bytes = b"octet") -> bytes:
    return _request(1, name, mode, options)


def wrq(name: bytes, *options: tuple[str, object], mode: bytes = b"octet") -> bytes:
    return _request(2, name, mode, options)


def data(number: int, payload: bytes) -> bytes:
    return b"\0\3" + (number & 0xFFFF).to_bytes(2, "big") + payload


def ack(number: int) -> bytes:
    return b"\0\4" + (number & 0xFFFF).to_bytes(2, "big")


def error(code: int, text: bytes = b"") -> bytes:
    return b"\0\5" + code.to_bytes(2, "big") + text + b"\0"


def error_code(packet: bytes) -> int | None:
    """Return the code of an ERROR, None for any other packet."""
    return int.from_bytes(packet[2:4], "big") if packet[:2] == b"\0\5" else None


def option_ack(packet: bytes) -> dict[bytes, bytes]:
    """Return what an OACK grants; fails for any other packet."""
    assert packet[:2] == b"\0\6", packet[:60]
    assert packet.endswith(b"\0")
    words = packet[2:-1].split(b"\0")
    return dict(zip(words[0::2], words[1::2], strict=True))


# A peer.


class Peer:
    """A UDP socket that speaks datagram by datagram."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        if port:
            self.socket.bind((host, port))
        else:
            self._bind_afresh(host)
        name = self.socket.getsockname()
        self.address: Address = (str(name[0]), int(name[1]))

    def _bind_afresh(self, host: str) -> None:
        """Bind to a port that none of these tests had before.

        A peer may leave a transfer behind, of which a server that answers from its listening port
        hears no ICMP; the next peer at that port would be sent what belongs to it.
        """
        for number in _ports:
            with suppress(OSError):
                self.socket.bind((host, PORTS[0] + number % (PORTS[1] - PORTS[0])))
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, packet: bytes, to: Address) -> None:
        self.socket.sendto(packet, to)

    def receive(self, seconds: float = ANSWER_SECONDS) -> tuple[bytes, Address]:
        """Return the next datagram and where it came from; fails if there is none."""
        self.socket.settimeout(seconds)
        try:
            packet, name = self.socket.recvfrom(65536)
        except TimeoutError:
            raise AssertionError(f"no datagram within {seconds} s") from None
        return packet, (str(name[0]), int(name[1]))

    def ask(self, packet: bytes, to: Address) -> tuple[bytes, Address]:
        self.send(packet, to)
        return self.receive()

    def hears_nothing(self, seconds: float = SILENCE_SECONDS) -> bool:
        self.socket.settimeout(seconds)
        with suppress(TimeoutError):
            self.socket.recvfrom(65536)
            return False
        return True


def read_on(
    peer: Peer, packet: bytes, source: Address, blksize: int = 512, first: int = 1
) -> bytes:
    """Read to the end from a DATA packet on, in lock-step; return all octets from it on."""
    pieces: list[bytes] = []
    number = first
    while True:
        code = error_code(packet)
        if code is not None:
            raise RefusedError(code, packet[4:-1])
        if packet[:4] == data(number, b""):
            pieces.append(packet[4:])
            peer.send(ack(number), source)
            if len(packet) - 4 < blksize:
                return b"".join(pieces)
            number += 1
        packet, sender = peer.receive()
        assert sender == source


def fetch(to: Address, name: bytes, *options: tuple[str, object], host: str = "127.0.0.1") -> bytes:
    """Read a file in lock-step.  Raises RefusedError."""
    with Peer(host) as peer:
        packet, source = peer.ask(rrq(name, *options), to)
        blksize = 512
        if packet[:2] == b"\0\6":
            blksize = int(option_ack(packet).get(b"blksize", b"512"))
            packet, source = peer.ask(ack(0), source)
        return read_on(peer, packet, source, blksize)


def store(to: Address, name: bytes, octets: bytes, *options: tuple[str, object]) -> None:
    """Write a file in lock-step.  Raises RefusedError."""
    with Peer() as peer:
        packet, source = peer.ask(wrq(name, *options), to)
        blksize = 512
        if packet[:2] == b"\0\6":
            blksize = int(option_ack(packet).get(b"blksize", b"512"))
            packet = ack(0)
        for number in range(len(octets) // blksize + 2):
            code = error_code(packet)
            if code is not None:
                raise RefusedError(code, packet[4:-1])
            assert packet == ack(number), packet[:60]
            if number * blksize > len(octets):
                return
            payload = octets[number * blksize : (number + 1) * blksize]
            packet, _ = peer.ask(data(number + 1, payload), source)
        code = error_code(packet)
        if code is not None:
            raise RefusedError(code, packet[4:-1])


# A server.


@attrs.define
class Server:
    """A running `snowowl serve`."""

    process: subprocess.Popen[bytes]
    root: Path
    log_file: Path
    addresses: list[Address] = attrs.field(factory=list)
    ended: bool = False
    """The test ends the server itself, so that it need not live at the end."""

    @property
    def address(self) -> Address:
        return self.addresses[0]

    @property
    def port(self) -> int:
        return self.addresses[0][1]

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait_log(self, text: str, count: int = 1, seconds: float = ANSWER_SECONDS) -> str:
        """Return the log once it holds a text that often; fails if it does not in time."""

        def logged() -> bool:
            return self.log().count(text) >= count

        assert eventually(logged, seconds), f"{text!r} is not logged:\n{self.log()}"
        return self.log()

    def terminate(self) -> None:
        self.ended = True
        self.process.terminate()

    def wait(self, seconds: float = 15.0) -> int:
        self.ended = True
        return self.process.wait(seconds)

    def rss(self) -> int:
        """Return the resident memory in octets."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


# Imports first what the server imports late: nobody may be able to enter the folders of this Python.
_AS_NOBODY = f"""
import os, sys, snowowl.cli.serve, snowowl.cli.serve_program, snowowl.config, snowowl.server.errors, snowowl.server.serve
from snowowl.observe import log, writer
log.LogObserver(print, form="console", level="info"), "x".encode("idna")
if os.geteuid() == 0:
    os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
snowowl.cli.serve.serve(sys.argv[1:])
"""


def serve_command(root: Path, *flags: str, unprivileged: bool = False) -> list[str]:
    """Return the command that serves a folder; `unprivileged`: surely not as root."""
    if unprivileged:
        return [sys.executable, "-c", _AS_NOBODY, str(root), *flags]
    return [sys.executable, "-m", "snowowl", "serve", str(root), *flags]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SNOWOWL_")}
    return {**kept, **STAYS, "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1", **(extra or {})}


@contextmanager
def serving(
    root: Path,
    *flags: str,
    listen: Sequence[str] = ("127.0.0.1:0",),
    config: str = "",
    unprivileged: bool = False,
    prefix: Sequence[str] = (),
    program: Sequence[str] = (),
    pass_fds: Sequence[int] = (),
    extra: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run a server until the block ends, then check that it was alive and well.

    `prefix` is a command that runs it, `program` one in its place; `extra` goes to the environment.
    """
    folder = Path(tempfile.mkdtemp(prefix="snowowl-log-"))
    folder.chmod(0o755)
    words = [*flags, *(word for address in listen for word in ("--listen", address))]
    if config := forced_toml(config):
        (folder / "snowowl.toml").write_text(config)
        words += ["--config", str(folder / "snowowl.toml")]
    command = serve_command(root, *words, unprivileged=unprivileged)
    if program:
        command = [*program, str(root), *words]
    log_file = folder / "log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*prefix, *command],
            stdin=subprocess.DEVNULL,
            stderr=log,
            env=environment({**({"SNOWOWL_USER": ""} if unprivileged else {}), **(extra or {})}),
            pass_fds=pass_fds,
            cwd="/",
        )
    server = Server(process, root, log_file)
    try:
        _await_ready(server, max(1, len(listen)))
        yield server
        assert server.ended or process.poll() is None, f"the server died:\n{server.log()}"
        _stop(process)
        log_text = server.log()
        assert "internal error" not in log_text, log_text
        assert "Traceback" not in log_text, log_text
    finally:
        _stop(process)
        shutil.rmtree(folder)


def _await_ready(server: Server, count: int) -> None:
    def ready() -> bool:
        return server.process.poll() is not None or len(_LISTENING.findall(server.log())) >= count

    assert eventually(ready, READY_SECONDS), server.log()
    assert server.process.poll() is None, f"the server did not start:\n{server.log()}"
    found = _LISTENING.findall(server.log())
    server.addresses = [(host.strip("[]"), int(port)) for host, port in found]


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a server at once: the second signal cuts short what the first began."""
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.5 if number is signal.SIGTERM else 5)


# The rest.


def eventually(condition: Callable[[], bool], seconds: float = ANSWER_SECONDS) -> bool:
    """Say whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def run(
    words: Sequence[str], *, seconds: float = 30.0, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command; its failure to end in time is the test's failure."""
    return subprocess.run(
        list(words),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=seconds,
        cwd=cwd,
        env=environment(),
        check=False,
    )


def names_in(folder: Path) -> list[str]:
    """Return the names of all that lies in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())
