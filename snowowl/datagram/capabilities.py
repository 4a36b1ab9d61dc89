"""What this machine can do of what may be used: tried once, when a network is made.

Each feature that is wanted and cannot be had is named with the reason, for people.
"""

from __future__ import annotations

import socket
import sys

import attrs

from snowowl.datagram import cmsg, memory, sendfile
from snowowl.datagram.calls import Calls, load
from snowowl.datagram.layouts import MessageLayout, layout_of
from snowowl.datagram.settings import Rung, Settings


@attrs.frozen
class Missing:
    """A feature that was asked for and is not there."""

    feature: str
    """A field of `Settings`."""
    reason: str


@attrs.frozen(kw_only=True)
class Capabilities:
    """What is used."""

    rung: Rung
    """`gso`, `mmsg` or `portable`."""
    calls: Calls | None = None
    layout: MessageLayout | None = None
    recvmmsg: bool = False
    sendmmsg: bool = False
    gso: bool = False
    gro: bool = False
    sendfile: bool = False
    zerocopy: bool = False
    missing: tuple[Missing, ...] = ()

    def features(self) -> tuple[str, ...]:
        """Return the names of what is used, beyond the rung."""
        names = ("recvmmsg", "sendmmsg", "gso", "gro", "sendfile", "zerocopy")
        return tuple(name for name in names if getattr(self, name))


def probe(settings: Settings) -> Capabilities:
    """Find out what can be used."""
    missing: list[Missing] = []
    calls, layout = load(), layout_of(sys.platform)
    wanted = settings.rung
    if wanted != "portable" and (calls is None or layout is None or not memory.KNOWN):
        if wanted != "auto":
            missing.append(Missing("rung", _why_not_batches(calls, layout)))
        wanted = "portable"
    if wanted == "portable" or calls is None or layout is None:
        return Capabilities(rung="portable", missing=tuple(missing))
    segments = wanted in ("auto", "gso")
    gso = _try("gso", segments and settings.gso, cmsg.UDP_SEGMENT, "UDP_SEGMENT", missing)
    gro = _try("gro", segments and settings.gro, cmsg.UDP_GRO, "UDP_GRO", missing)
    if wanted == "gso" and settings.gso and not gso:
        missing.append(Missing("rung", "the kernel cannot segment, so the rung is mmsg"))
    if settings.sendfile and not (by_file := sendfile.works()):
        missing.append(
            Missing("sendfile", "the kernel does not send a file's octets as one datagram")
        )
    zerocopy = settings.zerocopy and settings.sendmmsg and _has_zerocopy()
    if settings.zerocopy and not zerocopy:
        reason = (
            "the kernel has no MSG_ZEROCOPY for UDP" if settings.sendmmsg else "it needs sendmmsg"
        )
        missing.append(Missing("zerocopy", reason))
    return Capabilities(
        rung="gso" if gso or gro else "mmsg",
        calls=calls,
        layout=layout,
        recvmmsg=settings.recvmmsg,
        sendmmsg=settings.sendmmsg,
        gso=gso,
        gro=gro,
        sendfile=settings.sendfile and by_file,
        zerocopy=zerocopy,
        missing=tuple(missing),
    )


def _why_not_batches(calls: Calls | None, layout: MessageLayout | None) -> str:
    if layout is None:
        return f"{sys.platform} has no recvmmsg and sendmmsg that are known here"
    if calls is None:
        return "the C library has no recvmmsg and sendmmsg"
    return f"{sys.implementation.name} does not tell where its octets are"


def _try(feature: str, wanted: bool, option: int, name: str, missing: list[Missing]) -> bool:
    """Say whether a feature is wanted and its socket option is there."""
    if not wanted:
        return False
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(cmsg.SOL_UDP, option, 1 if option == cmsg.UDP_GRO else 1000)
    except OSError as error:
        missing.append(Missing(feature, f"the kernel has no {name}: {error.strerror}"))
        return False
    return True


def _has_zerocopy() -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, cmsg.SO_ZEROCOPY, 1)
    except OSError:
        return False
    return True
