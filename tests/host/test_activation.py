"""Sockets that another opened for us."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from snowowl.host import activation
from snowowl.host.activation import ActivationError, take

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform == "win32", reason="nothing is passed there"),
]

OURS = str(os.getpid())


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Give a list of sockets that counts as what was passed, from some high descriptor on."""
    first = 700
    monkeypatch.setattr(activation, "FIRST", first)
    sockets: list[socket.socket] = []

    class Passing(list[socket.socket]):
        def append(self, sock: socket.socket) -> None:
            os.dup2(sock.fileno(), first + len(self), inheritable=True)
            super().append(sock)

    sockets = Passing()
    yield sockets
    for index, sock in enumerate(sockets):
        sock.close()
        with suppress(OSError):
            os.close(first + index)


def udp(host: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    return sock


def test_they_are_taken_once(passed: list[socket.socket]) -> None:
    passed.append(udp())
    passed.append(udp("::1"))
    environ = {"LISTEN_PID": OURS, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "HOME": "/"}
    taken = take(environ)
    assert environ == {"HOME": "/"}
    assert [sock.getsockname() for sock in taken] == [sock.getsockname() for sock in passed]
    assert not any(os.get_inheritable(sock.fileno()) for sock in taken)
    assert not any(sock.getblocking() for sock in taken)
    assert take(environ) == []
    for sock in taken:
        sock.close()


def test_they_are_for_another() -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "1"}
    assert take(environ) == []
    assert environ == {}


@pytest.mark.parametrize("count", ["-1", "x", "99999999999999", "5000", "0" * 9 + "1" * 5000])
def test_nonsense(count: str) -> None:
    with pytest.raises(ActivationError, match="LISTEN_FDS"):
        take({"LISTEN_PID": OURS, "LISTEN_FDS": count})


def stream() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


def unix() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


def unbound() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (stream, "ListenDatagram= with a port"),
        (unix, "ListenDatagram= with a port"),
        (unbound, "is not bound"),
    ],
    ids=["stream", "unix", "unbound"],
)
def test_what_cannot_be_served_by(
    wrong: Callable[[], socket.socket], words: str, passed: list[socket.socket]
) -> None:
    passed.append(udp())
    passed.append(wrong())
    with pytest.raises(ActivationError, match=words) as caught:
        take({"LISTEN_PID": OURS, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "tftp:odd"})
    assert "descriptor 701 (odd)" in str(caught.value)
    with pytest.raises(OSError):
        os.fstat(700)  # what was right is closed, too


def test_a_descriptor_that_is_no_socket(tmp_path: Path) -> None:
    with pytest.raises(ActivationError, match="is not a socket"):
        activation._take(999, "")
