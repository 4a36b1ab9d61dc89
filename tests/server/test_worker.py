"""A worker's part: what it says and when, and that it ends when nobody is left to tell it to.

It runs in this process here; a thread has the supervisor's part.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from snowowl.config import Config, LogConfig, ServerConfig
from snowowl.datagram.system import open_group
from snowowl.observe.describe import Level
from snowowl.server.channel import Order
from snowowl.server.worker import work
from tests.real.harness import Address, Peer, ack, data, error_code, rrq

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="workers are for Linux"),
]


@attrs.define
class Boss:
    """The supervisor's end of the line."""

    socket: socket.socket
    address: Address = ("127.0.0.1", 0)

    def order(self, root: Path, level: Level = "info") -> None:
        # This process is not to be confined.
        server = ServerConfig(
            root=root, listen=("127.0.0.1:69",), drain_seconds=0.3, landlock=False
        )
        config = Config(server=server, log=LogConfig(format="logfmt", level=level))
        with open_group("127.0.0.1", 0, 1)[0] as sock:
            self.address = sock.getsockname()
            # The worker owns its descriptor, being a process of its own.
            order = Order(config, (os.dup(sock.fileno()),), colors=False)
        self.socket.sendall(order.encode())

    def say(self, word: str) -> None:
        self.socket.sendall(json.dumps([word, ""]).encode() + b"\n")

    def hear(self) -> list[str]:
        """Return the next word, nothing if the worker has gone."""
        self.socket.settimeout(5)
        line = b""
        while not line.endswith(b"\n"):
            octet = self.socket.recv(1)
            if not octet:
                return []
            line += octet
        word: list[str] = json.loads(line)
        return word


def worked(script: Callable[[Boss], None], number: int = 1) -> int:
    """Run a worker against a script; return its exit status."""
    ours, theirs = socket.socketpair()
    failures: list[BaseException] = []

    def run() -> None:
        with ours:
            try:
                script(Boss(ours))
            except BaseException as error:  # noqa: BLE001 - told where it is looked at
                failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    with theirs:
        status = work(number, theirs)
    thread.join(10)
    assert not thread.is_alive()
    if failures:
        raise failures[0]
    return status


def test_it_serves_from_go_to_drain(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(b"octets")

    def script(boss: Boss) -> None:
        boss.order(tmp_path)
        assert boss.hear() == ["ready", ""]
        with Peer() as early, Peer() as peer:
            early.send(rrq(b"file"), boss.address)
            assert early.hears_nothing(0.1)
            boss.say("go")
            packet, source = early.receive()
            assert packet == data(1, b"octets")
            peer.ask(rrq(b"file"), boss.address)
            boss.say("drain")
            assert boss.hear() == ["draining", "2"]
            early.send(ack(1), source)
            assert error_code(peer.receive()[0]) == 0
        assert boss.hear() == []

    assert worked(script, 7) == 0
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2  # the transfers; the rest is for the supervisor to tell
    assert all(line.endswith(" worker=7") for line in lines)


def test_retired_it_lets_its_transfers_take_their_time_until_it_drains(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1500))

    def script(boss: Boss) -> None:
        boss.order(tmp_path)
        boss.hear()
        boss.say("go")
        with Peer() as one, Peer() as other, Peer() as late:
            _, source = one.ask(rrq(b"file"), boss.address)
            other.ask(rrq(b"file"), boss.address)
            boss.say("retire")
            assert boss.hear() == ["draining", "2"]
            late.send(rrq(b"file"), boss.address)
            assert late.hears_nothing(0.6)  # twice what a drain would give
            assert one.ask(ack(1), source)[0] == data(2, bytes(512))
            assert one.ask(ack(2), source)[0] == data(3, bytes(476))
            one.send(ack(3), source)
            assert one.hears_nothing(0.1)
            boss.say("drain")
            assert boss.hear() == ["draining", "1"]
            packet, _ = other.receive()
            while packet == data(1, bytes(512)):
                packet, _ = other.receive()
            assert error_code(packet) == 0
        assert boss.hear() == []

    assert worked(script) == 0


def test_retired_it_ends_with_its_transfers(tmp_path: Path) -> None:
    def script(boss: Boss) -> None:
        boss.order(tmp_path)
        boss.hear()
        boss.say("go")
        boss.say("retire")
        assert boss.hear() == ["draining", "0"]
        assert boss.hear() == []

    assert worked(script) == 0


def test_it_gives_signs_of_life(tmp_path: Path) -> None:
    """Before its turn has come, too, and while it drains."""

    def script(boss: Boss) -> None:
        boss.order(tmp_path)
        assert boss.hear() == ["ready", ""]
        boss.say("ping")
        assert boss.hear() == ["pong", ""]
        boss.say("go")
        boss.say("ping")
        assert boss.hear() == ["pong", ""]
        boss.say("drain")
        assert boss.hear() == ["draining", "0"]

    assert worked(script) == 0


def test_sigterm_drains_and_may_come_twice(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"octets")

    def script(boss: Boss) -> None:
        boss.order(tmp_path)
        boss.hear()
        boss.say("go")
        with Peer() as peer:
            _, source = peer.ask(rrq(b"file"), boss.address)
            os.kill(os.getpid(), signal.SIGTERM)
            assert boss.hear() == ["draining", "1"]
            os.kill(os.getpid(), signal.SIGTERM)
            assert peer.hears_nothing(0.1)
            peer.send(ack(1), source)

    assert worked(script) == 0
    assert "completed" in capfd.readouterr().err


@pytest.mark.parametrize(("number", "count"), [(1, 2), (2, 1)])
def test_what_is_true_of_all_is_told_by_the_first(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], number: int, count: int
) -> None:
    def script(boss: Boss) -> None:
        boss.order(tmp_path, level="debug")
        boss.hear()
        boss.socket.shutdown(socket.SHUT_WR)

    assert worked(script, number) == 0
    told = capfd.readouterr().err.splitlines()
    assert len(told) == count
    assert "packets go by" in told[0] or number != 1


def test_lines_that_were_left_out_are_told_at_the_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snowowl.observe.cap.LINES_AT_ONCE", 1.0)

    def script(boss: Boss) -> None:
        boss.order(tmp_path)
        boss.hear()
        boss.say("go")
        with Peer() as peer:
            for _ in range(3):
                assert error_code(peer.ask(rrq(b"missing"), boss.address)[0]) == 1
        boss.say("drain")
        assert boss.hear() == ["draining", "0"]

    assert worked(script) == 0
    told = capfd.readouterr().err.splitlines()
    assert sum("missing" in line for line in told) == 1
    assert "2 lines were left out" in told[-1]


def test_stop_ends_it_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"octets")

    def script(boss: Boss) -> None:
        boss.order(tmp_path)
        boss.hear()
        boss.say("go")
        with Peer() as peer:
            peer.ask(rrq(b"file"), boss.address)
            boss.say("stop")
            assert error_code(peer.receive()[0]) == 0

    assert worked(script) == 0


def test_the_supervisor_goes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """At any time: before it has said anything, while the worker serves, while it drains."""

    def before(_: Boss) -> None:
        pass

    def meanwhile(boss: Boss) -> None:
        boss.order(tmp_path)
        boss.hear()
        boss.say("go")

    def draining(boss: Boss) -> None:
        meanwhile(boss)
        boss.say("drain")

    assert worked(before) == 0
    assert worked(draining) == 0
    assert capfd.readouterr().err == ""
    assert worked(meanwhile) == 0
    assert "the supervisor has gone: taking no more requests" in capfd.readouterr().err


def test_it_cannot_serve(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def script(boss: Boss) -> None:
        boss.order(tmp_path / "missing")
        word, why = boss.hear()
        assert word == "failed"
        assert why.startswith(f"cannot serve {tmp_path}/missing: no such directory")

    assert worked(script) == 1
    assert capfd.readouterr().err == ""


def test_no_order() -> None:
    def script(boss: Boss) -> None:
        boss.say("stop")
        word, why = boss.hear()
        assert word == "failed"
        assert why.startswith("a worker does not understand its order")

    assert worked(script) == 1
