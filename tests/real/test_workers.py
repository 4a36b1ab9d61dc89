"""Several processes that serve as one: who is served by whom, and what happens when one is gone."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.real.harness import (
    Address,
    Peer,
    Server,
    ack,
    data,
    environment,
    error,
    error_code,
    eventually,
    fetch,
    names_in,
    option_ack,
    read_on,
    rrq,
    run,
    serve_command,
    serving,
    wrq,
)

STARTS_SECONDS = 20.0
"""For a process to start in, on a machine that is busy."""

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="workers are for Linux"),
]

CONTENT = os.urandom(5000)
TWO = ("--workers", "2", "--verbose")
_REQUEST = re.compile(r"[RW]RQ from \S+:(\d+) filename \S+ .*worker=(\d+)")


def worker_of(server: Server, peer: Peer) -> int:
    """Return the number of the worker that took a peer's request."""
    port = str(peer.address[1])

    def told() -> dict[str, str]:
        return dict(_REQUEST.findall(server.log()))

    assert eventually(lambda: port in told()), server.log()
    return int(told()[port])


def pids(server: Server) -> dict[int, int]:
    """Return the process of each worker."""
    found: dict[int, int] = {}
    # Each thread has its children.
    for children in Path(f"/proc/{server.process.pid}/task").glob("*/children"):
        for pid in children.read_text().split():
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            found[int(words[-2])] = int(pid)
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (
        FileNotFoundError,
        ProcessLookupError,
    ):  # gone before it was opened, or before it was read
        return False


Begun = dict[int, tuple[Peer, bytes, Address]]


def one_each(server: Server, stack: ExitStack, request: Callable[[Peer], bytes]) -> Begun:
    """Ask until both workers have one peer; return these, and what they were answered."""
    found: Begun = {}
    for _ in range(40):
        peer = stack.enter_context(Peer())
        answer, source = peer.ask(request(peer), server.address)
        number = worker_of(server, peer)
        if number in found:
            peer.send(error(0), source)
        else:
            found[number] = (peer, answer, source)
        if len(found) == 2:
            return found
    raise AssertionError("one worker gets nothing")


def read(_: Peer) -> bytes:
    return rrq(b"file")


def write(peer: Peer) -> bytes:
    return wrq(b"new-%d" % peer.address[1])


def test_both_serve(root: Path) -> None:
    (root / "file").write_bytes(CONTENT)
    with serving(root, "--workers", "2", "--log-format", "logfmt") as server:
        for _ in range(50):
            assert fetch(server.address, b"file") == CONTENT
        log = server.wait_log("outcome=completed", 50)
        assert log.count("listening on") == 1
        shares = {
            number: len(re.findall(rf"completed .*worker={number}$", log, re.MULTILINE))
            for number in (1, 2)
        }
        assert sum(shares.values()) == 50
        assert min(shares.values()) > 5  # fewer happen once in ten million times
        server.terminate()
        assert server.wait() == 0
        assert server.log().count("stopped") == 1


def test_a_worker_is_killed(root: Path) -> None:
    """Its sibling goes on, and what is asked meanwhile is answered by the next in its place."""
    (root / "file").write_bytes(CONTENT)
    with serving(root, *TWO) as server, ExitStack() as stack:
        peers = one_each(server, stack, read)
        before = pids(server)
        os.kill(before[2], signal.SIGKILL)
        assert eventually(lambda: not is_alive(before[2]))
        peer = peers[2][0]
        peer.send(rrq(b"file", ("blksize", 1000)), server.address)  # once
        slow, packet, source = peers[1]
        assert read_on(slow, packet, source) == CONTENT
        packet, source = peer.receive(STARTS_SECONDS)
        while packet == data(1, CONTENT[:512]):  # the last that the dead one had sent
            packet, source = peer.receive(STARTS_SECONDS)
        packet, source = peer.ask(ack(0), source)
        assert read_on(peer, packet, source, 1000) == CONTENT
        assert worker_of(server, peer) == 2
        server.wait_log("worker ended: killed by SIGKILL; the next one starts now")
        server.wait_log("worker started")
        after = pids(server)
        assert after[1] == before[1]
        assert after[2] != before[2]


def test_a_worker_that_is_told_to_drain_is_replaced_at_once(root: Path) -> None:
    (root / "file").write_bytes(CONTENT)
    with serving(root, *TWO) as server, ExitStack() as stack:
        peer, packet, source = one_each(server, stack, read)[2]
        before = pids(server)[2]
        os.kill(before, signal.SIGTERM)
        server.wait_log("worker started")
        assert read_on(peer, packet, source) == CONTENT
        assert eventually(lambda: not is_alive(before))
        peer.ask(rrq(b"file"), server.address)


@pytest.mark.parametrize("to_all", [False, True], ids=["as kill does", "as systemd does"])
def test_drain_reaches_all(root: Path, *, to_all: bool) -> None:
    (root / "file").write_bytes(CONTENT)
    with serving(root, *TWO, "--writable") as server, ExitStack() as stack:
        readers = one_each(server, stack, read)
        writers = one_each(server, stack, write)
        processes = list(pids(server).values())
        for pid in processes if to_all else []:
            os.kill(pid, signal.SIGTERM)
        server.terminate()
        server.wait_log("draining: no new requests")
        late = stack.enter_context(Peer())
        late.send(rrq(b"file"), server.address)
        assert late.hears_nothing()
        for reader, packet, source in readers.values():
            assert read_on(reader, packet, source) == CONTENT
        for writer, _, source in writers.values():
            assert writer.ask(data(1, b"octets"), source)[0] == ack(1)
        assert len([name for name in names_in(root) if name.startswith("new-")]) == 2
        assert server.wait() == 0
        assert "worker ended" not in server.log()
        assert not any(map(is_alive, processes))


def test_drain_seconds(root: Path) -> None:
    (root / "file").write_bytes(CONTENT)
    config = "[server]\nworkers = 2\ndrain_seconds = 0.3\n"
    with serving(root, "-v", config=config) as server, ExitStack() as stack:
        peers = one_each(server, stack, read)
        server.terminate()
        for peer, _, _ in peers.values():
            packet, _ = peer.receive()
            while packet[:2] == b"\0\3":  # DATA 1 may have been sent again meanwhile
                packet, _ = peer.receive()
            assert error_code(packet) == 0
        assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_at_once(root: Path, number: signal.Signals) -> None:
    (root / "file").write_bytes(CONTENT)
    with serving(root, *TWO) as server, ExitStack() as stack:
        peers = one_each(server, stack, read)
        server.terminate()
        server.wait_log("draining")
        began = time.monotonic()
        server.process.send_signal(number)
        for peer, _, _ in peers.values():
            assert error_code(peer.receive()[0]) == 0
        assert server.wait() == (130 if number == signal.SIGINT else 0)
        assert time.monotonic() - began < 3


def test_ctrl_c(root: Path) -> None:
    """A terminal sends SIGINT to all processes: each peer is told, and nobody is replaced."""
    (root / "file").write_bytes(CONTENT)
    with serving(root, *TWO) as server, ExitStack() as stack:
        peers = one_each(server, stack, read)
        for pid in (*pids(server).values(), server.process.pid):
            os.kill(pid, signal.SIGINT)
        for peer, _, _ in peers.values():
            assert error_code(peer.receive()[0]) == 0
        assert server.wait() == 130
        assert "worker ended" not in server.log()


def test_the_supervisor_is_killed(root: Path) -> None:
    """Its workers let their transfers finish and end by themselves."""
    (root / "file").write_bytes(CONTENT)
    with serving(root, *TWO) as server, ExitStack() as stack:
        peers = one_each(server, stack, read)
        processes = list(pids(server).values())
        server.process.kill()
        assert server.wait() == -signal.SIGKILL
        server.wait_log("the supervisor has gone", 2)
        for peer, packet, source in peers.values():
            assert read_on(peer, packet, source) == CONTENT
        assert len(processes) == 2
        assert eventually(lambda: not any(map(is_alive, processes)), 15)

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(server.address)


def reload(server: Server, text: str) -> None:
    """Change the configuration file and send SIGHUP."""
    (server.log_file.parent / "snowowl.toml").write_text(text)
    server.process.send_signal(signal.SIGHUP)


def granted(server: Server) -> bytes:
    """Return the blksize that a new request is granted."""
    with Peer() as peer:
        answer, source = peer.ask(rrq(b"file", ("blksize", 1400)), server.address)
        peer.send(error(0), source)
        return option_ack(answer)[b"blksize"]


CONFIG = "[server]\nworkers = 2\n[protocol]\nblksize_max = 600\n"


def test_reload(root: Path) -> None:
    """A running transfer ends as it began; what is new is served as is configured now."""
    (root / "file").write_bytes(CONTENT)
    with serving(root, "-v", config=CONFIG) as server, ExitStack() as stack:
        peers = one_each(server, stack, read)
        before = pids(server)
        assert granted(server) == b"600"
        reload(server, CONFIG.replace("600", "700"))
        server.wait_log("reloaded: new requests are served as now configured")
        assert {granted(server) for _ in range(10)} == {b"700"}
        for peer, packet, source in peers.values():
            assert read_on(peer, packet, source) == CONTENT
        assert eventually(lambda: not any(map(is_alive, before.values())))
        assert "worker ended" not in server.log()
        assert server.log().count("listening on") == 1


def test_no_request_is_lost_in_reloads(root: Path) -> None:
    """Each is sent once, and answered."""
    (root / "file").write_bytes(CONTENT)
    with serving(root, config=CONFIG) as server:
        for count in (1, 2):
            server.process.send_signal(signal.SIGHUP)
            while server.log().count("reloaded") < count:
                assert granted(server) == b"600"


def test_drain_in_the_middle_of_reloads(root: Path) -> None:
    """SIGHUP that nobody has had time for does not kill it in the end."""
    with serving(root, config=CONFIG) as server:
        for _ in range(3):
            server.process.send_signal(signal.SIGHUP)
            time.sleep(0.1)
        server.terminate()
        assert server.wait() == 0
        assert server.log().count("stopped") == 1


def test_a_reload_with_a_bad_file(root: Path) -> None:
    (root / "file").write_bytes(CONTENT)
    with serving(root, config=CONFIG) as server:
        before = pids(server)
        reload(server, "[server]\nworkers = 2\nlistn = []\n[protocol]\nblksize_max = 5\n")
        log = server.wait_log("not reloaded", 2)
        assert "snowowl.toml:3: server.listn: unknown key" in log
        assert "snowowl.toml:5: protocol.blksize_max" in log
        assert granted(server) == b"600"
        assert pids(server) == before
        reload(server, "[server]\nworkers = 3\n[log]\nformat = 'json'\n")
        server.wait_log("server.workers")
        assert {granted(server) for _ in range(5)} == {b"1400"}
        (line,) = [line for line in server.log().splitlines() if "all but" in line]
        assert json.loads(line)["event"].startswith("reloaded, all but server.workers:")


def test_a_worker_cannot_start(root: Path) -> None:
    """It is said once, in the words that one process would have."""
    result = run(serve_command(root / "missing", "--listen", "127.0.0.1:0", *TWO))
    assert result.returncode == 1
    *_, line = lines = result.stderr.splitlines()
    assert result.stderr.count(b"cannot serve") == 1, lines
    assert line.startswith(f"snowowl: cannot serve {root}/missing: no such directory".encode())


def test_a_port_that_is_taken(root: Path) -> None:
    """By another that shares it with its own workers, too."""
    with serving(root, *TWO) as server:
        listen = f"127.0.0.1:{server.port}"
        for flags in (TWO, ()):
            result = run(serve_command(root, "--listen", listen, *flags))
            assert result.returncode == 1
            assert f"cannot listen on {listen}: another server has".encode() in result.stderr


def test_with_a_single_port_there_is_one_process(root: Path) -> None:
    result = run(serve_command(root, "--listen", "127.0.0.1:0", *TWO, "--single-port"))
    assert result.returncode == 78
    assert b"must be 1 while tid is" in result.stderr


def test_lines_of_many_are_whole(root: Path) -> None:
    """Even on a pipe that is always full, where larger writes would be torn."""
    command = serve_command(root, "--listen", "127.0.0.1:0", *TWO, "--log-format", "json")
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment()) as process:
        try:
            assert process.stderr is not None
            address = ""
            while not address:
                entry = json.loads(process.stderr.readline())
                address = entry.get("address", "")
            to = ("127.0.0.1", int(address.rpartition(":")[2]))
            for number in range(600):  # more than a pipe holds
                with Peer() as peer:
                    assert error_code(peer.ask(rrq(b"n" * (number % 200 + 1)), to)[0]) == 1
            process.terminate()
            entries = [json.loads(line) for line in process.stderr]
            assert process.wait(10) == 0
        finally:
            process.kill()
    finished = [entry for entry in entries if "outcome" in entry]
    assert {entry["worker"] for entry in finished} == {1, 2}
    assert len(finished) == 600
