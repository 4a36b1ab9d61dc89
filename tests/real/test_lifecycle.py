"""How a server starts, refuses to start, drains and ends; and a log that nobody reads."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.real.harness import (
    Peer,
    ack,
    data,
    environment,
    error_code,
    fetch,
    names_in,
    read_on,
    rrq,
    run,
    serve_command,
    serving,
    store,
    wrq,
)

pytestmark = pytest.mark.real

CONTENT = os.urandom(5000)


def test_drain_lets_running_transfers_finish(root: Path) -> None:
    (root / "file").write_bytes(CONTENT)
    with serving(root, "--writable") as server, Peer() as reader, Peer() as writer, Peer() as late:
        packet, source = reader.ask(rrq(b"file"), server.address)
        answer, written_to = writer.ask(wrq(b"new"), server.address)
        server.terminate()
        server.wait_log("draining")
        late.send(rrq(b"file"), server.address)
        assert late.hears_nothing()
        assert read_on(reader, packet, source) == CONTENT
        answer, _ = writer.ask(data(1, b"octets"), written_to)
        assert answer == ack(1)
        assert server.wait() == 0
    assert (root / "new").read_bytes() == b"octets"


@pytest.mark.parametrize("single_port", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_at_once(
    root: Path, number: signal.Signals, *, single_port: bool
) -> None:
    (root / "file").write_bytes(CONTENT)
    flags = ["--writable", *(["--single-port"] if single_port else [])]
    with serving(root, *flags) as server, Peer() as reader, Peer() as writer:
        reader.ask(rrq(b"file"), server.address)
        _, source = writer.ask(wrq(b"new"), server.address)
        writer.ask(data(1, b"x" * 512), source)
        server.terminate()
        server.wait_log("draining")
        began = time.monotonic()
        server.process.send_signal(number)
        assert error_code(reader.receive()[0]) == 0
        assert error_code(writer.receive()[0]) == 0
        assert server.wait() == (130 if number == signal.SIGINT else 0)
        assert time.monotonic() - began < 3
    assert names_in(root) == ["file"]


def test_drain_seconds(root: Path) -> None:
    (root / "file").write_bytes(CONTENT)
    with serving(root, config="[server]\ndrain_seconds = 0.3\n") as server, Peer() as reader:
        reader.ask(rrq(b"file"), server.address)
        server.terminate()
        packet, _ = reader.receive()
        while packet[:2] == b"\0\3":  # DATA 1 may have been sent again meanwhile
            packet, _ = reader.receive()
        assert error_code(packet) == 0
        assert server.wait() == 0


def test_a_port_that_is_taken(root: Path) -> None:
    with serving(root) as server:
        result = run(serve_command(root, "--listen", f"127.0.0.1:{server.port}"))
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1:{server.port}".encode() in result.stderr
    assert b"ss -lunp" in result.stderr
    assert b"Traceback" not in result.stderr


def test_an_address_that_is_not_ours(root: Path) -> None:
    result = run(serve_command(root, "--listen", "192.0.2.1:0"))
    assert result.returncode == 1
    assert b"no interface of this machine has this address" in result.stderr


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_root_that_cannot_be_served(root: Path, kind: str) -> None:
    (root / "file").write_bytes(b"")
    result = run(serve_command(root / kind, "--listen", "127.0.0.1:0"))
    assert result.returncode == 1
    assert b"cannot serve" in result.stderr
    assert b"Traceback" not in result.stderr


def test_bad_configuration(root: Path) -> None:
    file = root / "bad.toml"
    file.write_text("[server]\nlistn = ['*:0']\n[protocol]\nblksize_max = 5\n")
    result = run(serve_command(root, "--config", str(file)))
    assert result.returncode == 78
    assert f"{file}:2:".encode() in result.stderr
    assert b"listen" in result.stderr
    assert f"{file}:4:".encode() in result.stderr
    assert run(serve_command(root, "--listen", "example.org:69")).returncode == 78
    assert run(serve_command(root, "--no-such-flag")).returncode == 2


def test_a_privileged_port(root: Path) -> None:
    limit = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if limit < 70:
        pytest.skip("every port is unprivileged here")
    result = run(serve_command(root, "--listen", "127.0.0.1:69", unprivileged=True))
    assert result.returncode == 1
    assert b"CAP_NET_BIND_SERVICE" in result.stderr


def test_a_log_that_nobody_reads(root: Path) -> None:
    """Transfers go on when the pipe behind stderr is full, and a drain ends all the same."""
    (root / "file").write_bytes(CONTENT)
    command = serve_command(root, "--listen", "127.0.0.1:0", "--writable", "--verbose")
    reading, writing = os.pipe()
    with subprocess.Popen(command, stderr=writing, env=environment()) as process:
        os.close(writing)
        try:
            line = b""
            while not re.search(rb"listening on .*\n", line):
                line += os.read(reading, 1)
            found = re.search(rb"listening on 127\.0\.0\.1:(\d+)", line)
            assert found
            address = ("127.0.0.1", int(found[1]))
            long_name = b"n" * 200  # pipes hold 64 KiB
            with Peer() as peer:
                for _ in range(500):
                    assert error_code(peer.ask(rrq(long_name), address)[0]) == 1
            assert fetch(address, b"file") == CONTENT
            store(address, b"new", CONTENT)
            assert (root / "new").read_bytes() == CONTENT
            began = time.monotonic()
            process.terminate()
            assert process.wait(10) == 0
            assert time.monotonic() - began < 5
        finally:
            process.kill()
            os.close(reading)


def test_a_log_whose_reader_has_gone(root: Path) -> None:
    (root / "file").write_bytes(CONTENT)
    command = serve_command(root, "--listen", "127.0.0.1:0")
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment()) as process:
        try:
            assert process.stderr is not None
            while b"listening on" not in (line := process.stderr.readline()):
                assert line, "it does not listen"
            process.stderr.close()
            found = re.search(rb"listening on 127\.0\.0\.1:(\d+)", line)
            assert found
            for _ in range(5):
                assert fetch(("127.0.0.1", int(found[1])), b"file") == CONTENT
            process.terminate()
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_nothing_is_left_listening(root: Path) -> None:
    """The port is free again as soon as the server has ended."""
    with serving(root) as server:
        server.terminate()
        assert server.wait() == 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(server.address)
