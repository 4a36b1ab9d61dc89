from __future__ import annotations

import errno
import os
import resource
import subprocess
import threading
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snowowl.content.allowance import Allowance, Claim, Limits
from snowowl.content.beneath import Directory
from snowowl.content.errors import ContentError
from snowowl.content.sink import HIGH_WATER, Sink
from snowowl.content.temporary import HELD_SIZE, Kind, Temporary
from snowowl.wire import netascii
from snowowl.wire.codec import encode_data_header
from snowowl.wire.constants import ErrorCode


def new_sink(
    directory: Path,
    name: bytes = b"target",
    *,
    kind: Kind = "anonymous",
    text: bool = False,
    overwrite: bool = False,
    size_max: int = 1 << 30,
    limiter: trio.CapacityLimiter | None = None,
    tsize: int | None = None,
    claim: Claim | None = None,
) -> Sink:
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        temporary = Temporary(Directory(fd), name, kind)
    except OSError:
        os.close(fd)
        raise
    return Sink(
        temporary,
        limiter or trio.CapacityLimiter(4),
        netascii=text,
        overwrite=overwrite,
        size_max=size_max,
        label="upload of 'target'",
        folder=b"dir/",
        tsize=tsize,
        claim=claim,
    )


@pytest.fixture(params=["anonymous", "named"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    chosen: Kind = request.param
    if chosen == "anonymous":
        try:
            os.close(os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY))
        except OSError:
            pytest.skip("no anonymous files here")
    return chosen


def datagrams(octets: bytes, blksize: int) -> tuple[bytes, int, int]:
    """Return DATA as it lies in a receive buffer, the stride, and how many there are."""
    starts = range(0, len(octets) + 1, blksize)
    data = b"".join(
        encode_data_header(index & 0xFFFF) + octets[start : start + blksize]
        for index, start in enumerate(starts, 1)
    )
    return data, blksize + 4, len(starts)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_an_upload_is_whole(tmp_path: Path, kind: Kind) -> None:
    octets = os.urandom(100_000)
    async with new_sink(tmp_path, kind=kind) as sink:
        sink.store(*datagrams(octets, 1428))
        assert sink.octets == sink.pending == len(octets)
        assert not sink.full
        await sink.flush()
        assert sink.pending == 0
        await sink.flush()
        sink.store(*datagrams(b"the end", 512))
        assert not (tmp_path / "target").exists()
        assert sink.stored == b""
        await sink.commit()
        assert sink.stored == b"dir/target"
        assert (tmp_path / "target").read_bytes() == octets + b"the end"
        await sink.commit()
        await sink.discard()
    assert names(tmp_path) == ["target"]
    assert sink.octets == len(octets) + 7


async def test_an_empty_upload_is_an_empty_file(tmp_path: Path, kind: Kind) -> None:
    async with new_sink(tmp_path, kind=kind) as sink:
        sink.store(b"\0\3\0\1", 4, 1)
        await sink.flush()
        await sink.commit()
    assert (tmp_path / "target").read_bytes() == b""


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    octets=st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=30), st.sampled_from([b"\r", b"\n", b"\r\n", b"\r\0"])
        ),
        max_size=20,
    ).map(b"".join),
    blksize=st.integers(8, 40),
    text=st.booleans(),
)
async def test_any_upload_is_what_was_sent(
    tmp_path: Path, octets: bytes, blksize: int, text: bool
) -> None:
    wire = netascii.encode(octets) if text else octets
    async with new_sink(tmp_path, text=text, overwrite=True) as sink:
        buffer = bytearray(datagrams(wire, blksize)[0])
        _, stride, count = datagrams(wire, blksize)
        middle = count // 2
        if middle:
            sink.store(memoryview(buffer)[: middle * stride], stride, middle)
        sink.store(memoryview(buffer)[middle * stride :], stride, count - middle)
        buffer[:] = bytes(len(buffer))  # the receive buffer is used again
        assert sink.octets == len(wire)
        await sink.commit()
    assert (tmp_path / "target").read_bytes() == octets


async def test_a_carriage_return_at_the_end_of_text_is_kept(tmp_path: Path) -> None:
    async with new_sink(tmp_path, text=True) as sink:
        sink.store(*datagrams(b"a\r\nb\r", 512))
        await sink.commit()
    assert (tmp_path / "target").read_bytes() == b"a\nb\r"


async def test_memory_is_bounded_by_the_high_water(tmp_path: Path) -> None:
    data, stride, count = datagrams(bytes(64 * 1428 - 1), 1428)
    async with new_sink(tmp_path) as sink:
        while not sink.full:
            sink.store(data, stride, count)
        assert HIGH_WATER <= sink.pending < HIGH_WATER + len(data)
        await sink.flush()
        assert sink.pending == 0


async def test_small_blocks_take_little_more_memory_than_their_octets(tmp_path: Path) -> None:
    octets = os.urandom(100_000)
    data = [datagrams(octets[start : start + 8], 9) for start in range(0, len(octets), 8)]
    async with new_sink(tmp_path) as sink:
        tracemalloc.start()
        try:
            for datagram in data:
                sink.store(*datagram)
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert taken < 2 * len(octets)
        await sink.commit()
    assert (tmp_path / "target").read_bytes() == octets


@pytest.mark.parametrize("large", [True, False])
async def test_a_large_file_that_was_replaced_is_freed_after_the_commit(
    tmp_path: Path, kind: Kind, large: bool
) -> None:
    target = tmp_path / "target"
    target.touch()
    os.truncate(target, HELD_SIZE - (not large))

    def is_held() -> bool:
        fds = [fd for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
        return f"{target} (deleted)" in [str(fd.readlink()) for fd in fds]

    async with new_sink(tmp_path, kind=kind, overwrite=True) as sink:
        sink.store(*datagrams(b"new", 512))
        await sink.commit()
        assert target.read_bytes() == b"new"
        assert is_held() == large
        await sink.discard()
        assert not is_held()
        await sink.discard()
    assert names(tmp_path) == ["target"]


async def test_what_comes_during_a_flush_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write = Temporary.write
    began, go_on = threading.Event(), threading.Event()

    def slow_write(temporary: Temporary, pieces: Sequence[bytes]) -> None:
        began.set()
        assert go_on.wait(10)
        real_write(temporary, pieces)

    monkeypatch.setattr(Temporary, "write", slow_write)
    async with new_sink(tmp_path) as sink:
        sink.store(*datagrams(b"first ", 512))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sink.flush)
            await trio.to_thread.run_sync(began.wait)
            sink.store(*datagrams(b"second", 512))
            assert sink.pending == 12
            nursery.start_soon(sink.commit)  # waits for the flush
            await trio.testing.wait_all_tasks_blocked()
            go_on.set()
    assert (tmp_path / "target").read_bytes() == b"first second"


async def test_an_upload_beyond_the_largest_size_is_refused(tmp_path: Path, kind: Kind) -> None:
    async with new_sink(tmp_path, kind=kind, size_max=1000) as sink:
        sink.store(*datagrams(bytes(1000), 512))
        with pytest.raises(ContentError) as caught:
            sink.store(*datagrams(b"x", 512))
        assert caught.value.code is ErrorCode.DISK_FULL
        assert sink.octets == 1000
    assert names(tmp_path) == []


async def test_what_is_given_up_leaves_no_trace(tmp_path: Path, kind: Kind) -> None:
    async with new_sink(tmp_path, kind=kind) as sink:
        sink.store(*datagrams(bytes(2000), 512))
        await sink.flush()
        sink.store(*datagrams(bytes(2000), 512))
    assert names(tmp_path) == []
    await sink.discard()
    for late in (sink.flush, sink.commit):
        with pytest.raises(ContentError):
            await late()
    assert names(tmp_path) == []


async def test_discarding_is_not_cancelled(tmp_path: Path, kind: Kind) -> None:
    sink = new_sink(tmp_path, kind=kind)
    sink.store(*datagrams(bytes(2000), 512))
    with trio.CancelScope() as scope:
        scope.cancel()
        await sink.discard()
    assert names(tmp_path) == []


async def test_a_failed_write_is_told_from_then_on(
    tmp_path: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, pieces: list[bytes]) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with new_sink(tmp_path, kind=kind) as sink:
        sink.store(*datagrams(bytes(2000), 512))
        with monkeypatch.context() as patched:
            patched.setattr("os.writev", full)
            with pytest.raises(ContentError) as caught:
                await sink.flush()
        assert caught.value.code is ErrorCode.DISK_FULL
        assert caught.value.detail == "upload of 'target': No space left on device"
        with pytest.raises(ContentError):
            sink.store(*datagrams(b"more", 512))
        for later in (sink.flush, sink.commit):  # a hole would be worse than no file
            with pytest.raises(ContentError):
                await later()
    assert names(tmp_path) == []


async def test_a_file_beyond_what_the_process_may_write_is_refused(
    tmp_path: Path, kind: Kind
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with new_sink(tmp_path, kind=kind) as sink:
        sink.store(*datagrams(bytes(200_000), 1428))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            with pytest.raises(ContentError) as caught:
                await sink.commit()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert caught.value.code is ErrorCode.DISK_FULL
    assert names(tmp_path) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(directory)]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("may not mount here")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


@pytest.mark.parametrize("chosen", ["anonymous", "named"])
async def test_a_full_disk_is_told_and_left_as_it_was(tiny_disk: Path, chosen: Kind) -> None:
    async with new_sink(tiny_disk, kind=chosen) as sink:
        sink.store(*datagrams(bytes(100_000), 1428))
        with pytest.raises(ContentError) as caught:
            await sink.commit()
        assert caught.value.code is ErrorCode.DISK_FULL
        assert caught.value.message == "disk full or allocation exceeded"
    assert names(tiny_disk) == []
    space = os.statvfs(tiny_disk)
    assert space.f_bfree == space.f_blocks


@pytest.mark.parametrize("overwrite", [False, True])
async def test_of_two_uploads_of_one_name_the_policy_decides(
    tmp_path: Path, kind: Kind, overwrite: bool
) -> None:
    outcomes: list[ErrorCode | None] = []

    async def upload(octets: bytes) -> None:
        async with new_sink(tmp_path, kind=kind, overwrite=overwrite) as sink:
            sink.store(*datagrams(octets, 512))
            try:
                await sink.commit()
            except ContentError as error:
                outcomes.append(error.code)
            else:
                outcomes.append(None)

    async with trio.open_nursery() as nursery:
        for octets in (b"a" * 9000, b"b" * 9000, b"c" * 9000):
            nursery.start_soon(upload, octets)
    assert names(tmp_path) == ["target"]
    assert (tmp_path / "target").read_bytes() in {b"a" * 9000, b"b" * 9000, b"c" * 9000}
    exists = None if overwrite else ErrorCode.FILE_EXISTS
    assert sorted(outcomes, key=str) == sorted([None, exists, exists], key=str)


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope when the task that made this is about to take its n-th step."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self.scope = scope
        self.step = step
        self.task = trio.lowlevel.current_task()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task:
            self.step -= 1
            if self.step == 0:
                self.scope.cancel()


async def cancelled_at(step: int, function: Callable[[], Awaitable[None]]) -> bool:
    """Run a function, cancelled before its n-th step; tell whether it came to that."""
    with trio.CancelScope() as scope:
        instrument = CancelAtStep(scope, step)
        trio.lowlevel.add_instrument(instrument)
        try:
            if step == 0:
                scope.cancel()
            await function()
        finally:
            trio.lowlevel.remove_instrument(instrument)
    return scope.cancel_called


async def test_cancelled_anywhere_it_is_whole_or_nothing(tmp_path: Path, kind: Kind) -> None:
    octets = os.urandom(5000)
    results = set()
    for step in range(100):
        directory = tmp_path / str(step)
        directory.mkdir()

        async def upload(directory: Path = directory) -> None:
            async with new_sink(directory, kind=kind) as sink:
                for piece in (octets[:3000], octets[3000:]):
                    sink.store(*datagrams(piece, 512))
                    await sink.flush()
                await sink.commit()

        cancelled = await cancelled_at(step, upload)
        left = names(directory)
        assert left in ([], ["target"])
        if left:
            assert (directory / "target").read_bytes() == octets
        results.add((cancelled, bool(left)))
        if not cancelled:
            break
    else:
        pytest.fail("never ran to its end")
    assert {(True, False), (False, True)} <= results


async def test_a_cancelled_flush_loses_nothing(tmp_path: Path, kind: Kind) -> None:
    octets = os.urandom(5000)
    for step in range(20):
        async with new_sink(tmp_path, f"target{step}".encode(), kind=kind) as sink:
            sink.store(*datagrams(octets, 512))
            await cancelled_at(step, sink.flush)
            sink.store(*datagrams(b"the end", 512))
            await sink.commit()
        assert (tmp_path / f"target{step}").read_bytes() == octets + b"the end"


@pytest.fixture
async def busy_limiter() -> AsyncIterator[trio.CapacityLimiter]:
    limiter = trio.CapacityLimiter(1)
    async with limiter:
        yield limiter


async def test_a_flush_cancelled_while_it_waits_for_a_thread_loses_nothing(
    tmp_path: Path, busy_limiter: trio.CapacityLimiter
) -> None:
    sink = new_sink(tmp_path, limiter=busy_limiter)
    sink.store(*datagrams(b"first ", 512))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sink.flush)
        await trio.testing.wait_all_tasks_blocked()
        assert sink.pending == 6
        sink.store(*datagrams(b"second", 512))
        nursery.cancel_scope.cancel()
    assert sink.pending == 12
    busy_limiter.total_tokens = 2
    await sink.commit()
    assert (tmp_path / "target").read_bytes() == b"first second"


# What was announced, and what all uploads may take together


@pytest.mark.parametrize(
    ("tsize", "octets", "text", "kept"),
    [
        (1000, 1000, False, True),
        (1000, 999, False, False),
        (1000, 1001, False, False),
        (0, 700, False, True),  # how some say that they do not know
        (None, 700, False, True),
        (5, 1000, True, True),  # they count before they encode, or after
    ],
)
async def test_an_upload_must_be_as_large_as_announced(
    tmp_path: Path, kind: Kind, tsize: int | None, octets: int, text: bool, kept: bool
) -> None:
    async with new_sink(tmp_path, kind=kind, text=text, tsize=tsize) as sink:
        sink.store(*datagrams(b"x" * octets, 512))
        if kept:
            await sink.commit()
        else:
            with pytest.raises(ContentError):
                await sink.commit()
            with pytest.raises(ContentError) as caught:
                await sink.commit()
            assert caught.value.code is ErrorCode.NOT_DEFINED
            assert caught.value.message == "upload is not of the announced size"
            assert f"{octets} octets came, 1000 were announced" in caught.value.detail
    assert names(tmp_path) == (["target"] if kept else [])


async def test_a_size_that_does_not_go_into_32_bits_is_compared_by_them(tmp_path: Path) -> None:
    async with new_sink(tmp_path, tsize=1000) as sink:
        sink.store(*datagrams(b"x" * 1000, 512))
        sink.octets += 1 << 32
        await sink.commit()


def store_much(sink: Sink) -> None:
    for _ in range(300):
        sink.store(*datagrams(bytes(1023), 1023))


async def test_an_upload_ends_where_the_quota_does(tmp_path: Path, kind: Kind) -> None:
    allowance = Allowance(Limits(quota=200_000))
    claim = allowance.claim(None)
    claim.aim((1, 2, b"target"), 0)
    async with new_sink(tmp_path, kind=kind, claim=claim) as sink:
        with pytest.raises(ContentError) as caught:
            store_much(sink)
        assert caught.value.code is ErrorCode.DISK_FULL
        assert 200_000 - 1023 < sink.octets <= 200_000 + 1023
        assert allowance.held <= 200_000
    assert (allowance.held, allowance.uploads) == (0, 0)
    assert names(tmp_path) == []


async def test_what_is_stored_counts_as_it_lies_on_the_disk(tmp_path: Path) -> None:
    allowance = Allowance(Limits(quota=200_000))
    claim = allowance.claim(None)
    claim.aim((1, 2, b"target"), 0)
    async with new_sink(tmp_path, text=True, claim=claim) as sink:
        sink.store(*datagrams(b"a\r\n" * 100 + b"\r", 512))
        await sink.commit()
        assert (allowance.used, allowance.held, allowance.uploads) == (201, 0, 1)
        assert (tmp_path / "target").stat().st_size == 201
    assert allowance.uploads == 0


async def test_what_comes_after_the_end_takes_nothing(tmp_path: Path) -> None:
    allowance = Allowance(Limits(quota=200_000))
    claim = allowance.claim(None)
    claim.aim((1, 2, b"target"), 0)
    async with new_sink(tmp_path, claim=claim) as sink:
        await sink.discard()
        sink.store(*datagrams(b"late", 512))
    assert allowance.held == 0


async def test_an_upload_ends_before_the_free_space_does(tiny_disk: Path, kind: Kind) -> None:
    allowance = Allowance(Limits(free_min=32 * 1024))

    async def write_much(sink: Sink) -> None:
        for _ in range(40):
            sink.store(*datagrams(bytes(1023), 1023))
            await sink.flush()
            space = os.statvfs(tiny_disk)
            assert space.f_bavail * space.f_frsize >= 32 * 1024

    async def upload(number: int) -> None:
        claim = allowance.claim(None)
        async with new_sink(tiny_disk, b"%d" % number, kind=kind, claim=claim) as sink:
            with pytest.raises(ContentError) as caught:
                await write_much(sink)
            assert caught.value.code is ErrorCode.DISK_FULL
            assert "write.free_min" in caught.value.detail
            with pytest.raises(ContentError):
                await sink.commit()

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(upload, number)
    assert names(tiny_disk) == []


async def test_who_loses_to_another_upload_is_told_at_once(tmp_path: Path, kind: Kind) -> None:
    allowance = Allowance()
    claims = [allowance.claim(None) for _ in range(2)]
    for claim in claims:
        claim.aim((1, 2, b"target"), 0)
    told: list[ContentError] = []
    async with (
        new_sink(tmp_path, kind=kind, claim=claims[0]) as winner,
        new_sink(tmp_path, kind=kind, claim=claims[1]) as loser,
    ):
        loser.alert = told.append
        loser.store(*datagrams(b"second", 512))
        winner.store(*datagrams(b"first", 512))
        await winner.commit()
        assert [error.code for error in told] == [ErrorCode.FILE_EXISTS]
        with pytest.raises(ContentError):
            loser.store(*datagrams(b"more", 512))
        with pytest.raises(ContentError):
            await loser.commit()
    assert (tmp_path / "target").read_bytes() == b"first"
