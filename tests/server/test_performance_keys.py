"""Every key of `[performance]` does something, here on real sockets; or the server says that it cannot.

A test `claims` its keys and fails if they do nothing; the last test compares what is claimed with
what there is.  Nothing here measures: what a key is worth is for `tests/bench`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import pytest
import trio

from snowowl import ClientOptions
from snowowl.config.keys import own_keys, tables
from snowowl.config.performance import PerformanceConfig
from snowowl.content.mapped import EXTENT, MappedFile
from snowowl.datagram import capabilities, cmsg
from snowowl.datagram.batch import BatchEndpoint
from snowowl.datagram.capabilities import probe
from snowowl.datagram.portable import PortableEndpoint
from snowowl.datagram.settings import Settings
from snowowl.observe.events import DatapathChosen, KeyWithoutEffect
from tests.real.harness import Peer, rrq
from tests.real.inside import Inside, configure, serving

CLAIMED: Final[set[str]] = set()
"""Keys that some test here sees to."""

_AVAILABLE: Final = probe(Settings(zerocopy=True, sendfile=True))
_SENDS: Final = ("sendmmsg", "sendmsg")
_RECEIVES: Final = ("recvmmsg", "recvmsg")
_WINDOWED: Final = ClientOptions(blksize=1400, windowsize=16)
_LARGE: Final = ClientOptions(blksize=8192, windowsize=4)
"""Few pieces, of which one send without copying can hold 17 (MAX_SKB_FRAGS)."""
_LOCK_STEP: Final = ClientOptions(blksize=1400, windowsize=None)

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(_AVAILABLE.calls is None, reason="no recvmmsg and sendmmsg here"),
]

P = ParamSpec("P")
R = TypeVar("R")


def claims(*keys: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Say that a test fails if one of these keys has no effect."""
    CLAIMED.update(keys)
    return lambda test: test


def needs(feature: str) -> pytest.MarkDecorator:
    """Skip a test where the kernel cannot do what its keys are about."""
    there = bool(getattr(_AVAILABLE, feature))
    return pytest.mark.skipif(not there, reason=f"no {feature} here")


@pytest.fixture
def octets(tmp_path: Path) -> bytes:
    """A file to serve, mapped, of some hundred blocks."""
    content = os.urandom(200_000)
    (tmp_path / "file").write_bytes(content)
    return content


async def fetched(
    root: Path, octets: bytes, options: ClientOptions = _WINDOWED, /, **keys: object
) -> Inside:
    """Fetch the file from a server that is configured so; return what was seen of the server."""
    async with serving(configure(root, **keys)) as inside:
        assert await inside.get("file", options) == octets
        await inside.settled(1)
    return inside


def messages(inside: Inside, names: Iterable[str]) -> int:
    """Return how many messages, windows or single datagrams, these calls were about."""
    return sum(call.result if "mm" in call.name else 1 for call in inside.network.of(*names))


# The table platform.


@claims("platform.rung")
@pytest.mark.parametrize("rung", ["portable", "mmsg", "gso"])
async def test_rung(tmp_path: Path, octets: bytes, rung: str) -> None:
    if rung == "gso" and not _AVAILABLE.gso:
        pytest.skip("no UDP_SEGMENT here")
    inside = await fetched(tmp_path, octets, platform__rung=rung)
    network = inside.network
    assert inside.told(DatapathChosen)[0].rung == rung
    kind = PortableEndpoint if rung == "portable" else BatchEndpoint
    assert {type(endpoint) for endpoint in network.endpoints} == {kind}
    assert bool(network.calls) == (rung != "portable")
    if rung != "portable":
        segmented = messages(inside, _SENDS) < network.total("datagrams_sent")
        assert segmented == (rung == "gso")


@claims("platform.poll_us")
@pytest.mark.skipif(not hasattr(os, "sched_yield"), reason="no sched_yield here")
@pytest.mark.parametrize("microseconds", [0, 50])
async def test_poll_us(
    tmp_path: Path, octets: bytes, monkeypatch: pytest.MonkeyPatch, microseconds: int
) -> None:
    yields = 0

    def sched_yield() -> None:
        nonlocal yields
        yields += 1

    monkeypatch.setattr("os.sched_yield", sched_yield)
    await fetched(tmp_path, octets, _LOCK_STEP, platform__poll_us=microseconds)
    assert (yields > 0) == (microseconds > 0)


# The table platform.batch.


@claims("platform.batch.enable_sendmmsg")
@pytest.mark.parametrize("enabled", [False, True])
async def test_enable_sendmmsg(tmp_path: Path, octets: bytes, *, enabled: bool) -> None:
    inside = await fetched(tmp_path, octets, platform__batch__enable_sendmmsg=enabled)
    assert {call.name for call in inside.network.of(*_SENDS)} == {
        "sendmmsg" if enabled else "sendmsg"
    }


@claims("platform.batch.enable_recvmmsg")
@pytest.mark.parametrize("enabled", [False, True])
async def test_enable_recvmmsg(tmp_path: Path, octets: bytes, *, enabled: bool) -> None:
    inside = await fetched(tmp_path, octets, platform__batch__enable_recvmmsg=enabled)
    assert {call.name for call in inside.network.of(*_RECEIVES)} == {
        "recvmmsg" if enabled else "recvmsg"
    }


@claims("platform.batch.max_batch_size")
@pytest.mark.parametrize("size", [1, 4, 16])
async def test_max_batch_size(tmp_path: Path, octets: bytes, size: int) -> None:
    inside = await fetched(
        tmp_path, octets, platform__rung="mmsg", platform__batch__max_batch_size=size
    )
    assert {call.count for call in inside.network.of("recvmmsg")} == {size}
    assert max(call.count for call in inside.network.of("sendmmsg")) == size  # windows are 16


@claims("platform.batch.batch_timeout_us")
@pytest.mark.parametrize(
    ("microseconds", "enabled", "waits"), [(0, True, False), (70, True, True), (70, False, False)]
)
async def test_batch_timeout_us(
    tmp_path: Path,
    octets: bytes,
    monkeypatch: pytest.MonkeyPatch,
    microseconds: int,
    *,
    enabled: bool,
    waits: bool,
) -> None:
    """A batch of one, where the clients could fill it, waits; so it does for recvmmsg only."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    config = configure(
        tmp_path,
        platform__batch__max_batch_size=8,
        platform__batch__batch_timeout_us=microseconds,
        platform__batch__enable_recvmmsg=enabled,
    )
    async with serving(config) as inside:
        await inside.get("file", _LOCK_STEP)  # the others are known, and share a socket
        async with trio.open_nursery() as clients:
            for _ in range(12):
                clients.start_soon(inside.get, "file", _LOCK_STEP)
    assert set(slept) == ({70e-6} if waits else set())


# The table platform.zero_copy.


def by_file(inside: Inside) -> bool:
    return inside.network.total("sent_by_file") > 0


@claims("platform.zero_copy.use_sendfile")
@needs("sendfile")
@pytest.mark.parametrize("enabled", [False, True])
async def test_use_sendfile(tmp_path: Path, octets: bytes, *, enabled: bool) -> None:
    options = ClientOptions(blksize=32_768, windowsize=4)
    inside = await fetched(tmp_path, octets, options, platform__zero_copy__use_sendfile=enabled)
    assert by_file(inside) == enabled


@claims("platform.zero_copy.sendfile_threshold_bytes")
@needs("sendfile")
@pytest.mark.parametrize(("threshold", "used"), [(200_000, True), (200_001, False)])
async def test_sendfile_threshold_bytes(
    tmp_path: Path, octets: bytes, threshold: int, *, used: bool
) -> None:
    options = ClientOptions(blksize=32_768, windowsize=4)
    inside = await fetched(
        tmp_path,
        octets,
        options,
        platform__zero_copy__use_sendfile=True,
        platform__zero_copy__sendfile_threshold_bytes=threshold,
    )
    assert by_file(inside) == used


@claims("platform.zero_copy.sendfile_blksize_min")
@needs("sendfile")
@pytest.mark.parametrize(("smallest", "used"), [(2000, True), (2008, False)])
async def test_sendfile_blksize_min(
    tmp_path: Path, octets: bytes, smallest: int, *, used: bool
) -> None:
    options = ClientOptions(blksize=2000, windowsize=4)
    inside = await fetched(
        tmp_path,
        octets,
        options,
        platform__zero_copy__use_sendfile=True,
        platform__zero_copy__sendfile_blksize_min=smallest,
    )
    assert by_file(inside) == used


def without_copies(inside: Inside) -> bool:
    """Say whether some sends had the flag."""
    return any(call.flags & cmsg.MSG_ZEROCOPY for call in inside.network.of(*_SENDS))


@claims("platform.zero_copy.use_msg_zerocopy")
@needs("zerocopy")
@pytest.mark.parametrize("enabled", [False, True])
async def test_use_msg_zerocopy(tmp_path: Path, octets: bytes, *, enabled: bool) -> None:
    config = configure(tmp_path, platform__zero_copy__use_msg_zerocopy=enabled)
    async with serving(config, look_at=[cmsg.SO_ZEROCOPY]) as inside:
        await inside.get("file", _LOCK_STEP)  # the next one has a socket that stays
        assert await inside.get("file", _LARGE) == octets
        await inside.settled(1)
    assert set(inside.network.options[socket.SOL_SOCKET, cmsg.SO_ZEROCOPY]) == {int(enabled)}
    assert without_copies(inside) == enabled
    for endpoint in inside.network.endpoints:
        assert isinstance(endpoint, BatchEndpoint)
        assert endpoint.zerocopy.pending == 0


@claims("platform.zero_copy.msg_zerocopy_threshold_bytes")
@needs("zerocopy")
@needs("gso")
@pytest.mark.parametrize(("threshold", "used"), [(4 * 8196, True), (4 * 8196 + 1, False)])
async def test_msg_zerocopy_threshold_bytes(
    tmp_path: Path, octets: bytes, threshold: int, *, used: bool
) -> None:
    """It is about what goes out by one send: a window."""
    inside = await fetched(
        tmp_path,
        octets,
        _LARGE,
        platform__zero_copy__use_msg_zerocopy=True,
        platform__zero_copy__msg_zerocopy_threshold_bytes=threshold,
    )
    assert without_copies(inside) == used


# The table platform.offload.


@claims("platform.offload.enable_gso")
@needs("gso")
@pytest.mark.parametrize("enabled", [False, True])
async def test_enable_gso(tmp_path: Path, octets: bytes, *, enabled: bool) -> None:
    inside = await fetched(tmp_path, octets, platform__offload__enable_gso=enabled)
    datagrams = inside.network.total("datagrams_sent")
    assert datagrams > 140
    assert (messages(inside, _SENDS) < datagrams // 4) == enabled


@claims("platform.offload.enable_gro")
@needs("gso")
@needs("gro")
@pytest.mark.parametrize("enabled", [False, True])
async def test_enable_gro(tmp_path: Path, octets: bytes, *, enabled: bool) -> None:
    """What the client has sent as one is received as one."""
    config = configure(tmp_path, platform__offload__enable_gro=enabled)
    async with serving(config) as inside:
        await inside.put(octets, "up", _WINDOWED)
    assert (tmp_path / "up").read_bytes() == octets
    datagrams = inside.network.total("datagrams_received")
    assert datagrams > 140
    joined = messages(inside, _RECEIVES) < datagrams
    assert joined == (enabled and _client_segments())


def _client_segments() -> bool:
    """Say whether the client, which is not configured here, sends windows as one."""
    from snowowl.datagram.system import SystemNetwork

    return SystemNetwork().capabilities.gso


# The table sockets.


@claims("sockets.recv_buffer_kb", "sockets.send_buffer_kb")
@pytest.mark.parametrize("kilobytes", [0, 64, 192])
async def test_buffers(tmp_path: Path, octets: bytes, kilobytes: int) -> None:
    """Of listening sockets, and of those that transfers have."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        for key, option, other in (
            ("sockets__recv_buffer_kb", socket.SO_RCVBUF, socket.SO_SNDBUF),
            ("sockets__send_buffer_kb", socket.SO_SNDBUF, socket.SO_RCVBUF),
        ):
            usual = plain.getsockopt(socket.SOL_SOCKET, option)
            others = {"sockets__recv_buffer_kb": 128, "sockets__send_buffer_kb": 128}
            config = configure(tmp_path, **{**others, key: kilobytes})
            async with serving(config, look_at=[option, other]) as inside:
                assert await inside.get("file") == octets
            found = inside.network.options
            assert len(found[socket.SOL_SOCKET, option]) == 2
            # Linux doubles what is asked for (socket(7)).
            expected = kilobytes * 1024 * 2 or usual
            assert set(found[socket.SOL_SOCKET, option]) == {expected}
            assert set(found[socket.SOL_SOCKET, other]) == {128 * 1024 * 2}


# The table files.


@pytest.fixture
def advice(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """What the kernel is told of files: (offset, length, advice); no content is ever cached."""
    told: list[tuple[int, int, int]] = []

    def fadvise(fd: int, offset: int, length: int, advice: int) -> None:
        told.append((offset, length, advice))

    monkeypatch.setattr("os.posix_fadvise", fadvise)
    monkeypatch.setattr(MappedFile, "_cached", lambda *_: False)
    return told


@claims("files.read_ahead_kb")
@pytest.mark.parametrize("kilobytes", [0, 1024, 3072])
async def test_read_ahead_kb(
    tmp_path: Path, advice: list[tuple[int, int, int]], kilobytes: int
) -> None:
    (tmp_path / "file").write_bytes(bytes(6 * EXTENT))
    async with serving(configure(tmp_path, files__read_ahead_kb=kilobytes)) as inside:
        with Peer() as peer:
            peer.send(rrq(b"file"), (str(inside.address[0]), inside.address[1]))
            while not advice or advice[-1][2] != os.POSIX_FADV_WILLNEED:
                await trio.sleep(0.001)
    ranges = [(start, length) for start, length, kind in advice if kind == os.POSIX_FADV_WILLNEED]
    assert max(start + length for start, length in ranges) == EXTENT + kilobytes * 1024


@claims("files.access_hint")
@pytest.mark.parametrize("hint", ["normal", "sequential", "random"])
async def test_access_hint(
    tmp_path: Path, octets: bytes, advice: list[tuple[int, int, int]], hint: str
) -> None:
    await fetched(tmp_path, octets, files__access_hint=hint)
    assert advice[0] == (0, 0, getattr(os, f"POSIX_FADV_{hint.upper()}"))


# What this machine cannot do.


@pytest.mark.parametrize(
    ("lacks", "keys", "warned"),
    [
        ("nothing", {}, []),
        ("calls", {}, []),
        ("calls", {"platform__rung": "gso"}, ["platform.rung"]),
        ("calls", {"platform__rung": "mmsg"}, ["platform.rung"]),
        (
            "calls",
            {
                "platform__batch__max_batch_size": 64,
                "platform__zero_copy__use_msg_zerocopy": True,
                "platform__zero_copy__use_sendfile": True,
                "platform__zero_copy__sendfile_blksize_min": 512,
            },
            [
                "platform.batch.max_batch_size",
                "platform.zero_copy.use_sendfile",
                "platform.zero_copy.sendfile_blksize_min",
                "platform.zero_copy.use_msg_zerocopy",
            ],
        ),
        ("layout", {"platform__rung": "gso"}, ["platform.rung"]),
        ("UDP_SEGMENT", {}, ["platform.offload.enable_gso"]),
        ("UDP_SEGMENT", {"platform__offload__enable_gso": False}, []),
        ("UDP_SEGMENT", {"platform__rung": "mmsg"}, []),
        (
            "UDP_SEGMENT",
            {"platform__rung": "gso"},
            ["platform.offload.enable_gso", "platform.rung"],
        ),
        ("UDP_GRO", {}, ["platform.offload.enable_gro"]),
        (
            "sendfile",
            {"platform__zero_copy__use_sendfile": True},
            ["platform.zero_copy.use_sendfile"],
        ),
        ("sendfile", {}, []),
        (
            "SO_ZEROCOPY",
            {"platform__zero_copy__use_msg_zerocopy": True},
            ["platform.zero_copy.use_msg_zerocopy"],
        ),
        ("SO_ZEROCOPY", {}, []),
        ("sched_yield", {}, []),
        ("sched_yield", {"platform__poll_us": 100}, ["platform.poll_us"]),
        ("sched_yield", {"platform__poll_us": 0}, []),
        ("posix_fadvise", {"files__read_ahead_kb": 8192}, ["files.read_ahead_kb"]),
        ("posix_fadvise", {"files__read_ahead_kb": 0}, []),
        ("posix_fadvise", {}, []),
    ],
)
async def test_a_key_that_can_do_nothing_here_is_named_at_the_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lacks: str,
    keys: dict[str, object],
    warned: list[str],
) -> None:
    match lacks:
        case "calls":
            monkeypatch.setattr(capabilities, "load", lambda: None)
        case "layout":
            monkeypatch.setattr(capabilities, "layout_of", lambda _: None)
        case "sendfile":
            monkeypatch.setattr("snowowl.datagram.sendfile.works", lambda: False)
        case "sched_yield" | "posix_fadvise":
            monkeypatch.delattr(f"os.{lacks}")
        case "UDP_SEGMENT" | "UDP_GRO" | "SO_ZEROCOPY":
            monkeypatch.setattr(cmsg, lacks, 9999)
    async with serving(configure(tmp_path, **keys)) as inside:
        pass
    named = [told.reason.partition(" ")[0] for told in inside.told(KeyWithoutEffect)]
    assert named == [f"performance.{key}" for key in warned]
    assert all(" has no effect: " in told.reason for told in inside.told(KeyWithoutEffect))


# All of them.


def test_every_key_has_a_test() -> None:
    keys = {
        ".".join((*path, key.name))
        for path, table in tables(PerformanceConfig).items()
        for key in own_keys(table)
    }
    assert keys == CLAIMED
