"""What the kernel, the disk and the peers can do to a whole server: nothing is lost but what must be.

After each fault the next client is served.  The faults of one endpoint are for `tests/datagram`.
"""

from __future__ import annotations

import errno
import os
import random
import resource
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal

import attrs
import pytest
import trio

import snowowl
from snowowl import ClientError, ClientOptions
from snowowl.datagram.calls import Calls
from snowowl.datagram.capabilities import probe
from snowowl.datagram.layouts import layout_of
from snowowl.datagram.settings import Settings
from snowowl.observe.events import DatapathLowered, TransferFinished
from snowowl.protocol.outcome import OutcomeKind
from tests.datagram.kernel import read
from tests.real.harness import (
    Peer,
    Server,
    ack,
    data,
    error,
    error_code,
    fetch,
    option_ack,
    rrq,
)
from tests.real.harness import serving as serving_outside
from tests.real.inside import Inside, Spoil, configure, serving

_AVAILABLE: Final = probe(Settings(zerocopy=True))

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="what Linux does"),
    pytest.mark.skipif(_AVAILABLE.calls is None, reason="no recvmmsg and sendmmsg here"),
]

OCTETS: Final = random.Random(9).randbytes(300_000)
WINDOWED: Final = ClientOptions(blksize=1400, windowsize=16, timeout=5)
"""With a timeout nothing is sent again any sooner, so that what was lost would be seen."""

LOCK_STEP: Final = ClientOptions(blksize=8192, windowsize=None, timeout=5)
LARGE: Final = ClientOptions(blksize=32_768, windowsize=4, timeout=5)

Keys = dict[str, object]
WAYS: Final[dict[str, Keys]] = {
    "mmsg": {"platform__rung": "mmsg"},
    "gso": {"platform__rung": "gso"},
    "gso, call by call": {
        "platform__batch__enable_recvmmsg": False,
        "platform__batch__enable_sendmmsg": False,
    },
    "sendfile": {
        "platform__zero_copy__use_sendfile": True,
        "platform__zero_copy__sendfile_blksize_min": 8192,
    },
    "zerocopy": {
        "platform__zero_copy__use_msg_zerocopy": True,
        "platform__zero_copy__msg_zerocopy_threshold_bytes": 1,
    },
}

ways = pytest.mark.parametrize("way", list(WAYS))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(OCTETS)
    return tmp_path


# Sends and receives that fail.

Verdict = Callable[[int, int], int]
"""Return what a send call comes to, by its number and its messages: -errno, or how many of the
messages are really sent."""


def sends(verdict: Verdict) -> Spoil:
    """Have each send call come to what is said."""

    def spoil(calls: Calls) -> Calls:
        numbers = iter(range(1_000_000))

        def sendmmsg(fd: int, headers: int, count: int, flags: int) -> int:
            judged = verdict(next(numbers), count)
            return judged if judged < 0 else calls.sendmmsg(fd, headers, judged, flags)

        def sendmsg(fd: int, header: int, flags: int) -> int:
            judged = verdict(next(numbers), 1)
            return judged if judged < 0 else calls.sendmsg(fd, header, flags)

        return calls._replace(sendmmsg=sendmmsg, sendmsg=sendmsg)

    return spoil


async def all_is_served(inside: Inside) -> None:
    """Transfer files in all ways, at once and one after another; nothing is sent twice."""
    for options in (WINDOWED, LOCK_STEP, LARGE):
        assert await inside.get("file", options) == OCTETS
    await inside.put(OCTETS, "up", WINDOWED)
    got: list[bytes] = []

    async def fetch_one(options: ClientOptions) -> None:
        got.append(await inside.get("file", options))

    async with trio.open_nursery() as clients:
        for options in (WINDOWED, LOCK_STEP) * 5:
            clients.start_soon(fetch_one, options)
    assert got == [OCTETS] * 10
    await inside.settled(14)
    assert set(inside.outcomes()) == {OutcomeKind.COMPLETED}
    assert {event.retransmitted for event in inside.told(TransferFinished)} == {0}
    assert inside.network.total("datagrams_lost") == 0


@ways
@pytest.mark.parametrize("reason", [errno.ENOBUFS, errno.ENOMEM, errno.EINTR, errno.ECONNREFUSED])
async def test_every_third_send_fails(root: Path, way: str, reason: int) -> None:
    """For want of memory for a moment, or by news of another peer that came at the wrong time."""
    spoil = sends(lambda number, count: -reason if number % 3 == 2 else count)
    async with serving(configure(root, **WAYS[way]), spoil) as inside:
        await all_is_served(inside)
    assert (root / "up").read_bytes() == OCTETS


@ways
async def test_most_sends_are_blocked_or_cut_short(root: Path, way: str) -> None:
    fates = random.Random(1)

    def verdict(number: int, count: int) -> int:
        return -errno.EAGAIN if fates.random() < 0.7 else fates.randint(1, count)

    async with serving(configure(root, **WAYS[way]), sends(verdict)) as inside:
        await all_is_served(inside)
    assert (root / "up").read_bytes() == OCTETS


@ways
@pytest.mark.parametrize("reason", [errno.EPERM, errno.ENETUNREACH, errno.ENOBUFS])
async def test_a_network_that_is_away_for_a_moment(root: Path, way: str, reason: int) -> None:
    """What cannot be sent for long enough is lost, as datagrams are, and sent again."""
    spoil = sends(lambda number, count: -reason if 4 <= number < 12 else count)
    options = ClientOptions(blksize=1400, windowsize=16)
    async with serving(configure(root, **WAYS[way]), spoil) as inside:
        assert await inside.get("file", options) == OCTETS
        await inside.settled(1)
        assert inside.network.total("datagrams_lost") > 0
        assert inside.told(TransferFinished)[0].retransmitted > 0
        assert await inside.get("file", options) == OCTETS


@pytest.mark.parametrize("way", ["gso", "gso, call by call"])
@pytest.mark.parametrize("reason", [errno.ENOMEM, errno.EINTR])
async def test_a_socket_that_cannot_be_read_for_a_while(root: Path, way: str, reason: int) -> None:
    left = 0

    def spoil(calls: Calls) -> Calls:
        def recvmmsg(fd: int, headers: int, count: int, flags: int) -> int:
            return -reason if fails() else calls.recvmmsg(fd, headers, count, flags)

        def recvmsg(fd: int, header: int, flags: int) -> int:
            return -reason if fails() else calls.recvmsg(fd, header, flags)

        return calls._replace(recvmmsg=recvmmsg, recvmsg=recvmsg)

    def fails() -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    async with serving(configure(root, **WAYS[way]), spoil) as inside:
        left = 10
        assert await inside.get("file", WINDOWED) == OCTETS
        left = 25
        assert await inside.get("file", LOCK_STEP) == OCTETS
        assert left < 0


# Devices that refuse segments.


def is_segmented(headers: int) -> bool:
    layout = layout_of(sys.platform)
    assert layout is not None
    return read(layout, headers).stride > 0


@pytest.mark.skipif(not _AVAILABLE.gso, reason="no UDP_SEGMENT here")
@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (errno.EIO, "segmentation (Input/output error)"),
        (errno.EINVAL, "segments of 1404 octets to some clients (Invalid argument)"),
        (errno.EMSGSIZE, "segments of 1404 octets to some clients (Message too long)"),
    ],
)
async def test_a_device_that_refuses_segments_is_told_once_and_loses_nothing(
    root: Path, reason: int, told: str
) -> None:
    refused = 0

    def spoil(calls: Calls) -> Calls:
        def sendmmsg(fd: int, headers: int, count: int, flags: int) -> int:
            nonlocal refused
            if is_segmented(headers):
                refused += 1
                return -reason
            return calls.sendmmsg(fd, headers, count, flags)

        return calls._replace(sendmmsg=sendmmsg)

    async with serving(configure(root), spoil) as inside:
        await all_is_served(inside)
    assert [event.what for event in inside.told(DatapathLowered)] == [told]
    # For good, or for each client that it happens to: of those here six ask for windows.
    assert 1 <= refused <= (1 if reason == errno.EIO else 8)


# Sockets and descriptors that cannot be had.


@pytest.mark.parametrize("tid", ["shared", "own"])
async def test_without_memory_for_sockets_clients_are_refused_until_there_is(
    root: Path, tid: Literal["shared", "own"]
) -> None:
    config = configure(root)
    config = attrs.evolve(config, server=attrs.evolve(config.server, tid=tid))
    async with serving(config) as inside:
        inside.network.open_errors = 1_000_000
        with pytest.raises(ClientError, match="server is out of resources"):
            await inside.get("file")
        with pytest.raises(ClientError, match="file not found"):  # that needs no socket
            await inside.get("missing")
        with pytest.raises(ClientError, match="server is out of resources"):
            await inside.put(OCTETS, "up")
        inside.network.open_errors = 0
        assert await inside.get("file") == OCTETS
        kinds = [OutcomeKind.REFUSED] * 3 + [OutcomeKind.COMPLETED]
        await inside.settled(4)
        assert inside.outcomes() == kinds
    assert not (root / "up").exists()


@pytest.mark.parametrize("tid", ["shared", "own", "listen"])
def test_descriptors_that_run_out(root: Path, tid: str) -> None:
    """Whoever gets none is told so; whoever has one goes on; later there is one for everybody."""
    (root / "small").write_bytes(OCTETS[:700])
    with serving_outside(root, config=f'[server]\ntid = "{tid}"\n') as server, Peer() as reader:
        _, source = reader.ask(rrq(b"file", ("blksize", 1400), ("timeout", 50)), server.address)
        for block, spare in enumerate((0, 1, 5)):
            used = server.descriptors()
            limits = limit_descriptors(server, used + spare)
            refused = ask_for_more(server)
            packet, source = reader.ask(ack(block), source)
            assert packet == data(block + 1, OCTETS[1400 * block : 1400 * (block + 1)])
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
            assert refused > 0 or tid != "own"
            assert fetch(server.address, b"file", ("blksize", 8192)) == OCTETS
            assert fetch(server.address, b"small") == OCTETS[:700]
        server.terminate()
        server.wait_log("draining")
        server.process.terminate()
        assert server.wait() == 0


def ask_for_more(server: Server) -> int:
    """Have forty clients begin a transfer, and break off; return how many there was no room for."""
    refused = 0
    with ExitStack() as stack:
        for name in [b"file", b"small"] * 20:
            peer = stack.enter_context(Peer())
            packet, source = peer.ask(rrq(name), server.address)
            if error_code(packet) is None:
                assert packet == data(1, OCTETS[:512])
                stack.callback(peer.send, error(0), source)
            else:
                assert b"try again" in packet
                refused += 1
    return refused


def limit_descriptors(server: Server, count: int) -> tuple[int, int]:
    """Let a server have so many descriptors; return what it might have before."""
    pid = server.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, before[1]))
    return before


# Files that change while they are sent.


def truncate(file: Path) -> None:
    os.truncate(file, 10_001)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def rewrite(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.write(b"N" * file.stat().st_size)


def replace(file: Path) -> None:
    new = file.with_name("new")
    new.write_bytes(b"N" * file.stat().st_size)
    new.replace(file)


@ways
@pytest.mark.parametrize("options", [WINDOWED, LOCK_STEP, LARGE], ids=["w", "l", "f"])
@pytest.mark.parametrize("change", [truncate, empty, rewrite, replace])
async def test_a_file_that_changes_ends_in_an_error_or_whole(
    root: Path, way: str, options: ClientOptions, change: Callable[[Path], None]
) -> None:
    """By sendfile, by windows, by the kernel's own look at the pages: never two versions in one."""
    file = root / "file"
    changed = False

    def progress(octets: int, total: int | None) -> None:
        nonlocal changed
        if octets > 50_000 and not changed:
            changed = True
            change(file)

    async with serving(configure(root, **WAYS[way])) as inside:
        url = f"tftp://127.0.0.1:{inside.address[1]}/file"
        if change is replace:
            got = await snowowl.get(url, options=options, progress=progress)
            assert got.octets == OCTETS
        else:
            with pytest.raises(ClientError, match="file changed while it was sent"):
                await snowowl.get(url, options=options, progress=progress)
        assert changed
        await inside.settled(1)
        kind = OutcomeKind.COMPLETED if change is replace else OutcomeKind.REFUSED
        assert inside.outcomes() == [kind]
        assert await inside.get("file", options) == file.read_bytes()


# Clients that die.


@ways
async def test_a_client_that_has_gone_takes_nobody_with_it(root: Path, way: str) -> None:
    """Its closed port is reported in the midst of a batch to others."""
    async with serving(configure(root, **WAYS[way])) as inside, trio.open_nursery() as clients:
        gone = 8
        for _ in range(gone):
            with Peer() as peer:
                peer.send(rrq(b"file", ("blksize", 1400), ("windowsize", 8)), inside.address[:2])
                await trio.lowlevel.wait_readable(peer.socket)
                packet, source = peer.receive()
                option_ack(packet)
                for _ in range(2):
                    clients.start_soon(inside.get, "file", WINDOWED)
                peer.send(ack(0), source)  # and closes its port before the answer comes
        await inside.settled(3 * gone)
        found = inside.outcomes()
        assert found.count(OutcomeKind.UNREACHABLE) == gone
        assert found.count(OutcomeKind.COMPLETED) == 2 * gone
        for event in inside.told(TransferFinished):
            assert not event.retransmitted or event.outcome.kind is OutcomeKind.UNREACHABLE
