"""What systemd is told, and when."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from snowowl.cli.serve_systemd import LEAVE_SECONDS, Systemd
from snowowl.host.notify import Notifier
from snowowl.observe.events import (
    DatapathLowered,
    ReloadFailed,
    ServerDraining,
    ServerReloaded,
    ServerStarted,
    ServerStopped,
)

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")


@pytest.fixture
def notifier(ear: socket.socket) -> Iterator[Notifier]:
    made = Notifier.take({"NOTIFY_SOCKET": ear.getsockname()})
    yield made
    made.close()


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def heard(ear: socket.socket) -> list[dict[str, str]]:
    messages: list[dict[str, str]] = []
    while True:
        try:
            text = ear.recv(4096).decode()
        except BlockingIOError:
            return messages
        messages.append(dict(line.split("=", 1) for line in text.split("\n")))


def test_the_life_of_a_server(ear: socket.socket, notifier: Notifier) -> None:
    systemd = Systemd(notifier, None)
    systemd(ServerStarted(("192.0.2.1:69", "[::1]:69"), "/srv\nREADY=0"))
    systemd(DatapathLowered("gso"))
    systemd.reloading()
    systemd(ReloadFailed("snowowl.toml:3: no\nSTOPPING=1"))
    systemd.reloading()
    systemd(ServerReloaded("/other", ()))
    systemd(ServerDraining(3, 10.0))
    systemd(ServerStopped())
    started, reloading, failed, _, reloaded, draining, stopped = heard(ear)
    assert started == {
        "READY": "1",
        "STATUS": r"serving /srv\nREADY=0 on 192.0.2.1:69, [::1]:69",
        "MAINPID": str(os.getpid()),
    }
    assert reloading["RELOADING"] == "1"
    assert int(reloading["MONOTONIC_USEC"]) > 0
    assert failed["READY"] == "1"
    assert r"not reloaded: snowowl.toml:3: no\nSTOPPING=1" in failed["STATUS"]
    assert reloaded == {"READY": "1", "STATUS": "serving /other on 192.0.2.1:69, [::1]:69"}
    assert draining["STOPPING"] == "1"
    assert int(draining["EXTEND_TIMEOUT_USEC"]) == (10 + LEAVE_SECONDS) * 1_000_000
    assert stopped["STOPPING"] == "1"


async def test_the_watchdog(
    ear: socket.socket, notifier: Notifier, autojump_clock: trio.testing.MockClock
) -> None:
    systemd = Systemd(notifier, 10.0)
    with trio.move_on_after(21):
        await systemd.run()
    assert heard(ear) == [{"WATCHDOG": "1"}] * 5


async def test_a_watchdog_that_wants_to_hear_all_the_time(
    ear: socket.socket, notifier: Notifier, autojump_clock: trio.testing.MockClock
) -> None:
    """It will end us; until then boards boot."""
    systemd = Systemd(notifier, 1e-6)
    with trio.move_on_after(0.95):
        await systemd.run()
    assert len(heard(ear)) == 10


async def test_nobody_asks(
    ear: socket.socket, notifier: Notifier, autojump_clock: trio.testing.MockClock
) -> None:
    systemd = Systemd(notifier, None)
    with trio.move_on_after(100):
        await systemd.run()
    assert heard(ear) == []
    alone = Systemd(Notifier.take({}), 10.0)
    with trio.fail_after(1):
        await alone.run()
    alone.close()


def test_the_environment_is_for_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("NOTIFY_SOCKET", "/no/such"),
        ("WATCHDOG_USEC", "5"),
        ("WATCHDOG_PID", "1"),
    ):
        monkeypatch.setenv(name, value)
    Systemd.take().close()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)
