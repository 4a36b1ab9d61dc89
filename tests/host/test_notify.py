"""What systemd hears, and what happens when it does not."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snowowl.host.notify import MESSAGES_MAX, Notifier, watchdog_seconds

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets"),
]


@pytest.fixture(params=["path", "abstract"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "path":
        return str(tmp_path / "notify")
    if sys.platform != "linux":
        pytest.skip("abstract sockets are of Linux")
    return f"@snowowl-test-{os.getpid()}"


def listen(place: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind("\0" + place[1:] if place.startswith("@") else place)
    sock.settimeout(5)
    return sock


@pytest.fixture
def systemd(place: str) -> Iterator[socket.socket]:
    with listen(place) as sock:
        yield sock


def test_it_is_told(systemd: socket.socket, place: str) -> None:
    environ = {"NOTIFY_SOCKET": place, "HOME": "/"}
    notifier = Notifier.take(environ)
    assert environ == {"HOME": "/"}  # no child speaks for us
    assert notifier.is_heard
    notifier.tell(READY=1, STATUS="serving", MAINPID=7)
    assert systemd.recv(1000) == b"READY=1\nSTATUS=serving\nMAINPID=7"
    notifier.close()
    notifier.close()
    notifier.tell(READY=1)
    assert not notifier.is_heard


def test_it_comes_anew(place: str) -> None:
    with listen(place):
        notifier = Notifier.take({"NOTIFY_SOCKET": place})
    Path(place).unlink(missing_ok=True)
    notifier.tell(WATCHDOG=1)  # to nobody
    with listen(place) as again:
        notifier.tell(WATCHDOG=2)
        assert again.recv(1000) == b"WATCHDOG=2"
    notifier.close()


@pytest.mark.parametrize("text", ["", "vsock:2:1", "relative", "/no/such/socket", "/" + "x" * 200])
def test_nobody_listens(text: str) -> None:
    notifier = Notifier.take({"NOTIFY_SOCKET": text})
    notifier.tell(READY=1)
    notifier.close()


def test_it_does_not_read(systemd: socket.socket, place: str) -> None:
    """Nothing blocks; the last words are kept, and said when there is room again."""
    notifier = Notifier.take({"NOTIFY_SOCKET": place})
    for number in range(1000):
        notifier.tell(N=number)
    systemd.setblocking(False)
    heard = []
    for _ in range(3):
        try:
            while True:
                heard.append(systemd.recv(100))
        except BlockingIOError:
            notifier.flush()
    assert heard[0] == b"N=0"
    assert heard[-MESSAGES_MAX:] == [b"N=%d" % n for n in range(1000 - MESSAGES_MAX, 1000)]
    notifier.close()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "9" * 30}, None),
        ({}, None),
    ],
)
def test_the_watchdog(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog_seconds(environ) == seconds
    assert environ == {}
