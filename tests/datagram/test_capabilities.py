"""What a machine can do, and what is said of what it cannot."""

from __future__ import annotations

import errno
import socket
import sys
import time

import attrs
import pytest

from snowowl.datagram import capabilities, cmsg, sendfile
from snowowl.datagram.capabilities import Missing, probe
from snowowl.datagram.layouts import LINUX
from snowowl.datagram.settings import Rung, Settings
from tests.datagram.loopback import descriptors

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="the other rungs are Linux'"),
]

ALL = Settings(zerocopy=True, sendfile=True)


def without(monkeypatch: pytest.MonkeyPatch, *options: int) -> None:
    """Let the kernel not know these socket options."""

    class OlderSocket(socket.socket):
        def setsockopt(self, *arguments: object) -> None:
            if arguments[1] in options:
                raise OSError(errno.ENOPROTOOPT, "Protocol not available")
            super().setsockopt(*arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(socket, "socket", OlderSocket)


def test_all_there_is() -> None:
    before = descriptors()
    can = probe(ALL)
    assert can.missing == ()
    assert can.rung == "gso"
    assert can.features() == ("recvmmsg", "sendmmsg", "gso", "gro", "sendfile", "zerocopy")
    assert can.layout is LINUX
    assert descriptors() == before


def test_it_takes_no_time_that_an_event_loop_would_notice() -> None:
    probe(ALL)
    started = time.perf_counter()
    probe(ALL)
    assert time.perf_counter() - started < 0.05


@pytest.mark.parametrize(
    ("settings", "rung", "features"),
    [
        (Settings(rung="portable"), "portable", ()),
        (Settings(rung="mmsg", sendfile=True), "mmsg", ("recvmmsg", "sendmmsg", "sendfile")),
        (Settings(rung="gso", sendfile=False), "gso", ("recvmmsg", "sendmmsg", "gso", "gro")),
        (Settings(gso=False, gro=False), "mmsg", ("recvmmsg", "sendmmsg")),
        (Settings(rung="gso", recvmmsg=False, sendfile=False), "gso", ("sendmmsg", "gso", "gro")),
        (Settings(gso=False, sendmmsg=False, sendfile=False), "gso", ("recvmmsg", "gro")),
    ],
)
def test_what_is_wanted(settings: Settings, rung: str, features: tuple[str, ...]) -> None:
    can = probe(settings)
    assert (can.rung, can.features(), can.missing) == (rung, features, ())


def test_a_kernel_without_segmentation(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, cmsg.UDP_SEGMENT, cmsg.UDP_GRO)
    can = probe(attrs.evolve(ALL, rung="gso"))
    assert can.rung == "mmsg"
    assert can.features() == ("recvmmsg", "sendmmsg", "sendfile", "zerocopy")
    assert can.missing == (
        Missing("gso", "the kernel has no UDP_SEGMENT: Protocol not available"),
        Missing("gro", "the kernel has no UDP_GRO: Protocol not available"),
        Missing("rung", "the kernel cannot segment, so the rung is mmsg"),
    )
    assert {missing.feature for missing in probe(ALL).missing} == {"gso", "gro"}


def test_a_kernel_without_joining(monkeypatch: pytest.MonkeyPatch) -> None:
    """UDP_GRO is younger than UDP_SEGMENT: Linux 5.0 and 4.18."""
    without(monkeypatch, cmsg.UDP_GRO)
    can = probe(ALL)
    assert (can.rung, can.gso, can.gro) == ("gso", True, False)


def test_a_kernel_without_zerocopy(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, cmsg.SO_ZEROCOPY)
    can = probe(ALL)
    assert not can.zerocopy
    assert can.missing == (Missing("zerocopy", "the kernel has no MSG_ZEROCOPY for UDP"),)
    assert probe(Settings()).missing == ()


def test_zerocopy_needs_sendmmsg() -> None:
    assert probe(attrs.evolve(ALL, sendmmsg=False)).missing == (
        Missing("zerocopy", "it needs sendmmsg"),
    )


def test_a_kernel_that_sends_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sendfile, "works", lambda: False)
    can = probe(Settings(sendfile=True))
    assert not can.sendfile
    assert [missing.feature for missing in can.missing] == ["sendfile"]
    assert probe(Settings(sendfile=False)).missing == ()


@pytest.mark.parametrize("rung", ["gso", "mmsg"])
def test_a_c_library_without_the_calls(rung: Rung, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "load", lambda: None)
    can = probe(attrs.evolve(ALL, rung=rung))
    assert (can.rung, can.features()) == ("portable", ())
    assert can.missing == (Missing("rung", "the C library has no recvmmsg and sendmmsg"),)
    assert probe(ALL).missing == ()


def test_a_platform_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "plan9")
    can = probe(Settings(rung="mmsg"))
    assert can.rung == "portable"
    assert can.missing == (
        Missing("rung", "plan9 has no recvmmsg and sendmmsg that are known here"),
    )


def test_a_python_that_does_not_tell_where_octets_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snowowl.datagram.memory.KNOWN", False)
    can = probe(Settings(rung="gso"))
    assert can.rung == "portable"
    assert [missing.feature for missing in can.missing] == ["rung"]
