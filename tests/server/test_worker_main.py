"""The first steps of a worker process: whose signals count, and where the line is."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snowowl.server import worker
from snowowl.server.worker_main import EX_SOFTWARE, EX_USAGE, main

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="workers are for Linux"),
]

IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Make stdin one end of a socket pair; give the other."""
    handlers = {number: signal.getsignal(number) for number in IGNORED}
    stdin = os.dup(0)
    monkeypatch.setattr(sys, "argv", ["worker_main", "3"])
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            os.dup2(theirs.fileno(), 0)
        yield ours
    os.dup2(stdin, 0)
    os.close(stdin)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_it_works_by_the_line(line: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(number: int, sock: socket.socket) -> int:
        assert {signal.getsignal(number) for number in IGNORED} == {signal.SIG_IGN}
        sock.sendall(b"here")
        assert os.fstat(0).st_rdev == Path(os.devnull).stat().st_rdev
        return number

    monkeypatch.setattr(worker, "work", work)
    assert main() == 3
    assert line.recv(10) == b"here"
    assert line.recv(10) == b""  # it has hung up


def test_a_bug_is_told_in_one_piece(
    line: socket.socket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(number: int, sock: socket.socket) -> int:
        raise ZeroDivisionError(number)

    monkeypatch.setattr(worker, "work", fail)
    assert main() == EX_SOFTWARE
    told = capsys.readouterr().err
    assert told.startswith("Traceback")
    assert told.endswith("ZeroDivisionError: 3\n")
    assert line.recv(10) == b""


@pytest.mark.usefixtures("line")
def test_started_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    assert main() == EX_USAGE
    assert "workers are started by `snowowl serve`" in capsys.readouterr().err
